"""Leases for objects that are kept for a while only, as events are: one lease for many objects, which is cheaper.

Genuine counterpart: the lease manager of k8s.io/apiserver/pkg/storage/etcd3.
"""
from __future__ import annotations

from tinykube.machinery.clock import Clock
from tinykube.store import Storage

SHARED_FOR = 60                   # seconds until a new lease is made
MOST_OBJECTS = 1_000              # that share a lease


class SharedLeases:
    """Hands out leases. An object lives for its time at least, and for SHARED_FOR (or 5 %) longer at most."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage, self._clock = storage, clock
        self._id = self._objects = 0
        self._until = float("-inf")                   # objects that come later get another lease

    async def get(self, ttl: int) -> int:
        """A lease that lasts `ttl` seconds or a little more; 0, which is none, for a `ttl` of 0."""
        if not ttl:
            return 0
        now = self._clock.monotonic()
        if now > self._until or self._objects >= MOST_OBJECTS:
            shared = min(SHARED_FOR, ttl // 20)
            self._id, self._objects = (await self._storage.grant(ttl + shared)).id, 0
            self._until = now + shared
        self._objects += 1
        return self._id
