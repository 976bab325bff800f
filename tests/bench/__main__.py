"""Measure, and write the table of book/numbers.md.

    python -m tests.bench              everything
    python -m tests.bench --quick      once and for a short time, printed only: does it work?
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import psutil
from tinykube.client.http import HttpTransport
from tinykube.client.informer import SharedInformer
from tinykube.client.kubeconfig import load
from tinykube.client.reflector import Reflector
from tinykube.client.rest import Client
from tinykube.machinery.clock import SystemClock

from tests.bench import rates, rollout, scheduling, store
from tests.bench.rates import CONNECTIONS, Rates
from tests.bench.row import Row, at_least, at_most, pairs_of

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "book" / "numbers.md"
MANIFEST = ROOT / "labs" / "manifests" / "pod-ticker.yaml"
TINYKUBE = str(Path(sys.executable).with_name("tinykube"))
KUBECTL = str(Path(sys.executable).with_name("kubectl"))
ROUNDS, OBJECTS = 3, 10_000
CONTROL_PLANE = ("api", "scheduler", "controller-manager")
GENUINE_PLANE = ("etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager")


def median_of(measure: Callable[[], float]) -> float:
    """The median of several runs of `measure`."""
    return statistics.median(measure() for _ in range(ROUNDS))


def in_process() -> float:
    """Seconds from nothing to the first Running pod, all in this process."""
    from tinykube.cluster import Cluster, background

    begin = time.perf_counter()
    with background(Cluster(nodes=1)) as cluster:
        cluster.apply(str(MANIFEST))
        cluster.wait("pod/ticker Running", timeout=30)
        return time.perf_counter() - begin


def kubectl(kubeconfig: str, *arguments: str) -> None:
    """The real kubectl, which has to succeed."""
    subprocess.run([KUBECTL, "--kubeconfig", kubeconfig, *arguments], check=True, capture_output=True, timeout=120)


@contextlib.contextmanager
def tiny(nodes: int) -> Iterator[Path]:
    """`tinykube up`, with its store on the disk; gives its directory."""
    directory = tempfile.mkdtemp(prefix="bench-")
    try:
        subprocess.run([TINYKUBE, "up", f"--directory={directory}", f"--nodes={nodes}"], check=True, capture_output=True,
                       timeout=120)
        yield Path(directory)
    finally:
        subprocess.run([TINYKUBE, "down", f"--directory={directory}"], capture_output=True, timeout=120)
        shutil.rmtree(directory, ignore_errors=True)


def as_processes() -> tuple[float, float]:
    """Seconds to the first Running pod with a process a seat, and the MiB of memory of the control plane."""
    begin = time.perf_counter()
    with tiny(1) as directory:
        kubeconfig = str(directory / "kubeconfig")
        kubectl(kubeconfig, "apply", "-f", str(MANIFEST))
        kubectl(kubeconfig, "wait", "--for=jsonpath={.status.phase}=Running", "pod/ticker", "--timeout=30s")
        took = time.perf_counter() - begin
        pids = [int((directory / "run" / f"{seat}.pid").read_text()) for seat in CONTROL_PLANE]
        return took, sum(memory(psutil.Process(pid)) for pid in pids)


def memory(process: psutil.Process) -> float:
    """The MiB of memory of a process; a page that several share is divided among them, where the system tells that."""
    found = process.memory_full_info()
    return float(getattr(found, "pss", found.rss)) / 2**20


def genuine_memory() -> float | None:
    """The MiB of memory of a genuine control plane, all of it."""
    from genuine import MissingPart, control_plane

    try:
        with control_plane() as plane:
            plane.request("GET", "/api/v1/pods")
            children = psutil.Process().children(recursive=True)
            return sum(memory(each) for each in children if each.name() in {name[:15] for name in GENUINE_PLANE})
    except MissingPart:
        return None


def kind() -> float | None:
    """Seconds from nothing to the first Running pod in a new kind cluster, or None without kind."""
    image = os.environ.get("KIND_NODE_IMAGE")
    if not shutil.which("kind") or not shutil.which("docker"):
        return None
    name = f"bench-{os.getpid()}"
    with tempfile.TemporaryDirectory() as directory:
        kubeconfig = f"{directory}/kubeconfig"
        begin = time.perf_counter()
        try:
            subprocess.run(["kind", "create", "cluster", "--name", name, "--kubeconfig", kubeconfig,
                            *(["--image", image] if image else [])], check=True, capture_output=True, timeout=300)
            subprocess.run(["kind", "load", "docker-image", "kubernetes-by-hand/box:1", "--name", name], check=True,
                           capture_output=True, timeout=120)
            deadline = time.monotonic() + 60
            while subprocess.run([KUBECTL, "--kubeconfig", kubeconfig, "apply", "-f", str(MANIFEST)],
                                 capture_output=True, timeout=60).returncode and time.monotonic() < deadline:
                time.sleep(0.2)    # the namespace's service account is not there yet
            kubectl(kubeconfig, "wait", "--for=jsonpath={.status.phase}=Running", "pod/ticker", "--timeout=90s")
            return time.perf_counter() - begin
        finally:
            subprocess.run(["kind", "delete", "cluster", "--name", name, "--kubeconfig", kubeconfig],
                           capture_output=True, timeout=120)


def start(with_kind: bool) -> Iterator[Row]:
    """How long one waits for the first pod, and how much memory that takes."""
    yield at_most("nothing to first Running pod, in process", median_of(in_process), 0.5)
    runs = [as_processes() for _ in range(ROUNDS)]
    took = statistics.median(seconds for seconds, _ in runs)
    yield at_most("nothing to first Running pod, a process a seat (genuine: kind)", took, 2.0, kind() if with_kind else None)
    memory, its = statistics.median(size for _, size in runs), genuine_memory()
    what = "memory of the control plane, shared pages counted once: api-server with store, scheduler, controller-manager"
    yield at_most(what, memory, its / 4, its, "{:.0f} MiB") if its else Row(what, memory, form="{:.0f} MiB")


def informer_seconds(kubeconfig: Path) -> float:
    """How long our informer takes until it has a copy of all that there is."""
    async def copy() -> float:
        async with HttpTransport.from_access(load(kubeconfig)) as transport:
            begin = time.perf_counter()
            informer = SharedInformer(Reflector(Client(transport), "configmaps", clock=SystemClock(), random=Random(1)))
            informer.start()
            await informer.wait_synced()
            took = time.perf_counter() - begin
            await informer.stop()
            return took
    return asyncio.run(copy())


def api_servers() -> Iterator[Row]:
    """Creates, gets, fan-out, lists, informers: tiny as processes and genuine, in turn on one machine."""
    from genuine import MissingPart, control_plane

    with contextlib.suppress(MissingPart), tiny(0) as directory, control_plane(("apiserver",), audit=False) as plane:
        ours, its = Rates.of(directory / "kubeconfig"), Rates.of(plane.kubeconfig)
        for method, verb in (("POST", "creates"), ("GET", "gets")):
            pairs = pairs_of(lambda m=method: ours.measure(m), lambda m=method: its.measure(m), ROUNDS)  # type: ignore[misc]
            yield at_least(f"{verb} a second, {CONNECTIONS} connections", pairs, 2.0)
        yield at_least(f"watch fan-out: events a second, one write to {rates.WATCHERS:,} watchers",
                       pairs_of(ours.fan_out, its.fan_out, ROUNDS), 1.0)
    with contextlib.suppress(MissingPart), tiny(0) as directory, control_plane(("apiserver",), audit=False) as plane:
        for where in (directory / "kubeconfig", plane.kubeconfig):
            Rates.of(where).fill(OBJECTS)
        ours, its = Rates.of(directory / "kubeconfig"), Rates.of(plane.kubeconfig)
        pairs = pairs_of(ours.list_seconds, its.list_seconds, ROUNDS)
        yield seconds(f"a list of {OBJECTS:,} objects, in one answer", pairs)
        pairs = pairs_of(lambda: informer_seconds(directory / "kubeconfig"), lambda: informer_seconds(plane.kubeconfig), ROUNDS)
        yield seconds(f"our informer has a copy of {OBJECTS:,} objects", pairs)


def seconds(what: str, pairs: list[tuple[float, float]]) -> Row:
    """A row of times that were measured in pairs."""
    ours, its = (statistics.median(column) for column in zip(*pairs, strict=True))
    return Row(what, ours, its, "{:.2f} s")


def machine() -> str:
    """On what this was measured."""
    return (f"{platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
            f"{datetime.datetime.now(tz=datetime.UTC).date().isoformat()}")


def table(rows: list[Row]) -> str:
    """The Markdown table."""
    lines = ["| what | tiny | genuine | target | met |", "| --- | ---: | ---: | --- | --- |",
             *("| " + " | ".join(row.cells()) + " |" for row in rows)]
    return "\n".join([*lines, "", f"Medians of {ROUNDS} (puts: {store.ROUNDS}). {machine()}."])


def main(arguments: argparse.Namespace) -> None:
    """Measure everything, print each row when it is known, and write the table into the page."""
    global ROUNDS, OBJECTS
    if arguments.quick:
        ROUNDS, OBJECTS, store.ROUNDS, store.SECONDS, rates.SECONDS, rates.WRITES = 1, 500, 1, 0.5, 0.5, 3
        scheduling.ROUNDS, scheduling.PODS, scheduling.NODES = 1, 100, (100,)
        rollout.ROUNDS, rollout.PODS, rollout.NODES = 1, 50, 5
    rows: list[Row] = []
    parts = {"start": lambda: start(with_kind=not arguments.quick), "api": api_servers, "store": store.rows,
             "scheduling": scheduling.rows, "rollout": lambda: rollout.rows(tiny)}
    for name in arguments.only or parts:
        for row in parts[name]():
            print(" | ".join(row.cells()), flush=True)
            rows.append(row)
    if not arguments.quick and not arguments.only:
        head, rest = PAGE.read_text().split("<!-- measured -->\n", 1)
        _, tail = rest.split("<!-- end -->", 1)
        PAGE.write_text(f"{head}<!-- measured -->\n{table(rows)}\n<!-- end -->{tail}")
        print(f"written into {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure tiny beside genuine.")
    parser.add_argument("--quick", action="store_true", help="once and for a short time, printed only")
    parser.add_argument("--only", action="append", choices=("start", "api", "store", "scheduling", "rollout"),
                        help="one part, printed only")
    main(parser.parse_args())
