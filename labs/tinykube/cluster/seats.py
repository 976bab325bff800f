"""The main program of each seat when it is a process: `python -m tinykube.cluster.seats`.

Seats find the server by the kubeconfig in the cluster's directory, and by nothing else.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

from tinykube.cluster.process import Seat, write_pid
from tinykube.machinery.clock import SystemClock
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.objects import new_uid
from tinykube.store import Damaged, StoreError

Main = Callable[[], AbstractAsyncContextManager[None]]


class Surroundings:
    """What every seat needs: the cluster's directory and its settings, a clock, randomness, a log."""

    def __init__(self, seat: Seat) -> None:
        self.directory = seat.directory
        self.settings: dict[str, Any] = json.loads((seat.directory / "cluster.json").read_text())
        self.clock = SystemClock()
        self.random = Random(os.urandom(16))
        self.log = EventLog(self.clock, path=seat.log)


def api_seat(at: Surroundings) -> Main:
    """The api-server with its store, or with an etcd elsewhere, on the port that `up` chose, and connections to the kubelets."""
    from tinykube.cluster.identities import load_guard, to_kubelets
    from tinykube.cluster.parts import ApiPart, Dialer, audit_log
    from tinykube.cluster.storeseat import etcd_storage
    from tinykube.store.directory import open_storage

    @asynccontextmanager
    async def main() -> AsyncIterator[None]:
        elsewhere = at.settings.get("etcd")
        storage = etcd_storage(**elsewhere) if elsewhere else open_storage(at.directory / "store", at.clock, at.log)
        dialer = Dialer(to_kubelets(at.directory / "pki"))
        with audit_log(at.directory / "logs" / "audit.jsonl") as write:
            part = await ApiPart.start(storage, dialer, at.settings["port"], at.clock, at.random, at.log,
                                       load_guard(at.directory / "pki"), write)
            yield
            await part.stop()
        await dialer.close()
        await storage.aclose()
    return main


def scheduler_seat(at: Surroundings) -> Main:
    """The scheduler, by the configuration in `scheduler.yaml` if there is one. It waits for its lease, as others might run."""
    from tinykube.client.http import HttpTransport
    from tinykube.client.kubeconfig import load
    from tinykube.client.leader import LeaderElector
    from tinykube.client.rest import Client
    from tinykube.scheduler.config import read
    from tinykube.scheduler.scheduler import Scheduler

    @asynccontextmanager
    async def main() -> AsyncIterator[None]:
        file = at.directory / "scheduler.yaml"
        config = read(file.read_text()) if file.exists() else read()
        async with HttpTransport.from_access(load(at.directory / "pki" / "scheduler.kubeconfig")) as transport:
            client, (namespace, lease) = Client(transport, "tinykube-scheduler"), config.lease
            elector = LeaderElector(client, lease, f"{platform.node()}_{new_uid(at.random)}", clock=at.clock, random=at.random,
                                    namespace=namespace, times=config.times, log=at.log) if config.leader_election else None
            scheduler = Scheduler(client, clock=at.clock, random=at.random, log=at.log, config=config, elector=elector)
            await scheduler.start()
            yield
            await scheduler.stop()
    return main


def controllers_seat(at: Surroundings) -> Main:
    """The controller manager: the lease and the copies by its own certificate, each controller by its account's token."""
    from tinykube.api.keys import Authority, Identity
    from tinykube.client.http import HttpTransport
    from tinykube.client.kubeconfig import load
    from tinykube.cluster.signing import Signing
    from tinykube.controllers.accounts import own_accounts
    from tinykube.controllers.manager import Manager
    from tinykube.controllers.settings import Settings

    @asynccontextmanager
    async def main() -> AsyncIterator[None]:
        access = load(at.directory / "pki" / "controller-manager.kubeconfig")
        files = Identity(*((at.directory / "pki" / f"ca.{end}").read_bytes() for end in ("crt", "key")))
        async with HttpTransport.from_access(access) as own, HttpTransport.from_access(access.anonymous()) as plain:
            manager = Manager(own_accounts(own, plain, at.clock), f"tinykube-{os.getpid()}", clock=at.clock,
                              random=at.random, log=at.log, controllers=at.settings.get("controllers", ["*"]),
                              settings=Settings(files.certificate.decode(), authority=Signing(Authority(kept=files))))
            await manager.start()
            yield
            await manager.stop()
    return main


def kubelet_seat(at: Surroundings, node: str) -> Main:
    """The kubelet of a node, and its own API on a free port. Its pods live on when it ends."""
    from tinykube.api.http import serve
    from tinykube.client.http import HttpTransport
    from tinykube.client.kubeconfig import load
    from tinykube.client.rest import Client
    from tinykube.cluster.identities import kubelet_tls
    from tinykube.cluster.parts import NodePart, make_runtime
    directory = at.directory / "nodes" / node

    @asynccontextmanager
    async def main() -> AsyncIterator[None]:
        runtime = make_runtime(at.settings["runtime"], node, directory / "runtime", keep=True, clock=at.clock,
                               random=at.random)
        part = NodePart(node, runtime, at.settings["nodes"][node], directory, at.clock, at.log,
                        eviction_hard=at.settings.get("evictionHard", ""))
        async with (HttpTransport.from_access(load(at.directory / "pki" / f"{node}.kubeconfig")) as transport,
                    await serve(part.handle, tls=kubelet_tls(at.directory / "pki", node)) as server):
            await part.start(Client(transport, f"tinykube-kubelet/{node}"), at.random, server.port)
            yield
            await part.stop()
            await runtime.close()
    return main


async def run(main: Main, at: Surroundings, told: int) -> None:
    """Start a seat, say that it is ready, run it until SIGTERM or SIGINT, stop it."""
    told_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    async with main():
        os.write(told, b"ready")
        os.close(told)
        await told_to_stop.wait()
    at.log.close()


def fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes an event loop that is written in C, and so takes less time for each request; None where there is none."""
    with suppress(ImportError):
        import uvloop
        made: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
        return made
    return None


def begin(name: str, directory: Path, lock: int, told: int) -> None:
    """Load the seat's program, wait for the word to go, run."""
    for pipe in (lock, told):
        os.set_inheritable(pipe, False)            # they are ours, not our pods'
    write_pid(lock, os.getpid())
    at = Surroundings(Seat(directory, name))
    part, _, node = name.partition("/")
    seats = {"api": api_seat, "scheduler": scheduler_seat, "controller-manager": controllers_seat}
    main = kubelet_seat(at, node) if part == "kubelet" else seats[part](at)
    if sys.stdin.buffer.read(2) == b"go":          # else whoever started us is gone
        with asyncio.Runner(loop_factory=fast_loop() if part == "api" else None) as runner:
            runner.run(run(main, at, told))


if __name__ == "__main__":
    try:
        begin(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    except (OSError, ValueError, StoreError, Damaged) as error:
        sys.exit(str(error))
