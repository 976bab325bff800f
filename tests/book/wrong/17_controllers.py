"""Answers that people would give to the exercises of "How do three stay three?", and what they should be told."""

from __future__ import annotations

from typing import Any

from bookkit.exercises import wrong


@wrong("careful", says="no step makes more than two")
def all_at_once(wanted: int, there: int) -> tuple[int, int]:
    return max(0, wanted - there), min(1, max(0, there - wanted))


@wrong("careful", says="nothing to do")
def always_something(wanted: int, there: int) -> tuple[int, int]:
    return (min(2, wanted - there), 0) if there < wanted else (0, 1)


@wrong("careful", says="no step loses more than one")
def two_either_way(wanted: int, there: int) -> tuple[int, int]:
    return min(2, max(0, wanted - there)), min(2, max(0, there - wanted))


@wrong("verdict", says="somebody else controls it")
def labels_alone(uid: str, wanted: dict[str, str], meta: dict[str, Any]) -> str:
    fits = wanted.items() <= meta.get("labels", {}).items()
    mine = uid in [each["uid"] for each in meta.get("ownerReferences", [])]
    return ("keep" if fits else "release") if mine else ("adopt" if fits else "leave")


@wrong("verdict", says="More labels than the selector asks for")
def the_same_labels(uid: str, wanted: dict[str, str], meta: dict[str, Any]) -> str:
    fits = wanted == meta.get("labels", {})
    managers = [each["uid"] for each in meta.get("ownerReferences", []) if each.get("controller")]
    if managers:
        return "leave" if managers != [uid] else "keep" if fits else "release"
    return "adopt" if fits and not meta.get("deletionTimestamp") else "leave"


@wrong("may_act", says="the other will not come")
def only_what_is_seen(history: list[tuple[Any, ...]]) -> bool:
    asked = sum(count[0] for what, *count in history if what == "ask")
    return sum(what == "seen" for what, *_ in history) >= asked


@wrong("may_act", says="One of two is seen")
def any_news(history: list[tuple[Any, ...]]) -> bool:
    return not history or history[-1][0] != "ask"
