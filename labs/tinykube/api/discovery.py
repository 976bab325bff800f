"""Discovery: the server tells a client what it serves, so that `po` can become /api/v1/namespaces/.../pods."""
from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tinykube.machinery.errors import no_such_resource
from tinykube.machinery.wire import Object, Request, Response

if TYPE_CHECKING:
    from tinykube.api.resources import Resource
    from tinykube.api.server import ApiServer

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
VERSION = "v1.37.2+tinykube"
SUBRESOURCE_KINDS = {"binding": "Binding"}


def install(server: ApiServer) -> None:
    """Make a server answer /version, and tell in both forms of discovery what its table of resources holds."""
    async def answer(request: Request) -> Response:
        found = discover(server.resources, request)
        if found is None:
            raise no_such_resource()
        return found
    roots = {root(r) for r in server.resources} | {f"/apis/{r.group}" for r in server.resources if r.group}
    for path in ("/version", "/api", "/apis", *roots):
        server.routes[path] = answer


def discover(resources: Iterable[Resource], request: Request) -> Response | None:
    """The answer to a discovery request (/api, /apis and below, /version), or None if it is not one."""
    table = list(resources)
    path = request.path.rstrip("/")
    if path in ("/api", "/apis") and "as=APIGroupDiscoveryList" in request.headers.get("accept", ""):
        groups = sorted({r.group for r in table if bool(r.group) == (path == "/apis")})
        return Response(200, aggregated(table, groups), {"content-type": AGGREGATED})
    documents = {
        "/version": version(),
        "/api": {"kind": "APIVersions", "versions": sorted({r.version for r in table if not r.group}),
                 "serverAddressByClientCIDRs": []},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1",
                  "groups": [group(table, name) for name in sorted({r.group for r in table} - {""})]},
    }
    for resource in table:
        documents[root(resource)] = resource_list(table, resource.group, resource.version)
        if resource.group:
            documents[f"/apis/{resource.group}"] = {"kind": "APIGroup", "apiVersion": "v1"} | group(table, resource.group)
    found = documents.get(path)
    return Response(200, found) if found else None


def root(resource: Resource) -> str:
    """The path below which a group's version lives: /api/v1 for the core group, /apis/<group>/<version> else."""
    return f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"


def version() -> Object:
    """Who answers here: the version whose API this is, and in the build part, that it is not the genuine one."""
    major, minor, *_ = VERSION.removeprefix("v").split(".")
    return {"major": major, "minor": minor, "gitVersion": VERSION, "gitCommit": "", "gitTreeState": "",
            "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "python",
            "platform": f"{platform.system().lower()}/{platform.machine()}"}


def group(table: Iterable[Resource], name: str) -> Object:
    """One API group and its versions, the preferred one named."""
    versions = [{"groupVersion": f"{name}/{v}", "version": v}
                for v in sorted({r.version for r in table if r.group == name})]
    return {"name": name, "versions": versions, "preferredVersion": versions[-1]}


def resource_list(table: Iterable[Resource], group_name: str, version_name: str) -> Object:
    """The plain form: one list for each group's version, subresources among the resources."""
    rows: list[Object] = []
    for r in (r for r in table if (r.group, r.version) == (group_name, version_name)):
        common = {"namespaced": r.namespaced}
        extras = {"shortNames": list(r.short_names), "categories": list(r.categories)}
        rows.append({"name": r.plural, "singularName": r.singular, **common, "kind": r.kind, "verbs": list(r.verbs)}
                    | {key: value for key, value in extras.items() if value})
        rows += [{"name": f"{r.plural}/{name}", "singularName": "", **common, "verbs": list(verbs),
                  "kind": SUBRESOURCE_KINDS.get(name, r.kind)} for name, verbs in r.subresources.items()]
    full = f"{group_name}/{version_name}" if group_name else version_name
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": full, "resources": rows}


def aggregated(table: Sequence[Resource], groups: Iterable[str]) -> Object:
    """The aggregated form: all groups, versions and resources in one document, so that one request is enough."""
    items = []
    for name in groups:
        versions = [{"version": v, "freshness": "Current",
                     "resources": [resource_entry(r) for r in table if (r.group, r.version) == (name, v)]}
                    for v in sorted({r.version for r in table if r.group == name})]
        items.append({"metadata": {"name": name, "creationTimestamp": None}, "versions": versions})
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def resource_entry(r: Resource) -> Object:
    """One resource in the aggregated form."""
    kind = {"group": r.group, "version": r.version, "kind": r.kind}
    subs = [{"subresource": name, "responseKind": kind | {"kind": SUBRESOURCE_KINDS.get(name, r.kind)},
             "verbs": list(verbs)} for name, verbs in r.subresources.items()]
    extras = {"shortNames": list(r.short_names), "categories": list(r.categories), "subresources": subs}
    return {"resource": r.plural, "responseKind": kind, "scope": "Namespaced" if r.namespaced else "Cluster",
            "singularResource": r.singular, "verbs": list(r.verbs)} | {k: v for k, v in extras.items() if v}
