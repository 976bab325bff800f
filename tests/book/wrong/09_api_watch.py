"""Answers that people would give to the exercises of "How does anybody notice?", and what they should be told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bookkit.exercises import wrong

Object = dict[str, Any]


@wrong("apply_event", says="BOOKMARK")
def everything_else_is_stored(cache: Object, event: Object) -> Object:
    name = event["object"]["metadata"].get("name")
    if event["type"] == "DELETED":
        cache.pop(name, None)
    else:
        cache[name] = event["object"]
    return cache


@wrong("apply_event", says="don't know yet")
def modifies_only_what_it_knows(cache: Object, event: Object) -> Object:
    name = event["object"]["metadata"].get("name")
    if event["type"] == "ADDED" or (event["type"] == "MODIFIED" and name in cache):
        cache[name] = event["object"]
    elif event["type"] == "DELETED":
        cache.pop(name, None)
    return cache


@wrong("event_for", says="did not match before")
def looks_at_existence(selects: Callable[[Object], bool], before: Object | None, after: Object | None) -> str | None:
    if after is None:
        return "DELETED"
    if not selects(after):
        return None
    return "MODIFIED" if before is not None else "ADDED"


@wrong("event_for", says="does not match any more")
def forgets_those_who_leave(selects: Callable[[Object], bool], before: Object | None, after: Object | None) -> str | None:
    if after is None:
        return "DELETED" if before is not None and selects(before) else None
    if not selects(after):
        return None
    return "MODIFIED" if before is not None and selects(before) else "ADDED"


@wrong("all_pages", says="can have a token, too")
def two_pages(fetch: Callable[[str], Object]) -> list[str]:
    first = fetch("")
    following = first["metadata"].get("continue")
    return [*first["items"], *(fetch(following)["items"] if following else [])]


@wrong("all_pages", says="need not be the last")
def until_a_page_is_empty(fetch: Callable[[str], Object]) -> list[str]:
    items: list[str] = []
    page = fetch("")
    while page["items"]:
        items += page["items"]
        if not page["metadata"].get("continue"):
            break
        page = fetch(page["metadata"]["continue"])
    return items
