"""Who ends leases when their time is over: deadlines by a clock, outside the store, so that the store needs none.

Genuine counterpart: the primary lessor of etcd, the only member that lets leases expire.
"""
from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable

from tinykube.machinery.clock import Clock
from tinykube.store.lease import LeaseNotFound, Leases
from tinykube.store.model import LeaseLife, StoreError

RETRY = 1.0                       # seconds until a lease is ended again that could not be ended


class Deadlines:
    """When each lease is over, in seconds of a clock that somebody else reads."""

    def __init__(self) -> None:
        self._over: dict[int, float] = {}
        self._heap: list[tuple[float, int]] = []      # each lease, with a deadline that it has or had before

    def set(self, id: int, at: float) -> None:
        """The lease is over at this time, whatever was said before."""
        if at < self._over.get(id, float("inf")):
            heapq.heappush(self._heap, (at, id))
        self._over[id] = at

    def drop(self, id: int) -> None:
        """The lease is gone."""
        self._over.pop(id, None)

    def get(self, id: int) -> float:
        """When the lease is over; long ago, if it is unknown."""
        return self._over.get(id, float("-inf"))

    def first(self) -> tuple[float, int] | None:
        """The deadline that comes first, and whose it is. Costs O(log n), and so does each renewal, once."""
        while self._heap:
            at, id = self._heap[0]
            now = self._over.get(id)
            if now == at:
                return at, id
            heapq.heappop(self._heap)
            if now is not None and now > at:
                heapq.heappush(self._heap, (now, id))
        return None


class Lessor:
    """Renews leases, and ends those that nobody renewed. A lease of a store that was just opened begins anew."""

    def __init__(self, leases: Leases, clock: Clock, revoke: Callable[[int], Awaitable[object]]) -> None:
        self._leases, self._clock, self._revoke = leases, clock, revoke
        self._deadlines = Deadlines()
        self._timer: asyncio.Task[None] | None = None
        self._wakes = float("inf")
        for id, ttl in leases.ttls.items():
            self._deadlines.set(id, clock.monotonic() + ttl)

    def begin(self, id: int) -> None:
        """Let a lease begin, from now on."""
        self._deadlines.set(id, self._clock.monotonic() + self._leases.ttls[id])
        self.arm()

    def renew(self, id: int) -> int:
        """Let a lease begin anew. Returns for how many seconds; 0 if there is none, or its time is over."""
        if id not in self._leases.ttls or self._deadlines.get(id) <= self._clock.monotonic():
            return 0
        self.begin(id)
        return self._leases.ttls[id]

    def life(self, id: int) -> LeaseLife:
        """What can be said of a lease now."""
        if id not in self._leases.ttls:
            return LeaseLife(0, -1)
        remaining = int(max(0.0, self._deadlines.get(id) - self._clock.monotonic()))
        return LeaseLife(self._leases.ttls[id], remaining, tuple(self._leases.keys(id)))

    def arm(self) -> None:
        """Make sure that somebody wakes when the first lease is over."""
        first = self._deadlines.first()
        if first and (self._timer is None or self._timer.done() or first[0] < self._wakes):
            self.stop()
            self._timer = asyncio.ensure_future(self._watch())

    def stop(self) -> None:
        """Let nothing expire any more."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    async def _watch(self) -> None:
        while first := self._deadlines.first():
            self._wakes, id = first
            if self._wakes > (now := self._clock.monotonic()):
                await self._clock.sleep(self._wakes - now)
                continue
            try:
                await self._revoke(id)
            except LeaseNotFound:
                self._deadlines.drop(id)
            except StoreError:                        # no space left: later, then
                self._deadlines.set(id, self._clock.monotonic() + RETRY)
            else:
                self._deadlines.drop(id)
