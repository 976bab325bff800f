"""Are you well? Paths for those who decide whether to restart us, or to send us requests; and the old way to ask.

Genuine counterparts: https://kubernetes.io/docs/reference/using-api/health-checks/ and ComponentStatus.
"""
from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tinykube.api.listing import selection
from tinykube.machinery import errors
from tinykube.machinery.wire import Object, Request, Response
from tinykube.store import StoreError

if TYPE_CHECKING:
    from tinykube.api.server import ApiServer
    from tinykube.api.verbs import Call

PATIENCE = 2                             # seconds that the store may take to answer
TEXT = {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}


def install(server: ApiServer) -> None:
    """Let a server tell how it is: as long as it answers at all it lives, and without its store it is of no use."""
    async def answer(request: Request) -> Response:
        root, _, name = request.path.strip("/").partition("/")
        found = {"ping": "", "etcd": await ask_store(server)}
        if not name:
            return told(root, found, request.params("exclude"), "verbose" in dict(request.query))
        if name not in found:
            return Response(404, b"404 page not found\n", TEXT)
        failed = f"internal server error: {found[name]}\n".encode()
        return Response(500, failed, TEXT) if found[name] else Response(200, b"ok", TEXT)

    async def components(call: Call) -> Response:
        status = component("etcd-0", await ask_store(server))
        if not call.info.name:
            selects = selection(call.request, call.resource)
            items: Object = {"kind": "ComponentStatusList", "metadata": {}, "items": [
                each for each in (status,) if not selects or selects(each)]}
            return shaped(call, {"apiVersion": "v1", **items})
        if call.info.name != "etcd-0":
            raise errors.not_found("componentstatus", call.info.name)
        return shaped(call, {"kind": "ComponentStatus", "apiVersion": "v1", **status})
    for path in ("/healthz", "/livez", "/readyz"):
        server.routes |= {path: answer, f"{path}/": answer}
    server.handlers["", "componentstatuses", ""] = components


def told(root: str, found: dict[str, str], left_out: list[str], verbose: bool) -> Response:
    """The answer about all checks: each in a line if somebody wants to know, or if one failed."""
    failed = any(why and name not in left_out for name, why in found.items())
    lines = [f"[+]{name} excluded: ok" if name in left_out else f"[-]{name} failed: reason withheld" if why else f"[+]{name} ok"
             for name, why in found.items()]
    if failed:
        return Response(500, "\n".join([*lines, f"{root} check failed", ""]).encode(), TEXT)
    return Response(200, "\n".join([*lines, f"{root} check passed", ""]).encode() if verbose else b"ok", TEXT)


async def ask_store(server: ApiServer) -> str:
    """Why the store can't be used, or ''."""
    try:
        async with asyncio.timeout(PATIENCE):
            await server.storage.range(b"/registry/health")
        return ""
    except (OSError, StoreError) as error:
        return f"etcd failed: {error or 'no answer in time'}"


def component(name: str, why: str) -> Object:
    """What the old kind says of a part of the cluster. Ours knows of the store; others have leases to show that they live."""
    condition = {"type": "Healthy", "status": "False" if why else "True", "message": why or "ok"}
    return {"metadata": {"name": name}, "conditions": [condition]}


def shaped(call: Call, answer: Any) -> Response:
    """An answer in the form that the client asked for."""
    shape = call.server.shape(call.request, call.resource)
    return Response(200, shape(answer) if shape else answer)
