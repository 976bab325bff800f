"""The metrics API: how much nodes and pods use, as objects that nobody stores.

Genuine counterpart: the metrics-server, group metrics.k8s.io/v1beta1,
https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from random import Random

from tinykube.client.reflector import Reflector
from tinykube.client.rest import Client, read_all
from tinykube.machinery.clock import Clock
from tinykube.machinery.errors import ApiError, method_not_allowed, no_such_resource, not_found
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.objects import Object, dig, format_time, key_of, labels, name, namespace, timestamp
from tinykube.machinery.quantity import format_quantity
from tinykube.machinery.selectors import parse_field_selector, parse_label_selector
from tinykube.machinery.wire import Request, Response
from tinykube.metrics.scrape import Memory, Usage, earliest, points

GROUP, VERSION = "metrics.k8s.io", "metrics.k8s.io/v1beta1"
ROOT = f"/apis/{VERSION}"
ACCOUNT = "metrics-server"             # its service account, in kube-system
RULES = [{"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
         {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]}]
RESOLUTION, PATIENCE = 15.0, 10.0      # seconds between two rounds; and how long a kubelet may take to answer
NODE = ("", "", "")
Ask = Callable[[Object, Request], Awaitable[Response]]         # a request to the kubelet of a node


def usage_object(use: Usage) -> Object:
    """An amount of CPU and memory as an object has it."""
    return {"cpu": format_quantity(Decimal(use.nano_cores).scaleb(-9)), "memory": f"{use.memory // 1024}Ki"}


def measured(kind: str, of: Object, use: Usage, now: str, more: Object) -> Object:
    """A NodeMetrics or PodMetrics object."""
    meta = {"name": name(of), "creationTimestamp": now} | ({"namespace": namespace(of)} if namespace(of) else {})
    return {"kind": kind, "apiVersion": VERSION, "metadata": meta | ({"labels": labels(of)} if labels(of) else {}),
            "timestamp": format_time(datetime.fromtimestamp(use.at, UTC)), "window": f"{use.window:.3f}s", **more}


class MetricsServer:
    """Follows nodes and pods, asks each node's kubelet every few seconds, and answers from memory."""

    def __init__(self, client: Client, ask: Ask, *, clock: Clock, random: Random, log: EventLog,
                 resolution: float = RESOLUTION) -> None:
        self.ask, self.clock, self.log, self.resolution = ask, clock, log, resolution
        self.nodes = Reflector(client, "nodes", clock=clock, random=random, log=log)
        self.pods = Reflector(client, "pods", clock=clock, random=random, log=log)
        self.memories: dict[str, Memory] = {}      # by node
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Follow nodes and pods, and begin to ask."""
        for each in (self.nodes, self.pods):
            each.start()
            await each.wait_synced()
        self.task = asyncio.create_task(self.run(), name="metrics-server")

    async def stop(self) -> None:
        """Ask and follow no more."""
        if self.task:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        for each in (self.nodes, self.pods):
            await each.stop()

    async def run(self) -> None:
        """Round after round."""
        while True:
            await self.round()
            await self.clock.sleep(self.resolution)

    async def round(self) -> None:
        """Ask all kubelets, all at the same time. One that does not answer is left out, and so are its pods."""
        nodes = list(self.nodes.cache.values())
        await asyncio.gather(*(self.ask_one(node) for node in nodes))
        self.memories = {name(node): self.memories[name(node)] for node in nodes if name(node) in self.memories}

    async def ask_one(self, node: Object) -> None:
        """Ask the kubelet of a node."""
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await self.ask(node, Request("GET", "/metrics/resource"))
                body = await read_all(answer)
            if answer.status != 200 or not isinstance(body, bytes):
                raise OSError(f"status {answer.status}: {body!r:.200}")
        except (OSError, TimeoutError) as error:
            self.memories.pop(name(node), None)
            self.log.add("metrics-server", "scrape-failed", node=name(node), error=str(error))
            return
        self.memories.setdefault(name(node), Memory(self.resolution)).store(points(body.decode()))

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        try:
            return Response(200, self.answer(request))
        except ApiError as error:
            return Response(error.code, error.status())

    def answer(self, request: Request) -> Object:
        """The object, or the list, that a path names. Raises ApiError."""
        path = request.path.rstrip("/")
        if request.method != "GET":
            raise method_not_allowed()
        if path in PAGES:
            return PAGES[path]
        match path.removeprefix(ROOT).split("/")[1:]:
            case ["nodes"]:
                return self.listed("NodeMetrics", request, self.nodes.cache.values())
            case ["nodes", wanted]:
                return self.one("nodes", wanted, self.nodes.cache.get(wanted))
            case ["pods"]:
                return self.listed("PodMetrics", request, self.pods.cache.values())
            case ["namespaces", space, "pods"]:
                return self.listed("PodMetrics", request, [
                    pod for pod in self.pods.cache.values() if namespace(pod) == space])
            case ["namespaces", space, "pods", wanted]:
                return self.one("pods", f"{space}/{wanted}", self.pods.cache.get(f"{space}/{wanted}"))
        raise no_such_resource()

    def listed(self, kind: str, request: Request, objects: Iterable[Object]) -> Object:
        """What is known of those objects that the selectors pick. Raises ApiError for a selector that is none."""
        try:
            by_label = parse_label_selector(request.param("labelSelector"))
            by_field = parse_field_selector(request.param("fieldSelector"))
        except ValueError as error:
            raise ApiError(400, str(error), "BadRequest") from None
        found = [made for each in sorted(objects, key=key_of) if by_label.matches(labels(each)) and all(
            (dig(each, *field.field.split("."), default="") == field.value) != field.negated for field in by_field)
            and (made := self.make(each))]
        return {"kind": f"{kind}List", "apiVersion": VERSION, "metadata": {}, "items": found}

    def one(self, resource: str, wanted: str, obj: Object | None) -> Object:
        """What is known of one object. Raises ApiError 404 if that is nothing."""
        if obj and (made := self.make(obj)):
            return made
        if obj:
            raise not_found(resource, wanted, GROUP)
        raise not_found("node" if resource == "nodes" else resource, wanted.rpartition("/")[2])

    def make(self, obj: Object) -> Object | None:
        """The metrics of a node or of a pod that runs, if there are any."""
        now = timestamp(self.clock)
        if not namespace(obj):
            memory = self.memories.get(name(obj))
            use = memory.usage(NODE) if memory else None
            return measured("NodeMetrics", obj, use, now, {"usage": usage_object(use)}) if use else None
        memory = self.memories.get(str(obj["spec"].get("nodeName")))
        known = memory.of_pod(namespace(obj), name(obj)) if memory else None
        if not known or dig(obj, "status", "phase") != "Running":
            return None
        return measured("PodMetrics", obj, earliest(known.values()), now, {"containers": [
            {"name": container, "usage": usage_object(use)} for container, use in sorted(known.items())]})


SERVED: Object = {"groupVersion": VERSION, "version": "v1beta1"}
PAGES: dict[str, Object] = {
    "/healthz": {"status": "ok"},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [
        {"name": GROUP, "versions": [SERVED], "preferredVersion": SERVED}]},
    f"/apis/{GROUP}": {"kind": "APIGroup", "apiVersion": "v1", "name": GROUP, "versions": [SERVED], "preferredVersion": SERVED},
    ROOT: {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": VERSION, "resources": [
        {"name": plural, "singularName": "", "namespaced": plural == "pods", "kind": kind, "verbs": ["get", "list"]}
        for plural, kind in (("nodes", "NodeMetrics"), ("pods", "PodMetrics"))]}}
