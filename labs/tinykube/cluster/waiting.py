"""Waiting for a state of the cluster, on a watch: no looking again and again.

Genuine counterpart: `kubectl wait`, and client-go's UntilWithSync.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

from tinykube.client.rest import Client
from tinykube.machinery.clock import Clock
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, dig, key_of

Predicate = Callable[[Any], Any]
CLUSTER_WIDE = ("nodes", "namespaces", "apiservices")
SHORT = {"po": "pods", "no": "nodes", "ns": "namespaces", "cm": "configmaps", "ev": "events"}


def parse_reference(text: str) -> tuple[str, str | None]:
    """`pod/web` as plural and name; `pods` as plural alone."""
    resource, slash, name = text.partition("/")
    if not resource or (slash and not name):
        raise ValueError(f"{text!r} names nothing: write pod/web for one object, pods for all of a kind")
    resource = SHORT.get(resource, resource)
    return resource if resource.endswith("s") else f"{resource}s", name or None


def condition_of(obj: Object, type: str) -> str:
    """The status of one of an object's conditions: True, False, Unknown, or nothing."""
    return next((each["status"] for each in dig(obj, "status", "conditions", default=[]) if each["type"] == type), "")


def holds(obj: Object | None, state: str) -> bool:
    """Whether an object is in the state named: deleted, bound, a phase, or a condition (`Ready`, `Ready=False`)."""
    if state == "deleted" or obj is None:
        return obj is None and state == "deleted"
    if state in ("created", "exists"):
        return True
    if state == "bound":
        return bool(dig(obj, "spec", "nodeName"))
    type, _, status = state.partition("=")
    return dig(obj, "status", "phase") == state or condition_of(obj, type) == (status or "True")


class Watched:
    """Objects as a watch tells of them, and what to ask of them."""

    def __init__(self, name: str | None, predicate: Predicate) -> None:
        self.name, self.predicate = name, predicate
        self.objects: dict[str, Object] = {}

    def take(self, event: Object) -> None:
        """Take over one event."""
        obj = event["object"]
        if event["type"] == "DELETED":
            self.objects.pop(key_of(obj), None)
        elif event["type"] != "BOOKMARK":
            self.objects[key_of(obj)] = obj

    def satisfied(self) -> bool:
        """Whether what is waited for is so. Of one object the predicate gets it (or None), of a kind the list."""
        found = list(self.objects.values())
        return bool(self.predicate((found[0] if found else None) if self.name else found))

    def result(self) -> Any:
        """What was waited for: the object, or the list of them."""
        found = list(self.objects.values())
        return (found[0] if found else None) if self.name else found

    def story(self) -> str:
        """What is there instead, for the sentence of a timeout."""
        if not self.objects:
            return "there is no such object"
        return "; ".join(f"{key} is {dig(obj, 'status', 'phase', default='there')}"
                         + "".join(f", {reason}" for reason in troubles(obj))
                         for key, obj in sorted(self.objects.items()))


def troubles(obj: Object) -> list[str]:
    """What an object's status says of why it is not further: messages of conditions, reasons of containers."""
    unmet = [each.get("message") or each.get("reason") or "" for each in dig(obj, "status", "conditions", default=[])
             if each["status"] == "False"]
    stuck = [dig(each, "state", "waiting", "reason", default="")
             for each in dig(obj, "status", "containerStatuses", default=[])]
    return [text for text in [dig(obj, "status", "message", default=""), *stuck, *unmet] if text]


async def wait_for(client: Client, clock: Clock, what: str, predicate: Predicate | None, namespace: str,
                   seconds: float) -> Any:
    """Wait until `what` is so: "pod/web Running", or "pod/web" or "pods" with a predicate. Returns the object(s).

    Raises TimeoutError, with what is there instead, after `seconds`.
    """
    reference, _, state = what.partition(" ")
    resource, name = parse_reference(reference)
    if predicate is None:
        if not state or not name:
            raise ValueError(f'{what!r}: say which state of which object, such as "pod/web Running"')
        predicate = lambda obj: holds(obj, state)  # noqa: E731
    watched = Watched(name, predicate)
    try:
        async with asyncio.timeout(seconds):
            while not await watch_until(client, resource, namespace, watched):
                await clock.sleep(0.1)     # the stream broke: the server is being restarted
        return watched.result()
    except TimeoutError:
        raise TimeoutError(f"waited {seconds:g} s for {what}: {watched.story()}") from None


async def watch_until(client: Client, resource: str, namespace: str, watched: Watched) -> bool:
    """Follow a list and its watch; True when the predicate holds, False when the stream ended before."""
    where = None if resource in CLUSTER_WIDE else namespace
    only = f"metadata.name={watched.name}" if watched.name else None
    try:
        listed = await client.list(resource, where, fieldSelector=only)
        watched.objects = {key_of(item): item for item in listed["items"]}
        if watched.satisfied():
            return True
        version = listed["metadata"]["resourceVersion"]
        async with aclosing(client.watch(resource, where, fieldSelector=only, resourceVersion=version)) as events:
            async for event in events:
                watched.take(event)
                if watched.satisfied():
                    return True
    except (OSError, ApiError) as error:
        if isinstance(error, ApiError) and error.code not in (410, 503, 504):
            raise
    return False
