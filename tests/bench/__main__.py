"""Measure, and write the tables of book/numbers.md."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import platform
import re
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from tinykube.client.kubeconfig import load

from tests.bench import etcd_seat

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "book" / "numbers.md"
MANIFEST = ROOT / "labs" / "manifests" / "pod-ticker.yaml"
TINYKUBE = str(Path(sys.executable).with_name("tinykube"))
KUBECTL = str(Path(sys.executable).with_name("kubectl"))
CONNECTIONS, SECONDS, ROUNDS = 8, 3.0, 3


def median_of(measure: Callable[[], float], rounds: int = ROUNDS) -> float:
    """The median of several runs of `measure`."""
    return statistics.median(measure() for _ in range(rounds))


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


def as_processes() -> tuple[float, float]:
    """Seconds to the first Running pod with a process a seat, and the MiB (RSS) of api-server and scheduler."""
    directory = tempfile.mkdtemp(prefix="bench-")
    try:
        begin = time.perf_counter()
        subprocess.run([TINYKUBE, "up", "--directory", directory], check=True, capture_output=True, timeout=60)
        kubeconfig = str(next(Path(directory).rglob("kubeconfig*")))
        kubectl(kubeconfig, "apply", "-f", str(MANIFEST))
        kubectl(kubeconfig, "wait", "--for=jsonpath={.status.phase}=Running", "pod/ticker", "--timeout=30s")
        took = time.perf_counter() - begin
        lines = [(p.memory_info().rss, " ".join(p.cmdline())) for p in psutil.process_iter() if directory in " ".join(p.cmdline())]
        memory = sum(rss for rss, line in lines if " api" in line or "scheduler" in line)
        return took, memory / 2**20
    finally:
        subprocess.run([TINYKUBE, "down", "--directory", directory], capture_output=True, timeout=60)
        shutil.rmtree(directory, ignore_errors=True)


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


class Rates:
    """Requests a second over some kept-open connections. The client does as little as it can: bytes out, bytes in."""

    def __init__(self, url: str, tls: ssl.SSLContext | None) -> None:
        self.host, self.port, self.tls = urlsplit(url).hostname or "", urlsplit(url).port or 0, tls

    @classmethod
    def of(cls, kubeconfig: str | Path) -> Rates:
        """To the server of a kubeconfig, trusting whom it says, as whom it says: tiny and genuine alike."""
        access = load(kubeconfig)
        return cls(access.url, access.tls())

    def measure(self, method: str) -> float:
        """Requests a second that were answered as they should."""
        return asyncio.run(self._measure(method))

    async def _measure(self, method: str) -> float:
        begin = time.perf_counter()
        counts = await asyncio.gather(*(self._work(method, n, begin + SECONDS) for n in range(CONNECTIONS)))
        return sum(counts) / (time.perf_counter() - begin)

    async def _work(self, method: str, worker: int, end: float) -> int:
        reader, writer = await asyncio.open_connection(self.host, self.port, ssl=self.tls)
        mine, count = f"bench-{worker}-{time.monotonic_ns()}", 0
        await self._ask(reader, writer, "POST", "", self._body(mine))
        while time.perf_counter() < end:
            if method == "GET":
                await self._ask(reader, writer, "GET", f"/{mine}", b"")
            else:
                await self._ask(reader, writer, "POST", "", self._body(f"{mine}-{count}"))
            count += 1
        writer.close()
        return count

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, path: str,
                   body: bytes) -> None:
        writer.write(f"{method} /api/v1/namespaces/default/configmaps{path} HTTP/1.1\r\nHost: {self.host}\r\n"
                     f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if head.split(b" ", 2)[1] not in (b"200", b"201"):
            raise RuntimeError(f"{method} was answered with {head[:60]!r}")
        length = re.search(rb"content-length: (\d+)", head)
        if length:
            await reader.readexactly(int(length[1]))
        else:
            while (size := int(await reader.readline(), 16)) or await reader.readline() != b"\r\n":
                await reader.readexactly(size + 2)

    @staticmethod
    def _body(name: str) -> bytes:
        return json.dumps({"metadata": {"name": name}, "data": {"text": "x" * 600}}).encode()


def rates() -> dict[str, dict[str, float]]:
    """Creates and gets a second: tiny as processes, and genuine, in turn on one machine."""
    from genuine import MissingPart, control_plane

    found: dict[str, dict[str, float]] = {}
    directory = tempfile.mkdtemp(prefix="bench-")
    try:
        subprocess.run([TINYKUBE, "up", "--directory", directory], check=True, capture_output=True, timeout=60)
        tiny = Rates.of(f"{directory}/kubeconfig")
        try:
            with control_plane(("apiserver",), audit=False) as plane:
                genuine = Rates.of(plane.kubeconfig)
                for who, target in (("tiny", tiny), ("genuine", genuine)):
                    found[who] = {m: median_of(lambda t=target, m=m: t.measure(m)) for m in ("POST", "GET")}  # type: ignore[misc]
                found["genuine"]["memory"] = sum(
                    p.memory_info().rss for p in psutil.Process().children(recursive=True)
                    if p.name() in ("kube-apiserver", "etcd")) / 2**20
        except MissingPart:
            found["tiny"] = {m: median_of(lambda m=m: tiny.measure(m)) for m in ("POST", "GET")}  # type: ignore[misc]
    finally:
        subprocess.run([TINYKUBE, "down", "--directory", directory], capture_output=True, timeout=60)
        shutil.rmtree(directory, ignore_errors=True)
    return found


def machine() -> str:
    """On what this was measured."""
    return (f"{platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
            f"{datetime.date.today().isoformat()}")


def table(measured: dict[str, Any]) -> str:
    """The Markdown table."""
    def shown(value: float | None, form: str) -> str:
        return "not measured" if value is None else form.format(value)

    tiny, genuine = measured["rates"].get("tiny", {}), measured["rates"].get("genuine", {})
    rows = [
        ("nothing to first Running pod, in process", shown(measured["in_process"], "{:.2f} s"), "–"),
        ("nothing to first Running pod, a process a seat (genuine: kind)", shown(measured["as_processes"], "{:.2f} s"),
         shown(measured["kind"], "{:.1f} s")),
        ("memory of the control plane (tiny: api with its store, scheduler; genuine: kube-apiserver and etcd alone)",
         shown(measured["memory"], "{:.0f} MiB"), shown(genuine.get("memory"), "{:.0f} MiB")),
        (f"creates a second, {CONNECTIONS} connections", shown(tiny.get("POST"), "{:,.0f}"), shown(genuine.get("POST"), "{:,.0f}")),
        (f"gets a second, {CONNECTIONS} connections", shown(tiny.get("GET"), "{:,.0f}"), shown(genuine.get("GET"), "{:,.0f}")),
        *measured["etcd_seat"],
    ]
    lines = ["| what | tiny | genuine |", "| --- | ---: | ---: |", *(f"| {a} | {b} | {c} |" for a, b, c in rows)]
    return "\n".join([*lines, "", f"Medians of {ROUNDS}. {machine()}."])


def main() -> None:
    """Measure everything, print it, and write it into the page."""
    measured: dict[str, Any] = {"in_process": median_of(in_process)}
    print("in process", measured, flush=True)
    runs = [as_processes() for _ in range(ROUNDS)]
    measured["as_processes"] = statistics.median(r[0] for r in runs)
    measured["memory"] = statistics.median(r[1] for r in runs)
    print("as processes", runs, flush=True)
    measured["kind"] = kind()
    measured["rates"] = rates()
    measured["etcd_seat"] = etcd_seat.rows()
    print(json.dumps(measured, indent=1))
    text = PAGE.read_text()
    head, rest = text.split("<!-- measured -->\n", 1)
    _, tail = rest.split("<!-- end -->", 1)
    PAGE.write_text(f"{head}<!-- measured -->\n{table(measured)}\n<!-- end -->{tail}")


if __name__ == "__main__":
    main()
