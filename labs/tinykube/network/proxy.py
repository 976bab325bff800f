"""kube-proxy: follows Services and EndpointSlices, and keeps a listener open for each address of the table.

Genuine counterpart: kube-proxy in its first mode, userspace, which is gone since Kubernetes 1.26. Later modes write the
same table as rules of the kernel (iptables, IPVS, nftables), so that no process stands in the way of the bytes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from random import Random
from typing import Protocol

from tinykube.client.reflector import Reflector
from tinykube.client.rest import Client
from tinykube.machinery.clock import Clock
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.objects import Object
from tinykube.network.rules import Address, Rule, rules

Choose = Callable[[str], list[Address]]                    # address of a client -> backends, the best first


class Listener(Protocol):
    """A place that is open for connections."""

    async def close(self) -> None:
        """Take no connection more, and end those that there are."""


Listen = Callable[[Address, Choose], Awaitable[Listener]]


class Balancer:
    """Chooses a backend for each connection: one after the other, or the same for a client that is to stay."""

    def __init__(self, rule: Rule, clock: Clock) -> None:
        self.rule, self.clock, self.turn = rule, clock, 0
        self.seen: dict[str, tuple[Address, float]] = {}       # client -> its backend, and when it last came

    def choose(self, client: str) -> list[Address]:
        """All backends, the one whose turn it is first; the others are for when that one does not answer."""
        rule, now = self.rule, self.clock.monotonic()
        if not rule.backends:
            return []
        first, at = self.seen.get(client, (None, 0.0))
        if first not in rule.backends or now - at > rule.sticky:
            first = rule.backends[self.turn % len(rule.backends)]
            self.turn += 1
        assert first
        if rule.sticky:
            self.seen = {who: (to, when) for who, (to, when) in self.seen.items() if now - when <= rule.sticky}
            self.seen[client] = first, now
        place = rule.backends.index(first)
        return [*rule.backends[place:], *rule.backends[:place]]


class Proxy:
    """Serves the Services of a cluster on this machine. How to listen is the transport's business."""

    def __init__(self, client: Client, listen: Listen, *, clock: Clock, log: EventLog, random: Random,
                 node: Object | None = None) -> None:
        self.listen, self.clock, self.log, self.node = listen, clock, log, node
        self.services = Reflector(client, "services", clock=clock, random=random, log=log)
        self.slices = Reflector(client, "endpointslices", clock=clock, random=random, log=log)
        self.balancers: dict[Address, Balancer] = {}
        self.listeners: dict[Address, Listener] = {}
        self.stale, self.synced = asyncio.Event(), asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Follow Services and slices; returns when the first table is in force."""
        for reflector in (self.services, self.slices):
            reflector.start(self.changed, self.changed, self.changed)
        self.task = asyncio.create_task(self.run(), name="kube-proxy")
        await self.synced.wait()

    async def stop(self) -> None:
        """Close every listener, and with them the connections through them."""
        if self.task:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        await asyncio.gather(self.services.stop(), self.slices.stop())
        for listener in self.listeners.values():
            await listener.close()
        self.listeners.clear()

    def changed(self, *objects: Object) -> None:
        """Something changed. Many changes in a row make one new table."""
        self.stale.set()

    async def run(self) -> None:
        """Whenever something changed, bring the listeners up to the table."""
        await self.services.wait_synced()
        await self.slices.wait_synced()
        self.stale.set()
        while await self.stale.wait():
            self.stale.clear()
            await self.sync(rules(self.services.cache.values(), self.slices.cache.values(), self.node))
            self.synced.set()

    async def sync(self, table: dict[Address, Rule]) -> None:
        """Make the listeners those of the table. A change of backends leaves connections and listeners alone."""
        for address in self.balancers.keys() - table.keys():
            del self.balancers[address]
            if listener := self.listeners.pop(address, None):
                await listener.close()
        for address, rule in table.items():
            balancer = self.balancers.setdefault(address, Balancer(rule, self.clock))
            balancer.rule = rule
            if address not in self.listeners:
                await self.open(address, rule, balancer)

    async def open(self, address: Address, rule: Rule, balancer: Balancer) -> None:
        """Open a listener. One that can't be opened is told in the log, and tried again with the next change."""
        try:
            self.listeners[address] = await self.listen(address, balancer.choose)
            self.log.add("proxy", "listening", address=address[0], port=address[1], service=rule.service)
        except OSError as error:
            self.log.add("proxy", "cannot-listen", address=address[0], port=address[1], service=rule.service,
                         error=os.strerror(error.errno) if error.errno else str(error))
