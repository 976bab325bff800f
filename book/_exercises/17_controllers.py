"""Checks for the exercises of "How do three stay three?"."""

from __future__ import annotations

from bookkit.exercises import Answer, exercise


@exercise
def careful(answer: Answer) -> None:
    answer(3, 3).gives((0, 0), hint="As many as wanted: there is nothing to do.")
    answer(3, 2).gives((1, 0), hint="One is missing.")
    answer(9, 2).gives((2, 0), hint="Seven are missing, and no step makes more than two.")
    answer(3, 4).gives((0, 1), hint="One is too many.")
    answer(0, 7).gives((0, 1), hint="Seven are too many, and no step loses more than one.")


@exercise
def verdict(answer: Answer) -> None:
    mine, other = {"uid": "1", "controller": True}, {"uid": "2", "controller": True}
    answer("1", {"app": "web"}, {"labels": {"app": "web"}, "ownerReferences": [mine]}).gives("keep", hint="It is ours, and it fits.")
    answer("1", {"app": "web"}, {"labels": {"app": "debug"}, "ownerReferences": [mine]}).gives(
        "release", hint="It is ours, and the selector no longer picks it.")
    answer("1", {"app": "web"}, {"labels": {"app": "web"}}).gives("adopt", hint="It fits, and it is nobody's.")
    answer("1", {"app": "web"}, {"labels": {"app": "web"}, "ownerReferences": [other]}).gives(
        "leave", hint="It fits, but somebody else controls it.")
    answer("1", {"app": "web"}, {"labels": {"app": "web", "tier": "front"}}).gives(
        "adopt", hint="More labels than the selector asks for do no harm.")
    answer("1", {"app": "web"}, {"labels": {"app": "web"}, "ownerReferences": [{"uid": "2"}]}).gives(
        "adopt", hint="An owner that is not its controller does not manage it.")
    answer("1", {"app": "web"}, {"labels": {"app": "web"}, "deletionTimestamp": "2030-01-01T00:00:00Z"}).gives(
        "leave", hint="An orphan that is about to go is not worth taking in.")
    answer("1", {"app": "web"}, {}).gives("leave", hint="A pod may have no labels at all.")


@exercise
def may_act(answer: Answer) -> None:
    seen, failed = ("seen",), ("failed",)
    answer([]).gives(True, hint="Nothing was asked for.")
    answer([("ask", 2)]).gives(False, hint="Two were asked for, none is seen.")
    answer([("ask", 2), seen]).gives(False, hint="One of two is seen.")
    answer([("ask", 2), seen, seen]).gives(True, hint="Both are seen.")
    answer([("ask", 2), seen, failed]).gives(True, hint="One is seen, and the other will not come.")
    answer([("ask", 1), seen, ("ask", 3), seen]).gives(False, hint="Asked again: two of three are still to come.")
    answer([("ask", 1), seen, seen]).gives(True, hint="One more than asked for, made by somebody else, is no reason to wait.")
