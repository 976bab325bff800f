"""Pods scheduled a second, on fake nodes: tiny beside genuine, of a backlog and while pods are being created."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import yaml
from tinykube.client.http import HttpTransport
from tinykube.client.kubeconfig import load
from tinykube.client.rest import Client

from tests.bench.row import Row, at_least, pairs_of

Object = dict[str, Any]
Started = Callable[[], contextlib.AbstractContextManager[None]]
NODES, PODS, CREATORS, ROUNDS, LIMIT = (100, 5000), 1000, 8, 3, 300
OFFERS = {"cpu": "64", "memory": "256Gi", "pods": "500"}
UNTAINTED = {"apiserver": ["--disable-admission-plugins=TaintNodesByCondition"]}
CONFIG: Object = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
                  "leaderElection": {"leaderElect": False}}


def node(number: int) -> Object:
    """A Node object without a machine, in one of three zones."""
    name = f"node-{number}"
    return {"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name,
                                                  "topology.kubernetes.io/zone": f"zone-{number % 3}"}},
            "status": {"capacity": OFFERS, "allocatable": OFFERS}}


def pod(name: str) -> Object:
    """A pod as most are: some CPU, some memory, no wishes."""
    container = {"name": "main", "image": "box", "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}}}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {
        "containers": [container], "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists"}]}}


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


async def backlog(kubeconfig: Path, scheduler: Started) -> float:
    """Pods are there, then comes the scheduler."""
    async with HttpTransport.from_access(load(kubeconfig)) as transport:
        client, ready = Client(transport), asyncio.Event()
        await create(client, "pods", [pod(f"pod-{number}") for number in range(PODS)])
        counting = asyncio.create_task(bound(client, PODS, ready))
        await ready.wait()
        with scheduler():
            found = await asyncio.wait_for(counting, LIMIT)
        await delete_all(client, "pods", "default")
        return found


async def while_they_come(kubeconfig: Path, scheduler: Started) -> float:
    """The scheduler is there, then come the pods; the first of them says that it has seen the nodes."""
    async with HttpTransport.from_access(load(kubeconfig)) as transport:
        client, ready = Client(transport), asyncio.Event()
        with scheduler():
            counting = asyncio.create_task(bound(client, 1, ready))
            await ready.wait()
            await create(client, "pods", [pod("first")])
            await asyncio.wait_for(counting, LIMIT)
            ready.clear()
            counting = asyncio.create_task(bound(client, PODS, ready))
            await ready.wait()
            await create(client, "pods", [pod(f"pod-{number}") for number in range(PODS)])
            found = await asyncio.wait_for(counting, LIMIT)
        await delete_all(client, "pods", "default")
        return found


MODES = {"a backlog": backlog, "while they are created": while_they_come}


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
    from tinykube.scheduler.config import read
    from tinykube.scheduler.scheduler import Scheduler

    async with HttpTransport.from_access(load(Path(kubeconfig))) as transport:
        scheduler = Scheduler(Client(transport, "tinykube-scheduler"), clock=SystemClock(), random=Random(1), log=EventLog(),
                              config=read(yaml.safe_dump(CONFIG)))
        await scheduler.start()
        await asyncio.Event().wait()


async def tiny_api(directory: str) -> None:
    """What the process of our api-server runs: nothing else of a cluster."""
    from tinykube.cluster import Cluster
    from tinykube.cluster.identities import SCHEDULER

    alone = {"scheduler", "controller-manager", "proxy", "kubelet"}
    async with Cluster(nodes={}, without=alone, directory=directory) as cluster:
        cluster.kubeconfig_for(SCHEDULER)
        (Path(directory) / "ready").touch()
        await asyncio.Event().wait()


@contextlib.contextmanager
def tiny_plane(directory: Path) -> Iterator[Path]:
    """Our api-server as a process; its directory, with kubeconfigs."""
    with process(sys.executable, "-m", "tests.bench.scheduling", "tiny-api", str(directory), log=directory / "api.log"):
        for _ in range(600):
            if (directory / "ready").exists():
                break
            time.sleep(0.05)
        yield directory


def rate(kubeconfig: Path, own: Path, directory: Path, mode: str, who: str) -> float:
    """Bindings a second of one scheduler (`who`) on one api-server."""
    from genuine.find import need

    if who == "tiny":
        command = [sys.executable, "-m", "tests.bench.scheduling", "tiny-scheduler", str(own)]
    else:
        config = {**CONFIG, "clientConnection": {"kubeconfig": str(own), "qps": 5000, "burst": 5000}}
        (directory / "config.yaml").write_text(yaml.safe_dump(config))
        command = [need("kube-scheduler")["kube-scheduler"], f"--config={directory / 'config.yaml'}", "--secure-port=0"]
    return asyncio.run(MODES[mode](kubeconfig, lambda: process(*command, log=directory / f"{who}.log")))


async def fill(kubeconfig: Path, nodes: int) -> None:
    """Make the nodes."""
    async with HttpTransport.from_access(load(kubeconfig)) as transport:
        await create(Client(transport), "nodes", [node(number) for number in range(nodes)])


def rows() -> Iterator[Row]:
    """Tiny and genuine in turn on one genuine api-server; tiny on tiny beside what genuine does on genuine."""
    from genuine import MissingPart, control_plane

    for nodes in NODES:
        with (contextlib.suppress(MissingPart), tempfile.TemporaryDirectory(prefix="bench-") as name,
              tiny_plane(Path(name)) as directory, control_plane(["apiserver"], flags=UNTAINTED, audit=False) as plane):
            own, ours = plane.kubeconfig_for("scheduler"), directory / "system-kube-scheduler.kubeconfig"
            for kubeconfig in (plane.kubeconfig, directory / "kubeconfig"):
                asyncio.run(fill(kubeconfig, nodes))
            for mode in MODES:
                def genuine(mode: str = mode, plane: Any = plane, own: Path = own, directory: Path = directory) -> float:
                    return rate(plane.kubeconfig, own, directory, mode, "genuine")

                def same(mode: str = mode, plane: Any = plane, own: Path = own, directory: Path = directory) -> float:
                    return rate(plane.kubeconfig, own, directory, mode, "tiny")

                def tiny(mode: str = mode, directory: Path = directory, ours: Path = ours) -> float:
                    return rate(directory / "kubeconfig", ours, directory, mode, "tiny")
                what = f"pods scheduled a second, {nodes:,} nodes, {mode}"
                yield at_least(f"{what}, both on a genuine api-server", pairs_of(same, genuine, ROUNDS), 1.0)
                yield at_least(f"{what}, each on its own api-server", pairs_of(tiny, genuine, ROUNDS), 1.0)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        asyncio.run({"tiny-scheduler": tiny_scheduler, "tiny-api": tiny_api}[sys.argv[1]](sys.argv[2]))
    else:
        for row in rows():
            print(" | ".join(row.cells()), flush=True)
