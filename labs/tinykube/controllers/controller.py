"""The shape of every controller: changes put keys into a queue, workers take them out and make things so.

Genuine counterpart: what each controller of kube-controller-manager is made of (see the sample-controller).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

from tinykube.client.events import EventRecorder
from tinykube.client.informer import INDEXERS, Handler, SharedInformer
from tinykube.client.queue import WorkQueue
from tinykube.client.reflector import Reflector
from tinykube.client.rest import Client
from tinykube.controllers.owners import by_controller, controller_of
from tinykube.controllers.settings import DEFAULTS, Settings
from tinykube.machinery.clock import Clock
from tinykube.machinery.errors import ApiError
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.objects import Object, key_of, name, namespace, uid

RESYNC = 12 * 3600.0       # seconds: how often every object is looked at though nothing changed


class Context:
    """What all controllers share: one copy of each collection, a clock, lots, a log, and who each of them is."""

    def __init__(self, clients: Callable[[str], Client], *, clock: Clock, random: Random, log: EventLog,
                 settings: Settings = DEFAULTS) -> None:
        self.clients, self.clock, self.random, self.log, self.settings = clients, clock, random, log, settings
        self.informers: dict[str, SharedInformer] = {}

    def informer(self, resource: str, client: Client | None = None, plural: str = "") -> SharedInformer:
        """The one copy of a collection; the first who asks for it lets it begin. Read with the manager's own rights.

        A resource that not every client knows, such as a custom one, brings a client and its plural along.
        """
        if resource not in self.informers:
            reflector = Reflector(client or self.clients(""), plural or resource, clock=self.clock, random=self.random,
                                  log=self.log)
            indexers = {**INDEXERS, "controller": by_controller}
            self.informers[resource] = SharedInformer(reflector, resync=RESYNC, indexers=indexers)
            self.informers[resource].start()
        return self.informers[resource]

    async def drop(self, resource: str) -> None:
        """End one copy: there is nothing more to be copied."""
        if informer := self.informers.pop(resource, None):
            await informer.stop()

    async def stop(self) -> None:
        """End all copies."""
        await asyncio.gather(*(informer.stop() for informer in self.informers.values()))


class Controller:
    """One loop. Those who derive from it name themselves, follow what they look at, and write `sync`."""

    name = ""                  # as `--controllers` knows it: replicaset-controller
    account = ""               # its service account in kube-system; the same as its name unless given
    component = ""             # as its events are signed; the same as its name unless given
    workers = 5                # keys worked on at a time

    def __init__(self, context: Context) -> None:
        self.context, self.clock, self.random, self.log = context, context.clock, context.random, context.log
        self.client = context.clients(self.account or self.name)
        self.recorder = EventRecorder(self.client, self.component or self.name, clock=self.clock, log=self.log)
        self.queue = WorkQueue(self.clock)
        self.handlers: list[tuple[SharedInformer, Handler]] = []

    def follow(self, resource: str, added: Callable[[Object], None], updated: Callable[[Object, Object], None],
               deleted: Callable[[Object], None]) -> SharedInformer:
        """Listen to a collection; the copy of it, to look things up in."""
        informer = self.context.informer(resource)
        self.handlers.append((informer, informer.add_handler(added, updated, deleted)))
        return informer

    def follow_own(self, resource: str) -> SharedInformer:
        """Listen to the collection that this controller is for: each change puts the object's key into the queue."""
        return self.follow(resource, self.enqueue, lambda before, after: self.enqueue(after), self.enqueue)

    def enqueue(self, obj: Object) -> None:
        """This object needs to be looked at."""
        self.queue.add(key_of(obj))

    def owner_in(self, informer: SharedInformer, obj: Object, kind: str) -> Object | None:
        """The object of this kind that controls `obj`, if it is in the copy and is the very one that is meant."""
        reference = controller_of(obj)
        if not reference or reference["kind"] != kind:
            return None
        owner = informer.get(f"{namespace(obj)}/{reference['name']}")
        return owner if owner and uid(owner) == reference["uid"] else None

    async def sync(self, key: str) -> None:
        """Look at the object of this key as it is now, and do what is missing. Raise to be called again, later."""
        raise NotImplementedError(f"{type(self).__name__} has no sync")

    async def write_status(self, resource: str, obj: Object, status: Object) -> None:
        """Write an object's status if it says something new; once more if the object changed under our hands."""
        if status == obj.get("status"):
            return
        try:
            await self.client.update(resource, {**obj, "status": status}, subresource="status")
        except ApiError as error:
            if error.code != 409:
                raise
            fresh = await self.client.get(resource, name(obj), namespace(obj))
            if uid(fresh) == uid(obj):
                await self.client.update(resource, {**fresh, "status": status}, subresource="status")

    async def run(self) -> None:
        """Work until cancelled: first see everything, then do something."""
        try:
            for informer, handler in self.handlers:
                await informer.reflector.wait_synced()
                await handler.synced.wait()
            self.log.add(self.name, "started")
            async with asyncio.TaskGroup() as group:
                for _ in range(self.workers):
                    group.create_task(self.work())
        finally:
            self.queue.shut_down()
            await self.recorder.stop()
            self.log.add(self.name, "stopped")

    async def work(self) -> None:
        """One worker: take a key, sync it; one that fails comes again, later each time."""
        while (key := await self.queue.get()) is not None:
            try:
                await self.sync(key)
                self.queue.forget(key)
            except Exception as error:       # whatever one object does to us, the others are still to be served
                self.log.add(self.name, "sync-failed", key=key, error=f"{type(error).__name__}: {error}")
                self.queue.add_rate_limited(key)
            finally:
                self.queue.done(key)
