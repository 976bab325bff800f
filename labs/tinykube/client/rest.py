"""A small REST client for the Kubernetes API: the verbs, errors as exceptions, a watch as an iterator.

Genuine counterpart: client-go's `rest` package and its dynamic client.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object
from tinykube.machinery.wire import Handler, Request, Response, close

# Where each resource lives. More are learned from the server by `Client.discover`.
PREFIXES = {resource: prefix for prefix, resources in {
    "/api/v1": "pods nodes namespaces configmaps events endpoints secrets serviceaccounts services "
               "replicationcontrollers resourcequotas limitranges persistentvolumes persistentvolumeclaims",
    "/apis/apiextensions.k8s.io/v1": "customresourcedefinitions",
    "/apis/apps/v1": "controllerrevisions daemonsets deployments replicasets statefulsets",
    "/apis/autoscaling/v2": "horizontalpodautoscalers",
    "/apis/batch/v1": "cronjobs jobs",
    "/apis/certificates.k8s.io/v1": "certificatesigningrequests",
    "/apis/coordination.k8s.io/v1": "leases",
    "/apis/discovery.k8s.io/v1": "endpointslices",
    "/apis/policy/v1": "poddisruptionbudgets",
    "/apis/rbac.authorization.k8s.io/v1": "clusterroles clusterrolebindings roles rolebindings",
    "/apis/scheduling.k8s.io/v1": "priorityclasses",
    "/apis/storage.k8s.io/v1": "csinodes storageclasses",
}.items() for resource in resources.split()}

PATCH_TYPES = {
    "strategic": "application/strategic-merge-patch+json",
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}

Query = Mapping[str, str | int | bool | None]


class Client:
    """Speaks to an api-server through `send`: a core's own `handle`, or a transport. Like client-go's dynamic one."""

    def __init__(self, send: Handler, user_agent: str = "tinykube", prefixes: Mapping[str, str] | None = None) -> None:
        self.send = send
        self.user_agent = user_agent
        self.prefixes = {**PREFIXES, **(prefixes or {})}
        self.kinds: dict[tuple[str, str], tuple[str, bool]] = {}

    def path(self, resource: str, namespace: str | None = None, name: str | None = None,
             subresource: str | None = None) -> str:
        """The URL path of a collection, of one object in it, or of a part of that object."""
        if resource not in self.prefixes:
            raise KeyError(f"unknown resource {resource!r}: known are {', '.join(sorted(self.prefixes))}")
        if "/" in (name or "") or "/" in (namespace or ""):
            raise ValueError(f"a name contains no slash: {name!r} in namespace {namespace!r}")
        where = ["namespaces", namespace] if namespace else []
        return "/".join([self.prefixes[resource], *where, resource, *(part for part in (name, subresource) if part)])

    async def request(self, method: str, path: str, query: Query | None = None, body: Object | None = None,
                      content_type: str = "application/json") -> Response:
        """Send one request; whatever is not 2xx becomes an ApiError."""
        headers = {"accept": "application/json", "user-agent": self.user_agent}
        data = b""
        if body is not None:
            headers["content-type"] = content_type
            data = json.dumps(body, separators=(",", ":")).encode()
        response = await self.send(Request(method, path, query_pairs(query or {}), headers, data))
        if not 200 <= response.status < 300:
            raise error_from(response.status, await read_all(response))
        return response

    async def call(self, method: str, path: str, query: Query | None = None, body: Object | None = None,
                   content_type: str = "application/json") -> Object:
        """Send one request and decode the object that comes back."""
        return decode(await read_all(await self.request(method, path, query, body, content_type)))

    async def get(self, resource: str, name: str, namespace: str | None = None,
                  subresource: str | None = None) -> Object:
        """One object, by name."""
        return await self.call("GET", self.path(resource, namespace, name, subresource))

    async def list(self, resource: str, namespace: str | None = None, **query: str | int | bool | None) -> Object:
        """A collection, as the List object that it is; `labelSelector=`, `fieldSelector=`, `limit=` and so on."""
        return await self.call("GET", self.path(resource, namespace), query)

    async def create(self, resource: str, obj: Object, namespace: str | None = None, *, name: str | None = None,
                     subresource: str | None = None, **query: str | int | bool | None) -> Object:
        """POST a new object, or, with `name` and `subresource`, a small one under it (a binding)."""
        namespace = namespace or obj.get("metadata", {}).get("namespace")
        return await self.call("POST", self.path(resource, namespace, name, subresource), query, obj)

    async def update(self, resource: str, obj: Object, namespace: str | None = None, *,
                     subresource: str | None = None) -> Object:
        """PUT a whole object in place of the stored one; 409 when its resourceVersion is not the stored one."""
        meta = obj["metadata"]
        path = self.path(resource, namespace or meta.get("namespace"), meta["name"], subresource)
        return await self.call("PUT", path, None, obj)

    async def patch(self, resource: str, name: str, patch: Object, namespace: str | None = None, *,
                    subresource: str | None = None, type: str = "strategic",
                    **query: str | int | bool | None) -> Object:
        """PATCH an object: `type` is strategic, merge, json or apply."""
        path = self.path(resource, namespace, name, subresource)
        return await self.call("PATCH", path, query, patch, PATCH_TYPES[type])

    async def delete(self, resource: str, name: str, namespace: str | None = None, *,
                     grace_seconds: int | None = None, uid: str | None = None) -> Object:
        """DELETE an object; `uid` makes sure that it is still the one we mean."""
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        return await self.call("DELETE", self.path(resource, namespace, name), None, options)

    async def watch(self, resource: str, namespace: str | None = None,
                    **query: str | int | bool | None) -> AsyncGenerator[Object, None]:
        """Yield {"type", "object"} events until the server ends the stream; an ERROR event raises ApiError."""
        response = await self.request("GET", self.path(resource, namespace), {**query, "watch": "true"})
        async with aclosing(lines(response)) as stream:
            async for line in stream:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise error_from(event["object"].get("code", 500), event["object"])
                yield event

    async def discover(self, api_version: str) -> None:
        """Learn from the server which resources a group version serves, like client-go's RESTMapper."""
        prefix = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        for entry in (await self.call("GET", prefix))["resources"]:
            if "/" not in entry["name"]:
                self.prefixes[entry["name"]] = prefix
                self.kinds[api_version, entry["kind"]] = entry["name"], entry["namespaced"]

    async def resource_of(self, obj: Object) -> tuple[str, bool]:
        """The plural under which objects of this kind are served, and whether they live in namespaces."""
        key = obj.get("apiVersion", ""), obj.get("kind", "")
        if not all(key):
            raise ValueError(f"an object needs apiVersion and kind, this one has {sorted(obj)}")
        if key not in self.kinds:
            await self.discover(key[0])
        if key not in self.kinds:
            raise KeyError(f'no matches for kind "{key[1]}" in version "{key[0]}"')
        return self.kinds[key]


def query_pairs(query: Query) -> tuple[tuple[str, str], ...]:
    """Query parameters as text; those that are None are not sent."""
    text = {True: "true", False: "false"}
    return tuple((name, text[value] if isinstance(value, bool) else str(value))
                 for name, value in query.items() if value is not None)


async def read_all(response: Response) -> bytes | Object:
    """The whole body, also of a stream."""
    if isinstance(response.body, (bytes, dict)):
        return response.body
    return b"".join([chunk async for chunk in response.body])


def decode(body: bytes | Object) -> Object:
    """A body as the object it is (an in-memory server hands the dict itself over)."""
    decoded: Any = body if isinstance(body, dict) else json.loads(body or b"{}")
    return decoded if isinstance(decoded, dict) else {"value": decoded}


def error_from(code: int, body: bytes | Object) -> ApiError:
    """The exception for an answer that is not 2xx: from its Status object, or from whatever text came."""
    try:
        return ApiError.from_status(code, decode(body))
    except ValueError:
        return ApiError.from_status(code, body)


async def lines(response: Response) -> AsyncGenerator[bytes, None]:
    """The lines of a streamed body; the stream is closed when the reader stops reading."""
    if isinstance(response.body, (bytes, dict)):
        raise ValueError(f"expected a stream, got {response.body!r:.100}")
    rest = b""
    try:
        async for chunk in response.body:
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                if line.strip():
                    yield line
    finally:
        await close(response)
