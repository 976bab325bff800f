"""Answers that people would give to the exercises of "Who cleans up?", and what they should be told."""

from __future__ import annotations

from math import ceil
from typing import Any

from bookkit.exercises import wrong


@wrong("fate", says="never had an owner")
def nobody_is_there(owners: list[str]) -> str:
    return "keep" if "there" in owners and set(owners) == {"there"} else "disown" if "there" in owners else "delete"


@wrong("fate", says="it would wait forever")
def waits_for_the_one_that_waits(owners: list[str]) -> str:
    if not owners or set(owners) <= {"there", "waiting"}:
        return "keep"
    return "disown" if "there" in owners else "delete"


@wrong("fate", says="One owner is enough")
def one_is_gone(owners: list[str]) -> str:
    return "delete" if "gone" in owners or "waiting" in owners else "keep"


@wrong("behind", says="Running is not Ready")
def all_that_run(selector: dict[str, str], pods: list[dict[str, Any]]) -> list[str]:
    return sorted(pod["ip"] for pod in pods if selector.items() <= pod["labels"].items() and pod["phase"] == "Running")


@wrong("behind", says="gets nobody new")
def forgets_those_that_go(selector: dict[str, str], pods: list[dict[str, Any]]) -> list[str]:
    return sorted(pod["ip"] for pod in pods if selector.items() <= pod["labels"].items() and pod["ready"] and pod["ip"])


@wrong("behind", says="Others may be there, too")
def exactly_these_labels(selector: dict[str, str], pods: list[dict[str, Any]]) -> list[str]:
    return sorted(pod["ip"] for pod in pods if selector == pod["labels"] and pod["ready"] and not pod["deleted"] and pod["ip"]
                  and pod["phase"] == "Running")


@wrong("evictable", says="minus one eviction")
def below_zero(min_available: int | str, wanted: int, healthy: int) -> int:
    least = ceil(wanted * int(min_available[:-1]) / 100) if isinstance(min_available, str) else min_available
    return healthy - least


@wrong("evictable", says="not half of what is left")
def half_of_what_is_left(min_available: int | str, wanted: int, healthy: int) -> int:
    least = ceil(healthy * int(min_available[:-1]) / 100) if isinstance(min_available, str) else min_available
    return max(0, healthy - least)


@wrong("evictable", says="rounded up")
def rounded_down(min_available: int | str, wanted: int, healthy: int) -> int:
    least = wanted * int(min_available[:-1]) // 100 if isinstance(min_available, str) else min_available
    return max(0, healthy - least)
