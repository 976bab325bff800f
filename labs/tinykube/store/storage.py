"""What an api-server asks of its storage, and the storage that is right there in the same process."""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from tinykube.machinery.clock import Clock, SystemClock
from tinykube.store.lessor import Lessor
from tinykube.store.model import (
    Command,
    Compact,
    Compare,
    DeleteResult,
    Grant,
    GrantResult,
    LeaseLife,
    Operation,
    RangeResult,
    Result,
    Revoke,
    Txn,
    TxnResult,
    WatchBatch,
)
from tinykube.store.mvcc import Store
from tinykube.store.watch import Cursor


class Watch(Protocol):
    """Batches of changes, in order, without gaps. Iterating raises Compacted if the past that it needs is gone."""

    def __aiter__(self) -> AsyncIterator[WatchBatch]: ...

    async def __anext__(self) -> WatchBatch: ...

    def request_progress(self) -> None:
        """Ask for a batch without events once everything up to its revision has been told."""

    async def aclose(self) -> None:
        """Let go of what the watch holds. Iterating ends."""


class Storage(Protocol):
    """The calls of etcd that an api-server makes. Errors are StoreError, Compacted and FutureRevision."""

    async def range(self, key: bytes, range_end: bytes | None = None, *, revision: int = 0, limit: int = 0,
                    count_only: bool = False, keys_only: bool = False) -> RangeResult:
        """Read a key or a range of keys."""

    async def txn(self, compares: Sequence[Compare], success: Sequence[Operation],
                  failure: Sequence[Operation] = ()) -> TxnResult:
        """Compare, then do one thing or the other, as one step."""

    async def compact(self, revision: int) -> None:
        """Forget the past before `revision`."""

    def watch(self, key: bytes, range_end: bytes | None = None, *, start_revision: int = 0,
              prev_kv: bool = False) -> Watch:
        """Be told of changes from `start_revision` on, or from now if it is 0."""

    async def grant(self, ttl: int, id: int = 0) -> GrantResult:
        """Make a lease that ends `ttl` seconds after it was renewed last; id 0 lets the storage choose."""

    async def revoke(self, id: int) -> int:
        """End a lease now, and delete its keys. Returns the revision. Raises LeaseNotFound."""

    async def keep_alive(self, id: int) -> int:
        """Let a lease begin anew. Returns for how many seconds, or 0 if there is no such lease."""

    async def time_to_live(self, id: int) -> LeaseLife:
        """How long a lease was granted for, how much of it is left, and its keys."""

    async def leases(self) -> list[int]:
        """The ids of all leases."""

    async def aclose(self) -> None:
        """Let go of what it holds: tasks, files, connections."""


class LocalStorage:
    """A Store behind the Storage interface, for an api-server in the same event loop."""

    def __init__(self, store: Store | None = None, clock: Clock | None = None) -> None:
        self.store = store or Store()
        self.lessor = Lessor(self.store.leases, clock or SystemClock(), self.revoke)

    async def apply(self, command: Command) -> Result | None:
        """Do what a command says. Raises StoreError if it is refused."""
        return self.store.apply(command)

    async def range(self, key: bytes, range_end: bytes | None = None, *, revision: int = 0, limit: int = 0,
                    count_only: bool = False, keys_only: bool = False) -> RangeResult:
        return self.store.range(key, range_end, revision=revision, limit=limit, count_only=count_only,
                                keys_only=keys_only)

    async def txn(self, compares: Sequence[Compare], success: Sequence[Operation],
                  failure: Sequence[Operation] = ()) -> TxnResult:
        result = await self.apply(Txn(tuple(compares), tuple(success), tuple(failure)))
        assert isinstance(result, TxnResult)
        return result

    async def compact(self, revision: int) -> None:
        await self.apply(Compact(revision))

    def watch(self, key: bytes, range_end: bytes | None = None, *, start_revision: int = 0,
              prev_kv: bool = False) -> LocalWatch:
        return LocalWatch(self.store.watch(key, range_end, start_revision=start_revision, prev_kv=prev_kv))

    async def grant(self, ttl: int, id: int = 0) -> GrantResult:
        result = await self.apply(Grant(ttl, id))
        assert isinstance(result, GrantResult)
        self.lessor.begin(result.id)
        return result

    async def revoke(self, id: int) -> int:
        result = await self.apply(Revoke(id))
        self.lessor.forget(id)
        assert isinstance(result, DeleteResult)
        return result.revision

    async def keep_alive(self, id: int) -> int:
        return self.lessor.renew(id)

    async def time_to_live(self, id: int) -> LeaseLife:
        return self.lessor.life(id)

    async def leases(self) -> list[int]:
        return list(self.store.leases.ttls)

    async def aclose(self) -> None:
        """Let go of everything; the store stays as it is, and its leases stand still."""
        self.lessor.stop()


class LocalWatch:
    """A cursor that can be awaited."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor, self._woken, self._closed = cursor, asyncio.Event(), False
        cursor.wake = self._woken.set

    def __aiter__(self) -> LocalWatch:
        return self

    async def __anext__(self) -> WatchBatch:
        while not self._closed:
            self._woken.clear()
            if batch := self._cursor.take():
                return batch
            await self._woken.wait()
        raise StopAsyncIteration

    def request_progress(self) -> None:
        self._cursor.request_progress()

    async def aclose(self) -> None:
        self._closed = True
        self._cursor.close()
