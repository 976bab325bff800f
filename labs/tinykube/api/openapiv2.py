"""The same schemas once more, in the older OpenAPI v2: one document for all groups, which older clients read as protobuf.

Genuine counterpart: /openapi/v2, https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-v2
"""
from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tinykube.api.discovery import VERSION
from tinykube.api.openapi import SCHEMAS, custom_schemas
from tinykube.api.protowrite import field
from tinykube.machinery.wire import Object, Request, Response

if TYPE_CHECKING:
    from tinykube.api.resources import Resource
    from tinykube.api.server import ApiServer

PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
TEXTS = {"$ref": 1, "format": 2, "title": 3, "description": 4, "pattern": 13}      # fields of the message Schema


def install(server: ApiServer) -> None:
    """Let a server answer /openapi/v2. The document is made when somebody asks, and again when its kinds have changed."""
    made: dict[str, tuple[list[Resource], bytes]] = {}

    async def answer(request: Request) -> Response:
        accept = request.headers.get("accept", "")
        kind = PROTOBUF if "spec.v2" in accept else "application/json"
        if accept and not any(word in accept for word in ("spec.v2", "json", "*/*")):
            return Response(406, b"")
        if kind not in made or made[kind][0] != server.resources:
            made[kind] = server.resources, (in_protobuf if kind == PROTOBUF else in_json)(definitions(server.resources))
        text = made[kind][1]
        return Response(200, text, {"content-type": kind, "etag": f'"{hashlib.sha512(text).hexdigest().upper()}"'})
    server.routes["/openapi/v2"] = answer


def definitions(resources: Iterable[Resource]) -> dict[str, Object]:
    """All schemas, as this version of OpenAPI has them."""
    return {name: older(schema) for name, schema in sorted((SCHEMAS | custom_schemas(resources)).items()) if name != "origin"}


def older(schema: Object) -> Object:
    """A schema of OpenAPI v3 as one of v2, which has no defaults, and no field that may be of several types."""
    found = {key: value for key, value in schema.items() if key not in ("default", "oneOf")}
    if "oneOf" in schema:
        found["type"] = "string"
    if len(found.get("allOf", ())) == 1:
        found["$ref"] = found.pop("allOf")[0]["$ref"]
    if "$ref" in found:
        found["$ref"] = found["$ref"].replace("#/components/schemas/", "#/definitions/")
    for key in ("items", "additionalProperties"):
        if isinstance(found.get(key), dict):
            found[key] = older(found[key])
    if "properties" in found:
        found["properties"] = {name: older(inner) for name, inner in found["properties"].items()}
    return found


def in_json(schemas: dict[str, Object]) -> bytes:
    """The document. Its paths are those of the v3 documents, and are not told again."""
    whole = {"swagger": "2.0", "info": {"title": "Kubernetes", "version": VERSION}, "paths": {}, "definitions": schemas}
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode()


def in_protobuf(schemas: dict[str, Object]) -> bytes:
    """The document as the message openapi.v2.Document."""
    info = field(1, b"Kubernetes") + field(2, VERSION.encode())
    return field(1, b"2.0") + field(2, info) + field(8, b"") + field(9, named(schemas))


def named(schemas: dict[str, Object]) -> bytes:
    """Schemas with their names."""
    return b"".join(field(1, field(1, name.encode()) + field(2, message(schema))) for name, schema in schemas.items())


def message(schema: Object) -> bytes:
    """A schema as a message. What has no field of its own, such as x-kubernetes-..., goes along as YAML."""
    parts = [field(place, schema[key].encode()) for key, place in TEXTS.items() if key in schema]
    parts += [field(19, name.encode()) for name in schema.get("required", ())]
    parts += [field(20, any_value(value)) for value in schema.get("enum", ())]
    if isinstance(more := schema.get("additionalProperties"), dict):
        parts.append(field(21, field(1, message(more))))
    if "type" in schema:
        parts.append(field(22, field(1, schema["type"].encode())))
    if "items" in schema:
        parts.append(field(23, field(1, message(schema["items"]))))
    if "properties" in schema:
        parts.append(field(25, named(schema["properties"])))
    return b"".join([*parts, *(field(31, field(1, key.encode()) + field(2, any_value(value)))
                               for key, value in schema.items() if key.startswith("x-"))])


def any_value(value: Any) -> bytes:
    """Any value, as YAML; JSON is YAML."""
    return field(2, json.dumps(value).encode() + b"\n")
