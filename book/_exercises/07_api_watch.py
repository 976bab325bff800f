"""Checks for the exercises of the chapter on list and watch."""

from __future__ import annotations

from bookkit.exercises import Answer, exercise


def four(labels: dict[str, str]) -> bool:
    return labels.get("legs") == "4"


@exercise
def seen(answer: Answer) -> None:
    """What a change is to a watcher with a selector."""
    yes, no = {"legs": "4"}, {"legs": "3"}
    answer(None, yes, four).gives("ADDED", hint="It is new, and matches.")
    answer(yes, yes, four).gives("MODIFIED", hint="It matched before and after.")
    answer(no, yes, four).gives("ADDED", hint="It existed, but not in this watcher's world: now it starts to match.")
    answer(yes, no, four).gives("DELETED", hint="It exists, but it stopped to match: gone from this watcher's world.")
    answer(yes, None, four).gives("DELETED", hint="It is gone.")
    answer(no, None, four).gives(None, hint="The watcher never knew of it.")
    answer(no, no, four).gives(None, hint="It matched neither before nor after.")


@exercise
def replay(answer: Answer) -> None:
    """A cache after the events of a watch."""
    one, two = {"name": "a", "version": 1}, {"name": "a", "version": 2}
    answer({}, [("ADDED", one)]).gives({"a": one}, hint="What is added is there.")
    answer({"a": one}, [("MODIFIED", two)]).gives({"a": two}, hint="The newer object takes the place of the older.")
    answer({"a": two}, [("ADDED", one)]).gives({"a": two}, hint="The cache has a newer version: this is no news.")
    answer({"a": one}, [("DELETED", two)]).gives({}, hint="Deleted is gone.")
    answer({"a": one}, [("BOOKMARK", {"version": 9})]).gives({"a": one}, hint="A bookmark changes nothing.")
    answer({"a": one}, [("ERROR", {"code": 410})]).gives(None, hint="After an error nothing is certain: None.")
