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
