"""Kinds that come while the server runs: it follows the definitions, and serves what they define.

Genuine counterpart: the apiextensions-apiserver inside kube-apiserver, and its controllers for names, establishing
and finalizing.
"""
from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from tinykube.api.conversion import Conversion
from tinykube.api.customscale import scale
from tinykube.api.definitions import FINALIZER, CustomStrategy
from tinykube.api.jsonpath import find
from tinykube.api.registry import Record
from tinykube.api.requestinfo import RequestInfo
from tinykube.api.resources import STATUS, Resource, Subresource
from tinykube.api.table import age, table, wants_table
from tinykube.api.verbs import Call, remove
from tinykube.machinery.errors import ApiError, unsupported_media_type
from tinykube.machinery.objects import Object, copy, dig, timestamp
from tinykube.machinery.wire import Request

if TYPE_CHECKING:
    from tinykube.api.server import ApiServer

GROUP, PLURAL = "apiextensions.k8s.io", "customresourcedefinitions"
NAMES = (("plural", "Plural"), ("singular", "Singular"), ("shortNames", "ShortNames"), ("kind", "Kind"),
         ("listKind", "ListKind"))
STRATEGIC = "application/strategic-merge-patch+json"
PATCHES = ("application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml")
VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")


def install(server: ApiServer) -> None:
    """Let a server serve what definitions define, and print it in the columns that they name."""
    definitions, unknown = Definitions(server), server.strict

    def strict(obj: Object, resource: Resource) -> list[str]:
        if not isinstance(resource.strategy, CustomStrategy):
            return unknown(obj, resource) if unknown else []
        return [f'unknown field "{path}"' for path in resource.strategy.unknown(obj)]
    patch = server.patchers[STRATEGIC]

    def strategic(obj: Object, body: Any, resource: Resource) -> Object:
        if resource.schema:
            raise unsupported_media_type(PATCHES)
        return patch(obj, body, resource)
    server.strict, server.patchers[STRATEGIC] = strict, strategic
    server.shapers.insert(0, printer(server))
    server.on_start.append(definitions.start)
    server.on_stop.append(definitions.stop)


def resources_of(server: ApiServer, crd: Object) -> Iterable[Resource]:
    """The rows of the table that a definition makes: one for each version that is served, the stored one first."""
    spec, names = crd["spec"], crd["status"]["acceptedNames"]
    convert = Conversion(server, crd) if len(spec["versions"]) > 1 else None
    for version in sorted(spec["versions"], key=lambda each: not each["storage"]):
        parts = version.get("subresources", {})
        subresources = {**(STATUS if "status" in parts else {}),
                        **({"scale": Subresource(("get", "patch", "update"), "Scale", "autoscaling", "v1")}
                           if "scale" in parts else {})}
        row = Resource(
            names["kind"], names["plural"], CustomStrategy(crd, version), spec["group"], version["name"],
            spec["scope"] == "Namespaced", tuple(names.get("shortNames", ())), tuple(names.get("categories", ())),
            VERBS, subresources, f"/registry/{spec['group']}/{names['plural']}/", None, deprecation(crd, version),
            singular_name=names["singular"], convert=convert, schema=version["schema"]["openAPIV3Schema"])
        if version["served"]:
            yield row


def deprecation(crd: Object, version: Object) -> str:
    """What a client should know who still uses an old version."""
    name = f"{crd['spec']['group']}/{version['name']} {crd['spec']['names']['kind']}"
    return version.get("deprecationWarning") or f"{name} is deprecated" if version.get("deprecated") else ""


class Definitions:
    """Brings the table of resources in line with the definitions, each time that one of them changes."""

    def __init__(self, server: ApiServer) -> None:
        self.server, self.served = server, dict[str, list[Resource]]()
        self.known: dict[str, Any] = {}      # what of a definition was served last
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Serve what is defined already, and follow what comes."""
        self.registry, self.cache = self.server.registry(PLURAL, GROUP), self.server.caches[GROUP, PLURAL]
        await self.cache.start()
        await self.settle()
        self.tasks[""] = asyncio.create_task(self.follow(), name="definitions")

    async def stop(self) -> None:
        """Follow no longer."""
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)

    async def follow(self) -> None:
        """Settle after each change."""
        while True:
            watcher = self.cache.subscribe("", self.cache.revision, None, None)
            await self.settle()
            await watcher.take()
            watcher.end()

    async def settle(self) -> None:
        """Give each definition its conditions, serve those that are established, and no others."""
        records = sorted(self.cache.state.values(), key=lambda each: each.obj["metadata"]["creationTimestamp"])
        for record in records:
            await self.settle_one(record, [each.obj for each in records if each.key != record.key])
        there = {each.obj["metadata"]["name"] for each in records}
        for name in [each for each in self.served if each not in there]:
            await self.serve(name, [])
            self.known.pop(name, None)

    async def settle_one(self, record: Record, others: list[Object]) -> None:
        """One definition: its conditions, then its rows, then, if it has to go, its objects."""
        crd = accepted(record.obj, others, timestamp(self.server.clock))
        name = crd["metadata"]["name"]
        if crd["status"] != record.obj.get("status"):
            await self.registry.replace(record, crd)             # if somebody was faster, we are called again
            return
        meta = crd["metadata"]
        told = meta["uid"], crd["spec"], crd["status"]["acceptedNames"], meta.get("deletionTimestamp")
        if holds(crd, "Established") and self.known.get(name) != told:
            self.known[name] = told
            await self.serve(name, list(resources_of(self.server, crd)))
        ending = crd["metadata"].get("deletionTimestamp") and FINALIZER in crd["metadata"].get("finalizers", [])
        if ending and (name not in self.tasks or self.tasks[name].done()):
            self.tasks[name] = asyncio.create_task(self.clean_up(record), name=f"clean up {name}")

    async def serve(self, name: str, rows: list[Resource]) -> None:
        """Serve these rows of a definition, and no longer those of before; watches that may differ now end."""
        before = [self.server.cache(row) for row in self.served.get(name, [])]
        for row in rows:
            self.server.add(row)
            if "scale" in row.subresources:
                paths = row.strategy.scale_paths  # type: ignore[attr-defined]
                self.server.handlers[row.group, row.plural, "scale"] = scale(*paths)
        kept = {(row.version, row.plural) for row in rows}
        for row in self.served.get(name, []):
            if (row.version, row.plural) not in kept:
                await self.server.remove(row)
        for cache in before:
            if cache not in [self.server.cache(row) for row in rows]:
                await cache.stop()
        self.served[name] = rows
        if not rows:
            del self.served[name]

    async def clean_up(self, record: Record) -> None:
        """Delete all objects of a kind that has to go; when the last is gone, let its definition go, too."""
        for row in self.served.get(record.obj["metadata"]["name"], [])[:1]:
            cache = self.server.cache(row)
            await cache.start()
            while True:
                watcher = cache.subscribe("", cache.revision, None, None)
                for each in list(cache.state.values()):
                    await self.delete(row, each.obj)
                if not (await self.server.registry(row.plural, row.group).range("", limit=1)).kvs:
                    break
                await watcher.take()
        await self.let_go(record)

    async def delete(self, row: Resource, obj: Object) -> None:
        """Delete one object, if it is still there and not being deleted."""
        meta = obj["metadata"]
        info = RequestInfo("delete", row.group, row.version, row.plural, meta.get("namespace", ""), meta["name"])
        with contextlib.suppress(ApiError):
            if not meta.get("deletionTimestamp"):
                await remove(Call(self.server, Request("DELETE", ""), info, row), {})

    async def let_go(self, record: Record) -> None:
        """Take our finalizer off a definition; without others it is gone."""
        crd: Object = copy(record.obj)
        crd["metadata"]["finalizers"].remove(FINALIZER)
        if crd["metadata"]["finalizers"]:
            await self.registry.replace(record, crd)
        else:
            await self.registry.remove(record, crd)


def accepted(crd: Object, others: list[Object], now: str) -> Object:
    """A definition with its names accepted, as far as no other of its group has them, and conditions that say so."""
    taken = {name for other in others if other["spec"]["group"] == crd["spec"]["group"]
             for name in names_in(dig(other, "status", "acceptedNames", default={}))}
    wanted, names, why = crd["spec"]["names"], dict(dig(crd, "status", "acceptedNames", default={})), ("", "")
    for field, word in NAMES:
        clash = next((each for each in names_in({field: wanted.get(field)}) if each in taken), "")
        if clash:
            why = f"{word}Conflict", f"{json.dumps(clash)} is already in use"
        elif wanted.get(field):
            names[field] = wanted[field]
    if wanted.get("categories"):
        names["categories"] = wanted["categories"]
    fresh = {**crd, "status": {**crd["status"], "acceptedNames": names,
                               "conditions": list(dig(crd, "status", "conditions", default=[]))}}
    if why[0]:
        put(fresh, "NamesAccepted", "False", *why, now)
    else:
        put(fresh, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now)
    if holds(fresh, "NamesAccepted") and not holds(fresh, "Established"):
        put(fresh, "Established", "True", "InitialNamesAccepted", "the initial names have been accepted", now)
    elif not holds(fresh, "Established"):
        put(fresh, "Established", "False", "NotAccepted", "not all names are accepted", now)
    if crd["metadata"].get("deletionTimestamp"):
        put(fresh, "Terminating", "True", "InstanceDeletionInProgress", "CustomResource deletion is in progress", now)
    return fresh


def names_in(names: Object) -> list[str]:
    """All names of a kind by which one could ask for it."""
    return [each for field, _ in NAMES for each in (names.get(field) if isinstance(names.get(field), list)
                                                    else [names.get(field)]) or [] if each]


def holds(obj: Object, kind: str) -> bool:
    """Whether a condition is True."""
    return any(each["type"] == kind and each["status"] == "True" for each in obj["status"]["conditions"] or [])


def put(obj: Object, kind: str, status: str, reason: str, message: str, now: str) -> None:
    """Set a condition. Its time is that of the last change of its status."""
    conditions = obj["status"]["conditions"]
    old: Object = next((each for each in conditions if each["type"] == kind), {})
    since = old["lastTransitionTime"] if old.get("status") == status else now
    fresh = {"type": kind, "status": status, "lastTransitionTime": since, "reason": reason, "message": message}
    obj["status"]["conditions"] = [fresh if each is old else each for each in conditions] + ([] if old else [fresh])


def printer(server: ApiServer) -> Callable[[Request, Resource], Callable[[Object], Object] | None]:
    """Makes Tables of objects whose definition names columns."""
    def shaper(request: Request, resource: Resource) -> Callable[[Object], Object] | None:
        columns = getattr(resource.strategy, "columns", ())
        if request.method != "GET" or not columns or not wants_table(request.headers.get("accept", "")):
            return None

        def shape(answer: Object) -> Object:
            found = table("", answer, server.clock.now(), request.param("includeObject", "Metadata"))
            items = answer.get("items", [answer])
            found["columnDefinitions"][1:] = [heading(each) for each in columns]
            for row, item in zip(found["rows"], items, strict=True):
                row["cells"][1:] = [cell(item, each, server.clock.now()) for each in columns]
            return found
        return shape
    return shaper


def heading(column: Object) -> Object:
    """A column's definition, as Tables have it."""
    text = f"Custom resource definition column (in JSONPath format): {column['jsonPath']}"
    return {"name": column["name"], "type": column["type"], "format": column.get("format", ""),
            "description": column.get("description") or text, "priority": column.get("priority", 0)}


def cell(obj: Object, column: Object, now: Any) -> Any:
    """The first value that a column points to, in the form that its type asks for; None where there is no such value."""
    values = find(obj, column["jsonPath"])
    value, kind = values[0] if values else None, column["type"]
    if not values or (kind in ("integer", "number", "boolean") and isinstance(value, bool) != (kind == "boolean")):
        return None
    if kind in ("integer", "number", "boolean"):
        return None if not isinstance(value, int | float) else int(value) if kind == "integer" else value
    if kind == "date":
        try:
            return age(str(value), now)
        except ValueError:
            return "<invalid>"
    if value is None:
        return "<no value>"
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
