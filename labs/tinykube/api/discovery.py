"""Discovery: the server tells a client what it serves, so that `po` can become /api/v1/namespaces/.../pods."""
from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tinykube.machinery.wire import Object, Request, Response

if TYPE_CHECKING:
    from tinykube.api.resources import Resource
    from tinykube.api.server import ApiServer

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
VERSION = "v1.37.2+tinykube"


def install(server: ApiServer) -> None:
    """Make a server answer /version, and tell in both forms of discovery what its table of resources holds."""
    otherwise = server.fallback

    async def answer(request: Request) -> Response:
        return discover(server.resources, request) or await otherwise(request)
    for path in ("/version", "/api", "/apis"):
        server.routes[path] = answer
    server.fallback = answer


def discover(table: Sequence[Resource], request: Request) -> Response | None:
    """The answer to a discovery request (/api, /apis and below, /version), or None if it is not one."""
    path = request.path.rstrip("/")
    groups = versions(table)
    if path in ("/api", "/apis") and "as=APIGroupDiscoveryList" in request.headers.get("accept", ""):
        return Response(200, aggregated(table, [each for each in groups if bool(each) == (path == "/apis")]),
                        {"content-type": AGGREGATED})
    if path == "/version":
        return Response(200, version())
    if path == "/api":
        return Response(200, {"kind": "APIVersions", "versions": groups[""], "serverAddressByClientCIDRs": [
            {"clientCIDR": "0.0.0.0/0", "serverAddress": request.headers.get("host", "")}]})
    if path == "/apis":
        return Response(200, {"kind": "APIGroupList", "apiVersion": "v1",
                              "groups": [group(name, groups[name]) for name in groups if name]})
    for name in groups:
        if path == f"/apis/{name}":
            return Response(200, {"kind": "APIGroup", "apiVersion": "v1"} | group(name, groups[name]))
        for each in groups[name]:
            if path == (f"/apis/{name}/{each}" if name else f"/api/{each}"):
                return Response(200, resource_list(table, name, each))
    return None


def versions(table: Iterable[Resource]) -> dict[str, list[str]]:
    """The groups and their versions, each in the order of the table: what comes first is preferred."""
    found: dict[str, list[str]] = {}
    for row in table:
        if row.version not in found.setdefault(row.group, []):
            found[row.group].append(row.version)
    return found


def root(resource: Resource) -> str:
    """The path below which a group's version lives: /api/v1 for the core group, /apis/<group>/<version> else."""
    return f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"


def version() -> Object:
    """Who answers here: the version whose API this is, and in the build part, that it is not the genuine one."""
    major, minor, *_ = VERSION.removeprefix("v").split(".")
    return {"major": major, "minor": minor, "emulationMajor": major, "emulationMinor": minor,
            "minCompatibilityMajor": major, "minCompatibilityMinor": str(int(minor) - 1),
            "gitVersion": VERSION, "gitCommit": "", "gitTreeState": "",
            "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "python",
            "platform": f"{platform.system().lower()}/{platform.machine()}"}


def group(name: str, versions: Iterable[str]) -> Object:
    """One API group and its versions, the preferred one first and named."""
    known = [{"groupVersion": f"{name}/{v}", "version": v} for v in versions]
    return {"name": name, "versions": known, "preferredVersion": known[0]}


def resource_list(table: Iterable[Resource], group_name: str, version_name: str) -> Object:
    """The plain form: one list for each group's version, subresources among the resources, by name."""
    rows: list[Object] = []
    for r in (r for r in table if (r.group, r.version) == (group_name, version_name)):
        extras = {"shortNames": list(r.short_names), "categories": list(r.categories),
                  "storageVersionHash": r.storage_hash}
        rows.append({"name": r.plural, "singularName": r.singular, "namespaced": r.namespaced, "kind": r.kind,
                     "verbs": list(r.verbs)} | {key: value for key, value in extras.items() if value})
        for name, part in r.subresources.items():
            place = {"group": part.group, "version": part.version} if part.version else {}
            rows.append({"name": f"{r.plural}/{name}", "singularName": "", "namespaced": r.namespaced, **place,
                         "kind": part.kind or r.kind, "verbs": list(part.verbs)})
    full = f"{group_name}/{version_name}" if group_name else version_name
    own = {"apiVersion": "v1"} if group_name else {}
    return {"kind": "APIResourceList", **own, "groupVersion": full,
            "resources": sorted(rows, key=lambda each: each["name"])}


def aggregated(table: Sequence[Resource], groups: Iterable[str]) -> Object:
    """The aggregated form: all groups, versions and resources in one document, so that one request is enough."""
    known = versions(table)
    items = [{"metadata": {"name": name} if name else {}, "versions": [
        {"version": each, "resources": [resource_entry(r) for r in table if (r.group, r.version) == (name, each)],
         "freshness": "Current"} for each in known[name]]} for name in groups]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def resource_entry(r: Resource) -> Object:
    """One resource in the aggregated form. A kind without group and version is of the group and version around it."""
    subs = [{"subresource": name, "responseKind": {"group": part.group, "version": part.version,
                                                   "kind": part.kind or r.kind}, "verbs": list(part.verbs)}
            for name, part in r.subresources.items()]
    extras = {"shortNames": list(r.short_names), "categories": list(r.categories), "subresources": subs}
    return {"resource": r.plural, "responseKind": {"group": "", "version": "", "kind": r.kind},
            "scope": "Namespaced" if r.namespaced else "Cluster", "singularResource": r.singular,
            "verbs": list(r.verbs)} | {k: v for k, v in extras.items() if v}
