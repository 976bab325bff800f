"""Leases: keys that vanish when nobody renews. What the store knows of them; the time is somebody else's business.

Genuine counterpart: etcd's lessor, https://etcd.io/docs/v3.6/learning/api/#lease-api
"""
from __future__ import annotations

from tinykube.store.model import StoreError

SHORTEST_TTL = 2                  # seconds, as etcd has them
LONGEST_TTL = 9_000_000_000


class LeaseNotFound(StoreError):
    """There is no such lease: it never was, or it is over."""

    def __init__(self) -> None:
        super().__init__("etcdserver: requested lease not found")


class Leases:
    """Which leases there are, how long each was granted for, and which keys hang on it. Knows no time."""

    def __init__(self) -> None:
        self.ttls: dict[int, int] = {}
        self.last = 0                                 # the id that was chosen last
        self._keys: dict[int, set[bytes]] = {}

    def grant(self, ttl: int, id: int = 0) -> int:
        """Make a lease, and return its id, which is chosen if it is 0. Raises StoreError if it is taken."""
        if ttl > LONGEST_TTL:
            raise StoreError("etcdserver: too large lease TTL")
        if id in self.ttls:
            raise StoreError("etcdserver: lease already exists")
        while id == 0 or id in self.ttls:
            id = self.last = self.last + 1
        self.ttls[id], self._keys[id] = max(ttl, SHORTEST_TTL), set()
        return id

    def check(self, id: int) -> None:
        """Raise LeaseNotFound unless the lease exists; 0 stands for none, and passes."""
        if id and id not in self.ttls:
            raise LeaseNotFound

    def move(self, key: bytes, before: int, after: int) -> None:
        """Take a key from one lease and hang it on another; 0 stands for none."""
        self._keys.get(before, set()).discard(key)
        if after in self._keys:
            self._keys[after].add(key)

    def keys(self, id: int) -> list[bytes]:
        """The keys that hang on a lease, in order."""
        return sorted(self._keys.get(id, ()))

    def revoke(self, id: int) -> list[bytes]:
        """End a lease; its keys are returned, and are the caller's to delete. Raises LeaseNotFound."""
        if id not in self.ttls:
            raise LeaseNotFound
        keys = self.keys(id)
        del self.ttls[id], self._keys[id]
        return keys
