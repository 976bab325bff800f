"""The main program of each seat when it is a process: `python -m tinykube.cluster.seats NAME DIRECTORY LOCK`.

Seats find the server by the kubeconfig in the cluster's directory, and by nothing else.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

from tinykube.client.http import HttpTransport
from tinykube.client.kubeconfig import load
from tinykube.client.rest import Client
from tinykube.cluster.process import Seat
from tinykube.machinery.clock import SystemClock
from tinykube.machinery.eventlog import EventLog

Stop = Callable[[], Awaitable[None]]


class Surroundings:
    """What every seat needs: the cluster's directory and its settings, a clock, randomness, a log, a client."""

    def __init__(self, seat: Seat) -> None:
        self.directory = seat.directory
        self.settings: dict[str, Any] = json.loads((seat.directory / "cluster.json").read_text())
        self.clock = SystemClock()
        self.random = Random(os.urandom(16))
        self.log = EventLog(self.clock, path=seat.log)
        self.transport: HttpTransport | None = None

    def client(self, user_agent: str) -> Client:
        """A client to the server that the kubeconfig names."""
        self.transport = HttpTransport.from_access(load(self.directory / "kubeconfig"))
        return Client(self.transport, user_agent)

    async def close(self) -> None:
        """Close what was opened."""
        if self.transport:
            await self.transport.close()
        self.log.close()


async def start_api(at: Surroundings) -> Stop:
    """The api-server with its store, on the port that `up` chose."""
    from tinykube.cluster.parts import ApiPart, Dialer
    from tinykube.store import Store
    dialer = Dialer()
    part = await ApiPart.start(Store(), dialer, at.settings["port"], at.clock, at.random, at.log)

    async def stop() -> None:
        await part.stop()
        await dialer.close()
    return stop


async def start_scheduler(at: Surroundings) -> Stop:
    """The scheduler."""
    from tinykube.scheduler.scheduler import Scheduler
    scheduler = Scheduler(at.client("tinykube-scheduler"), clock=at.clock, random=at.random, log=at.log)
    await scheduler.start()
    return scheduler.stop


async def start_kubelet(at: Surroundings, node: str) -> Stop:
    """The kubelet of a node, and its own API on a free port. Its pods live on when it is stopped."""
    from tinykube.api.http import serve
    from tinykube.cluster.parts import NodePart, make_runtime
    directory = at.directory / "nodes" / node
    runtime = make_runtime(at.settings["runtime"], node, directory / "runtime", keep=True, clock=at.clock,
                           random=at.random)
    part = NodePart(node, runtime, at.settings["nodes"][node], directory, at.clock, at.log)
    server = await serve(part.handle)
    await part.start(at.client(f"tinykube-kubelet/{node}"), at.random, server.port)

    async def stop() -> None:
        await server.close()
        await part.stop()
        await runtime.close()
    return stop


async def run(name: str, directory: Path) -> None:
    """Start a seat, run it until SIGTERM or SIGINT, stop it."""
    at = Surroundings(Seat(directory, name))
    told_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    part, _, node = name.partition("/")
    try:
        stop = await {"api": start_api, "scheduler": start_scheduler}[part](at) if not node \
            else await start_kubelet(at, node)
        await told_to_stop.wait()
        await stop()
    finally:
        await at.close()


if __name__ == "__main__":
    os.set_inheritable(int(sys.argv[3]), False)     # the lock on the pid file is ours, not our pods'
    try:
        asyncio.run(run(sys.argv[1], Path(sys.argv[2])))
    except OSError as error:
        sys.exit(f"{sys.argv[1]}: {error}")
