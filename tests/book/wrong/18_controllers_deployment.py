"""Answers that people would give to the exercises of the chapter on Deployments, and what they should be told."""

from __future__ import annotations

from itertools import pairwise
from math import ceil

from bookkit.exercises import wrong


@wrong("least_serving", says="rounded down, so none may be missing")
def rounded_up(wanted: int, max_unavailable: int | str) -> int:
    if isinstance(max_unavailable, str):
        max_unavailable = ceil(int(max_unavailable.rstrip("%")) * wanted / 100)
    return max(0, wanted - max_unavailable)


@wrong("least_serving", says="fewer than none")
def below_zero(wanted: int, max_unavailable: int | str) -> int:
    if isinstance(max_unavailable, str):
        max_unavailable = int(max_unavailable.rstrip("%")) * wanted // 100
    return wanted - max_unavailable


@wrong("revisions", says="1 is gone")
def one_for_each_letter(templates: str) -> list[int]:
    return list(range(1, len(set(templates)) + 1))


@wrong("revisions", says="no new version")
def one_for_each_change(templates: str) -> list[int]:
    last = {each: number for number, each in enumerate(templates, 1)}
    return sorted(last.values())


@wrong("is_stuck", says="starts the time anew")
def from_the_beginning(looks: list[tuple[int, int]], seconds: int) -> bool:
    return looks[-1][0] - looks[0][0] > seconds


@wrong("is_stuck", says="is no step forward")
def any_change(looks: list[tuple[int, int]], seconds: int) -> bool:
    since = looks[0][0]
    for before, after in pairwise(looks):
        if after[1] != before[1]:
            since = after[0]
    return looks[-1][0] - since > seconds
