"""Answers that people would give to the exercises of "Who has to go?", and what they should be told."""

from __future__ import annotations

from typing import Any

from bookkit.exercises import wrong

FIGHT = ["node(s) had a pod of the same team"]
There = list[tuple[str, int, int]]


@wrong("may_go", says="that is a skew of 2")
def as_it_is_now(counts: dict[str, int], zone: str, most: int) -> bool:
    return counts[zone] - min(counts.values()) <= most


@wrong("may_go", says="makes nothing worse")
def fullest_and_emptiest(counts: dict[str, int], zone: str, most: int) -> bool:
    after = counts | {zone: counts[zone] + 1}
    return max(after.values()) - min(counts.values()) <= most


@wrong("may_go", says="exactly `most`")
def strictly_less(counts: dict[str, int], zone: str, most: int) -> bool:
    skew = counts[zone] + 1 - min(counts.values())
    return skew < most or skew == 1


@wrong("victims", says="only a has to go")
def least_important_first(there: There, free: int, priority: int, cpu: int) -> list[str] | None:
    gone = []
    for name, _, size in sorted((each for each in there if each[1] < priority), key=lambda each: (each[1], each[2])):
        if free >= cpu:
            break
        free += size
        gone.append(name)
    return gone if free >= cpu else None


@wrong("victims", says="Nobody there is less important")
def equals_too(there: There, free: int, priority: int, cpu: int) -> list[str] | None:
    lower = sorted((each for each in there if each[1] <= priority), key=lambda each: -each[1])
    free += sum(each[2] for each in lower)
    gone = []
    for name, _, size in lower:
        if free - size >= cpu:
            free -= size
        else:
            gone.append(name)
    return gone if free >= cpu else None


@wrong("one_of_a_team", says="None is equal to None")
def none_is_a_team(pod: Any, node: Any) -> list[str]:
    return FIGHT if pod.labels.get("team") in [other.labels.get("team") for other in node.pods.values()] else []


@wrong("one_of_a_team", says="all the pods")
def the_first_one(pod: Any, node: Any) -> list[str]:
    team = pod.labels.get("team")
    first = next(iter(node.pods.values()), None)
    return FIGHT if team and first and first.labels.get("team") == team else []
