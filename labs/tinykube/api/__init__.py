"""The API of the cluster. Seat of kube-apiserver."""
from __future__ import annotations

from typing import Any

from tinykube.api import (
    apply,
    cells,
    customresources,
    discovery,
    health,
    openapi,
    openapiv2,
    partial,
    plugins,
    protobuf,
    protowrite,
    table,
)
from tinykube.api.server import ApiServer
from tinykube.store import Storage


def new_server(storage: Storage, **options: Any) -> ApiServer:
    """An ApiServer with all that the real kubectl asks for; the options are ApiServer's, and three more.

    `admission_on` and `admission_off` name plugins that are to be asked, or not, other than by default; `dial` reaches
    webhooks.
    """
    cells.learn_words()
    admission = plugins.install(options.pop("admission_on", ()), options.pop("admission_off", ()), options.pop("dial", None))
    parts = [health.install, discovery.install, openapi.install, openapiv2.install, table.install, partial.install,
             protobuf.install, protowrite.install, apply.install, customresources.install, admission, *options.pop("plugins", ())]
    return ApiServer(storage, plugins=parts, **options)


__all__ = ["ApiServer", "new_server"]
