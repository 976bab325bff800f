"""A local copy of a collection, kept fresh by a watch: list-then-watch that survives what happens to it.

Genuine counterpart: client-go's Reflector and SharedInformer (tools/cache).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from random import Random

from tinykube.client.rest import Client
from tinykube.machinery.clock import Clock, within
from tinykube.machinery.errors import ApiError
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.objects import Object, key_of

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
FIRST_BACKOFF = 0.2           # seconds
LONGEST_BACKOFF = 30.0
WATCH = 300.0                 # seconds that a watch is asked to last, up to twice that
LATE = 30.0                   # seconds later it counts as dead: nobody at the other end has ended it

Changed = Callable[[Object, Object], None]
Happened = Callable[[Object], None]


def nothing(*objects: Object) -> None:
    """The handler of those who don't care."""


class Reflector:
    """Keeps `cache` equal to the server's collection and tells handlers, in order, about each change."""

    def __init__(self, client: Client, resource: str, *, clock: Clock, random: Random, log: EventLog | None = None,
                 namespace: str | None = None, field_selector: str | None = None,
                 label_selector: str | None = None) -> None:
        self.client, self.resource, self.namespace = client, resource, namespace
        self.selectors = {"fieldSelector": field_selector, "labelSelector": label_selector}
        self.clock, self.random, self.log = clock, random, log
        self.cache: dict[str, Object] = {}
        self.resource_version = ""
        self.watch_list = True             # until a server says that it can't
        self.synced = asyncio.Event()
        self.added: Happened = nothing
        self.updated: Changed = nothing
        self.deleted: Happened = nothing
        self.lost: Happened = nothing      # deleted while we did not look: all we have is an old state
        self.task: asyncio.Task[None] | None = None
        self.failures = 0

    def start(self, added: Happened = nothing, updated: Changed = nothing, deleted: Happened = nothing,
              lost: Happened | None = None) -> None:
        """Begin to follow the collection, in a task of its own. Without `lost`, a missed deletion is a deletion."""
        self.added, self.updated, self.deleted, self.lost = added, updated, deleted, lost or deleted
        self.task = asyncio.create_task(self.run(), name=f"reflector {self.resource}")

    async def stop(self) -> None:
        """Stop following; the cache stays as it is."""
        if self.task:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task
            self.task = None

    async def wait_synced(self) -> None:
        """Return once the cache holds the whole collection."""
        await self.synced.wait()

    async def run(self) -> None:
        """Follow the collection until cancelled: watch, and when the watch breaks, go on from where it was."""
        while True:
            try:
                await self.follow()
            except ApiError as error:
                self.recover(error)
                await self.pause(error)
            except Exception as error:     # a reflector outlives every fault of the wire
                await self.pause(error)

    async def follow(self) -> None:
        """One watch, from first byte to last: of changes if we have a cache, else of the whole collection."""
        if not self.resource_version and not self.watch_list:
            return await self.list_everything()
        began, seconds = self.clock.monotonic(), int(WATCH * (1 + self.random.random()))
        watch = self.watch_changes(seconds) if self.resource_version else self.watch_everything(seconds)
        await within(self.clock, seconds + LATE, watch)
        if self.clock.monotonic() - began < 1:
            raise ConnectionError("the watch ended as soon as it began")

    def recover(self, error: ApiError) -> None:
        """Learn from an error: our version is gone (410) or unknown (504), or there is no watch-list here."""
        if self.resource_version and error.code in (410, 504):
            self.resource_version = ""
        elif not self.resource_version and error.code in (400, 404, 415, 422, 500):
            self.watch_list = False

    async def pause(self, error: Exception) -> None:
        """Wait before the next try: longer with each failure, and not in step with everybody else."""
        delay = min(FIRST_BACKOFF * 2 ** self.failures, LONGEST_BACKOFF) * (1 + self.random.random())
        self.failures += 1
        if self.log:
            self.log.add("reflector", "retry", resource=self.resource, error=f"{type(error).__name__}: {error}",
                         delay=round(delay, 3))
        await self.clock.sleep(delay)

    async def list_everything(self) -> None:
        """The old way: one LIST; the watch that follows starts at its resourceVersion."""
        listed = await self.client.list(self.resource, self.namespace, **self.selectors)
        kind = listed.get("kind", "List").removesuffix("List")
        items = [{"apiVersion": listed.get("apiVersion"), "kind": kind, **item} for item in listed.get("items") or []]
        self.replace({key_of(item): item for item in items}, listed["metadata"]["resourceVersion"])

    async def watch_everything(self, seconds: int) -> None:
        """The new way: a watch that begins with the whole collection and says where that ends, then goes on."""
        arriving: dict[str, Object] | None = {}
        query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        async with aclosing(self.events(seconds, query)) as events:
            async for event in events:
                obj = event["object"]
                if arriving is None:
                    self.apply(event)
                elif event["type"] == "BOOKMARK" and INITIAL_EVENTS_END in obj["metadata"].get("annotations", {}):
                    self.replace(arriving, obj["metadata"]["resourceVersion"])
                    arriving = None
                elif event["type"] == "DELETED":
                    arriving.pop(key_of(obj), None)
                elif event["type"] != "BOOKMARK":
                    arriving[key_of(obj)] = obj

    async def watch_changes(self, seconds: int) -> None:
        """A watch of what changed since the version that the cache has."""
        async with aclosing(self.events(seconds, {"resourceVersion": self.resource_version})) as events:
            async for event in events:
                self.apply(event)

    def events(self, seconds: int, query: dict[str, str]) -> AsyncGenerator[Object, None]:
        """The watch itself, with our selectors. The server ends it after some minutes, and we ask again."""
        return self.client.watch(self.resource, self.namespace, allowWatchBookmarks=True, timeoutSeconds=seconds,
                                 **self.selectors, **query)

    def replace(self, items: dict[str, Object], version: str) -> None:
        """Take over a whole collection and tell the handlers how it differs from what we had."""
        before, self.cache = self.cache, items
        self.resource_version, self.failures = version, 0
        for key in [key for key in before if key not in items]:
            self.lost(before[key])
        for key, obj in items.items():
            self.tell(before.get(key), obj)
        self.synced.set()

    def apply(self, event: Object) -> None:
        """Take over one event of the watch."""
        obj = event["object"]
        self.resource_version, self.failures = obj["metadata"]["resourceVersion"], 0
        if event["type"] == "BOOKMARK":
            return
        key = key_of(obj)
        if event["type"] == "DELETED":
            if self.cache.pop(key, None) is not None:
                self.deleted(obj)
        else:
            before, self.cache[key] = self.cache.get(key), obj
            self.tell(before, obj)

    def tell(self, before: Object | None, after: Object) -> None:
        """Call the handler that fits."""
        if before is None:
            self.added(after)
        elif before["metadata"]["resourceVersion"] != after["metadata"]["resourceVersion"]:
            self.updated(before, after)
