"""Answers that people would give to the exercises of "Custom resources and admission", and what they should be told."""

from __future__ import annotations

from typing import Any

from bookkit.exercises import wrong

Object = dict[str, Any]


@wrong("with_defaults", says="below properties that are there")
def only_the_first_level(schema: Object, value: Object) -> Object:
    defaults = {name: inner["default"] for name, inner in schema["properties"].items() if "default" in inner}
    return {**defaults, **value}


@wrong("with_defaults", says="no place for defaults")
def makes_places(schema: Object, value: Object) -> Object:
    filled = dict(value)
    for name, inner in schema.get("properties", {}).items():
        if inner["type"] == "object":
            filled[name] = makes_places(inner, filled.get(name, inner.get("default", {})))
        elif name not in filled and "default" in inner:
            filled[name] = inner["default"]
    return filled


@wrong("answer_review", says="no `labels` at all")
def expects_labels(review: Object) -> Object:
    asked = review["request"]
    if asked["object"] and "owner" not in asked["object"]["metadata"].get("labels", {"owner": ""}):
        return {"uid": asked["uid"], "allowed": False, "status": {"message": "who is the owner?"}}
    return {"uid": asked["uid"], "allowed": True}


@wrong("answer_review", says="repeat the uid")
def forgets_the_uid(review: Object) -> Object:
    return {"allowed": True}


@wrong("room", says="Exactly full")
def full_is_too_much(hard: Object, used: Object, costs: Object) -> list[str]:
    return sorted(name for name in costs if name in hard and used.get(name, 0) + costs[name] >= hard[name])


@wrong("room", says="doesn't cost")
def looks_at_all(hard: Object, used: Object, costs: Object) -> list[str]:
    return sorted(name for name in hard if used.get(name, 0) + costs.get(name, 0) > hard[name])


@wrong("asker", says="Only the front proxy is believed")
def believes_everybody(shown: str | None, headers: dict[str, str]) -> tuple[str, list[str]]:
    if "x-remote-user" in headers:
        return headers["x-remote-user"], headers.get("x-remote-group", "").splitlines()
    return (shown, []) if shown else ("system:anonymous", ["system:unauthenticated"])


@wrong("asker", says="Each line of the header is a group")
def one_group(shown: str | None, headers: dict[str, str]) -> tuple[str, list[str]]:
    if shown == "front-proxy-client":
        return headers["x-remote-user"], [headers["x-remote-group"]]
    return (shown, []) if shown else ("system:anonymous", ["system:unauthenticated"])


@wrong("asker", says="Without a certificate it is nobody")
def forgets_nobody(shown: str | None, headers: dict[str, str]) -> tuple[str | None, list[str]]:
    if shown == "front-proxy-client":
        return headers["x-remote-user"], headers.get("x-remote-group", "").splitlines()
    return shown, []
