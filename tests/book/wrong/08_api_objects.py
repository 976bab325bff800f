"""Wrong answers to the exercises of the chapter on objects."""

from __future__ import annotations

from typing import Any

from bookkit.exercises import wrong

Object = dict[str, Any]


@wrong("merge_defaults", says="deep inside")
def flat(given: Object, defaults: Object) -> Object:
    return {**defaults, **{key: value for key, value in given.items() if value is not None}}


@wrong("merge_defaults", says="the empty text are values")
def falsy(given: Object, defaults: Object) -> Object:
    merged = dict(given)
    for key, value in defaults.items():
        merged[key] = falsy(merged[key], value) if isinstance(merged.get(key), dict) else merged.get(key) or value
    return merged


@wrong("split_update", says="can't change the status")
def takes_all(old: Object, new: Object, path: str) -> Object:
    return {**old, "metadata": new["metadata"], "status": new["status"]} if path == "status" else new


@wrong("split_update", says="the spec stays")
def status_too(old: Object, new: Object, path: str) -> Object:
    return new if path == "status" else {**new, "status": old.get("status")}


@wrong("read_path", says="A namespace is an object, too")
def always_a_room(path: str) -> tuple[str, str, str, str]:
    parts = path.strip("/").split("/")
    group = parts[1] if parts[0] == "apis" else ""
    parts = parts[3:] if parts[0] == "apis" else parts[2:]
    namespace = ""
    if parts[0] == "namespaces":
        namespace, parts = parts[1], [*parts[2:], ""]
    return group, parts[0], namespace, [*parts, ""][1]


@wrong("read_path", says="below /apis")
def knows_no_groups(path: str) -> tuple[str, str, str, str]:
    parts = path.strip("/").split("/")[2:]
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2:
        namespace, parts = parts[1], parts[2:]
    return "", parts[0], namespace, [*parts, ""][1]
