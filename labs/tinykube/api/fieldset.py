"""Sets of fields: which paths an object has, where two objects differ, and objects merged or cut along such paths.

A path is a tuple of steps: `f:name` to a member, `k:{...}` to the item of a list that has these keys, `v:...` to the
item of a list that is a set. Genuine counterpart: sigs.k8s.io/structured-merge-diff.
"""
from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from tinykube.machinery.objects import Object
from tinykube.machinery.patch import Typed

Path = tuple[str, ...]
Fields = frozenset[Path]
ABSENT: Any = ()                         # where nothing is, not even null; JSON has no tuples, so this is no value
WHOLE = Typed({}, {"type": "array"})     # the type of a list that is owned as one


def shape(place: Typed, value: Any) -> str:
    """How a field is owned: in its parts (`struct`, `map`, `keyed`, `set`), or as one (`whole`)."""
    schema = place.resolved()
    marks = {**schema, **place.schema}
    if schema.get("type") == "array":
        return {"map": "keyed", "set": "set"}.get(marks.get("x-kubernetes-list-type", ""), "whole")
    if marks.get("x-kubernetes-map-type") == "atomic" or "RawExtension" in str(place.schema.get("allOf")):
        return "whole"
    if "properties" in schema:
        return "struct"
    untyped = not schema or schema.get("type") == "object"       # then what the value looks like decides
    return "map" if "additionalProperties" in schema or (untyped and isinstance(value, dict)) else "whole"


def parts(place: Typed, kind: str, value: Any) -> Iterator[tuple[str, Typed, Any]]:
    """(step, type, value) of each part. Raises ValueError for an item that can't be told apart from others."""
    if kind in ("struct", "map"):
        for key, item in (value or {}).items():
            yield f"f:{key}", place.field(key), item
        return
    keys = {**place.resolved(), **place.schema}.get("x-kubernetes-list-map-keys", ())
    for item in value or ():
        yield step_to(item, keys, place.items()), place.items(), item


def step_to(item: Any, keys: Iterable[str], place: Typed) -> str:
    """The step to an item of a list: its keys, of which one that is left out has its default, or else its value."""
    if not keys:
        return f"v:{compact(item)}"
    if not isinstance(item, dict):
        raise ValueError("associative list with keys may not have non-map elements")
    known = {key: item.get(key, place.field(key).schema.get("default")) for key in sorted(keys)}
    found = {key: value for key, value in known.items() if value is not None}
    if not found:
        quoted = " ".join(f'"{key}"' for key in keys)
        raise ValueError(f"associative list with keys has an element that omits all key fields [{quoted}] (and doesn't "
                         "have default values for any key fields)")
    return f"k:{compact(found)}"


def compact(value: Any) -> str:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def fields_of(value: Any, place: Typed, path: Path = ()) -> Iterator[Path]:
    """Each field that an object says something about: its values, its lists' items, what it leaves empty."""
    kind = shape(place, value)
    if kind == "whole":
        yield path
        return
    known = place.resolved()["properties"] if kind == "struct" else ()
    for step, below, item in parts(place, kind, value):
        yield from fields_of(item, below, (*path, step))
        if step[2:] not in known or item is None or item == {}:
            yield (*path, step)


def differences(old: Any, new: Any, place: Typed, path: Path = ()) -> Iterator[tuple[str, Path]]:
    """("added", "modified" or "removed", path) for each field in which two objects differ."""
    kind = shape(place, old or new)
    if kind == "whole" or not (old or new):
        if old is ABSENT and new is not None:
            yield "added", path
        elif new is ABSENT:
            yield "removed", path
        elif old != new and old is not ABSENT:
            yield "modified", path
        return
    before, after = grouped(place, kind, old), grouped(place, kind, new)
    for step in {**before, **after}:
        (below, was), (other, now) = (side.get(step, (place, ABSENT)) for side in (before, after))
        below = WHOLE if WHOLE in (below, other) else other if step in after else below
        yield from differences(was, now, below, (*path, step))
    if path and ABSENT in (old, new):
        yield ("added" if old is ABSENT else "removed"), path


def grouped(place: Typed, kind: str, value: Any) -> dict[str, tuple[Typed, Any]]:
    """The parts by their steps. Items that one can't tell apart are one part, the list of them."""
    found: dict[str, tuple[Typed, Any]] = {}
    for step, below, item in parts(place, kind, value):
        found[step] = (WHOLE, [found[step][1], item]) if step in found else (below, item)
    return found


def merged(live: Any, config: Any, place: Typed) -> Any:
    """`live` with all that `config` says: its values, its items in its order, and the other items where they were."""
    kind = shape(place, config or live)
    if config is ABSENT:
        return live
    if kind == "whole" or not (live or config):
        return config
    if kind in ("struct", "map"):
        return {**(live or {}), **{key: merged((live or {}).get(key, ABSENT), value, place.field(key))
                                   for key, value in (config or {}).items()}}
    theirs, ours = items(place, kind, live), items(place, kind, config)
    return [merged(theirs.get(step, ABSENT), ours.get(step, ABSENT), place.items()) for step in woven(theirs, ours)]


def items(place: Typed, kind: str, value: Any) -> dict[str, Any]:
    """A list's items by their steps; to a second one of the same step leads a step that no other list has."""
    found: dict[str, Any] = {}
    for step, _, item in parts(place, kind, value):
        while step in found:
            step += " again"
        found[step] = item
    return found


def woven(theirs: Iterable[str], ours: Iterable[str]) -> list[str]:
    """The steps of two lists as one list: ours in our order, what only they have behind what it was behind."""
    known, rest, steps = set(theirs), list(ours), []
    for step in theirs:
        if step not in ours:
            steps.append(step)
        elif step == next((one for one in rest if one in known), None):
            end = rest.index(step) + 1
            steps += rest[:end]
            rest = rest[end:]
    return steps + rest


def without(value: Any, place: Typed, cut: Object) -> Any:
    """`value` without the fields of a tree (see `tree`); None if nothing is left."""
    kind = shape(place, value)
    if kind == "whole":
        return value
    kept = [(step, without(item, below, cut[step]) if step in cut else item)
            for step, below, item in parts(place, kind, value) if not (step in cut and is_member(cut[step]))]
    if kind in ("struct", "map"):
        return {step[2:]: item for step, item in kept} or None
    return [item for _, item in kept] or None


def tree(fields: Iterable[Path]) -> Object:
    """A set of fields as the document that managedFields has; `.` says that a path with others below is in the set."""
    root: Object = {}
    for path in sorted(set(fields)):
        node = root
        for step in path:
            known = step in node
            node = node.setdefault(step, {})
            if known and not node:
                node["."] = {}
    return root


def is_member(node: Object) -> bool:
    """Whether the path to a node of such a document is in the set."""
    return not node or "." in node


def fields_in(document: Object, path: Path = ()) -> Iterator[Path]:
    """The fields that such a document names. Raises ValueError or AttributeError if it is none."""
    for step, below in document.items():
        if step == ".":
            yield path
            continue
        here = (*path, f"k:{compact(json.loads(step[2:]))}" if step.startswith("k:") else step)
        if not below:
            yield here
        yield from fields_in(below, here)


def with_parents(fields: Iterable[Path], place: Typed) -> Fields:
    """`fields`, and the members of structs that lead to them: those are there as long as something is in them."""
    found = set(fields)
    for path in fields:
        here = place
        for length, step in enumerate(path[:-1], 1):
            if step[2:] in here.resolved().get("properties", ()) and step.startswith("f:"):
                found.add(path[:length])
            here = here.field(step[2:]) if step.startswith("f:") else here.items()
    return frozenset(found)
