"""What an api-server asks of its storage, and the storage that is right there in the same process."""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from tinykube.store.model import Compare, Operation, RangeResult, TxnResult, WatchBatch
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


class LocalStorage:
    """A Store behind the Storage interface, for an api-server in the same event loop."""

    def __init__(self, store: Store | None = None) -> None:
        self.store = store or Store()

    async def range(self, key: bytes, range_end: bytes | None = None, *, revision: int = 0, limit: int = 0,
                    count_only: bool = False, keys_only: bool = False) -> RangeResult:
        return self.store.range(key, range_end, revision=revision, limit=limit, count_only=count_only,
                                keys_only=keys_only)

    async def txn(self, compares: Sequence[Compare], success: Sequence[Operation],
                  failure: Sequence[Operation] = ()) -> TxnResult:
        return self.store.txn(tuple(compares), tuple(success), tuple(failure))

    async def compact(self, revision: int) -> None:
        self.store.compact(revision)

    def watch(self, key: bytes, range_end: bytes | None = None, *, start_revision: int = 0,
              prev_kv: bool = False) -> LocalWatch:
        return LocalWatch(self.store.watch(key, range_end, start_revision=start_revision, prev_kv=prev_kv))


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
