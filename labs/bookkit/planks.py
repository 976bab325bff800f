"""Our scheduler and our controller manager as programs of their own, for the seats of any cluster: a kubeconfig leads them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from tinykube.client.http import HttpTransport
from tinykube.client.kubeconfig import load
from tinykube.client.leader import LeaderElector
from tinykube.client.rest import Client
from tinykube.controllers.accounts import own_accounts
from tinykube.controllers.manager import Manager
from tinykube.controllers.settings import Settings
from tinykube.machinery.clock import Clock
from tinykube.machinery.eventlog import EventLog
from tinykube.scheduler.config import read
from tinykube.scheduler.scheduler import Scheduler

__all__ = ["IDENTITY", "tiny_controllers", "tiny_scheduler"]

IDENTITY = "tinykube"                        # as which ours hold a Lease


@asynccontextmanager
async def tiny_scheduler(kubeconfig: Path, clock: Clock, random: Random, log: EventLog) -> AsyncIterator[None]:
    """Our scheduler, with who it is and where the api-server is from a kubeconfig. It waits until the Lease is free."""
    async with HttpTransport.from_access(load(kubeconfig)) as transport:
        client, config = Client(transport, "tinykube-scheduler"), read()
        elector = LeaderElector(client, config.lease[1], IDENTITY, clock=clock, random=random, namespace=config.lease[0],
                                times=config.times, log=log)
        scheduler = Scheduler(client, clock=clock, random=random, log=log, config=config, elector=elector)
        await scheduler.start()
        try:
            yield
        finally:
            await scheduler.stop()


@asynccontextmanager
async def tiny_controllers(kubeconfig: Path, clock: Clock, random: Random, log: EventLog) -> AsyncIterator[None]:
    """Our controller manager, likewise. The authority that it tells every namespace of is the one that it trusts itself."""
    access = load(kubeconfig)
    async with HttpTransport.from_access(access) as own, HttpTransport.from_access(access.anonymous()) as plain:
        manager = Manager(own_accounts(own, plain, clock), IDENTITY, clock=clock, random=random, log=log,
                          settings=Settings((access.ca or b"").decode()))
        await manager.start()
        try:
            yield
        finally:
            await manager.stop()
