"""Our store in etcd's seat: puts a second over gRPC beside an empty handler, and what a genuine kube-apiserver does on it.

    python -m tests.bench.etcd_seat            prints the rows
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
from collections.abc import Iterator

SECONDS, ROUNDS, CALLERS = 2.0, 5, 16
EMPTY = """
import asyncio, grpc
from tinykube.store.wire.server import OPTIONS
async def empty(request, context):
    return b""
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
CALLER = """
import asyncio, sys, time, grpc
from tinykube.store.wire.messages import pb
body = pb.PutRequest(key=b"/bench/key", value=b"x" * 600).SerializeToString()
async def main(address, seconds, callers):
    done, begin = 0, time.perf_counter()
    async with grpc.aio.insecure_channel(address) as channel:
        put = channel.unary_unary("/etcdserverpb.KV/Put")
        async def work():
            nonlocal done
            while time.perf_counter() < begin + seconds:
                await put(body)
                done += 1
        await asyncio.gather(*(work() for _ in range(callers)))
    print(done / (time.perf_counter() - begin))
asyncio.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
"""
OURS = [sys.executable, "-m", "tinykube.cluster.cli", "store", "--listen=127.0.0.1:0"]


@contextlib.contextmanager
def serving(command: list[str]) -> Iterator[str]:
    """A server as a process; gives its address."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.kill()


def puts(command: list[str]) -> float:
    """Puts a second that a server answers to callers in one other process."""
    with serving(command) as address:
        caller = [sys.executable, "-c", CALLER, address, str(SECONDS), str(CALLERS)]
        return float(subprocess.run(caller, check=True, capture_output=True, text=True, timeout=60).stdout)


def creates(etcd_url: str) -> float:
    """Creates a second that a genuine kube-apiserver does on this etcd ("": a genuine one)."""
    from genuine import control_plane

    from tests.bench.__main__ import Rates

    with control_plane(["apiserver"], audit=False, etcd_url=etcd_url) as plane:
        rates = Rates.of(plane.kubeconfig)
        rates.measure("POST")
        return statistics.median(rates.measure("POST") for _ in range(3))


def rows() -> list[tuple[str, str, str]]:
    """Rows for the table: what, ours, beside what. In turn, round by round, so that both meet the same machine."""
    pairs = [(puts(OURS), puts([sys.executable, "-c", EMPTY])) for _ in range(ROUNDS)]
    ours, empty = (statistics.median(column) for column in zip(*pairs, strict=True))
    share = statistics.median(mine / its for mine, its in pairs)
    found = [(f"puts a second over gRPC, {CALLERS} callers (beside: an empty handler of the same library; {share:.0%} of it)",
              f"{ours:,.0f}", f"{empty:,.0f}")]
    with contextlib.suppress(ImportError):
        from genuine import MissingPart
        try:
            runs = []
            for _ in range(3):
                with serving(OURS) as address:
                    runs.append((creates(f"http://{address}"), creates("")))
        except MissingPart:
            return found
        mine, its = (statistics.median(column) for column in zip(*runs, strict=True))
        share = statistics.median(a / b for a, b in runs)
        found.append((f"creates a second of a genuine kube-apiserver on our store, and on etcd ({share:.0%} of it)",
                      f"{mine:,.0f}", f"{its:,.0f}"))
    return found


if __name__ == "__main__":
    for row in rows():
        print(" | ".join(row), flush=True)
