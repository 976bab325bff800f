"""The store: durable puts in process and over gRPC beside a genuine etcd, and a genuine kube-apiserver on it.

    python -m tests.bench.store            prints the rows
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from tests.bench.rates import Rates
from tests.bench.row import Row, at_least, pairs_of

SECONDS, ROUNDS, WRITERS = 2.0, 5, (1, 8, 64)
EMPTY = """
import asyncio, grpc
from tinykube.store.wire.server import OPTIONS
async def empty(request, context):
    return b"\\n\\0"
async def main():
    server = grpc.aio.server(options=OPTIONS)
    handlers = {"Put": grpc.unary_unary_rpc_method_handler(empty)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("etcdserverpb.KV", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"serving at 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()
asyncio.run(main())
"""
IN_PROCESS = """
import asyncio, sys, time
from pathlib import Path
from tinykube.machinery.clock import SystemClock
from tinykube.machinery.eventlog import EventLog
from tinykube.store import Put
from tinykube.store.directory import open_storage
async def main(directory, seconds, writers):
    storage, done, begin = open_storage(Path(directory), SystemClock(), EventLog()), 0, time.perf_counter()
    async def work():
        nonlocal done
        while time.perf_counter() < begin + seconds:
            await storage.apply(Put(b"/bench/key", b"x" * 600))
            done += 1
    await asyncio.gather(*(work() for _ in range(writers)))
    print(done / (time.perf_counter() - begin))
    await storage.aclose()
asyncio.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
"""


@contextlib.contextmanager
def serving(command: list[str]) -> Iterator[str]:
    """A server as a process; gives its address."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.kill()


@contextlib.contextmanager
def ours() -> Iterator[str]:
    """Our store as a process, with its log on the disk."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        command = [sys.executable, "-m", "tinykube.cluster.cli", "store", "--listen=127.0.0.1:0", f"--data-dir={directory}"]
        with serving(command) as address:
            yield address


def run(*words: str) -> float:
    """What a program of ours measures, in a process of its own."""
    return float(subprocess.run([sys.executable, *words], check=True, capture_output=True, text=True, timeout=120).stdout)


def puts(address: str, callers: int) -> float:
    """Puts a second over gRPC."""
    return run("-m", "tests.bench.putter", address, str(SECONDS), str(callers))


def puts_in_process(writers: int) -> float:
    """Durable puts a second, by writers that share an event loop with the store."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        return run("-c", IN_PROCESS, directory, str(SECONDS), str(writers))


def durable_puts(etcd_address: str) -> Iterator[Row]:
    """One row for each way and number of writers. The targets are for 64."""
    for writers in WRITERS:
        pairs = pairs_of(lambda n=writers: puts_in_process(n), lambda n=writers: puts(etcd_address, n), ROUNDS)  # type: ignore[misc]
        row = at_least(f"durable puts a second, {writers} writers: our store in process, beside etcd", pairs, 1.0, "etcd's")
        yield row if writers == 64 else Row(row.what, row.tiny, row.genuine)
    for writers in WRITERS:
        with ours() as address:
            pairs = pairs_of(lambda n=writers, a=address: puts(a, n), lambda n=writers: puts(etcd_address, n), ROUNDS)  # type: ignore[misc]
        row = at_least(f"durable puts a second, {writers} writers: our store over gRPC, beside etcd", pairs, 1.0)
        yield Row(row.what, row.tiny, row.genuine)


def beside_an_empty_handler() -> Row:
    """How much of what Python's gRPC library can do is left."""
    with ours() as mine, serving([sys.executable, "-c", EMPTY]) as empty:
        pairs = pairs_of(lambda: puts(mine, 64), lambda: puts(empty, 64), ROUNDS)
    return at_least("durable puts a second, 64 writers: our store over gRPC, beside an empty handler of the same library", pairs,
                    0.75, "the handler's")


def api_server_on_it() -> Row:
    """Creates a second of a genuine kube-apiserver on our store and on etcd, both with fsync."""
    from genuine import control_plane

    with ours() as address, control_plane(["apiserver"], audit=False, etcd_url=f"http://{address}") as on_ours, \
            control_plane(["apiserver"], audit=False) as on_etcd:
        mine, its = Rates.of(on_ours.kubeconfig), Rates.of(on_etcd.kubeconfig)
        pairs = pairs_of(lambda: mine.measure("POST"), lambda: its.measure("POST"), ROUNDS)
    return at_least("creates a second of a genuine kube-apiserver: on our store, and on etcd", pairs, 0.8, "that on etcd")


def rows() -> Iterator[Row]:
    """All of them; without genuine parts, what can be measured without."""
    from genuine import MissingPart, etcd

    yield beside_an_empty_handler()
    with contextlib.suppress(MissingPart):
        with etcd() as member:
            yield from durable_puts(member.url.removeprefix("http://"))
        yield api_server_on_it()


if __name__ == "__main__":
    for row in rows():
        print(" | ".join(row.cells()), flush=True)
