"""The checker, with histories that are linearizable and such that are not."""
from __future__ import annotations

import random
from typing import Any

import pytest

from tests.faults.linearizable import UNKNOWN, Operation, step, wrong_keys


def op(what: str, called: float, answered: float, result: Any = None) -> Operation:
    """`op("put 1", ...)`, `op("get", ..., 1)`, `op("swap 1 2", ..., True)`."""
    word, *numbers = what.split()
    return Operation("k", (word, *map(int, numbers)), called, answered, result)


GOOD = {
    "one after the other": [op("put 1", 0, 1), op("get", 2, 3, 1), op("put 2", 4, 5), op("get", 6, 7, 2)],
    "nothing was there": [op("get", 0, 1, None), op("put 1", 2, 3)],
    "a read that overlaps a write sees the old": [op("put 1", 0, 1), op("put 2", 2, 9), op("get", 3, 4, 1)],
    "a read that overlaps a write sees the new": [op("put 1", 0, 1), op("put 2", 2, 9), op("get", 3, 4, 2)],
    "writes at once, in the order that the reads tell": [
        op("put 1", 0, 9), op("put 2", 0, 9), op("get", 1, 2, 2), op("get", 3, 4, 1)],
    "swaps": [op("put 1", 0, 1), op("swap 1 2", 2, 9, True), op("swap 1 3", 2, 9, False), op("get", 10, 11, 2)],
    "a write that nobody heard of was done": [op("put 1", 0, 1), op("put 2", 2, 5, UNKNOWN), op("get", 6, 7, 2)],
    "a write that nobody heard of was not done": [op("put 1", 0, 1), op("put 2", 2, 5, UNKNOWN), op("get", 6, 7, 1)],
    "an unheard swap": [op("put 1", 0, 1), op("swap 1 2", 2, 5, UNKNOWN), op("swap 2 3", 3, 4, True)],
}
BAD = {
    "an acknowledged write is lost": [op("put 1", 0, 1), op("get", 2, 3, None)],
    "a stale read": [op("put 1", 0, 1), op("put 2", 2, 3), op("get", 4, 5, 1)],
    "back in time": [op("put 1", 0, 1), op("put 2", 2, 9), op("get", 3, 4, 2), op("get", 5, 6, 1)],
    "two swaps of the same": [op("put 1", 0, 1), op("swap 1 2", 2, 3, True), op("swap 1 3", 2, 3, True)],
    "out of nowhere": [op("put 1", 0, 1), op("get", 2, 3, 7)],
    "read before it was written": [op("get", 0, 1, 1), op("put 1", 2, 3)],
    "two readers in two orders": [op("put 1", 0, 9), op("put 2", 0, 9), op("get", 1, 2, 1), op("get", 3, 4, 2),
                                  op("get", 5, 6, 1)],
    "an unheard write, then not, then done": [
        op("put 1", 0, 1), op("put 2", 2, 5, UNKNOWN), op("get", 6, 7, 2), op("get", 8, 9, 1)],
    "a swap that failed for no reason": [op("put 1", 0, 1), op("swap 1 2", 2, 3, False)],
}


@pytest.mark.parametrize("name", GOOD)
def test_linearizable(name: str) -> None:
    assert not wrong_keys(GOOD[name])


@pytest.mark.parametrize("name", BAD)
def test_not_linearizable(name: str) -> None:
    assert wrong_keys(BAD[name]) == ["k"]


def test_what_was_there_before_counts_and_keys_are_apart() -> None:
    assert not wrong_keys([op("get", 0, 1, 5)], {"k": 5})
    other = Operation("other", ("get",), 0, 1, 5)
    assert wrong_keys([op("get", 0, 1, 5), other], {"k": 5}) == ["other"]


@pytest.mark.parametrize("seed", range(30))
def test_histories_of_a_real_register_pass_and_a_changed_answer_is_found(seed: int) -> None:
    """Each operation happens at one moment between call and answer; unique values make a wrong read a wrong one."""
    dice, value, history = random.Random(seed), None, []
    for number in range(40):
        what = dice.choice(["get", f"put {number}", f"swap {value or 0} {number}"])
        moment = number + dice.random()
        planned = op(what, moment - 3 * dice.random(), moment + 3 * dice.random())
        value, told = step(value, planned)
        history.append(Operation("k", planned.what, planned.called, planned.answered, told))
    assert not wrong_keys(history)
    history.append(op("get", 100, 101, 12345))
    assert wrong_keys(history) == ["k"]
