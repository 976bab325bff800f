"""Only the metadata: for clients that follow every kind and need no more than names, owners and finalizers.

Genuine counterpart: PartialObjectMetadata of meta.k8s.io/v1, which the garbage collector asks for.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tinykube.machinery.wire import Object, Request

if TYPE_CHECKING:
    from tinykube.api.resources import Resource
    from tinykube.api.server import ApiServer

META = "meta.k8s.io/v1"


def install(server: ApiServer) -> None:
    """Let a server answer with metadata alone, where the client asks for that."""
    server.shapers.append(shaper)


def shaper(request: Request, resource: Resource) -> Callable[[Object], Object] | None:
    """How to shape the answers to a request, if it asks for metadata before it asks for whole objects."""
    for choice in request.headers.get("accept", "").split(","):
        media, *parameters = (part.strip() for part in choice.split(";"))
        if any(part.startswith("as=PartialObjectMetadata") for part in parameters):
            return metadata_only
        if media in ("application/json", "*/*") and not parameters:
            return None
    return None


def metadata_only(answer: Object) -> Object:
    """An object, or a list of them, without all but metadata."""
    if "items" in answer:
        items = [metadata_only(item) for item in answer["items"]]
        return {"kind": "PartialObjectMetadataList", "apiVersion": META, "metadata": answer["metadata"], "items": items}
    return {"kind": "PartialObjectMetadata", "apiVersion": META, "metadata": answer["metadata"]}
