"""Checks for the exercises of "Who is in charge here?"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bookkit.exercises import Answer, exercise

KEYS = [f"key-{n}" for n in range(3000)]


def moved(owner: Callable[[str, list[str]], Any], before: list[str], after: list[str]) -> list[tuple[str, Any, Any]]:
    """The keys that change hands, with their owners before and after."""
    pairs = [(key, owner(key, before), owner(key, after)) for key in KEYS]
    return [(key, old, new) for key, old, new in pairs if old != new]


@exercise
def steady_owner(answer: Answer) -> None:
    nodes = ["a", "b", "c", "d"]
    answer("key-1", nodes).satisfies(lambda got: got in nodes, "one of the nodes that were given",
                                     hint="Return a node's name.")
    first = answer("key-1", nodes).result
    answer("key-1", ["d", "c", "b", "a"]).gives(first, hint="The order in which the nodes are given must not matter: "
                                                "two machines may hold the list in different orders.")
    solve = answer.function

    def shares(_: Any) -> bool:
        owners = [solve(key, nodes) for key in KEYS]
        return all(0.15 < owners.count(n) / len(KEYS) < 0.35 for n in nodes)

    answer("key-1", nodes).satisfies(shares, "a rule that gives each of four nodes about a quarter of the keys",
                                     hint="The key has to take part in the choice: some node gets far too many.")

    def few_move(_: Any) -> bool:
        return all(new == "d" for _, _, new in moved(solve, ["a", "b", "c"], nodes))

    answer("key-1", nodes).satisfies(few_move, "a rule by which, when d joins, keys move only to d",
                                     hint="Give each pair of key and node a number of its own, and let the largest win: "
                                     "a fourth node then wins some, and changes nothing among the other three.")


@exercise
def may_serve(answer: Answer) -> None:
    answer({"holder": "a", "until": 9}, "a", 5).gives(True, hint="Its lease runs until tick 9, and it is tick 5.")
    answer({"holder": "a", "until": 9}, "a", 9).gives(True, hint="The lease runs until tick 9, and 9 is in it.")
    answer({"holder": "a", "until": 9}, "b", 5).gives(False, hint="Somebody else holds the lease.")
    answer({"holder": "a", "until": 9}, "a", 10).gives(
        False, hint="The lease is over. Its holder must stop by itself: the others believe that it has.")
    answer({"holder": "a", "until": 9}, "b", 10).gives(
        False, hint="The lease is over, so b may take it, but it has not taken it yet. Serving takes a lease of one's own.")
    answer({"holder": None, "until": -1}, "a", 0).gives(False, hint="Nobody holds the lease.")


@exercise
def elected(answer: Answer) -> None:
    answer({"a": "a", "b": "a", "c": "a", "d": "d", "e": "d"}, 5).gives("a", hint="Three of five voted for a.")
    answer({"a": "a", "b": "b"}, 2).gives(None, hint="One vote of two is not more than half.")
    answer({"a": "a", "b": "a"}, 5).gives(
        None, hint="Both that voted agree, but there are five members. Three of them may have elected somebody else.")
    answer({"a": "a", "b": "a", "c": "b", "d": "c"}, 4).gives(
        None, hint="Most votes is not enough: two of four is not more than half.")
    answer({}, 3).gives(None, hint="Nobody voted.")
