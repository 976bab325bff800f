"""Checks for the exercises of "How does anybody notice?"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bookkit.exercises import Answer, exercise


def event(kind: str, name: str, **data: Any) -> dict[str, Any]:
    """One line of a watch."""
    return {"type": kind, "object": {"metadata": {"name": name}, **data}}


@exercise
def apply_event(answer: Answer) -> None:
    red, blue = ({"metadata": {"name": "a"}, "color": color} for color in ("red", "blue"))
    answer({}, event("ADDED", "a", color="red")).gives({"a": red}, hint="ADDED brings the object itself.")
    answer({"a": red}, event("MODIFIED", "a", color="blue")).gives({"a": blue}, hint="MODIFIED brings the whole new object.")
    answer({}, event("MODIFIED", "a", color="blue")).gives(
        {"a": blue}, hint="You may meet MODIFIED for a name that you don't know yet: take it over all the same.")
    answer({"a": red}, event("DELETED", "a", color="red")).gives({}, hint="DELETED takes the object away.")
    answer({}, event("DELETED", "a")).gives({}, hint="What is not there can't be taken away, and that is no error.")
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7"}}}
    answer({"a": red}, bookmark).gives({"a": red}, hint="A BOOKMARK says how far you are. It is no object of the collection.")


class IsRed:
    """A predicate that verdicts show by its name."""

    def __call__(self, obj: dict[str, Any]) -> bool:
        return bool(obj["color"] == "red")

    def __repr__(self) -> str:
        return "is_red"


@exercise
def event_for(answer: Answer) -> None:
    is_red = IsRed()
    red, blue = {"color": "red"}, {"color": "blue"}
    answer(is_red, None, red).gives("ADDED", hint="It came into being, and it matches.")
    answer(is_red, red, red | {"size": 2}).gives("MODIFIED", hint="It matched before and after.")
    answer(is_red, red, None).gives("DELETED", hint="It matched, and it is gone.")
    answer(is_red, blue, red).gives("ADDED", hint="To this watcher it is new: it did not match before.")
    answer(is_red, red, blue).gives("DELETED", hint="To this watcher it is gone: it does not match any more.")
    answer(is_red, blue, None).gives(None, hint="This watcher has never seen it, so it needn't know that it went.")
    answer(is_red, None, blue).gives(None, hint="It does not match.")


@dataclass
class Pages:
    """A collection that is told page by page: from a token to the items and the next token."""

    pages: dict[str, tuple[list[str], str]]

    def __call__(self, token: str) -> dict[str, Any]:
        items, following = self.pages[token]
        return {"items": list(items), "metadata": {"continue": following} if following else {}}


@exercise
def all_pages(answer: Answer) -> None:
    answer(Pages({"": (["a", "b"], "")})).gives(["a", "b"], hint="One page, and no token: that is all.")
    answer(Pages({"": (["a", "b"], "x"), "x": (["c"], "")})).gives(["a", "b", "c"], hint="The token leads to the next page.")
    answer(Pages({"": (["a"], "x"), "x": (["b"], "y"), "y": (["c"], "")})).gives(
        ["a", "b", "c"], hint="The next page can have a token, too.")
    answer(Pages({"": (["a"], "x"), "x": ([], "y"), "y": (["b"], "")})).gives(
        ["a", "b"], hint="An empty page need not be the last one. Only the token says whether there are more.")
    answer(Pages({"": ([], "")})).gives([], hint="A collection can be empty.")
