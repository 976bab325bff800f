"""OpenAPI v3: what fields each kind has, in words for `kubectl explain` and in types for `kubectl apply`."""
from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinykube.api.discovery import VERSION, root
from tinykube.machinery.errors import no_such_resource
from tinykube.machinery.patch import Typed, strategic_merge_patch
from tinykube.machinery.wire import Object, Request, Response

if TYPE_CHECKING:
    from tinykube.api.resources import Resource
    from tinykube.api.server import ApiServer

SCHEMAS: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "schemas.json").read_text())
PATCH_TYPES = ["application/json-patch+json", "application/merge-patch+json",
               "application/strategic-merge-patch+json"]
PARAMETERS = ("dryRun", "fieldManager", "fieldValidation", "force")


def install(server: ApiServer) -> None:
    """Let a server publish its schemas, and use them: for strategic merge patches and to find unknown fields."""
    async def answer(request: Request) -> Response:
        found = openapi(server.resources, request)
        if found is None:
            raise no_such_resource()
        return found

    def patch(current: Object, body: Any, resource: Resource) -> Object:
        return strategic_merge_patch(current, body, typed(resource.group, resource.version, resource.kind))

    server.routes["/openapi/v3"] = server.routes["/openapi/v3/"] = answer
    server.patchers["application/strategic-merge-patch+json"] = patch
    server.strict = lambda obj, r: list(unknown_fields(obj, typed(r.group, r.version, r.kind)))


@cache
def names_of_kinds() -> dict[tuple[str, str, str], str]:
    """(group, version, kind) -> the name of its schema, by the marks that the schemas carry."""
    marks = ((name, mark) for name, schema in SCHEMAS.items() if name != "origin"
             for mark in schema.get("x-kubernetes-group-version-kind", []))
    return {(mark["group"], mark["version"], mark["kind"]): name for name, mark in marks}


def schema_name(group: str, version: str, kind: str) -> str:
    """The name of a kind's schema, or ''."""
    return names_of_kinds().get((group, version, kind), "")


def typed(group: str, version: str, kind: str) -> Typed:
    """The types of a kind's fields, which is what a strategic merge patch needs to know."""
    return Typed.named(SCHEMAS, schema_name(group, version, kind))


def unknown_fields(value: Any, place: Typed, path: str = "") -> Iterator[str]:
    """A text for each field that the schema does not have, which is where most typing errors end up."""
    schema = place.resolved()
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from unknown_fields(item, place.items(), f"{path}[{index}]")
    elif isinstance(value, dict):
        known = schema.get("properties")
        for key, item in value.items():
            where = f"{path}.{key}" if path else key
            if known and key not in known:
                yield f'unknown field "{where}"'
            else:
                yield from unknown_fields(item, place.field(key), where)


def openapi(resources: Iterable[Resource], request: Request) -> Response | None:
    """The answer to /openapi/v3 and the documents below it, or None. /openapi/v2 is not served: 404."""
    table = list(resources)
    roots = {root(r).lstrip("/"): (r.group, r.version) for r in table}
    path = request.path.rstrip("/")
    if path == "/openapi/v3":
        return Response(200, {"paths": {name: {"serverRelativeURL": f"/openapi/v3/{name}"} for name in sorted(roots)}})
    wanted = roots.get(path.removeprefix("/openapi/v3/"))
    if not path.startswith("/openapi/v3/") or wanted is None:
        return None
    return Response(200, document([r for r in table if (r.group, r.version) == wanted]))


def document(resources: list[Resource]) -> Object:
    """One group version's document: the paths of its resources, and each schema that these reach."""
    names = [schema_name(r.group, r.version, r.kind) for r in resources]
    names += [schema_name(r.group, r.version, r.kind + "List") for r in resources]
    paths = {path: operations for r in resources for path, operations in paths_of(r).items()}
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": VERSION}, "paths": paths,
            "components": {"schemas": {name: SCHEMAS[name] for name in sorted(reached(names))}}}


def paths_of(resource: Resource) -> Object:
    """The paths of one resource, with no more than its clients look for in them."""
    base = root(resource) + ("/namespaces/{namespace}" if resource.namespaced else "") + "/" + resource.plural
    mark = {"x-kubernetes-group-version-kind":
            {"group": resource.group, "version": resource.version, "kind": resource.kind}}
    parameters = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in PARAMETERS]
    body = {"content": {media: {"schema": {"type": "object"}} for media in PATCH_TYPES}}
    answers = {"responses": {"200": {"description": "OK"}}}
    return {
        base: {"get": mark | {"x-kubernetes-action": "list"} | answers,
               "post": mark | {"x-kubernetes-action": "post", "parameters": parameters} | answers},
        base + "/{name}": {
            "get": mark | {"x-kubernetes-action": "get"} | answers,
            "put": mark | {"x-kubernetes-action": "put", "parameters": parameters} | answers,
            "patch": mark | {"x-kubernetes-action": "patch", "parameters": parameters, "requestBody": body} | answers,
        },
    }


def reached(names: Iterable[str]) -> set[str]:
    """`names` and every schema that they refer to, at any depth."""
    found: set[str] = set()
    waiting = [name for name in names if name]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += references(SCHEMAS[name])
    return found


def references(node: Any) -> Iterator[str]:
    """The names of the schemas that `node` refers to directly."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].rsplit("/", 1)[1]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)
