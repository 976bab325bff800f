"""Walks an object along its types: a table that speaks of types is applied wherever such an object lies.

A probe is a probe, in a pod as in the template of a CronJob. So the tables of defaults and of rules are keyed by type
(`core.v1.Probe`), or by a place (`Job.spec`) where the same type is treated in two ways.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tinykube.api.openapi import typed
from tinykube.machinery.patch import Typed
from tinykube.machinery.wire import Object

Table = Mapping[str, list[Object]]


@dataclass
class Branch:
    """What a table says of one place, and the ways down to the places below that it says something of."""

    entries: list[Object]
    below: dict[str, Branch] = field(default_factory=dict)


def type_name(place: Typed) -> str:
    """The name of a place's type as our tables have it: apps.v1.DeploymentSpec."""
    schema = (place.schema.get("allOf") or [place.schema])[0]
    return ".".join(str(schema.get("$ref", "")).rsplit("/", 1)[-1].split(".")[-3:])


def grow(table: Table, place: Typed, where: str, name: str, above: tuple[str, ...] = ()) -> Branch | None:
    """The part of a table that concerns the objects at a place; None if it has nothing to say there."""
    found = Branch([*table.get(name, []), *table.get(where, [])])
    for each in place.resolved().get("properties", {}) if name not in above else ():
        inner = place.field(each)
        inner = inner.items() if inner.resolved().get("type") == "array" else inner
        if below := grow(table, inner, f"{where}.{each}", type_name(inner), (*above, name)):
            found.below[each] = below
    return found if found.entries or found.below else None


def of_kind(table: Table, api_version: str, kind: str) -> Branch | None:
    """The part of a table that concerns objects of a kind."""
    group, _, version = api_version.rpartition("/")
    return grow(table, typed(group, version, kind), kind, f"{group.split('.')[0] or 'core'}.{version}.{kind}")


def visit(value: Any, branch: Branch | None, path: str = "") -> Iterator[tuple[str, Object, list[Object]]]:
    """(path, object, entries) for each object that the table concerns. What is added on the way is visited, too."""
    if branch is None or not isinstance(value, dict):
        return
    yield path, value, branch.entries
    for name, below in branch.below.items():
        inner = value.get(name)
        if isinstance(inner, list):
            for at, item in enumerate(inner):
                yield from visit({} if item is None else item, below, f"{path}{name}[{at}].")
        elif inner is not None:
            yield from visit(inner, below, f"{path}{name}.")


def holds(condition: str, value: Object, given: set[str]) -> bool:
    """Whether an entry's condition is met: `type=A|B` by the value of a field, `x` if x was given, `!x` if not."""
    name, equals, texts = condition.partition("=")
    if equals:
        return str(value.get(name, "")) in texts.split("|")
    return not condition or (condition.lstrip("!") in given) != condition.startswith("!")
