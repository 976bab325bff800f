"""One memory of recent changes for each resource, from which any number of watches are fed.

Genuine counterpart: the cacher of k8s.io/apiserver/pkg/storage/cacher.
"""
from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from tinykube.api.listing import Selects
from tinykube.api.registry import Record, Registry, Untold, encode
from tinykube.machinery.clock import Clock
from tinykube.machinery.errors import ApiError, too_old
from tinykube.machinery.objects import Object
from tinykube.store import Compacted, Event, KeyValue, WatchBatch, prefix_end

HISTORY = 10_000                         # changes that are remembered for those who come back
PATIENCE = 1_000                         # changes that may wait for a watcher before it is cut off
BOOKMARK_EVERY = 60.0                    # seconds
Shape = Callable[[Object], Object]


class Change:
    """One object's step from one state to the next, with the JSON line for each way to see it."""

    __slots__ = ("_lines", "after", "before", "revision")

    def __init__(self, before: Record | None, after: Record | None, revision: int) -> None:
        self.before, self.after, self.revision = before, after, revision
        self._lines: dict[str, bytes] = {}

    def seen(self, selects: Selects | None) -> tuple[str, Record] | None:
        """What this change is to a watcher: ADDED also when an object starts to match, DELETED when it stops."""
        was = self.before if self.before and (selects is None or selects(self.before.obj)) else None
        now = self.after if self.after and (selects is None or selects(self.after.obj)) else None
        if now:
            return ("MODIFIED" if was else "ADDED"), now
        return ("DELETED", was) if was else None

    def line(self, type_: str, record: Record) -> bytes:
        """The line that goes over the wire, made once for all who see the change in the same way."""
        if type_ not in self._lines:
            last = record if type_ != "DELETED" else Record(record.key, record.obj, self.revision)
            self._lines[type_] = event_line(type_, last.json)
        return self._lines[type_]


def event_line(type_: str, obj: bytes) -> bytes:
    """One event of a watch, as a line of JSON."""
    return b'{"type":"%b","object":%b}\n' % (type_.encode(), obj)


class Watcher:
    """One watch's queue of lines. When its reader is too slow it is cut off, and holds nobody else up."""

    def __init__(self, selects: Selects | None, shape: Shape | None, since: int) -> None:
        self.selects, self.shape, self.since = selects, shape, since
        self.lines: deque[bytes] = deque()
        self.patience = HISTORY + PATIENCE
        self.ended = False
        self._woken = asyncio.Event()

    def tell(self, change: Change) -> None:
        """Queue what a change is to this watcher, if it is anything."""
        if change.revision <= self.since or self.ended or (seen := change.seen(self.selects)) is None:
            return
        if len(self.lines) >= self.patience:
            self.lines.clear()
            self.end()
            return
        type_, record = seen
        self.push(change.line(type_, record) if self.shape is None else self.shaped(type_, record, change.revision))

    def shaped(self, type_: str, record: Record, revision: int) -> bytes:
        """A line with the object in the form that this client asked for."""
        obj = record.obj if type_ != "DELETED" else Record(record.key, record.obj, revision).obj
        return event_line(type_, encode(self.shape(obj) if self.shape else obj))

    def push(self, line: bytes) -> None:
        """Queue a line."""
        self.lines.append(line)
        self._woken.set()

    def end(self) -> None:
        """No more lines after those that are queued."""
        self.ended = True
        self._woken.set()

    async def take(self) -> bytes:
        """All lines that are there, or the next; empty at the end."""
        while not self.lines and not self.ended:
            self._woken.clear()
            await self._woken.wait()
        chunk = b"".join(self.lines)
        self.lines.clear()
        return chunk


class WatchCache:
    """The present state of a resource and its recent changes, kept by one watch on the storage."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self.registry, self.clock = registry, clock
        self.state: dict[bytes, Record] = {}
        self.changes: deque[Change] = deque()
        self.revision = self.oldest = 0          # all up to `revision` is known, all since `oldest` is remembered
        self.watchers: dict[Watcher, None] = {}                  # in the order in which they came
        self.task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Load the present state, then follow the storage; once, however often this is called."""
        if self.task and not self.task.done():
            return
        async with self._starting:
            if self.task is None or self.task.done():
                await self.load()
                self.task = asyncio.create_task(self.follow(), name=f"watch cache {self.registry.resource.plural}")

    async def stop(self) -> None:
        """End all watches, and our own."""
        self.cut_off()
        if self.task:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task

    async def load(self) -> None:
        """Read everything anew. Changes that happened meanwhile are lost, so whoever watches has to list again."""
        self.cut_off()
        found = await self.registry.range("")
        self.state = {record.key: record for record in await self.readable(found.kvs) if record}
        self.changes.clear()
        self.revision = self.oldest = found.revision

    def cut_off(self) -> None:
        """End all watches."""
        for watcher in self.watchers:
            watcher.end()
        self.watchers.clear()

    async def follow(self) -> None:
        """Take over what happens in the storage, for ever. If it has forgotten our place, load anew.

        Where an object can't be told in our version, all watches end, and whoever comes next lets us load.
        """
        prefix = self.registry.prefix
        while True:
            watch = self.registry.storage.watch(prefix, prefix_end(prefix), start_revision=self.revision + 1)
            try:
                async for batch in watch:
                    await self.take_over(batch)
            except Compacted:
                await self.load()
            except Untold:
                self.cut_off()
                return
            finally:
                await watch.aclose()

    async def take_over(self, batch: WatchBatch) -> None:
        """Remember a batch of changes and tell the watchers."""
        after = iter(await self.readable([event.kv for event in batch.events if event.type == "PUT"]))
        for event in batch.events:
            change = self.change(event, next(after) if event.type == "PUT" else None)
            self.changes.append(change)
            for watcher in self.watchers:
                watcher.tell(change)
        self.watchers = {watcher: None for watcher in self.watchers if not watcher.ended}
        while len(self.changes) > HISTORY:
            self.oldest = self.changes.popleft().revision
        self.revision = max(self.revision, batch.revision)

    def change(self, event: Event, after: Record | None) -> Change:
        """What an event of the storage means for the object of that key, which is now `after`."""
        key, before = event.kv.key, self.state.pop(event.kv.key, None)
        if after:
            self.state[key] = after
        else:
            self.registry.forget(key)
        return Change(before, after, event.kv.mod_revision)

    async def readable(self, kvs: Sequence[KeyValue]) -> list[Record | None]:
        """The objects of keys, None for each that is no object: one bad value must not stop the watches of all."""
        try:
            return [*await self.registry.records(kvs)]
        except Untold:
            raise
        except ApiError:
            return [None] if len(kvs) == 1 else [record for kv in kvs for record in await self.readable([kv])]

    def subscribe(self, namespace: str, since: int, selects: Selects | None, shape: Shape | None) -> Watcher:
        """A watcher of all changes after revision `since`. Raises ApiError 410 if they are not all remembered."""
        if since < self.oldest:
            raise too_old(since, self.oldest)
        watcher = Watcher(within(self.registry.key(namespace), namespace, selects), shape, since)
        for change in self.changes:
            if change.revision > since:
                watcher.tell(change)
        watcher.patience = len(watcher.lines) + PATIENCE
        self.watchers[watcher] = None
        return watcher


def within(prefix: bytes, namespace: str, selects: Selects | None) -> Selects | None:
    """A predicate that also demands the right namespace; None if it would let everything through."""
    if not namespace:
        return selects
    return lambda obj: obj["metadata"].get("namespace") == namespace and (selects is None or selects(obj))


class WatchStream:
    """The body of a watch's answer: first what is there, then what happens, then, after a time, the end."""

    def __init__(self, cache: WatchCache, watcher: Watcher, first: Iterable[bytes], timeout: float,
                 bookmark: Callable[[int], bytes] | None) -> None:
        self.cache, self.watcher, self.bookmark = cache, watcher, bookmark
        self._first: Iterator[bytes] = iter(first)
        self._timer = asyncio.create_task(self.keep_time(timeout), name="watch timer")

    async def keep_time(self, seconds: float) -> None:
        """Tell, once a minute and before the end, how far we are; then end."""
        end = self.cache.clock.monotonic() + seconds
        while (left := end - self.cache.clock.monotonic()) > 0:
            await self.cache.clock.sleep(min(BOOKMARK_EVERY, left))
            if self.bookmark and not self.watcher.lines and left > 2:
                self.watcher.push(self.bookmark(max(self.cache.revision, self.watcher.since)))
        self.watcher.end()

    def __aiter__(self) -> WatchStream:
        return self

    async def __anext__(self) -> bytes:
        chunk = next(self._first, b"") or await self.watcher.take()
        if not chunk:
            await self.aclose()
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """Let go of the watcher."""
        self.cache.watchers.pop(self.watcher, None)
        self.watcher.end()
        self._timer.cancel()
