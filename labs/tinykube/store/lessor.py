"""Who ends leases when their time is over: deadlines by a clock, outside the store, so that the store needs none.

Genuine counterpart: the primary lessor of etcd, the only member that lets leases expire.
"""
from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tinykube.machinery.clock import Clock
from tinykube.store.lease import Leases
from tinykube.store.model import LeaseLife, StoreError

RETRY = 1.0                       # seconds until a lease is ended again that could not be ended


class Lessor:
    """Renews leases, and ends those that nobody renewed. A lease of a store that was just opened begins anew."""

    def __init__(self, leases: Leases, clock: Clock, revoke: Callable[[int], Awaitable[object]]) -> None:
        self._leases, self._clock, self._revoke = leases, clock, revoke
        self._over: dict[int, float] = {}             # when each lease is over
        self._waits: dict[int, asyncio.Task[None]] = {}

    def begin(self, *ids: int) -> None:
        """Let leases begin, now."""
        for id in ids:
            self._over[id] = self._clock.monotonic() + self._leases.ttls[id]
            if id not in self._waits or self._waits[id].done():
                self._waits[id] = asyncio.ensure_future(self._wait(id))

    def renew(self, id: int) -> int:
        """Let a lease begin anew. Returns for how many seconds; 0 if there is none, or its time is over."""
        if id not in self._leases.ttls or self._over[id] <= self._clock.monotonic():
            return 0
        self.begin(id)
        return self._leases.ttls[id]

    def life(self, id: int) -> LeaseLife:
        """What can be said of a lease now."""
        if id not in self._leases.ttls:
            return LeaseLife(0, -1)
        remaining = int(max(0.0, self._over[id] - self._clock.monotonic()))
        return LeaseLife(self._leases.ttls[id], remaining, tuple(self._leases.keys(id)))

    def forget(self, *ids: int) -> None:
        """Wait no more for the end of leases."""
        for id in ids:
            if id in self._waits:
                self._waits.pop(id).cancel()

    def stop(self) -> None:
        """Let nothing expire any more."""
        self.forget(*self._waits)

    async def _wait(self, id: int) -> None:
        while id in self._leases.ttls:
            if (left := self._over[id] - self._clock.monotonic()) > 0:
                await self._clock.sleep(left)
                continue
            try:
                await self._revoke(id)
            except StoreError:                        # no space left: later, then
                self._over[id] = self._clock.monotonic() + RETRY
