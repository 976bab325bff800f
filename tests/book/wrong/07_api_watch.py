"""Wrong answers to the exercises of the chapter on list and watch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bookkit.exercises import wrong

Labels = dict[str, str]


@wrong("seen", says="starts to match")
def forgets_before(before: Labels | None, after: Labels | None, matches: Callable[[Labels], bool]) -> str | None:
    if after is None:
        return "DELETED" if before and matches(before) else None
    if not matches(after):
        return "DELETED" if before and matches(before) else None
    return "MODIFIED" if before is not None else "ADDED"


@wrong("seen", says="stopped to match")
def only_after(before: Labels | None, after: Labels | None, matches: Callable[[Labels], bool]) -> str | None:
    if after is None:
        return "DELETED" if before and matches(before) else None
    if not matches(after):
        return None
    return "MODIFIED" if before and matches(before) else "ADDED"


@wrong("replay", says="no news")
def trusting(cache: dict[str, Any], events: list[tuple[str, Any]]) -> dict[str, Any] | None:
    cache = dict(cache)
    for type_, obj in events:
        if type_ == "ERROR":
            return None
        if type_ == "DELETED":
            cache.pop(obj["name"], None)
        elif type_ != "BOOKMARK":
            cache[obj["name"]] = obj
    return cache


@wrong("replay", says="nothing is certain")
def ignores_errors(cache: dict[str, Any], events: list[tuple[str, Any]]) -> dict[str, Any]:
    cache = dict(cache)
    for type_, obj in events:
        if type_ in ("ERROR", "BOOKMARK") or obj["version"] <= cache.get(obj["name"], {"version": 0})["version"]:
            continue
        if type_ == "DELETED":
            cache.pop(obj["name"], None)
        else:
            cache[obj["name"]] = obj
    return cache
