"""One of several schedulers, as a process that can be killed: `python -m tests.seats.replica KUBECONFIG IDENTITY`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from random import Random

from tinykube.client.http import HttpTransport
from tinykube.client.kubeconfig import load
from tinykube.client.leader import LeaderElector, Times
from tinykube.client.rest import Client
from tinykube.machinery.clock import SystemClock
from tinykube.machinery.eventlog import EventLog
from tinykube.scheduler.scheduler import Scheduler

TIMES = Times(lease=4, renew=3.0, retry=1.0)


async def main(kubeconfig: str, identity: str) -> None:
    """Schedule whenever the lease is ours, until somebody ends the process."""
    clock, log = SystemClock(), EventLog()
    async with HttpTransport.from_access(load(Path(kubeconfig))) as transport:
        client = Client(transport, f"replica-{identity}")
        elector = LeaderElector(client, "kube-scheduler", identity, clock=clock, random=Random(identity),
                                namespace="kube-system", times=TIMES, log=log)
        await Scheduler(client, clock=clock, random=Random(identity), log=log, elector=elector).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
