"""Wrong answers to the exercises of the chapter on list and watch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bookkit.exercises import wrong

Object = dict[str, Any]
Selects = Callable[[Object], bool]


@wrong("apply_event", says="we never had")
def must_be_there(cache: Object, event: Object) -> Object:
    name = event["object"]["metadata"].get("name")
    if event["type"] in ("ADDED", "MODIFIED"):
        cache[name] = event["object"]
    elif event["type"] == "DELETED":
        del cache[name]
    return cache


@wrong("apply_event", says="bookmark")
def keeps_bookmarks(cache: Object, event: Object) -> Object:
    name = event["object"]["metadata"].get("name")
    if event["type"] == "DELETED":
        cache.pop(name, None)
    else:
        cache[name] = event["object"]
    return cache


@wrong("event_for", says="starts to match")
def forgets_before(selects: Selects, before: Object | None, after: Object | None) -> str | None:
    if after is None or not selects(after):
        return "DELETED" if before and selects(before) else None
    return "MODIFIED" if before is not None else "ADDED"


@wrong("event_for", says="stopped to match")
def only_after(selects: Selects, before: Object | None, after: Object | None) -> str | None:
    if after is None:
        return "DELETED" if before and selects(before) else None
    if not selects(after):
        return None
    return "MODIFIED" if before and selects(before) else "ADDED"
