"""Answers that people would give to the exercises of "A copy that keeps up", and what they should be told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bookkit.exercises import wrong

Object = dict[str, Any]
Step = tuple[str, ...]


@wrong("may_take", says="by another machine's clock")
def reads_their_clock(spec: Object, me: str, seen_at: float, now: float) -> bool:
    if not spec.get("holderIdentity") or spec["holderIdentity"] == me:
        return True
    renewed = datetime.fromisoformat(spec["renewTime"])
    return (datetime(2030, 1, 1, tzinfo=UTC) - renewed).total_seconds() > spec["leaseDurationSeconds"]


@wrong("may_take", says="nothing to wait for")
def waits_for_nobody(spec: Object, me: str, seen_at: float, now: float) -> bool:
    return spec.get("holderIdentity") == me or now >= seen_at + spec.get("leaseDurationSeconds", 0)


@wrong("may_take", says="stands in the lease")
def fifteen_for_all(spec: Object, me: str, seen_at: float, now: float) -> bool:
    return spec.get("holderIdentity") in (None, "", me) or now >= seen_at + 15


@wrong("to_do", says="says something else")
def only_the_missing(namespaces: list[Object], welcomes: list[Object]) -> set[str]:
    there = {each["metadata"]["namespace"] for each in welcomes}
    return {each["metadata"]["name"] for each in namespaces} - there


@wrong("to_do", says="being deleted")
def greets_the_dying(namespaces: list[Object], welcomes: list[Object]) -> set[str]:
    texts = {each["metadata"]["namespace"]: each.get("data", {}).get("text") for each in welcomes}
    return {name for name in (each["metadata"]["name"] for each in namespaces) if texts.get(name) != f"Welcome to {name}!"}


@wrong("handed_out", says="Added twice is added once")
def a_list(steps: list[Step]) -> list[str]:
    queue: list[str] = []
    out = []
    for what, *key in steps:
        if what == "add":
            queue.append(key[0])
        elif what == "get" and queue:
            out.append(queue.pop(0))
    return out


@wrong("handed_out", says="in somebody's hand")
def a_set(steps: list[Step]) -> list[str]:
    queue: dict[str, None] = {}
    out = []
    for what, *key in steps:
        if what == "add":
            queue[key[0]] = None
        elif what == "get" and queue:
            out.append(next(iter(queue)))
            del queue[out[-1]]
    return out


@wrong("handed_out", says="comes again after done")
def forgets_what_came_meanwhile(steps: list[Step]) -> list[str]:
    queue: list[str] = []
    known: set[str] = set()
    out = []
    for what, *key in steps:
        if what == "add" and key[0] not in known:
            known.add(key[0])
            queue.append(key[0])
        elif what == "get" and queue:
            out.append(queue.pop(0))
        elif what == "done":
            known.discard(key[0])
    return out
