"""OpenAPI v3: what fields each kind has, in words for `kubectl explain` and in types for `kubectl apply`."""
from __future__ import annotations

import hashlib
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
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
OF_LISTS = ("labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "resourceVersionMatch",
            "timeoutSeconds", "watch", "allowWatchBookmarks", "sendInitialEvents")
OF_WRITES = ("dryRun", "fieldManager", "fieldValidation")
OF_DELETES = ("dryRun", "gracePeriodSeconds", "propagationPolicy")
METHODS: dict[str, tuple[str, tuple[str, ...]]] = {     # verb: method, what its query may say
    "get": ("get", ()), "list": ("get", OF_LISTS), "create": ("post", OF_WRITES), "update": ("put", OF_WRITES),
    "patch": ("patch", (*OF_WRITES, "force")), "delete": ("delete", OF_DELETES),
    "deletecollection": ("delete", (*OF_DELETES, *OF_LISTS[:7]))}
ACTIONS = {"create": "post", "update": "put"}
TYPES = {"limit": "integer", "timeoutSeconds": "integer", "gracePeriodSeconds": "integer", "watch": "boolean",
         "allowWatchBookmarks": "boolean", "sendInitialEvents": "boolean", "force": "boolean"}
CONVENTIONS = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
HEAD: Object = {**{each: SCHEMAS[META + "Status"]["properties"][each] for each in ("apiVersion", "kind")}, "metadata": {
    "description": f"Standard object's metadata. More info: {CONVENTIONS}#metadata",
    "allOf": [{"$ref": f"#/components/schemas/{META}ObjectMeta"}]}}


def install(server: ApiServer) -> None:
    """Let a server publish its schemas, and use them: for strategic merge patches and to find unknown fields."""
    documents = Documents()

    async def answer(request: Request) -> Response:
        found = openapi(documents, server.resources, request)
        if found is None:
            raise no_such_resource()
        return found

    def patch(current: Object, body: Any, resource: Resource) -> Object:
        return strategic_merge_patch(current, body, types(resource))

    server.routes["/openapi/v3"] = server.routes["/openapi/v3/"] = answer
    server.patchers["application/strategic-merge-patch+json"] = patch
    server.strict = lambda obj, r: list(unknown_fields(obj, types(r)))


@cache
def names_of_kinds() -> dict[tuple[str, str, str], str]:
    """(group, version, kind) -> the name of its schema, by the marks that the schemas carry."""
    marks = ((name, mark) for name, schema in SCHEMAS.items() if name != "origin"
             for mark in schema.get("x-kubernetes-group-version-kind", []))
    return {(mark["group"], mark["version"], mark["kind"]): name for name, mark in marks}


def schema_name(group: str, version: str, kind: str) -> str:
    """The name of a kind's schema, or ''."""
    return names_of_kinds().get((group, version, kind), "")


@cache
def typed(group: str, version: str, kind: str) -> Typed:
    """The types of a kind's fields, which is what a strategic merge patch needs to know."""
    return Typed.named(SCHEMAS, schema_name(group, version, kind))


def types(resource: Resource) -> Typed:
    """The types of a resource's fields, by its definition if it has one."""
    return Typed(SCHEMAS, published(resource)) if resource.schema else typed(
        resource.group, resource.version, resource.kind)


def go_types(resource: Resource) -> Typed:
    """The types that are checked before anything else: of what a definition defines, those of its metadata alone."""
    return Typed(SCHEMAS, {"properties": {"metadata": HEAD["metadata"]}}) if resource.schema else types(resource)


def published(resource: Resource) -> Object:
    """The schema of a kind that a definition made, with what all objects have."""
    schema = resource.schema or {}
    mark = {"group": resource.group, "kind": resource.kind, "version": resource.version}
    return {**schema, "properties": {**schema.get("properties", {}), **HEAD}, "x-kubernetes-group-version-kind": [mark]}


def custom_schemas(resources: Iterable[Resource]) -> dict[str, Object]:
    """The schemas of the kinds among these that definitions made, and of their lists, by name."""
    found: dict[str, Object] = {}
    for row in (row for row in resources if row.schema):
        name = ".".join([*reversed(row.group.split(".")), row.version, row.kind])
        mark = {"group": row.group, "kind": row.list_kind, "version": row.version}
        items = {"description": f"List of {row.plural}. More info: {CONVENTIONS}", "type": "array",
                 "items": {"$ref": f"#/components/schemas/{name}"}}
        about = {"description": "Standard list metadata.", "allOf": [{"$ref": f"#/components/schemas/{META}ListMeta"}]}
        found[name] = published(row)
        found[f"{name}List"] = {
            "description": f"{row.list_kind} is a list of {row.kind}", "type": "object", "required": ["items"],
            "properties": {**HEAD, "items": items, "metadata": about}, "x-kubernetes-group-version-kind": [mark]}
    return found


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


class Documents:
    """A server's documents and their hashes, each made when somebody asks, and again when its rows have changed."""

    def __init__(self) -> None:
        self.made: dict[str, tuple[list[Resource], bytes, str]] = {}

    def get(self, path: str, rows: list[Resource]) -> tuple[bytes, str]:
        """(the document of a group's version, its hash)."""
        if path not in self.made or self.made[path][0] != rows:
            text = json.dumps(document(rows), separators=(",", ":"), ensure_ascii=False).encode()
            self.made[path] = rows, text, hashlib.sha512(text).hexdigest().upper()
        return self.made[path][1:]


def openapi(documents: Documents, resources: Iterable[Resource], request: Request) -> Response | None:
    """The answer to /openapi/v3 and the documents below it, or None."""
    roots: dict[str, list[Resource]] = {}
    for row in resources:
        roots.setdefault(root(row).lstrip("/"), []).append(row)
    path = request.path.rstrip("/")
    if path == "/openapi/v3":
        told = {name: {"serverRelativeURL": f"/openapi/v3/{name}?hash={documents.get(name, rows)[1]}"}
                for name, rows in sorted(roots.items())}
        return Response(200, {"paths": told}, {"content-type": "text/plain; charset=utf-8"})
    name = path.removeprefix("/openapi/v3/")
    if not path.startswith("/openapi/v3/") or name not in roots:
        return None
    text, digest = documents.get(name, roots[name])
    headers = {"content-type": "application/json", "etag": f'"{digest}"'}
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(304, b"", headers)
    asked = request.param("hash", digest)
    return Response(200, text, headers) if asked == digest else Response(
        301, b"", {**headers, "location": f"{path}?hash={digest}"})


def document(resources: list[Resource]) -> Object:
    """One group version's document: the paths of its resources, and each schema that these reach."""
    custom = custom_schemas(resources)
    names = [schema_name(r.group, r.version, r.kind) for r in resources]
    names += [schema_name(r.group, r.version, r.kind + "List") for r in resources]
    names += [schema_name(part.group or r.group, part.version or r.version, part.kind)
              for r in resources for part in r.subresources.values() if part.kind]
    paths = {path: operations for r in resources for path, operations in paths_of(r).items()}
    names += [name for name in references(paths) if name not in names]
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": VERSION}, "paths": paths,
            "components": {"schemas": {name: SCHEMAS[name] for name in sorted(reached(names) | reached(
                [name for name in references(list(custom.values())) if name in SCHEMAS]))} | custom}}


def paths_of(resource: Resource) -> Object:
    """The paths of one resource and of its subresources, and what may be done at each."""
    base = root(resource) + ("/namespaces/{namespace}" if resource.namespaced else "") + "/" + resource.plural
    kind = schema_name(resource.group, resource.version, resource.kind)
    found = {path: operations(resource, path, [verb for verb in verbs if verb in resource.verbs], kind)
             for path, verbs in ((base, ("list", "create", "deletecollection")),
                                 (base + "/{name}", ("get", "update", "patch", "delete")))}
    for name, part in resource.subresources.items():
        path = f"{base}/{{name}}/{name}"
        kind = schema_name(part.group or resource.group, part.version or resource.version, part.kind or resource.kind)
        found[path] = operations(resource, path, part.verbs, kind)
    return {path: each for path, each in found.items() if len(each) > 1}


def operations(resource: Resource, path: str, verbs: Iterable[str], schema: str) -> Object:
    """What the methods of one path do, with which parameters and bodies."""
    mark = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    given = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
             for name in ("name", "namespace") if f"{{{name}}}" in path]
    found: Object = {"parameters": given}
    for verb in verbs:
        method, query = METHODS[verb]
        found[method] = {
            "x-kubernetes-group-version-kind": mark, "x-kubernetes-action": ACTIONS.get(verb, verb),
            "parameters": [{"name": name, "in": "query", "schema": {"type": TYPES.get(name, "string")}} for name in query],
            "responses": {"200": {"description": "OK"} | content(["application/json"], schema + "List" * (verb == "list"))}}
        if method != "get":
            body = {"patch": META + "Patch", "delete": META + "DeleteOptions"}.get(method, schema)
            found[method]["requestBody"] = content(PATCH_TYPES if method == "patch" else ["*/*"], body)
    return found


def content(media: Iterable[str], schema: str) -> Object:
    """A body of one of these types, that looks as a schema says."""
    known = {"$ref": f"#/components/schemas/{schema}"} if schema in SCHEMAS else {"type": "object"}
    return {"content": {each: {"schema": known} for each in media}}


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
