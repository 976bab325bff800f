"""Answers that people would give to the exercises of "Who answers at that address?", and what they should be told."""

from __future__ import annotations

import hashlib
from typing import Any

from bookkit.exercises import wrong


@wrong("behind_service", says="the label says whose each one is")
def of_everybody(name: str, slices: list[dict[str, Any]]) -> list[str]:
    return sorted(address for each in slices for endpoint in each["endpoints"]
                  if endpoint["conditions"].get("ready", True) for address in endpoint["addresses"])


@wrong("behind_service", says="counts as ready")
def only_those_that_say_so(name: str, slices: list[dict[str, Any]]) -> list[str]:
    return sorted(address for each in slices if each["metadata"]["labels"]["kubernetes.io/service-name"] == name
                  for endpoint in each["endpoints"] if endpoint["conditions"].get("ready")
                  for address in endpoint["addresses"])


@wrong("pick", says="another order")
def by_place(client: str, backends: list[str]) -> str | None:
    number = int(hashlib.sha256(client.encode()).hexdigest(), 16)
    return backends[number % len(backends)] if backends else None


@wrong("pick", says="Only its own may move")
def by_sorted_place(client: str, backends: list[str]) -> str | None:
    number = int(hashlib.sha256(client.encode()).hexdigest(), 16)
    return sorted(backends)[number % len(backends)] if backends else None


@wrong("pick", says="unevenly")
def always_the_same(client: str, backends: list[str]) -> str | None:
    return max(backends, default=None)


@wrong("chances", says="all of the rest")
def the_same_for_each(backends: int) -> list[float]:
    return [1 / backends for _ in range(backends)]


@wrong("chances", says="which is a third again")
def always_a_half(backends: int) -> list[float]:
    return [0.5] * (backends - 1) + [1.0] * (backends > 0)
