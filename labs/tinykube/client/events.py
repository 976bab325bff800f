"""The event recorder: short notes about objects that people read in `kubectl describe`.

Genuine counterpart: client-go's `tools/record`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from typing import NamedTuple

from tinykube.client.correlator import COMBINED, Correlator, identity
from tinykube.client.rest import Client
from tinykube.machinery.clock import Clock
from tinykube.machinery.errors import ApiError
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.objects import Object, timestamp

REMEMBERED = 4096          # events that may be counted up instead of written anew
WAITING = 1000             # notes not yet sent; further ones are dropped


class Note(NamedTuple):
    """One thing to be told about an object."""

    about: Object
    type: str
    reason: str
    message: str
    field_path: str


class EventRecorder:
    """Writes core/v1 events without making its caller wait; the same note again raises the count of the first."""

    def __init__(self, client: Client, component: str, *, clock: Clock, host: str = "",
                 log: EventLog | None = None) -> None:
        self.client, self.component, self.host, self.clock, self.log = client, component, host, clock, log
        self.waiting: asyncio.Queue[Note] = asyncio.Queue(WAITING)
        self.written: OrderedDict[tuple[str, ...], Object] = OrderedDict()
        self.correlator = Correlator(clock)
        self.task: asyncio.Task[None] | None = None
        self.serial = 0

    def event(self, about: Object, type: str, reason: str, message: str, field_path: str = "") -> None:
        """Note that something happened to an object: type is Normal or Warning, reason one word in CamelCase."""
        with contextlib.suppress(asyncio.QueueFull):
            self.waiting.put_nowait(Note(about, type, reason, message, field_path))
        if self.task is None:
            self.task = asyncio.create_task(self.run(), name=f"events of {self.component}")

    async def run(self) -> None:
        """Send note after note; one that can't be sent is lost, as it is with the genuine recorder."""
        while True:
            note = await self.waiting.get()
            try:
                await self.write(note)
            except Exception as error:
                if self.log:
                    self.log.add(self.component, "event-lost", reason=note.reason, error=str(error))
            finally:
                self.waiting.task_done()

    async def flush(self) -> None:
        """Return when everything noted so far has been sent."""
        await self.waiting.join()

    async def stop(self, patience: float = 1.0) -> None:
        """Send what is waiting, but not for longer than `patience` seconds, then stop."""
        if self.task:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.flush(), patience)
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task
            self.task = None

    async def write(self, note: Note) -> None:
        """Create the event, or count up the one that says the same already, unless there are too many of its object."""
        about = identity(note.about)
        message, same = self.correlator.combine((*about, note.type, note.reason), note.message)
        note, same = note._replace(message=message), (*same, note.field_path)
        known = self.written.get(same)
        if known:
            known["count"] += 1
        if not self.correlator.allows(about):
            return
        if known is None or not await self.count_up(known, message):
            known = await self.create(note)
        self.written[same] = known
        self.written.move_to_end(same)
        if len(self.written) > REMEMBERED:
            self.written.popitem(last=False)

    async def count_up(self, event: Object, message: str) -> bool:
        """Patch count, time and text; False when the event is gone by now (they live for an hour)."""
        patch: Object = {"count": event["count"], "lastTimestamp": timestamp(self.clock)}
        if event["message"] != message:
            patch["message"] = event["message"] = message
        meta = event["metadata"]
        try:
            await self.client.patch("events", meta["name"], patch, meta["namespace"])
        except ApiError as error:
            if error.code != 404:
                raise
            return False
        return True

    async def create(self, note: Note) -> Object:
        """Write a new event beside the object that it tells about."""
        meta, now = note.about["metadata"], timestamp(self.clock)
        self.serial += 1
        stamp = int(self.clock.now().timestamp() * 1e6) * 1000 + self.serial % 1000
        namespace = meta.get("namespace") or "default"
        involved = {"apiVersion": note.about.get("apiVersion", "v1"), "kind": note.about.get("kind", "Pod"),
                    "name": meta["name"], "namespace": meta.get("namespace"), "uid": meta.get("uid"),
                    "resourceVersion": meta.get("resourceVersion"), "fieldPath": note.field_path or None}
        source = {"component": self.component, **({"host": self.host} if self.host else {})}
        return await self.client.create("events", {
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": f"{meta['name']}.{stamp:x}", "namespace": namespace},
            "involvedObject": {name: value for name, value in involved.items() if value},
            "type": note.type, "reason": note.reason, "message": note.message, "count": 1,
            "firstTimestamp": now, "lastTimestamp": now, "source": source,
            **({} if note.message.startswith(COMBINED) else {"reportingComponent": self.component,
                                                             "reportingInstance": self.host}),
        })
