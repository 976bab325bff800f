"""The parts of an object that have a path and rules of their own: a pod's binding, a pod's log.

Genuine counterpart: k8s.io/kubernetes/pkg/registry/core/pod/{storage,rest}.
"""
from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from tinykube.api.codec import DECODERS, media_type
from tinykube.api.listing import plain_error
from tinykube.api.verbs import Call, check_options, invalid_storage
from tinykube.machinery import errors
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, copy, dig, parse_time, timestamp
from tinykube.machinery.wire import Request, Response

KINDS = ("initContainers", "containers", "ephemeralContainers")
FLAGS = ("follow", "previous", "timestamps")
Query = tuple[tuple[str, str], ...]
LOG_OPTIONS = ("follow", "previous", "timestamps", "sinceSeconds", "sinceTime", "tailLines", "limitBytes", "stream")


async def bind(call: Call) -> Response:
    """POST a binding: write a node's name on a pod, once. This is all that a scheduler does to the world."""
    check_options(call, "CreateOptions")
    decoder = call.server.decoders.get(media_type(call.request), DECODERS["application/json"])
    binding = decoder(call.request.body, None)
    check_binding(call, binding)
    now = timestamp(call.server.clock)

    def assign(old: Object) -> Object:
        pod: Object = copy(old)
        if reason := unbindable(pod):
            raise errors.conflict("pods/binding", call.info.name, reason)
        pod["spec"]["nodeName"] = binding["target"]["name"]
        kept = [each for each in dig(pod, "status", "conditions", default=[]) if each["type"] != "PodScheduled"]
        pod["status"]["conditions"] = [*kept, {"type": "PodScheduled", "status": "True", "lastProbeTime": None,
                                               "lastTransitionTime": now}]
        for key, value in dig(binding, "metadata", "annotations", default={}).items():
            pod["metadata"].setdefault("annotations", {})[key] = value
        return pod

    await write_binding(call, assign, dig(binding, "metadata", "uid"))
    return Response(201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})


def check_binding(call: Call, binding: Object) -> None:
    """Raise ApiError unless this is a binding of this pod to a node."""
    if not isinstance(binding, dict) or binding.get("kind", "Binding") != "Binding":
        raise errors.bad_request(f"expected a Binding in the body, got {str(binding)[:80]}")
    if dig(binding, "metadata", "name", default="") not in ("", call.info.name):
        raise errors.bad_request("name in URL does not match name in Binding object")
    if dig(binding, "target", "kind", default="") not in ("", "Node"):
        raise plain_error(500, f'target.kind: Unsupported value: "{binding["target"]["kind"]}": supported values: '
                          '"Node", "<empty>"')
    if not dig(binding, "target", "name"):
        raise plain_error(500, "target.name: Required value")


def unbindable(pod: Object) -> str:
    """Why a pod can't be bound (any more), or ''."""
    name, node = pod["metadata"]["name"], dig(pod, "spec", "nodeName")
    if pod["metadata"].get("deletionTimestamp"):
        return f"pod {name} is being deleted, cannot be assigned to a host"
    if node:
        return f'pod {name} is already assigned to node "{node}"'
    return f"pod {name} has non-empty .spec.schedulingGates" if dig(pod, "spec", "schedulingGates") else ""


async def write_binding(call: Call, assign: Callable[[Object], Object], uid: str | None) -> None:
    """Read, assign, write; again if somebody wrote in between. Raises ApiError 409 if it is another pod by now."""
    while True:
        old = await call.registry.get(call.where, call.info.name)
        if uid and uid != old.obj["metadata"]["uid"]:
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old.obj['metadata']['uid']}"
            raise errors.conflict("pods", call.info.name, invalid_storage(call, old.obj, why))
        if await call.registry.replace(old, assign(old.obj), dry_run=call.dry_run):
            return


async def log(call: Call) -> Response:
    """GET a container's log: the api-server has none. It asks the kubelet of the pod's node, and passes it on."""
    query = log_query(call)
    pod = (await call.registry.get(call.where, call.info.name)).obj
    container = chosen_container(pod, call.request.param("container"))
    if not dig(pod, "spec", "nodeName"):
        return Response(204)
    node, address = await node_of(call, dig(pod, "spec", "nodeName"))
    path = kubelet_path("containerLogs", call.where, call.info.name, container)
    try:
        return await passed_on(await ask_kubelet(call, node, Request("GET", path, query)))
    except OSError as error:
        raise plain_error(500, f'Get "https://{address}{path}": {error}') from error


def log_query(call: Call) -> Query:
    """The options of a log as a kubelet takes them. Raises ApiError 400 for what can't be read, 422 for what can't be."""
    asked, causes = {name: call.request.param(name) for name in LOG_OPTIONS if call.request.params(name)}, []
    for name, least in (("tailLines", 0), ("limitBytes", 1), ("sinceSeconds", 1)):
        if name in asked and not re.fullmatch(r"[+-]?\d+", asked[name], re.ASCII):
            raise errors.bad_request(f'strconv.ParseInt: parsing "{asked[name]}": invalid syntax')
        if name in asked and int(asked[name]) < least:
            why = "must be greater than or equal to 0" if least == 0 else "must be greater than 0"
            causes.append(errors.invalid_value(name, int(asked[name]), why))
    if "sinceTime" in asked:
        try:
            parse_time(asked["sinceTime"])
        except ValueError as error:
            raise errors.bad_request(str(error)) from None
    if asked.keys() >= {"sinceTime", "sinceSeconds"}:
        causes.append(errors.forbidden_value("[]", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
    if "stream" in asked:
        causes.append(errors.forbidden_value("stream", "may not be specified"))
    if causes:
        raise errors.invalid("PodLogOptions", call.info.name, causes)
    return tuple((name, truth(value) if name in FLAGS else value) for name, value in asked.items())


def truth(text: str) -> str:
    """A flag in a query, which everything but these two words sets."""
    return "false" if text.lower() in ("false", "0") else "true"


async def node_of(call: Call, name: str) -> tuple[Object, str]:
    """A node, and where its kubelet listens. Raises ApiError if the node is not there, or tells no address."""
    found = await call.server.registry("nodes").find("", name)
    if found is None:
        raise errors.not_found(call.info.resource, name)
    known = [each.get("address") for each in dig(found.obj, "status", "addresses", default=[])]
    if not known or call.server.kubelet is None:
        raise plain_error(500, f"no preferred addresses found; known addresses: {known}")
    return found.obj, f"{known[0]}:{dig(found.obj, 'status', 'daemonEndpoints', 'kubeletEndpoint', 'Port', default=10250)}"


async def ask_kubelet(call: Call, node: Object, request: Request) -> Response:
    """One request to the kubelet of a node. Raises OSError."""
    assert call.server.kubelet
    return await call.server.kubelet(node, request)


def kubelet_path(*parts: str) -> str:
    """A path of the kubelet's API."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


def chosen_container(pod: Object, wanted: str) -> str:
    """The container that a client means. Raises ApiError 400 if that can't be known."""
    names = [each["name"] for kind in KINDS for each in pod["spec"].get(kind) or []]
    if wanted and wanted not in names:
        raise errors.bad_request(f"container {wanted} is not valid for pod {pod['metadata']['name']}")
    if not wanted and len(pod["spec"]["containers"]) > 1:
        raise errors.bad_request(f"a container name must be specified for pod {pod['metadata']['name']}, choose one "
                                 f"of: [{' '.join(names)}]")
    return wanted or str(pod["spec"]["containers"][0]["name"])


async def passed_on(response: Response) -> Response:
    """A kubelet's answer as ours: a stream as it is, an error as a Status."""
    if response.status < 300:
        return Response(response.status, response.body, {"content-type": "text/plain"})
    body = response.body if isinstance(response.body, bytes) else b""
    if not isinstance(response.body, bytes | dict):
        body = b"".join([chunk async for chunk in response.body])
    message = body.decode("utf-8", "replace").strip()
    raise errors.bad_request(message) if response.status == 400 else ApiError(response.status, message)


HANDLERS: dict[tuple[str, str, str], Callable[[Call], Awaitable[Response]]] = {
    ("", "pods", "binding"): bind, ("", "pods", "log"): log}
