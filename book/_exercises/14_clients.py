"""Checks for the exercises of "A copy that keeps up"."""

from __future__ import annotations

from typing import Any

from bookkit.exercises import Answer, exercise


def lease(holder: str, duration: int = 15) -> dict[str, Any]:
    """The spec of a lease; its renewTime is nonsense on purpose."""
    return {"holderIdentity": holder, "leaseDurationSeconds": duration, "renewTime": "2001-01-01T00:00:00.000000Z"}


def space(name: str, **meta: str) -> dict[str, Any]:
    """A namespace."""
    return {"kind": "Namespace", "metadata": {"name": name, **meta}}


def welcome(namespace: str, text: str) -> dict[str, Any]:
    """A welcome in a namespace."""
    return {"kind": "ConfigMap", "metadata": {"name": "welcome", "namespace": namespace}, "data": {"text": text}}


@exercise
def may_take(answer: Answer) -> None:
    answer(lease("b"), "a", 100.0, 110.0).gives(
        False, hint="It changed ten seconds ago and is good for fifteen. Its renewTime is by another machine's clock.")
    answer(lease("b"), "a", 100.0, 115.5).gives(True, hint="Nobody has renewed it for more than its fifteen seconds.")
    answer(lease("", 1), "a", 100.0, 100.1).gives(True, hint="It was given back: nobody holds it, so there is nothing to wait for.")
    answer(lease("a"), "a", 100.0, 101.0).gives(True, hint="It is ours already: this is a renewal.")
    answer(lease("b", 60), "a", 100.0, 130.0).gives(False, hint="How long a lease is good for stands in the lease.")
    answer({}, "a", 100.0, 100.0).gives(True, hint="A lease with an empty spec is held by nobody.")


@exercise
def to_do(answer: Answer) -> None:
    right = welcome("lab", "Welcome to lab!")
    answer([space("lab")], []).gives({"lab"}, hint="There is no welcome yet.")
    answer([space("lab")], [right]).gives(set(), hint="It is there, and right: a write would change nothing.")
    answer([space("lab")], [welcome("lab", "Keep out!")]).gives({"lab"}, hint="It is there, and says something else.")
    answer([space("lab"), space("den")], [right]).gives({"den"}, hint="One has its welcome, the other has none.")
    answer([space("lab", deletionTimestamp="2030-01-01T00:00:00Z")], []).gives(
        set(), hint="A namespace that is being deleted gets nothing new.")
    answer([], [right]).gives(set(), hint="A welcome whose namespace is gone is not our business.")
    answer([space("lab")], [{"metadata": {"name": "welcome", "namespace": "lab"}}]).gives(
        {"lab"}, hint="A ConfigMap need not have any data.")


@exercise
def handed_out(answer: Answer) -> None:
    add, get, done = ("add", "a"), ("get",), ("done", "a")
    answer([add, get]).gives(["a"], hint="Added, then taken.")
    answer([add, add, get, done, get]).gives(["a"], hint="Added twice is added once: after the first get nothing waits.")
    answer([add, get, add, get, done]).gives(["a"], hint="It is in somebody's hand: nobody else may have it before done.")
    answer([add, get, add, done, get]).gives(["a", "a"], hint="It was added while it was worked on, so it comes again after done.")
    answer([("add", "a"), ("add", "b"), get, get]).gives(["a", "b"], hint="First come, first served.")
    answer([get, add, get]).gives(["a"], hint="A get on an empty queue hands out nothing, and breaks nothing.")
    answer([add, get, done, get]).gives(["a"], hint="Done, and not added again: nothing to hand out.")
