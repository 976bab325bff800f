"""Answers that people would give to the exercises of "Who makes it run?", and what they should be told."""

from __future__ import annotations

from bookkit.exercises import wrong


@wrong("restart", says="also after a good end")
def only_failures(policy: str, exit_code: int) -> bool:
    return policy in ("Always", "OnFailure") and exit_code != 0


@wrong("restart", says="not only 1")
def only_code_one(policy: str, exit_code: int) -> bool:
    return policy == "Always" or (policy == "OnFailure" and exit_code == 1)


@wrong("restart", says="nothing to try again")
def anything_but_never(policy: str, exit_code: int) -> bool:
    return policy != "Never"


@wrong("waits", says="first restart happens at once")
def waits_from_the_start(failures: int) -> list[int]:
    return [min(10 * 2**n, 300) for n in range(failures)]


@wrong("waits", says="no further")
def waits_without_limit(failures: int) -> list[int]:
    return [0 if n == 0 else 10 * 2 ** (n - 1) for n in range(failures)]


@wrong("todo", says="compares only in one direction")
def forgets_the_deleted(wanted: set[str], running: set[str]) -> dict[str, list[str]]:
    return {"start": sorted(wanted - running), "stop": []}


@wrong("todo", says="a runs already")
def starts_everything(wanted: set[str], running: set[str]) -> dict[str, list[str]]:
    return {"start": sorted(wanted), "stop": sorted(running - wanted)}


@wrong("todo", says="Both lists are sorted")
def unsorted(wanted: set[str], running: set[str]) -> dict[str, list[str]]:
    return {"start": sorted(wanted - running), "stop": sorted(running - wanted, reverse=True)}
