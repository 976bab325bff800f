"""Answers that people would give to the exercises of "Patch and apply", and what they should be told."""

from __future__ import annotations

from typing import Any

from bookkit.exercises import wrong


@wrong("merged", says="None in a patch means")
def update_alone(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    return {**target, **patch}


@wrong("merged", says="merge in the same way")
def one_level_deep(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**target, **patch}.items() if value is not None}


@wrong("merged", says="at any depth")
def leaves_nulls(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = leaves_nulls(result[key], value)
        else:
            result[key] = value
    return result


@wrong("conflicts", says="changes nothing")
def forgets_values(owners: dict[str, set[str]], me: str, old: dict[str, Any], new: dict[str, Any]) -> Any:
    found = {name: sorted(set(new) & paths) for name, paths in owners.items() if name != me}
    return {name: paths for name, paths in found.items() if paths}


@wrong("conflicts", says="does not mention")
def replaces(owners: dict[str, set[str]], me: str, old: dict[str, Any], new: dict[str, Any]) -> Any:
    changed = {key for key in {*old, *new} if old.get(key) != new.get(key)}
    found = {name: sorted(changed & paths) for name, paths in owners.items() if name != me}
    return {name: paths for name, paths in found.items() if paths}


@wrong("given_up", says="somebody else owns stays")
def asks_nobody(last: set[str], now: set[str], others: list[set[str]]) -> set[str]:
    return last - now


@wrong("given_up", says="all the others")
def asks_one(last: set[str], now: set[str], others: list[set[str]]) -> set[str]:
    return last - now - (others[0] if others else set())
