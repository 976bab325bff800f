"""Answers that people would give to the exercises of "Who is in charge here?", and what they should be told."""

from __future__ import annotations

import hashlib
from typing import Any

from bookkit.exercises import wrong


def number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


@wrong("steady_owner", says="keys move only to d")
def remainder_of_sorted(key: str, nodes: list[str]) -> str:
    return sorted(nodes)[number(key) % len(nodes)]


@wrong("steady_owner", says="order in which the nodes are given")
def remainder(key: str, nodes: list[str]) -> str:
    return nodes[number(key) % len(nodes)]


@wrong("steady_owner", says="key has to take part")
def the_largest_node(key: str, nodes: list[str]) -> str:
    return max(nodes, key=number)


@wrong("may_serve", says="9 is in it")
def stops_too_early(lease: dict[str, Any], me: str, tick: int) -> bool:
    return bool(lease["holder"] == me and tick < lease["until"])


@wrong("may_serve", says="must stop by itself")
def never_stops(lease: dict[str, Any], me: str, tick: int) -> bool:
    return bool(lease["holder"] == me)


@wrong("may_serve", says="has not taken it yet")
def serves_when_it_is_free(lease: dict[str, Any], me: str, tick: int) -> bool:
    free = lease["holder"] and lease["holder"] != me and tick > lease["until"]
    return bool(free or (lease["holder"] == me and tick <= lease["until"]))


@wrong("elected", says="five members")
def majority_of_the_votes(votes: dict[str, str], members: int) -> str | None:
    names = list(votes.values())
    return next((n for n in names if names.count(n) > len(names) / 2), None)


@wrong("elected", says="Most votes is not enough")
def more_than_a_third(votes: dict[str, str], members: int) -> str | None:
    names = list(votes.values())
    return next((n for n in names if names.count(n) >= members / 2 and names.count(n) > 1), None)
