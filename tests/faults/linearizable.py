"""Whether a history could have come from one place where everything happens at once, in some order.

Each operation was called at one moment and answered at a later one; somewhere in between it has to have happened.
An operation that was never answered (its server was killed) happened before the end of the world, or never.
Keys are independent of each other, so each key is checked for itself.
"""
from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

UNKNOWN = "unknown"               # as a result: nobody heard it


@dataclass(frozen=True)
class Operation:
    """What a client did: ("put", value), ("get",), ("swap", expected, value); when; and what it was told.

    A put is told None, a get the value (None if there is none), a swap whether it did.
    """

    key: Hashable
    what: tuple[Any, ...]
    called: float
    answered: float
    result: Any


def step(value: Any, operation: Operation) -> tuple[Any, Any]:
    """The value after an operation, and what its client is told."""
    match operation.what:
        case ("put", new):
            return new, None
        case ("get",):
            return value, value
        case ("swap", expected, new):
            return (new, True) if value == expected else (value, False)
    raise ValueError(f"no such operation: {operation.what}")


def wrong_keys(history: Sequence[Operation], first: dict[Hashable, Any] | None = None) -> list[Hashable]:
    """The keys whose history no order explains; `first` says what was there before (else None)."""
    by_key: dict[Hashable, list[Operation]] = {}
    for operation in history:
        by_key.setdefault(operation.key, []).append(operation)
    return [key for key, operations in by_key.items() if not explains(operations, (first or {}).get(key))]


def explains(operations: Sequence[Operation], value: Any) -> bool:
    """Whether some order of these operations on one key gives what their clients were told.

    Takes one operation after the other that was called before any of the rest was answered, and remembers
    in which situations (operations done, value) it has been, so that it is in none of them twice.
    """
    ordered = sorted(operations, key=lambda operation: operation.called)
    needed = sum(1 << n for n, each in enumerate(ordered) if each.result != UNKNOWN)
    seen, situations = set(), [(0, value)]
    while situations:
        done, value = situations.pop()
        if done & needed == needed:
            return True
        until = min(each.answered for n, each in enumerate(ordered) if not done >> n & 1 and each.result != UNKNOWN)
        for n, each in enumerate(ordered):
            if each.called > until:
                break
            if done >> n & 1:
                continue
            after, told = step(value, each)
            situation = done | 1 << n, after
            if each.result in (told, UNKNOWN) and situation not in seen:
                seen.add(situation)
                situations.append(situation)
    return False
