"""The program that runs all controllers: of several copies one works, and each controller in it is itself.

Genuine counterpart: kube-controller-manager with --use-service-account-credentials.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from random import Random

from tinykube.client.leader import DEFAULT, LeaderElector, Times
from tinykube.client.rest import Client
from tinykube.controllers.controller import Context, Controller
from tinykube.controllers.settings import DEFAULTS, Settings
from tinykube.controllers.table import selected
from tinykube.machinery.clock import Clock
from tinykube.machinery.eventlog import EventLog

LEASE, SYSTEM = "kube-controller-manager", "kube-system"


class Manager:
    """Leads or waits; while it leads, its controllers run. `clients("")` is its own, `clients(account)` one's own."""

    def __init__(self, clients: Callable[[str], Client], identity: str, *, clock: Clock, random: Random, log: EventLog,
                 controllers: Iterable[str] = ("*",), settings: Settings = DEFAULTS, times: Times = DEFAULT) -> None:
        self.clients, self.identity, self.clock, self.random, self.log = clients, identity, clock, random, log
        self.kinds, self.settings = selected(controllers), settings
        self.elector = LeaderElector(clients(""), LEASE, identity, clock=clock, random=random, namespace=SYSTEM, log=log,
                                     times=times)
        self.controllers: dict[str, Controller] = {}        # those that run: none while somebody else leads
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to wait for the lead; returns at once."""
        self.task = asyncio.create_task(self.run(), name=f"controller-manager {self.identity}")

    async def stop(self) -> None:
        """End all controllers, then give back the lead."""
        if self.task:
            task, self.task = self.task, None
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def run(self) -> None:
        """Lead whenever we may. The genuine program ends when it loses the lead, and is started anew."""
        while True:
            try:
                await self.elector.run(self.lead)
            except Exception as error:
                self.log.add("controller-manager", "failed", error=f"{type(error).__name__}: {error}")
                await self.clock.sleep(1)

    async def lead(self) -> None:
        """Run every controller, each with copies that are filled anew, until cancelled."""
        context = Context(self.clients, clock=self.clock, random=self.random, log=self.log, settings=self.settings)
        try:
            self.controllers = {kind.name: kind(context) for kind in self.kinds}
            async with asyncio.TaskGroup() as group:
                for controller in self.controllers.values():
                    group.create_task(controller.run(), name=controller.name)
        finally:
            self.controllers = {}
            await context.stop()
