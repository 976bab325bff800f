"""The kubelet's own API: what the api-server asks it for, above all logs.

Genuine counterpart: pkg/kubelet/server, port 10250.
"""

from __future__ import annotations

from datetime import timedelta

from tinykube.kubelet.kubelet import Kubelet
from tinykube.kubelet.logs import LogOptions, read_log
from tinykube.machinery.objects import Object, name, namespace, parse_time
from tinykube.machinery.wire import Request, Response
from tinykube.runtime.interface import RUNNING, Container, CriError

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
            case ["containerLogs", space, pod, container]:
                return await self.logs(request, space, pod, container)
        return Response(404, b"404 page not found\n", dict(PLAIN))

    async def logs(self, request: Request, space: str, pod_name: str, container: str) -> Response:
        """A container's log, as it is or as it grows."""
        if request.method != "GET":
            return Response(405, b"405: Method Not Allowed", dict(PLAIN))
        pod = next((each.pod for each in self.kubelet.workers.values()
                    if (namespace(each.pod), name(each.pod)) == (space, pod_name)), None)
        if pod is None:
            return Response(404, f'pod "{pod_name}" not found\n'.encode(), dict(PLAIN))
        if container not in [each["name"] for each in pod["spec"]["containers"]]:
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
