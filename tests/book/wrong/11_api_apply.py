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
