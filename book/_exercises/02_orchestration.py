"""Checks for the exercises of "Why not start the containers yourself?"."""

from __future__ import annotations

from bookkit.exercises import Answer, exercise


@exercise
def pack(answer: Answer) -> None:
    answer({"ant": 2, "bee": 2}, {"ant": 1}).gives("ant", hint="Ant has one place left and bee two: fill ant first.")
    answer({"ant": 2, "bee": 4}, {"bee": 3, "ant": 0}).gives(
        "bee", hint="What counts is the room that is left, not how large a node is or where it stands.")
    answer({"ant": 2, "bee": 2}, {"ant": 2}).gives("bee", hint="Ant is full: a node without room is no choice.")
    answer({"ant": 1}, {"ant": 2}).gives(None, hint="Ant holds more than it should. That is no room either.")
    answer({"ant": 1, "bee": 1}, {"ant": 1, "bee": 1}).gives(None, hint="All are full: return None.")
    answer({"cat": 2, "bee": 2}, {}).gives("bee", hint="Both have as little room; take the first in the alphabet.")
    answer({}, {}).gives(None, hint="There is no node at all: return None.")
    answer({"ant": 2, "bee": 2}, {"ant": 1}).keeps_its_arguments()


@exercise
def surge(answer: Answer) -> None:
    two = {"copies": 2, "version": "2"}
    answer(two, {"a": "1", "b": "1"}).gives("start", hint="Two run as they should, none of them new: add one first.")
    answer(two, {"a": "1", "b": "1", "c": "2"}).gives(
        ("stop", "a"), hint="There is one more than needed; now the first old one may go.")
    answer(two, {"b": "1", "c": "2"}).gives("start", hint="Two run, one of them new. Another new one, before b goes.")
    answer(two, {"b": "1", "c": "2", "d": "2"}).gives(("stop", "b"), hint="Two new ones run. The old one is not needed.")
    answer(two, {"c": "2", "d": "2"}).gives(None, hint="All is as it should be.")
    answer(two, {"c": "2", "d": "2", "e": "2"}).gives(("stop", "e"), hint="Three run where two should: the last one goes.")
    answer(two, {"c": "2"}).gives("start", hint="One is missing.")
    answer({"copies": 0, "version": "2"}, {}).gives(None, hint="Nothing is wanted and nothing runs.")
    answer(two, {"a": "1", "b": "1"}).keeps_its_arguments()
