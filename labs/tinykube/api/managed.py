"""Who wrote which field: an object's managedFields, kept with each write.

Genuine counterpart: k8s.io/apimachinery/pkg/util/managedfields.
"""
from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from tinykube.api.fieldset import (
    Fields,
    Path,
    compact,
    differences,
    fields_in,
    fields_of,
    merged,
    tree,
    with_parents,
    without,
)
from tinykube.machinery import errors
from tinykube.machinery.objects import Object
from tinykube.machinery.patch import Typed
from tinykube.machinery.wire import Request

MOST_UPDATERS = 10
ANCIENT = "ancient-changes"
LONGEST_NAME = 128
NOBODYS: Fields = frozenset({("f:apiVersion",), ("f:kind",), ("f:metadata",)} | {
    ("f:metadata", f"f:{name}") for name in (
        "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields",
        "resourceVersion")})


@dataclass(frozen=True)
class Manager:
    """Who writes, how, in which version and to which part of the object. Applying is one thing in all versions."""

    name: str
    operation: str
    version: str
    subresource: str = ""

    @property
    def identity(self) -> str:
        """The manager as the genuine server tells one from another, which is also how it sorts them."""
        facts = {"manager": self.name, "operation": self.operation, "apiVersion": self.version,
                 "subresource": self.subresource}
        return compact({key: value for key, value in facts.items() if value})

    @property
    def text(self) -> str:
        """How conflicts call it."""
        part = f' with subresource "{self.subresource}"' if self.subresource else ""
        return f'"{self.name}"{part}' + (f" using {self.version}" if self.operation == "Update" else "")


@dataclass(frozen=True)
class Owned:
    """What a manager owns, and when it last took something."""

    fields: Fields
    version: str
    time: str = ""


Owners = dict[Manager, Owned]


def manager_name(request: Request) -> str:
    """The manager that a request names, or else the program that sends it."""
    agent = request.headers.get("user-agent", "").split("/")[0]
    printable = "".join(letter for letter in agent if letter.isprintable())
    return request.param("fieldManager") or printable[:LONGEST_NAME] or "unknown"


def manager_causes(name: str) -> list[Object]:
    """What is wrong with the name of a manager."""
    if len(name.encode()) > LONGEST_NAME:
        return [errors.too_long_value("fieldManager", LONGEST_NAME)]
    bad = [(at, letter) for at, letter in enumerate(name) if not letter.isprintable()]
    return [errors.invalid_value("fieldManager", name, f"invalid character U+{ord(letter):04X} (at position {at})")
            for at, letter in bad[:1]]


def owners_in(entries: Any) -> Owners:
    """The owners that managedFields names. Raises ValueError and its like for what is none."""
    found: Owners = {}
    for entry in entries or ():
        operation, version = entry["operation"], entry["apiVersion"]
        if operation not in ("Apply", "Update"):
            raise ValueError(f"operation of managedFields: {operation} is neither Apply nor Update")
        who = Manager(entry.get("manager", ""), operation, version if operation == "Update" else "",
                      entry.get("subresource", ""))
        found[who] = Owned(frozenset(fields_in(entry["fieldsV1"])), version, entry.get("time") or "")
    return found


def entries(owners: Owners) -> list[Object]:
    """Owners as managedFields has them: those who apply first, then by time and name."""
    rows = sorted(owners.items(), key=lambda row: (row[0].operation, row[1].time, row[0].name, row[1].version,
                                                   row[0].subresource))
    return [{"manager": who.name, "operation": who.operation, "apiVersion": owned.version,
             **({"time": owned.time} if owned.time else {}), "fieldsType": "FieldsV1", "fieldsV1": tree(owned.fields),
             **({"subresource": who.subresource} if who.subresource else {})} for who, owned in rows]


def known_owners(old: Object, new: Object, subresource: str) -> Owners:
    """The owners before a write: as the client sent them, or else as they were. An empty list of them starts anew."""
    sent = new["metadata"].get("managedFields")
    if sent in ([], [{}]) and not subresource:
        return {}
    for listed in (None if subresource else sent, old["metadata"].get("managedFields")):
        try:
            if found := owners_in(listed):
                return found
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return {}


@dataclass(frozen=True)
class Change:
    """The paths in which an object changed."""

    added: Fields
    modified: Fields
    removed: Fields

    @classmethod
    def between(cls, old: Object, new: Object, place: Typed, ignored: Fields) -> Change:
        """What differs, but for what this way of writing may not change."""
        found: dict[str, set[Path]] = {"added": set(), "modified": set(), "removed": set()}
        for how, path in differences(old, new, place):
            if not is_below(path, ignored):
                found[how].add(path)
        return cls(**{how: frozenset(paths) for how, paths in found.items()})

    @property
    def taken(self) -> Fields:
        """What belongs to whoever made the change."""
        return self.added | self.modified

    def take(self, owners: Owners) -> Owners:
        """Owners without what the change took or removed, and without those who own nothing any more."""
        left = {who: replace(owned, fields=owned.fields - self.taken - self.removed) for who, owned in owners.items()}
        return {who: owned for who, owned in left.items() if owned.fields}


def is_below(path: Path, ignored: Fields) -> bool:
    """Whether a path is, or leads through, one of `ignored`."""
    return any(path[:length] in ignored for length in (1, 2))


def updated(owners: Owners, who: Manager, change: Change, now: str) -> Owners:
    """Owners after a create, an update or a patch: what changed is the writer's alone."""
    left, mine = change.take(owners), change.taken - NOBODYS
    if mine:
        before = left[who].fields if who in left else frozenset()
        left[who] = Owned(mine | before, who.version, now)
    return capped(left)


def capped(owners: Owners) -> Owners:
    """At most ten who update: of each version, those whose last write is longest ago become one."""
    updaters = sorted((who for who in owners if who.operation == "Update"),
                      key=lambda who: (owners[who].time, who.identity))
    left, first, surplus = dict(owners), {}, len(updaters) - MOST_UPDATERS
    for who in updaters:
        if surplus <= 0:
            break
        if who.version not in first:
            first[who.version] = who
            continue
        bucket = Manager(ANCIENT, "Update", who.version)
        if bucket not in left:
            left[bucket] = left.pop(first[who.version])
        merged = left.pop(who)
        left[bucket] = replace(merged, fields=merged.fields | left[bucket].fields)
        surplus -= 1
    return left


def laid_over(live: Object, config: Object, owners: Owners, who: Manager, place: Typed, off: Fields,
              version: str, now: str) -> tuple[Object, Owners, Owners]:
    """What an apply leads to: the object, its owners, and what others own of that which it changes."""
    mine = frozenset(path for path in fields_of(config, place) if not is_below(path, off))
    last = owners.get(who, Owned(frozenset(), version))
    obj = merged(live, config, place)
    if last.fields:
        claimed = mine.union(*(owned.fields for other, owned in owners.items() if other != who))
        obj = pruned(obj, last.fields, claimed, place)
    changed = Change.between(live, obj, place, off)
    others = {other: owned for other, owned in owners.items() if other != who}
    taken = {other: replace(owned, fields=owned.fields & changed.taken) for other, owned in others.items()}
    left = changed.take(others)
    if mine - NOBODYS:
        left[who] = Owned(mine - NOBODYS, version, last.time if obj == live else now)
    return obj, left, {other: owned for other, owned in taken.items() if owned.fields}


def pruned(obj: Object, last: Fields, claimed: Fields, place: Typed) -> Object:
    """`obj` without what a manager applied last and does not apply now, as far as nobody claims it."""
    everything, last = with_parents(fields_of(obj, place), place), with_parents(last, place)
    kept = with_parents(fields_of(without(obj, place, tree(last)), place), place)
    cut = everything - kept - with_parents(claimed, place)
    kept = with_parents(fields_of(without(obj, place, tree(cut)), place), place)
    return without(obj, place, tree((everything - kept) & last)) or {}


def conflict(taken: Owners) -> errors.ApiError:
    """409: what others own of that which an apply would change."""
    rows = [(who.text, path_text(path)) for who, owned in sorted(taken.items(), key=lambda row: row[0].identity)
            for path in sorted(owned.fields, key=members_first)]
    causes = [{"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": path} for who, path in rows]
    if len(rows) == 1:
        message = f"Apply failed with 1 conflict: conflict with {rows[0][0]}: {rows[0][1]}"
    else:
        texts = {who: "".join(f"\n- {path}" for other, path in rows if other == who) for who, _ in rows}
        message = f"Apply failed with {len(rows)} conflicts: " + "\n".join(
            f"conflicts with {who}:{paths}" for who, paths in texts.items())
    return errors.ApiError(409, message, "Conflict", {"causes": causes})


def members_first(path: Path) -> list[tuple[bool, str]]:
    """The order in which the genuine server lists paths: an object's own fields before what is inside them."""
    return [(at < len(path), step) for at, step in enumerate(path, 1)]


def path_text(path: Path) -> str:
    """A path as messages have it: `.spec.containers[name="web"].image`."""
    return "".join(f".{step[2:]}" if step.startswith("f:") else f"[{item_text(step)}]" for step in path)


def item_text(step: str) -> str:
    """What tells an item of a list apart, as messages have it: `name="web"`, or `="value"`."""
    value = json.loads(step[2:])
    keys = value if step.startswith("k:") else {"": value}
    return ",".join(f"{key}={compact(item)}" for key, item in keys.items())
