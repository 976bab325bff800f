"""The one table of resources: all that tells one kind from another, and the server itself knows none of it.

The table is data, asked of a genuine server. What a kind does beyond its row is a strategy of its own:

- a class that derives from `Strategy` or `StatusStrategy`, in a module of its own, and in it a dict such as
  `STRATEGIES = {("apps", "deployments"): DeploymentStrategy}`; one more line in `SPECIAL` below makes it count;
- for requests that no verb answers (a subresource, a kind that is never stored), a handler:
  `subresources.HANDLERS[group, plural, subresource]`, with "" as subresource for the resource's own paths, or for
  one server alone `server.handlers[...]`.

Resources come and go while a server runs: `server.add(Resource(...))`, `await server.remove(resource)`.

Genuine counterpart: the scheme and the registries of k8s.io/kubernetes/pkg/registry.
"""
from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tinykube.api import definitions, kinds, strategy
from tinykube.api.strategy import StatusStrategy, Strategy
from tinykube.machinery.objects import Object

if TYPE_CHECKING:
    from tinykube.api.conversion import Conversion

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
KEPT_FOR = {("", "events"): 3600}        # seconds
SPECIAL: dict[tuple[str, str], type[Strategy]] = {**strategy.STRATEGIES, **definitions.STRATEGIES, **kinds.STRATEGIES}


@dataclass(frozen=True)
class Subresource:
    """A part of an object with a path of its own; kind, group and version only where they are not the object's."""

    verbs: tuple[str, ...]
    kind: str = ""
    group: str = ""
    version: str = ""


STATUS = {"status": Subresource(("get", "patch", "update"))}


@dataclass(frozen=True)
class Resource:
    """One row of the table: where a kind is served, under which names, and by which rules."""

    kind: str
    plural: str
    strategy: Strategy
    group: str = ""
    version: str = "v1"
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: Mapping[str, Subresource] = field(default_factory=dict)
    stored_at: str = ""                  # the prefix of its keys, where it is not made of the plural
    stored_as: Resource | None = None    # the row in whose form the objects are stored, if it is another one
    warning: str = ""                    # what a client should know who still uses this
    kept_for: int = 0                    # seconds after the last write; 0 is until it is deleted
    storage_hash: str = ""               # changes when the form does in which the objects are stored
    singular_name: str = ""              # where it is not the kind in lower case
    convert: Conversion | None = None    # tells its objects in this version, whichever they are stored in
    schema: Object | None = None         # what its objects may hold, where a definition says it

    @property
    def singular(self) -> str:
        return self.singular_name or self.kind.lower()

    @property
    def list_kind(self) -> str:
        return f"{self.kind}List"

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def prefix(self) -> str:
        """Below this key the objects are stored, where the genuine api-server has them, too."""
        return self.stored_at or f"/registry/{self.plural}/"


def read_table(path: Path) -> Iterator[Resource]:
    """The rows of a file. Two with the same prefix share their objects, in the form of the first."""
    first: dict[str, Resource] = {}
    for name, row in json.loads(path.read_text()).items():
        if name == "origin":
            continue
        where, plural = name.split()
        group, _, version = where.rpartition("/")
        same = first.get(row.get("prefix", ""))
        found = Resource(
            row["kind"], plural, same.strategy if same and (group, plural) not in SPECIAL else strategy_of(group, plural, row),
            group, version,
            row["namespaced"], tuple(row.get("shortNames", ())), tuple(row.get("categories", ())),
            tuple(row.get("verbs", ALL_VERBS)), subresources_of(row), row.get("prefix", ""), same,
            row.get("warning", ""), KEPT_FOR.get((group, plural), 0), row.get("hash", ""))
        if found.stored_at:
            first.setdefault(found.stored_at, found)
        yield found


def subresources_of(row: Object) -> Object:
    """The subresources of a row, each with the kind that it speaks of."""
    return {name: Subresource(tuple(sub["verbs"]), "" if sub["kind"] == row["kind"] else sub["kind"],
                              sub.get("group", ""), sub.get("version", ""))
            for name, sub in row.get("subresources", {}).items()}


def strategy_of(group: str, plural: str, row: Object) -> Strategy:
    """The rules of a row's kind: special ones, or those that its status calls for; and the switches of the row."""
    usual = StatusStrategy if "status" in row.get("subresources", {}) else Strategy
    return SPECIAL.get((group, plural), usual)(row.get("facts", ()), row.get("status"))


RESOURCES = list(read_table(Path(__file__).parent / "data" / "resources.json"))
