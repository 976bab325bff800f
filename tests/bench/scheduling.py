"""Pods scheduled a second, on fake nodes: tiny beside genuine, of a backlog and while pods are being created."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from tinykube.client.http import HttpTransport
from tinykube.client.kubeconfig import load
from tinykube.client.rest import Client

Object = dict[str, Any]
NODES, BACKLOG, CREATORS, ROUNDS = (100, 5000), 1000, 8, 3
OFFERS = {"cpu": "64", "memory": "256Gi", "pods": "500"}
UNTAINTED = {"apiserver": ["--disable-admission-plugins=TaintNodesByCondition"]}
SEATS = ("genuine scheduler, genuine api-server", "tiny scheduler, genuine api-server", "tiny scheduler, tiny api-server")


def node(number: int) -> Object:
    """A Node object without a machine, in one of three zones."""
    name = f"node-{number}"
    return {"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name,
                                                  "topology.kubernetes.io/zone": f"zone-{number % 3}"}},
            "status": {"capacity": OFFERS, "allocatable": OFFERS}}


def pod(name: str) -> Object:
    """A pod as most are: some CPU, some memory, no wishes."""
    container = {"name": "main", "image": "box", "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}}}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"containers": [container]}}


async def create(client: Client, resource: str, objects: list[Object]) -> None:
    """Create many objects over a few connections."""
    waiting = iter(objects)

    async def some() -> None:
        for each in waiting:
            await client.create(resource, each)
    await asyncio.gather(*(some() for _ in range(CREATORS)))


async def delete_all(client: Client, resource: str, namespace: str | None = None) -> None:
    """Delete a whole collection."""
    await client.call("DELETE", client.path(resource, namespace), None, {"gracePeriodSeconds": 0})


async def bound(client: Client, count: int, ready: asyncio.Event) -> float:
    """Bindings a second, from the first that a watch shows to the last of `count`; events are counted, not read."""
    first, seen, rest = 0.0, 0, b""
    answer = await client.request("GET", "/api/v1/namespaces/default/pods", {"watch": "true"})
    assert not isinstance(answer.body, bytes | dict)
    ready.set()
    async for chunk in answer.body:
        *lines, rest = (rest + chunk).split(b"\n")
        new = sum(b'"MODIFIED"' in line and b'"nodeName"' in line for line in lines)
        if new and not first:
            first = time.perf_counter()
        seen += new
        if seen >= count:
            return (count - 1) / (time.perf_counter() - first)
    raise RuntimeError("the watch ended early")


async def measure(url_of: Path, scheduler: Any, concurrent: bool) -> float:
    """One run: pods that are there before the scheduler, or pods that come while it works."""
    async with HttpTransport.from_access(load(url_of)) as transport:
        client = Client(transport)
        pods = [pod(f"pod-{number}") for number in range(BACKLOG)]
        if not concurrent:
            await create(client, "pods", pods)
        ready = asyncio.Event()
        counting = asyncio.create_task(bound(client, BACKLOG, ready))
        await ready.wait()
        with scheduler():
            if concurrent:
                await asyncio.sleep(3)                  # it has seen the nodes by now
                await create(client, "pods", pods)
            rate = await asyncio.wait_for(counting, 240)
        await delete_all(client, "pods", "default")
        await delete_all(client, "events", "default")
        return rate


@contextlib.contextmanager
def process(*command: str, log: Path) -> Iterator[None]:
    """A scheduler as a process, for a while."""
    with log.open("ab") as out:
        started = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        yield
    finally:
        started.terminate()
        started.wait(20)


async def tiny_scheduler(kubeconfig: str) -> None:
    """What the process of our scheduler runs, without an election: there is nobody else."""
    from tinykube.machinery.clock import SystemClock
    from tinykube.machinery.eventlog import EventLog
    from tinykube.scheduler.scheduler import Scheduler

    async with HttpTransport.from_access(load(Path(kubeconfig))) as transport:
        scheduler = Scheduler(Client(transport, "tinykube-scheduler"), clock=SystemClock(), random=Random(1), log=EventLog())
        await scheduler.start()
        try:
            await asyncio.Event().wait()
        finally:
            await scheduler.stop()


if __name__ == "__main__" and sys.argv[1:2] == ["tiny-scheduler"]:
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(tiny_scheduler(sys.argv[2]))
