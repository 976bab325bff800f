"""Answers that people would give to the exercises of "What if the copies are not alike?", and what they should be told."""

from __future__ import annotations

from typing import Any

from bookkit.exercises import wrong


@wrong("daemons_on", says="a wish and not a wall")
def any_taint(nodes: list[dict[str, Any]], wanted: dict[str, str]) -> list[str]:
    return sorted(node["name"] for node in nodes if wanted.items() <= node["labels"].items() and not node["taints"])


@wrong("daemons_on", says="more labels than are asked for")
def the_same_labels(nodes: list[dict[str, Any]], wanted: dict[str, str]) -> list[str]:
    return sorted(node["name"] for node in nodes if (not wanted or wanted == node["labels"])
                  and not {"NoSchedule", "NoExecute"} & set(node["taints"]))


@wrong("next_step", says="the second waits for it")
def as_a_replicaset(wanted: int, there: dict[int, bool]) -> tuple[str, int] | None:
    missing = [number for number in range(wanted) if number not in there]
    extra = [number for number in there if number >= wanted]
    return ("create", missing[0]) if missing else ("delete", max(extra)) if extra else None


@wrong("next_step", says="the highest goes first")
def the_lowest_first(wanted: int, there: dict[int, bool]) -> tuple[str, int] | None:
    for number in range(wanted):
        if number not in there:
            return "create", number
        if not there[number]:
            return None
    extra = [number for number in there if number >= wanted]
    return ("delete", min(extra)) if extra else None


@wrong("wanted_replicas", says="nothing changes")
def every_breath(usages: list[int], target: int) -> int:
    return -(-sum(usages) // target)


@wrong("wanted_replicas", says="rounded up, that is five")
def to_the_nearest(usages: list[int], target: int) -> int:
    ratio = sum(usages) / (len(usages) * target)
    return len(usages) if abs(ratio - 1) <= 0.1 else round(ratio * len(usages))


@wrong("due", says="only the last is made up for")
def the_first_missed(times: list[int], last: int, now: int) -> int | None:
    return next((each for each in times if last < each <= now), None)


@wrong("due", says="is still to come")
def forgets_the_last(times: list[int], last: int, now: int) -> int | None:
    return max((each for each in times if last <= each <= now), default=None)
