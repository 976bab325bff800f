"""The kubelet's own API: what the api-server asks it for, above all logs.

Genuine counterpart: pkg/kubelet/server, port 10250.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from tinykube.kubelet.forward import FORWARDS, forwarding
from tinykube.kubelet.kubelet import Kubelet
from tinykube.kubelet.logs import LogOptions, read_log
from tinykube.kubelet.stats import PROMETHEUS, resource_metrics, summary
from tinykube.kubelet.streams import PROTOCOLS, Channels, conversation
from tinykube.kubelet.worker import containers_of
from tinykube.machinery.objects import Object, dig, name, namespace, parse_time, uid
from tinykube.machinery.quantity import whole
from tinykube.machinery.sockets import choose, offered
from tinykube.machinery.wire import Request, Response
from tinykube.runtime.interface import READY, RUNNING, Container, CriError

PLAIN = {"content-type": "text/plain; charset=utf-8"}
PULL_TEXTS = {"ErrImagePull": "image can't be pulled", "ImagePullBackOff": "trying and failing to pull image"}


class KubeletServer:
    """A handler for the kubelet's API."""

    def __init__(self, kubelet: Kubelet) -> None:
        self.kubelet = kubelet

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        match request.path.strip("/").split("/"):
            case ["healthz"]:
                return Response(200, b"ok", dict(PLAIN))
            case ["pods"]:
                pods = list(self.kubelet.pods.cache.values())
                return Response(200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods})
            case ["stats", "summary"]:
                memory = whole(dig(self.kubelet.node, "status", "capacity", "memory", default="0"))
                return Response(200, summary(self.kubelet.name, await self.kubelet.accounting.measure(), memory))
            case ["metrics", "resource"]:
                text = resource_metrics(await self.kubelet.accounting.measure())
                return Response(200, text.encode(), {"content-type": PROMETHEUS})
            case ["containerLogs", space, pod, container]:
                return await self.logs(request, space, pod, container)
            case ["exec" | "attach" as what, space, pod, container]:
                return await self.converse(request, what, space, pod, container)
            case ["portForward", space, pod]:
                return await self.forward(request, space, pod)
        return Response(404, b"404 page not found\n", dict(PLAIN))

    def pod(self, space: str, pod_name: str) -> Object | None:
        """A pod of this node."""
        return next((each.pod for each in self.kubelet.workers.values()
                     if (namespace(each.pod), name(each.pod)) == (space, pod_name)), None)

    async def converse(self, request: Request, what: str, space: str, pod_name: str, container: str) -> Response:
        """Talk to a command that we start in a container, or to the container itself."""
        wants = {option: request.param(option) in ("1", "true") for option in ("input", "output", "error", "tty")}
        if not (wants["input"] or wants["output"] or wants["error"]):
            return Response(400, b"you must specify at least 1 of stdin, stdout, stderr", dict(PLAIN))
        pod = self.pod(space, pod_name)
        if pod is None:
            return Response(404, b"pod does not exist\n", dict(PLAIN))
        runs = (await self.kubelet.workers[uid(pod)].observe())[1].get(container, [])
        if not runs or runs[-1].state != RUNNING:
            return Response(500, f'container not found ("{container}")\n'.encode(), dict(PLAIN))
        if not (protocol := choose(request, PROTOCOLS)):
            return unspoken(request, PROTOCOLS)
        run, runtime, command = runs[-1], self.kubelet.runtime, request.params("command")

        async def execute(channels: Channels) -> int:
            return await runtime.exec(run.id, command, channels)

        async def attach(channels: Channels) -> int:
            await runtime.attach(run.id, channels)
            return 0
        talk = execute if what == "exec" else attach
        tty = wants["tty"] if what == "exec" else run.config.tty
        return Response(101, b"", {"sec-websocket-protocol": protocol},
                        conversation(talk, stdin=wants["input"], tty=tty))

    async def forward(self, request: Request, space: str, pod_name: str) -> Response:
        """Carry connections to a pod's ports."""
        if not (protocol := choose(request, FORWARDS)):
            return unspoken(request, FORWARDS)
        pod = self.pod(space, pod_name)
        sandbox = (await self.kubelet.workers[uid(pod)].observe())[0] if pod else None
        if sandbox is None or sandbox.state != READY:
            return Response(404, b"pod does not exist\n", dict(PLAIN))
        ports = [int(port) for port in ",".join(request.params("port") or request.params("ports")).split(",") if port]
        return Response(101, b"", {"sec-websocket-protocol": protocol}, forwarding(
            protocol, ports, lambda port: self.kubelet.dial(sandbox.ip, port), f"{sandbox.id}, uid {uid(pod or {})}"))

    async def logs(self, request: Request, space: str, pod_name: str, container: str) -> Response:
        """A container's log, as it is or as it grows."""
        if request.method != "GET":
            return Response(405, b"405: Method Not Allowed", dict(PLAIN))
        pod = self.pod(space, pod_name)
        if pod is None:
            return Response(404, f'pod "{pod_name}" not found\n'.encode(), dict(PLAIN))
        if container not in containers_of(pod):
            return Response(404, f'container "{container}" not found in pod "{pod_name}"\n'.encode(), dict(PLAIN))
        try:
            options = self.options(request)
            run = await self.run_of(pod, container, request.param("previous") == "true")
        except ValueError as error:
            return Response(400, f"{error}\n".encode(), dict(PLAIN))
        return Response(200, read_log(run.log_path, options, lambda: self.runs_on(run), self.kubelet.clock), dict(PLAIN))

    async def runs_on(self, run: Container) -> bool:
        """Whether a container may still say something."""
        try:
            return (await self.kubelet.runtime.container_status(run.id)).state == RUNNING
        except CriError:
            return False

    def options(self, request: Request) -> LogOptions:
        """The options of a log request. Raises ValueError for one that is no number or no time."""
        numbers = {}
        for option, least in (("tailLines", 0), ("limitBytes", 1), ("sinceSeconds", 1)):
            text = request.param(option)
            if text and (not text.lstrip("-").isdigit() or int(text) < least):
                raise ValueError(f"{option}: {text!r} is not a number of at least {least}")
            numbers[option] = int(text) if text else None
        since = parse_time(request.param("sinceTime")) if request.param("sinceTime") else None
        if numbers["sinceSeconds"]:
            since = self.kubelet.clock.now() - timedelta(seconds=numbers["sinceSeconds"])
        return LogOptions(request.param("follow") == "true", request.param("timestamps") == "true",
                          numbers["tailLines"], since, numbers["limitBytes"])

    async def run_of(self, pod: Object, container: str, previous: bool) -> Container:
        """The container whose log is wanted. Raises ValueError, in the genuine words, if there is none."""
        worker = self.kubelet.workers[pod["metadata"]["uid"]]
        runs = (await worker.observe())[1].get(container, [])
        if previous:
            runs = runs[:-1] if (runs and runs[-1].state == RUNNING) or container not in worker.waiting else runs
            if not runs:
                raise ValueError(f'previous terminated container "{container}" in pod "{name(pod)}" not found')
        if not runs:
            waiting = worker.waiting.get(container)
            reason = waiting.reason if waiting else "ContainerCreating"
            raise ValueError(f'container "{container}" in pod "{name(pod)}" is waiting to start: '
                             f"{PULL_TEXTS.get(reason, reason)}")
        return runs[-1]


def unspoken(request: Request, known: Sequence[str]) -> Response:
    """The answer to a client that speaks no protocol of ours, or asks for no conversation at all."""
    if not offered(request):
        return Response(400, b"Upgrade request required", dict(PLAIN))
    return Response(403, f"unable to negotiate protocol: client supports {offered(request)}, "
                         f"server accepts {list(known)}\n".encode(), dict(PLAIN))
