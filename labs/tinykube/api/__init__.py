"""The API of the cluster. Seat of kube-apiserver."""
from __future__ import annotations

from typing import Any

from tinykube.api import apply, discovery, openapi, partial, protobuf, protowrite, table
from tinykube.api.server import ApiServer
from tinykube.store import Storage


def new_server(storage: Storage, **options: Any) -> ApiServer:
    """An ApiServer with all that the real kubectl asks for; the options are ApiServer's."""
    plugins = [discovery.install, openapi.install, table.install, partial.install,
               protobuf.install, protowrite.install, apply.install, *options.pop("plugins", ())]
    return ApiServer(storage, plugins=plugins, **options)


__all__ = ["ApiServer", "new_server"]
