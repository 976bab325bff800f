"""A small world for controllers in one event loop: an api-server, a clock that we turn, and somebody who runs pods.

`Cut` ends a controller's life at its n-th request: what it sends then, and all that it would send later, never arrives.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from random import Random
from typing import Any

from tinykube.api import new_server
from tinykube.api.keys import Authority
from tinykube.client.reflector import Reflector
from tinykube.client.rest import Client
from tinykube.cluster.signing import Signing
from tinykube.controllers.controller import Context, Controller
from tinykube.controllers.owners import deleting
from tinykube.controllers.pods import is_ready
from tinykube.controllers.settings import Settings
from tinykube.machinery.clock import FakeClock
from tinykube.machinery.errors import ApiError
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.objects import Object, dig, labels, name, timestamp
from tinykube.machinery.wire import Handler, Request, Response
from tinykube.store import LocalStorage


class Cut:
    """A way to the server that breaks at write number `at`, and stays broken. Events about events do not count."""

    def __init__(self, send: Handler, at: int | None = None) -> None:
        self.send, self.at = send, at
        self.writes: list[str] = []
        self.dead = asyncio.Event()

    async def __call__(self, request: Request) -> Response:
        if self.dead.is_set():
            raise ConnectionError("dead")
        if request.method != "GET" and not request.path.endswith("/events") and "/events/" not in request.path:
            if len(self.writes) == self.at:
                self.dead.set()
                raise ConnectionError("dies here")
            self.writes.append(f"{request.method} {request.path}")
        return await self.send(request)


class World:
    """The server, its clock, a client of our own, and a kubelet that makes every pod Running and Ready at once."""

    def __init__(self, seed: int = 0) -> None:
        self.clock, self.random, self.log = FakeClock(), Random(seed), EventLog()
        self.storage = LocalStorage(clock=self.clock)
        self.server = new_server(self.storage, clock=self.clock, random=Random(seed), log=self.log)
        self.client = Client(self.server.handle, "world")
        self.sick: Callable[[Object], bool] = lambda pod: False       # which pods never become ready
        self.verdict: Callable[[Object], str] = lambda pod: "Running"   # what becomes of a pod that runs: it may have ended
        self.metrics: Callable[[str], Awaitable[list[Object]]] | None = None    # what the pods of a selector use
        self.signing = Signing(Authority(now=self.clock.now()))
        self.tasks: set[asyncio.Task[None]] = set()
        self.floor = 0
        self.least: int | None = None          # as soon as `floor` pods of web serve: how many serve at the least from then on

    async def __aenter__(self) -> World:
        await self.server.start()
        self.pods = Reflector(self.client, "pods", clock=self.clock, random=Random(1), log=self.log)
        self.pods.start(self.pod_there, lambda before, after: self.pod_there(after), lambda pod: self.count())
        await self.pods.wait_synced()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.pods.stop()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.server.stop()
        await self.storage.aclose()

    def count(self) -> None:
        """How many pods of web serve now."""
        serving = sum(labels(pod).get("app") == "web" and is_ready(pod) and not deleting(pod) for pod in self.pods.cache.values())
        if self.least is not None or serving >= self.floor:
            self.least = serving if self.least is None else min(self.least, serving)

    def pod_there(self, pod: Object) -> None:
        """A pod appeared or changed: run it, or end it."""
        self.count()
        task = asyncio.create_task(self.run_pod(pod))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def run_pod(self, pod: Object) -> None:
        """What a kubelet does, in no time."""
        meta = pod["metadata"]
        with contextlib.suppress(ApiError):
            if meta.get("deletionTimestamp"):
                await self.client.delete("pods", meta["name"], meta["namespace"], grace_seconds=0, uid=meta["uid"])
            elif dig(pod, "status", "phase") == "Pending" and not self.sick(pod):
                await self.mark(pod, "Running")
                if (end := self.verdict(pod)) != "Running":
                    await self.mark(pod, end, "False")

    async def mark(self, pod: Object, phase: str, ready: str = "True") -> None:
        """Write a phase into a pod's status."""
        condition = {"type": "Ready", "status": ready, "lastTransitionTime": timestamp(self.clock)}
        await self.client.patch("pods", name(pod), {"status": {"phase": phase, "conditions": [condition]}},
                                pod["metadata"]["namespace"], subresource="status")

    @contextlib.asynccontextmanager
    async def controllers(self, kinds: Sequence[type[Controller]], send: Handler | None = None) -> AsyncIterator[dict[str, Any]]:
        """These controllers, as one process would run them; each life of theirs begins with nothing remembered."""
        async def answer(request: Request) -> Response:
            if self.metrics and request.path.startswith("/apis/metrics.k8s.io/"):
                return Response(200, {"kind": "PodMetricsList", "items": await self.metrics(request.param("labelSelector"))})
            if request.path.endswith("/subjectaccessreviews"):             # a server without rules: everybody may do everything
                return Response(201, {"kind": "SubjectAccessReview", "status": {"allowed": True}})
            return await (send or self.server.handle)(request)
        client = Client(answer, "controllers")
        context = Context(lambda account: client, clock=self.clock, random=Random(2), log=self.log,
                          settings=Settings("the authority", authority=self.signing))
        made = {kind.name: kind(context) for kind in kinds}
        tasks = [asyncio.create_task(each.run()) for each in made.values()]
        try:
            yield made
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await context.stop()

    async def until(self, true: Callable[[], Any], what: str, seconds: int = 60, step: float = 0.5) -> None:
        """Let time pass until something is so. `true` may be a coroutine function."""
        for _ in range(int(seconds / step)):
            held = true()
            if asyncio.iscoroutine(held):
                held = await held
            if held:
                return
            await self.clock.advance(step)
        raise AssertionError(f"{seconds} seconds passed in vain for {what}; the log ends: {self.log.records[-5:]}")

    async def list(self, resource: str, **query: Any) -> list[Object]:
        """All objects of a kind in the default namespace."""
        return (await self.client.list(resource, "default", **query))["items"]  # type: ignore[no-any-return]

    async def change(self, resource: str, which: str, patch: Object) -> Object:
        """A merge patch."""
        return await self.client.patch(resource, which, patch, "default", type="merge")


def template(app: str = "web", version: str = "1", **spec: Any) -> Object:
    """A template of pods."""
    container = {"name": "main", "image": f"box:{version}"}
    return {"metadata": {"labels": {"app": app}}, "spec": {"containers": [container], **spec}}


def workload(kind: str, version: str = "1", app: str = "web", **spec: Any) -> Object:
    """A workload with a selector and a template."""
    api = "v1" if kind == "ReplicationController" else "apps/v1"
    selector: Object = {"app": app} if kind == "ReplicationController" else {"matchLabels": {"app": app}}
    return {"apiVersion": api, "kind": kind, "metadata": {"name": app, "namespace": "default"},
            "spec": {"selector": selector, "template": template(app, version), **spec}}
