"""Checks for the exercises of "Custom resources and admission"."""

from __future__ import annotations

from typing import Any

from bookkit.exercises import Answer, exercise

TEXT = {"type": "string", "default": "rye"}


def thing(**properties: Any) -> dict[str, Any]:
    """The schema of an object."""
    return {"type": "object", "properties": properties}


@exercise
def with_defaults(answer: Answer) -> None:
    answer(thing(bread=TEXT), {}).gives({"bread": "rye"}, hint="A property with a default that is missing gets it.")
    answer(thing(bread=TEXT), {"bread": "wheat"}).gives({"bread": "wheat"}, hint="What is there already stays as it is.")
    answer(thing(bread={"type": "string"}), {}).gives({}, hint="Without a default nothing is filled in.")
    nested = thing(spec=thing(bread=TEXT))
    answer(nested, {"spec": {}}).gives({"spec": {"bread": "rye"}}, hint="Look below properties that are there.")
    answer(nested, {}).gives({}, hint="Where `spec` is missing and has no default, there is no place for defaults below it.")
    answer(thing(spec={**thing(bread=TEXT), "default": {}}), {}).gives(
        {"spec": {"bread": "rye"}}, hint="A default may itself be an object with something missing: look below it, too.")


def review(labels: dict[str, str] | None, *, gone: bool = False) -> dict[str, Any]:
    """An AdmissionReview, as far as the exercise needs it."""
    metadata: dict[str, Any] = {"name": "a"} | ({"labels": labels} if labels is not None else {})
    return {"request": {"uid": "17", "object": None if gone else {"metadata": metadata}}}


@exercise
def answer_review(answer: Answer) -> None:
    refusal = {"uid": "17", "allowed": False, "status": {"message": "who is the owner?"}}
    answer(review({"owner": "me"})).gives({"uid": "17", "allowed": True}, hint="The label is there: allow, and repeat the uid.")
    answer(review({"color": "red"})).gives(refusal, hint="Labels, but no `owner` among them: refuse, with the message.")
    answer(review(None)).gives(refusal, hint="An object without any labels has no `labels` at all.")
    answer(review(None, gone=True)).gives({"uid": "17", "allowed": True}, hint="In a deletion the object is null: allow it.")


@exercise
def room(answer: Answer) -> None:
    answer({"pods": 2}, {"pods": 1}, {"pods": 1}).gives([], hint="Exactly full is not exceeded.")
    answer({"pods": 2}, {"pods": 2}, {"pods": 1}).gives(["pods"], hint="Two are there, two is the most.")
    answer({"pods": 2}, {}, {"pods": 3}).gives(["pods"], hint="What was not used yet counts as 0.")
    answer({"pods": 2}, {"cpu": 9}, {"cpu": 5}).gives([], hint="What `hard` doesn't name is not limited.")
    answer({"pods": 1, "cpu": 1}, {"pods": 1, "cpu": 1}, {"pods": 1, "cpu": 1}).gives(["cpu", "pods"], hint="Sort the names.")
    answer({"pods": 1, "cpu": 1}, {"pods": 1, "cpu": 3}, {"pods": 1}).gives(
        ["pods"], hint="What the newcomer doesn't cost is no reason to refuse it, however full it is.")


@exercise
def asker(answer: Answer) -> None:
    jane = {"x-remote-user": "jane", "x-remote-group": "bakers\nsystem:authenticated"}
    answer("front-proxy-client", jane).gives(("jane", ["bakers", "system:authenticated"]), hint="Each line of the header is a group.")
    answer("front-proxy-client", {"x-remote-user": "joe"}).gives(("joe", []), hint="Without the header there are no groups.")
    answer("eve", jane).gives(("eve", []), hint="Only the front proxy is believed: anybody can send these headers.")
    answer(None, {"x-remote-user": "admin", "x-remote-group": "system:masters"}).gives(
        ("system:anonymous", ["system:unauthenticated"]), hint="Without a certificate it is nobody, whatever the headers say.")
