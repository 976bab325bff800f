"""One copy of a collection, many who listen: each is told every change, in order, at a pace of its own.

Genuine counterpart: client-go's SharedIndexInformer and Lister (tools/cache).
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tinykube.client.reflector import Reflector
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.objects import Object, dig, key_of, labels, namespace
from tinykube.machinery.selectors import parse_label_selector

IndexFunction = Callable[[Object], Iterable[str]]
Listener = Callable[..., Any]                   # plain, or a coroutine function


def by_namespace(obj: Object) -> list[str]:
    """Index an object by the namespace that it is in."""
    return [namespace(obj)]


def by_node(obj: Object) -> list[str]:
    """Index a pod by the node that it is bound to; one without a node is under no name."""
    return [node] if (node := dig(obj, "spec", "nodeName", default="")) else []


def by_owner(obj: Object) -> list[str]:
    """Index an object by the uids of its owners."""
    return [owner["uid"] for owner in dig(obj, "metadata", "ownerReferences", default=[])]


INDEXERS: Mapping[str, IndexFunction] = {"namespace": by_namespace, "node": by_node, "owner": by_owner}


class Index:
    """Which keys stand under which value: a question that would else mean a look at every object."""

    def __init__(self, of: IndexFunction) -> None:
        self.of, self.keys = of, dict[str, dict[str, None]]()

    def move(self, key: str, before: Object | None, after: Object | None) -> None:
        """Take a changed object from its old values to its new ones."""
        for value in self.of(before) if before else ():
            self.keys[value].pop(key, None)
            if not self.keys[value]:
                del self.keys[value]
        for value in self.of(after) if after else ():
            self.keys.setdefault(value, {})[key] = None


class Tombstone(dict[str, Any]):
    """The last state that we saw of an object whose deletion we missed. An object like any other, but perhaps old."""


Change = tuple[Object | None, Object | None]    # before is None for a new object, after for one that is gone


class Handler:
    """One who listens: what it has not been told yet waits here, so that its pace is its own affair."""

    def __init__(self, added: Listener | None, updated: Listener | None, deleted: Listener | None,
                 log: EventLog | None) -> None:
        self.added, self.updated, self.deleted, self.log = added, updated, deleted, log
        self.waiting: asyncio.Queue[Change] = asyncio.Queue()
        self.synced = asyncio.Event()
        self.task = asyncio.create_task(self.run(), name="informer handler")

    async def run(self) -> None:
        """Tell change after change; a listener that fails is logged, and goes on with the next."""
        while True:
            try:
                await self.tell(*await self.waiting.get())
            except Exception as error:
                if self.log:
                    self.log.add("informer", "handler-failed", error=f"{type(error).__name__}: {error}")

    async def tell(self, before: Object | None, after: Object | None) -> None:
        """Call the function that fits, and wait for it if it is a coroutine; neither object: all of it is told."""
        if before is after is None:
            return self.synced.set()
        function = self.added if before is None else self.deleted if after is None else self.updated
        told = function and function(*(obj for obj in (before, after) if obj is not None))
        if inspect.isawaitable(told):
            await told
        return None


class SharedInformer:
    """A reflector's copy with indexes, for many handlers. What it hands out is shared: look, don't change."""

    def __init__(self, reflector: Reflector, *, resync: float = 0.0,
                 indexers: Mapping[str, IndexFunction] = INDEXERS) -> None:
        self.reflector, self.period = reflector, resync
        self.indexes = {name: Index(function) for name, function in indexers.items()}
        self.handlers: list[Handler] = []
        self.tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to follow the collection; handlers may have come before, and may come later."""
        self.reflector.start(lambda obj: self.changed(None, obj), self.changed,
                             lambda obj: self.changed(obj, None), lambda obj: self.changed(Tombstone(obj), None))
        self.tasks = [asyncio.create_task(self.announce()), asyncio.create_task(self.resync())]

    async def stop(self) -> None:
        """Stop following, and telling; the copy stays as it is."""
        await self.reflector.stop()
        for task in (tasks := [*self.tasks, *(handler.task for handler in self.handlers)]):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def add_handler(self, added: Listener | None = None, updated: Listener | None = None,
                    deleted: Listener | None = None) -> Handler:
        """Listen: `added(obj)`, `updated(old, new)`, `deleted(obj)`. A latecomer hears first what is there already."""
        handler = Handler(added, updated, deleted, self.reflector.log)
        for obj in self.reflector.cache.values():
            handler.waiting.put_nowait((None, obj))
        if self.reflector.synced.is_set():
            handler.waiting.put_nowait((None, None))
        self.handlers.append(handler)
        return handler

    async def remove_handler(self, handler: Handler) -> None:
        """Listen no more; what this handler was not told yet is dropped."""
        self.handlers.remove(handler)
        handler.task.cancel()
        await asyncio.gather(handler.task, return_exceptions=True)

    def changed(self, before: Object | None, after: Object | None) -> None:
        """The copy has changed: bring the indexes up to date, then put the news before every handler."""
        key = key_of(after or before or {})
        for index in self.indexes.values():
            index.move(key, before, after)
        self.tell(before, after)

    def tell(self, before: Object | None, after: Object | None) -> None:
        """Put a change before every handler; none of them is waited for."""
        for handler in self.handlers:
            handler.waiting.put_nowait((before, after))

    async def announce(self) -> None:
        """When the copy is whole, let each handler know it behind the last object of the beginning."""
        await self.reflector.wait_synced()
        self.tell(None, None)

    async def resync(self) -> None:
        """Every so often, tell the handlers about every object again, from the copy: no request is sent."""
        while self.period:
            await self.reflector.clock.sleep(self.period)
            for obj in list(self.reflector.cache.values()):
                self.tell(obj, obj)

    async def wait_synced(self) -> None:
        """Return once the copy is whole and every handler has been told about all of it."""
        await self.reflector.wait_synced()
        for handler in self.handlers:
            await handler.synced.wait()

    def get(self, key: str) -> Object | None:
        """One object by `namespace/name`, from the copy."""
        return self.reflector.cache.get(key)

    def select(self, namespace: str | None = None, selector: str = "") -> list[Object]:
        """The objects that a label selector picks, everywhere or in one namespace, from the copy."""
        found = self.reflector.cache.values() if namespace is None else self.by("namespace", namespace)
        wanted = parse_label_selector(selector)
        return [obj for obj in found if wanted.matches(labels(obj))]

    def by(self, index: str, value: str) -> list[Object]:
        """The objects that stand under a value of an index: `informer.by("node", "ant")`."""
        return [self.reflector.cache[key] for key in self.indexes[index].keys.get(value, ())]
