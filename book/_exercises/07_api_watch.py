"""Checks for the exercises of the chapter on list and watch."""

from __future__ import annotations

from typing import Any

from bookkit.exercises import Answer, exercise

Object = dict[str, Any]


def event(type_: str, name: str, version: str) -> Object:
    return {"type": type_, "object": {"metadata": {"name": name, "resourceVersion": version}}}


@exercise
def apply_event(answer: Answer) -> None:
    """A cache after one event of a watch."""
    one, two = event("ADDED", "a", "1"), event("MODIFIED", "a", "2")
    answer({}, one).gives({"a": one["object"]}, hint="What is added is there.")
    answer({"a": one["object"]}, two).gives({"a": two["object"]}, hint="The new state takes the place of the old one.")
    answer({"a": one["object"]}, event("DELETED", "a", "3")).gives({}, hint="Deleted is gone.")
    answer({}, event("DELETED", "a", "3")).gives({}, hint="Something that we never had can be deleted, too.")
    mark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}}
    answer({"a": one["object"]}, mark).gives({"a": one["object"]}, hint="A bookmark has no name and changes nothing.")


def four(pod: Object) -> bool:
    return bool(pod["legs"] == 4)


@exercise
def event_for(answer: Answer) -> None:
    """What a change is to a watcher with a selector."""
    yes, no = {"legs": 4}, {"legs": 3}
    answer(four, None, yes).gives("ADDED", hint="It is new, and matches.")
    answer(four, yes, yes).gives("MODIFIED", hint="It matched before and after.")
    answer(four, no, yes).gives("ADDED", hint="It existed, but now it starts to match: new in this watcher's world.")
    answer(four, yes, no).gives("DELETED", hint="It exists, but it stopped to match: gone from this watcher's world.")
    answer(four, yes, None).gives("DELETED", hint="It is gone.")
    answer(four, no, None).gives(None, hint="The watcher never knew of it.")
    answer(four, no, no).gives(None, hint="It matched neither before nor after.")
