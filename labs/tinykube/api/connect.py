"""Conversations and connections through the api-server: exec, attach, portforward, proxy. It passes them on.

Genuine counterpart: the Connect verb; k8s.io/kubernetes/pkg/registry/core/{pod,node,service}/rest.
"""
from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

from tinykube.api.subresources import Query, ask_kubelet, chosen_container, kubelet_path, node_of, truth
from tinykube.api.verbs import Call
from tinykube.machinery import errors
from tinykube.machinery.objects import Object, dig
from tinykube.machinery.selectors import selector_of
from tinykube.machinery.wire import Request, Response

STREAMS = {"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"}      # ours -> the kubelet's
HANDSHAKE = ("upgrade", "connection", "sec-websocket-protocol")
KEPT_BACK = {"authorization", "connection", "content-length", "host", "keep-alive", "transfer-encoding", "date", "server"}
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
    found = [(address, each["port"]) for one in await endpoint_slices(call, name) for each in one.get("ports") or []
             if each.get("name", "") == port or (not port and len(ports) == 1)
             for endpoint in one.get("endpoints") or [] if dig(endpoint, "conditions", "ready", default=True)
             for address in endpoint["addresses"]]
    if not found:
        raise errors.unavailable(f'no endpoints available for service "{name}"')
    host, number = call.server.random.choice(sorted(found))
    return await passed(call, scheme, host, str(number))


async def endpoint_slices(call: Call, service: str) -> list[Object]:
    """The slices that say where a service's pods are."""
    wanted = selector_of({"matchLabels": {"kubernetes.io/service-name": service}})
    registry = call.server.registry("endpointslices", "discovery.k8s.io")
    slices = [registry.record(kv).obj for kv in (await registry.range(call.where)).kvs]
    return [each for each in slices if wanted.matches(dig(each, "metadata", "labels", default={}))]


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
    request = call.request
    headers = {name: value for name, value in request.headers.items()
               if name not in KEPT_BACK or (name == "connection" and "upgrade" in request.headers)}
    _, _, path = request.path.partition(f"/{call.info.resource}/{call.info.name}/proxy")
    return Request(request.method, path or "/", request.query, headers, request.body)


def answer(response: Response) -> Response:
    """An answer without what was meant for the connection that it came by."""
    response.headers = {name: value for name, value in response.headers.items() if name not in KEPT_BACK}
    return response


HANDLERS: dict[tuple[str, str, str], Callable[[Call], Awaitable[Response]]] = {
    ("", "pods", "exec"): execute, ("", "pods", "attach"): attach, ("", "pods", "portforward"): port_forward,
    ("", "pods", "proxy"): proxy_pod, ("", "services", "proxy"): proxy_service, ("", "nodes", "proxy"): proxy_node}
