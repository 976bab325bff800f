"""Answers that people would give to the exercises of "The ship of Theseus", and what they should be told."""

from __future__ import annotations

from itertools import product
from typing import Any

from bookkit.exercises import wrong


@wrong("route", says="more than one letter changes")
def in_order(seats: int) -> list[str]:
    return ["".join(each) for each in product("TG", repeat=seats)]


@wrong("route", says="none left out")
def there_and_back(seats: int) -> list[str]:
    return ["G" * n + "T" * (seats - n) for n in range(seats + 1)]


@wrong("writes_needed", says="The key itself takes the next number")
def one_too_many(old: int, new: int) -> int:
    return max(0, old - new + 1)


@wrong("writes_needed", says="fewer than no writes")
def the_difference(old: int, new: int) -> int:
    return old - new


@wrong("leader", says="nobody has to wait")
def always_to_the_end(lease: dict[str, Any], now: int, waiting: list[str]) -> str | None:
    if now <= lease["renewed"] + lease["seconds"]:
        return str(lease["holder"]) or None
    return waiting[0] if waiting else None


@wrong("leader", says="is good until 115")
def the_new_one_at_once(lease: dict[str, Any], now: int, waiting: list[str]) -> str | None:
    return waiting[0] if waiting else str(lease["holder"])
