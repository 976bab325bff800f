"""One Watch stream: many watchers on one connection, created and canceled as it goes, their news in one line."""
from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Any

from tinykube.store.model import END, Compacted, Event, StoreError
from tinykube.store.mvcc import Store
from tinykube.store.wire.convert import kv_message
from tinykube.store.wire.messages import pb

AT_ONCE = 100                         # batches that one answer holds at most
FRAGMENT = 3 * 2**19                  # bytes that one answer holds at most, for a watcher that takes fragments
EVERYONE = -1                         # as a watch_id: all watchers of the stream


class Watcher:
    """One watcher of a stream, and what it asked for."""

    def __init__(self, request: Any, store: Store) -> None:
        key, end = request.key or b"\0", request.range_end or None
        if end and end != END and key >= end:
            raise StoreError("mvcc: watcher range is empty")
        self.id, self.asked, self.quiet = request.watch_id, request, True
        self.unwanted = {pb.EventType[each] for each in request.filters}         # NOPUT is 0, as PUT is
        self.cursor = store.watch(key, end, start_revision=request.start_revision, prev_kv=request.prev_kv)

    def take(self, header: Callable[[int], Any]) -> list[Any]:
        """What there is to tell, as answers to send; [] if there is nothing. Raises Compacted."""
        events: list[Any] = []
        revision = 0
        try:
            while len(events) < AT_ONCE and (batch := self.cursor.take()):
                revision = batch.revision
                events += [event_message(event) for event in batch.events if event.type not in self.unwanted]
        except Compacted:
            if not events:
                raise
        self.quiet = self.quiet and not events
        parts = split(events) if self.asked.fragment else [events]
        return [pb.WatchResponse(header=header(revision), watch_id=self.id, events=part, fragment=part is not parts[-1])
                for part in parts if part]


def event_message(event: Event) -> Any:
    """A change, as it travels."""
    before = event.prev_kv and kv_message(event.prev_kv)
    return pb.Event(type=pb.EventType.index(event.type), kv=kv_message(event.kv), prev_kv=before)


def split(events: list[Any]) -> list[list[Any]]:
    """Events in parts, none of them larger than FRAGMENT unless a single event is."""
    parts: list[list[Any]] = [[]]
    size = 0
    for event in events:
        size += event.ByteSize()
        if parts[-1] and size > FRAGMENT:
            parts.append([])
            size = event.ByteSize()
        parts[-1].append(event)
    return parts


class WatchStream:
    """Reads the requests of a stream, and answers: who was created and canceled, what happened, how far all is told."""

    def __init__(self, store: Store, header: Callable[..., Any], progress: float) -> None:
        self.store, self.header, self.progress = store, header, progress
        self.watchers: dict[int, Watcher] = {}
        self.ids, self.answers, self.woken = count(), deque[Any](), asyncio.Event()
        self.ready: dict[Watcher, None] = {}          # may have something to tell, in the order in which they will
        self.progress_wanted = False

    async def serve(self, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """The answers, in order, until the requests end."""
        tasks = [asyncio.create_task(self.read(requests)), asyncio.create_task(self.tick())]
        tasks[0].add_done_callback(lambda _: self.woken.set())
        try:
            while not tasks[0].done():
                self.woken.clear()
                while answer := self.next():
                    yield answer
                await self.woken.wait()
        finally:
            for task in tasks:
                task.cancel()
            for watcher in self.watchers.values():
                watcher.cursor.close()

    async def read(self, requests: AsyncIterator[Any]) -> None:
        """Do what the requests say."""
        async for request in requests:
            match request.WhichOneof("request_union"):
                case "create_request":
                    self.create(request.create_request)
                case "cancel_request":
                    self.cancel(request.cancel_request.watch_id)
                case "progress_request":
                    self.progress_wanted = True
            self.woken.set()

    def answer(self, revision: int | None = None, **fields: Any) -> None:
        """Queue an answer."""
        self.answers.append(pb.WatchResponse(header=self.header(revision), **fields))

    def create(self, request: Any) -> None:
        """Begin to watch; what is wrong with the request is said in the answer."""
        try:
            if request.watch_id in self.watchers and request.watch_id:
                raise StoreError("mvcc: duplicate watch ID provided on the WatchStream")
            watcher = Watcher(request, self.store)
        except StoreError as error:
            self.answer(watch_id=EVERYONE, created=True, canceled=True, cancel_reason=str(error))
            return
        watcher.id = watcher.id or next(free for free in self.ids if free not in self.watchers)
        self.watchers[watcher.id] = watcher
        self.answer(watch_id=watcher.id, created=True)
        watcher.cursor.wake = lambda: self.wake(watcher)
        self.wake(watcher)

    def wake(self, watcher: Watcher) -> None:
        """A watcher may have something to tell."""
        self.ready[watcher] = None
        self.woken.set()

    def cancel(self, id: int, revision: int | None = None, **why: Any) -> None:
        """End a watcher, if there is one with this id, and say so."""
        if watcher := self.watchers.pop(id, None):
            watcher.cursor.close()
            self.ready.pop(watcher, None)
            self.answer(revision, watch_id=id, canceled=True, **why)

    def next(self) -> Any:
        """The next answer, or None. That all has been told is said only when it is so."""
        while not self.answers and self.ready:
            watcher = next(iter(self.ready))
            del self.ready[watcher]
            try:
                if found := watcher.take(self.header):
                    self.answers += found
                    self.ready[watcher] = None
            except Compacted as error:
                self.cancel(watcher.id, 0, compact_revision=error.compact_revision)
        asked, self.progress_wanted = self.progress_wanted and not self.answers, self.progress_wanted and bool(self.answers)
        if asked and self.watchers and all(w.cursor.revision <= self.store.revision + 1 for w in self.watchers.values()):
            self.answer(watch_id=EVERYONE)
        return self.answers.popleft() if self.answers else None

    async def tick(self) -> None:
        """Tell quiet watchers who asked for it, from time to time, how far they have been told all."""
        while True:
            await asyncio.sleep(self.progress)
            for watcher in self.watchers.values():
                if watcher.asked.progress_notify and watcher.quiet and watcher not in self.ready:
                    self.answer(watch_id=watcher.id)
                watcher.quiet = True
            self.woken.set()
