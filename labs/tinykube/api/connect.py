"""Conversations and connections through the api-server: exec, attach, portforward, proxy. It passes them on.

Genuine counterpart: the Connect verb; k8s.io/kubernetes/pkg/registry/core/{pod,node,service}/rest.
"""
from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from tinykube.api.subresources import Query, ask_kubelet, chosen_container, kubelet_path, node_of, truth
from tinykube.api.verbs import Call
from tinykube.machinery import errors
from tinykube.machinery.objects import Object, dig, labels
from tinykube.machinery.wire import Request, Response

if TYPE_CHECKING:
    from tinykube.api.server import ApiServer

STREAMS = {"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"}      # ours -> the kubelet's
HANDSHAKE = ("upgrade", "connection", "sec-websocket-protocol")
KEPT_BACK = {"accept-encoding", "authorization", "connection", "content-length", "host", "keep-alive", "transfer-encoding",
             "date", "server"}
WHO = ("impersonate-", "x-remote-")      # headers in which nobody but us may say who asks
PLACE = re.compile(r"(?:(?P<scheme>https?|):(?=[^:]*:))?(?P<name>[^:]+)(?::(?P<port>[^:]*))?")


async def execute(call: Call) -> Response:
    """Run a command in a container."""
    return await converse(call, "exec", streams_of(call.request, tuple(
        ("command", word) for word in call.request.params("command"))))


async def attach(call: Call) -> Response:
    """Take part in what a container says and hears."""
    return await converse(call, "attach", streams_of(call.request))


async def port_forward(call: Call) -> Response:
    """Carry connections to a pod's ports."""
    ports = [port for text in call.request.params("ports") for port in text.split(",")]
    for port in ports:
        if not port.isdigit() or int(port) >= 1 << 31:
            why = "value out of range" if port.isdigit() else "invalid syntax"
            raise errors.bad_request(f'cannot convert to []int32: strconv.ParseUint: parsing "{port}": {why}')
    return await converse(call, "portForward", tuple(("port", port) for port in ports))


def streams_of(request: Request, query: Query = ()) -> Query:
    """Which streams a client wants, in the kubelet's words."""
    wanted = [theirs for ours, theirs in STREAMS.items() if request.params(ours) and truth(request.param(ours)) == "true"]
    return (*query, *((each, "1") for each in wanted))


async def converse(call: Call, what: str, query: Query) -> Response:
    """Find the kubelet that has the pod, and give it the conversation."""
    pod = (await call.registry.get(call.where, call.info.name)).obj
    container = [chosen_container(pod, call.request.param("container"))] if what != "portForward" else []
    if not dig(pod, "spec", "nodeName"):
        raise errors.bad_request(f"pod {call.info.name} does not have a host assigned")
    node, address = await node_of(call, pod["spec"]["nodeName"])
    path = kubelet_path(what, call.where, call.info.name, *container)
    headers = {name: call.request.headers[name] for name in HANDSHAKE if name in call.request.headers}
    try:
        return await ask_kubelet(call, node, Request("GET", path, query, headers))
    except OSError as error:
        target = f'Post "https://{address}{path}{"?" if query else ""}{urlencode(query)}"'
        raise errors.internal(f"error sending request: {target}: {error}") from error


async def proxy_pod(call: Call) -> Response:
    """Pass a request on to a port of a pod: the one that is named, or its first."""
    scheme, name, port = place_of(call)
    pod = (await call.registry.get(call.where, name)).obj
    ports = [each["containerPort"] for container in pod["spec"]["containers"] for each in container.get("ports") or []]
    if not dig(pod, "status", "podIP"):
        raise errors.bad_request("address not allowed")
    return await passed(call, scheme, pod["status"]["podIP"], port or (str(ports[0]) if ports else ""))


async def proxy_service(call: Call) -> Response:
    """Pass a request on to one of the endpoints of a service."""
    scheme, name, port = place_of(call)
    service = await call.server.registry("services").find(call.where, name)
    ports = dig(service.obj, "spec", "ports", default=[]) if service else []
    if port.isdigit():
        port = next((each.get("name", "") for each in ports if each["port"] == int(port)), port)
    slices = await endpoint_slices(call.server, call.where, name)
    found = ready_endpoints(slices, None if not port and len(ports) == 1 else port)
    if not found:
        raise errors.unavailable(f'no endpoints available for service "{name}"')
    host, number = call.server.random.choice(found)
    return await passed(call, scheme, host, str(number))


async def endpoint_slices(server: ApiServer, namespace: str, service: str) -> list[Object]:
    """The slices that say where a service's pods are."""
    registry = server.registry("endpointslices", "discovery.k8s.io")
    slices = [registry.record(kv).obj for kv in (await registry.range(namespace)).kvs]
    return [each for each in slices if labels(each).get("kubernetes.io/service-name") == service]


def ready_endpoints(slices: Iterable[Object], port: str | None) -> list[tuple[str, int]]:
    """Addresses and port numbers of the endpoints that are ready, for a port of this name; None: for any port."""
    return sorted((address, each["port"]) for one in slices for each in one.get("ports") or []
                  if port is None or each.get("name", "") == port
                  for endpoint in one.get("endpoints") or [] if dig(endpoint, "conditions", "ready", default=True)
                  for address in endpoint["addresses"])


async def proxy_node(call: Call) -> Response:
    """Pass a request on to the kubelet of a node."""
    _, name, _ = place_of(call)
    node, _ = await node_of(call, name)
    try:
        return answer(await ask_kubelet(call, node, onward(call)))
    except OSError as error:
        raise errors.unavailable(f"error trying to reach service: {error}") from error


def place_of(call: Call) -> tuple[str, str, str]:
    """Scheme, name and port from `[scheme:]name[:port]`. Raises ApiError 400."""
    match = PLACE.fullmatch(call.info.name)
    if not match:
        raise errors.bad_request(f'invalid {call.resource.singular} request "{call.info.name}"')
    return match["scheme"] or "http", match["name"], match["port"] or ""


async def passed(call: Call, scheme: str, host: str, port: str) -> Response:
    """Send a request on, and its answer back. Raises ApiError 503 where nobody answers."""
    path = call.request.path
    if path.endswith("/proxy") and call.request.method == "GET":
        return Response(301, b"", {"location": f"{path}/"})
    assert call.server.proxy
    try:
        return answer(await call.server.proxy(f"{scheme}://{host}{port and ':'}{port}", onward(call)))
    except OSError as error:
        raise errors.unavailable(f"error trying to reach service: {error}") from error


def onward(call: Call) -> Request:
    """The request as whoever is behind us gets it: without what was meant for us."""
    _, _, path = call.request.path.partition(f"/{call.info.resource}/{call.info.name}/proxy")
    return Request(call.request.method, path or "/", call.request.query, headers_onward(call.request), call.request.body)


def headers_onward(request: Request) -> dict[str, str]:
    """The headers of a request that are not for us alone."""
    return {name: value for name, value in request.headers.items() if not name.startswith(WHO)
            and (name not in KEPT_BACK or (name == "connection" and "upgrade" in request.headers))}


def answer(response: Response) -> Response:
    """An answer without what was meant for the connection that it came by."""
    response.headers = {name: value for name, value in response.headers.items() if name not in KEPT_BACK}
    return response


HANDLERS: dict[tuple[str, str, str], Callable[[Call], Awaitable[Response]]] = {
    ("", "pods", "exec"): execute, ("", "pods", "attach"): attach, ("", "pods", "portforward"): port_forward,
    ("", "pods", "proxy"): proxy_pod, ("", "services", "proxy"): proxy_service, ("", "nodes", "proxy"): proxy_node}
