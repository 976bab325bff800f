"""A Deployment of 500 pods on nodes without machines: rolled out, and rolled over to a new template."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, aclosing
from pathlib import Path
from random import Random
from typing import Any

from tinykube.client.http import HttpTransport
from tinykube.client.kubeconfig import load
from tinykube.client.reflector import Reflector
from tinykube.client.rest import Client
from tinykube.machinery.clock import SystemClock
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import dig

from tests.bench.row import Row

Object = dict[str, Any]
NODES, PODS, WORKERS, ROUNDS, LIMIT = 50, 500, 8, 3, 300
OFFERS = {"cpu": "64", "memory": "256Gi", "pods": "110"}
TRUE = [{"type": each, "status": "True"} for each in ("Initialized", "Ready", "ContainersReady", "PodScheduled")]
STARTED = "2026-01-01T00:00:00Z"
FAST = ["--kube-api-qps=5000", "--kube-api-burst=5000"]
FLAGS = {"controller-manager": [*FAST, "--concurrent-deployment-syncs=5"], "scheduler": FAST,
         "apiserver": ["--disable-admission-plugins=TaintNodesByCondition"]}


def deployment(version: int) -> Object:
    """Of 500 pods that ask for little."""
    container = {"name": "main", "image": f"box:{version}", "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}}
    return {"metadata": {"name": "web", "namespace": "default"}, "spec": {
        "replicas": PODS, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}}}


class FakeKubelets:
    """All kubelets in one: what is bound runs at once and is ready, what is to go is gone. The same beside both planes."""

    def __init__(self, client: Client) -> None:
        self.client, self.work = client, asyncio.Queue[Object]()
        self.pods = Reflector(client, "pods", clock=SystemClock(), random=Random(1))

    async def run(self) -> None:
        """Until cancelled."""
        self.pods.start(self.work.put_nowait, lambda before, after: self.work.put_nowait(after))
        try:
            await asyncio.gather(self.beat(), *(self.labor() for _ in range(WORKERS)))
        finally:
            await self.pods.stop()

    async def beat(self) -> None:
        """Say of each node every ten seconds that it is ready: so it isn't taken for dead."""
        while True:
            for number in range(NODES):
                ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now()}
                await self.client.patch("nodes", f"node-{number}", {"status": {"conditions": [ready]}}, subresource="status")
            await asyncio.sleep(10)

    async def labor(self) -> None:
        """One pod after the other."""
        while True:
            pod = await self.work.get()
            with contextlib.suppress(ApiError):
                await self.sync(pod)

    async def sync(self, pod: Object) -> None:
        """One step, if there is one to do."""
        name, space = pod["metadata"]["name"], pod["metadata"]["namespace"]
        if not dig(pod, "spec", "nodeName"):
            return
        if "deletionTimestamp" in pod["metadata"]:
            await self.client.delete("pods", name, space, grace_seconds=0)
        elif dig(pod, "status", "phase") != "Running":
            state = {"name": "main", "image": "box", "imageID": "box", "restartCount": 0, "ready": True, "started": True,
                     "state": {"running": {"startedAt": STARTED}}}
            status = {"phase": "Running", "startTime": STARTED, "conditions": TRUE, "containerStatuses": [state]}
            await self.client.patch("pods", name, {"status": status}, space, subresource="status")


def now() -> str:
    """The time, in the API's form."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def complete(found: Object) -> bool:
    """Whether a Deployment is what its newest template says, with nothing left of an older one."""
    status = found.get("status", {})
    return (status.get("observedGeneration", 0) >= found["metadata"]["generation"]
            and all(status.get(each) == PODS for each in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")))


async def until_complete(client: Client) -> None:
    """Watch it until it is."""
    async with aclosing(client.watch("deployments", "default")) as events:
        async for event in events:
            if complete(event["object"]):
                return


async def until_gone(client: Client) -> None:
    """Watch the pods until none is left."""
    found = await client.list("pods", "default")
    left = {pod["metadata"]["name"] for pod in found["items"]}
    async with aclosing(client.watch("pods", "default", resourceVersion=found["metadata"]["resourceVersion"])) as events:
        async for event in events:
            name = event["object"]["metadata"]["name"]
            (left.discard if event["type"] == "DELETED" else left.add)(name)
            if not left:
                return


async def measured(kubeconfig: Path) -> tuple[float, float]:
    """Seconds from a Deployment's creation until all of its pods are ready, and from its change until all are new ones."""
    async with HttpTransport.from_access(load(kubeconfig)) as transport:
        client = Client(transport)
        began = time.perf_counter()
        await client.create("deployments", deployment(1))
        await until_complete(client)
        made = time.perf_counter()
        await client.patch("deployments", "web", {"spec": {"template": deployment(2)["spec"]["template"]}}, "default")
        await until_complete(client)
        rolled = time.perf_counter()
        await client.delete("deployments", "web", "default")
        await until_gone(client)
        return made - began, rolled - made


async def with_kubelets(kubeconfig: Path) -> list[tuple[float, float]]:
    """A first round that nobody counts, as every part warms up in it, then those that do."""
    async with HttpTransport.from_access(load(kubeconfig)) as transport:
        client = Client(transport)
        for number in range(NODES):
            name = f"node-{number}"
            node = {"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
                    "status": {"capacity": OFFERS, "allocatable": OFFERS}}
            await client.create("nodes", node)
        kubelets = asyncio.create_task(FakeKubelets(client).run())
        try:
            return [await asyncio.wait_for(measured(kubeconfig), LIMIT) for _ in range(ROUNDS + 1)][1:]
        finally:
            kubelets.cancel()
            await asyncio.gather(kubelets, return_exceptions=True)


def rows(tiny: Callable[[int], AbstractContextManager[Path]]) -> Iterator[Row]:
    """All three parts of each control plane, with the same nodes beside both; the genuine one's clients unthrottled."""
    from genuine import MissingPart, control_plane

    with contextlib.suppress(MissingPart), tiny(0) as directory:
        with control_plane(flags=FLAGS, audit=False) as plane:
            its = asyncio.run(with_kubelets(plane.kubeconfig))
        ours = asyncio.run(with_kubelets(directory / "kubeconfig"))
        what = f"a Deployment of {PODS} pods on {NODES} nodes without machines"
        for at, name in enumerate(("until all are ready", "rolled over to a new template")):
            pair = [statistics.median(each[at] for each in side) for side in (ours, its)]
            yield Row(f"{what}: {name}", *pair, "{:.1f} s")
