"""The api-server: everybody's only door to the store, with rules at it.

Genuine counterpart: kube-apiserver, https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/
"""
from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from copy import deepcopy
from functools import partial
from ipaddress import IPv4Network
from random import Random
from typing import Any

from tinykube.api import connect, scaling, subresources
from tinykube.api.admission import ADMISSION, Admit
from tinykube.api.authorization import Authorizer, everybody
from tinykube.api.codec import DECODERS, Decoder
from tinykube.api.compaction import keep_compact
from tinykube.api.conversion import ConvertedRegistry
from tinykube.api.convert import from_stored
from tinykube.api.filters import Filter, chain, errors_to_status, limit_body, log_requests
from tinykube.api.leases import SharedLeases
from tinykube.api.overload import limit_concurrency, limit_time
from tinykube.api.registry import Registry
from tinykube.api.requestinfo import RequestInfo, request_info
from tinykube.api.resources import RESOURCES, Resource
from tinykube.api.verbs import Call, Own, Verb, create, delete, delete_collection, get, list_, patch, update, watch
from tinykube.api.watch import Shape, WatchCache
from tinykube.api.webhooks import Dialer
from tinykube.machinery.clock import Clock
from tinykube.machinery.errors import method_not_allowed, no_such_resource
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.objects import Object
from tinykube.machinery.patch import json_patch, merge_patch
from tinykube.machinery.wire import Handler, Request, Response
from tinykube.store import Storage

SYSTEM_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
OWN_SERVICE: Object = {
    "kind": "Service", "apiVersion": "v1", "metadata": {"name": "kubernetes", "labels": {
        "component": "apiserver", "provider": "kubernetes"}}, "spec": {"ports": [
            {"name": "https", "port": 443, "targetPort": 6443}]}}
KubeletDialer = Callable[[Object, Request], Awaitable[Response]]
ProxyDialer = Callable[[str, Request], Awaitable[Response]]          # a URL without a path, and what to ask there
Patcher = Callable[[Object, Any, Resource], Object]
Shaper = Callable[[Request, Resource], "Shape | None"]
VERBS: dict[str, Callable[[Call], Awaitable[Response]]] = {
    "get": get, "list": list_, "watch": watch, "create": create, "update": update, "patch": patch,
    "delete": delete, "deletecollection": delete_collection}


class ApiServer:
    """Answers requests about the objects in a storage. `handle` is all of it; transports stand before it."""

    def __init__(self, storage: Storage, *, clock: Clock, random: Random, log: EventLog,
                 resources: Sequence[Resource] = RESOURCES, filters: Sequence[Filter] | None = None,
                 admission: Sequence[Admit] = ADMISSION, kubelet: KubeletDialer | None = None,
                 proxy: ProxyDialer | None = None, services: str = "10.96.0.0/16",
                 plugins: Sequence[Callable[[ApiServer], None]] = (), crowd: Filter | None = None) -> None:
        self.storage, self.clock, self.random, self.log = storage, clock, random, log
        self.kubelet, self.proxy = kubelet, proxy
        self.services = IPv4Network(services)                          # the range that Services' addresses come from
        self.table: dict[tuple[str, str, str], Resource] = {}
        self.registries: dict[tuple[str, str], Registry] = {}
        self.caches: dict[tuple[str, str], WatchCache] = {}
        self.told: dict[tuple[str, str, str], WatchCache] = {}         # of versions in which nothing need be stored
        self.leases = SharedLeases(storage, clock)
        self.admission, self.handlers = list(admission), {**subresources.HANDLERS, **connect.HANDLERS, **scaling.HANDLERS}
        self.filters = list(filters) if filters is not None else [
            log_requests(log, clock), errors_to_status(log), limit_time(), limit_body, crowd or limit_concurrency()]
        for resource in resources:
            self.add(resource)
        self.decoders: dict[str, Decoder] = dict(DECODERS)
        self.patchers: dict[str, Patcher] = {
            "application/merge-patch+json": lambda obj, change, _: merge_patch(obj, change),
            "application/json-patch+json": lambda obj, change, _: json_patch(obj, change)}
        self.judges: list[Admit] = []            # those plugins that see an object when it is complete and valid
        self.may: Authorizer = everybody         # whom admission asks
        self.dial: Dialer | None = None          # how to reach webhooks
        self.appliers: dict[str, Verb] = {}
        self.own: Own | None = None
        self.shapers: list[Shaper] = []
        self.routes: dict[str, Handler] = dict.fromkeys(("/healthz", "/livez", "/readyz"), healthy)
        self.fallback: Handler = no_such_page
        self.strict: Callable[[Object, Resource], list[str]] | None = None
        self.forgetting: asyncio.Task[None] | None = None
        self.on_start: list[Callable[[], Awaitable[None]]] = []
        self.on_stop: list[Callable[[], Awaitable[None]]] = []
        for install in plugins:
            install(self)

    async def start(self) -> None:
        """Make sure that the first namespaces are there. What else is stored, the first who asks for it lets us load."""
        self.forgetting = asyncio.create_task(keep_compact(self.storage, self.clock), name="compaction")
        namespaces = self.resource("", "v1", "namespaces")
        await self.cache(namespaces).start()
        for name in SYSTEM_NAMESPACES:
            if await self.registry("namespaces").find("", name) is None:
                info = RequestInfo("create", "", "v1", "namespaces")
                post = Request("POST", "/api/v1/namespaces", headers={"user-agent": "kube-apiserver"})
                await create(Call(self, post, info, namespaces), {
                    "kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}})
        if ("", "v1", "services") in self.table and await self.registry("services").find("default", "kubernetes") is None:
            info = RequestInfo("create", "", "v1", "services", "default")
            service = deepcopy(OWN_SERVICE)
            service["spec"]["clusterIP"] = str(self.services[1])
            await create(Call(self, Request("POST", "/api/v1/namespaces/default/services"), info,
                              self.resource("", "v1", "services")), service)
        for hook in self.on_start:
            await hook()

    async def stop(self) -> None:
        """End all watches, and what else runs by itself."""
        for hook in self.on_stop:
            await hook()
        if self.forgetting:
            self.forgetting.cancel()
        await asyncio.gather(*(cache.stop() for cache in [*self.caches.values(), *self.told.values()]))

    @property
    def resources(self) -> list[Resource]:
        """What is served, in the order in which it came."""
        return list(self.table.values())

    def add(self, resource: Resource) -> None:
        """Serve one more resource, from now on. Rows that share their objects share registry and cache, too."""
        home = resource.stored_as or resource
        registry = self.registries.setdefault((home.group, home.plural), Registry(self.storage, home, self.leases))
        cache = self.caches.setdefault((home.group, home.plural), WatchCache(registry, self.clock))
        where = resource.group, resource.version, resource.plural
        self.table[where] = resource
        self.told.pop(where, None)
        if resource.convert:
            self.told[where] = WatchCache(ConvertedRegistry(self.storage, resource, resource.convert), self.clock)
        self.registries[resource.group, resource.plural] = registry
        self.caches[resource.group, resource.plural] = cache

    async def remove(self, resource: Resource) -> None:
        """Serve a resource no longer: its watches end. Its objects stay where they are; that is the caller's business."""
        where = resource.group, resource.version, resource.plural
        self.table.pop(where, None)
        if told := self.told.pop(where, None):
            await told.stop()
        if any((row.group, row.plural) == (resource.group, resource.plural) for row in self.resources):
            return
        self.registries.pop((resource.group, resource.plural), None)
        cache = self.caches.pop((resource.group, resource.plural), None)
        if cache and cache not in self.caches.values():
            await cache.stop()

    async def handle(self, request: Request) -> Response:
        """Answer a request: through the filters, then to what its path and method mean."""
        answer = await chain(self.filters, self.dispatch)(request)
        if texts := request.notes.get("warnings"):
            said = [text.replace("\\", "\\\\").replace('"', '\\"') for text in dict.fromkeys(texts)]
            answer.headers["warning"] = ", ".join(f'299 - "{text}"' for text in said)
        return answer

    async def dispatch(self, request: Request) -> Response:
        """Find out what a request is about, and do it."""
        if route := self.route(request.path):
            return await route(request)
        info = request_info(request.method, request.path, request.param("watch") in ("1", "true"))
        if not info.resource:
            return await self.fallback(request)
        resource = self.resource(info.group, info.version, info.resource)
        check_scope(info, resource)
        if request.method == "HEAD":
            raise method_not_allowed()
        cache = self.cache(resource)
        if "list" in resource.verbs and (not resource.convert or info.verb in ("list", "watch")):
            await cache.start()
        call = Call(self, request, info, resource)
        if resource.warning:
            request.notes.setdefault("warnings", []).append(resource.warning)
        return await self.verb(call)(call)

    def verb(self, call: Call) -> Verb:
        """What answers a call: a handler of its own, or the verb. Raises ApiError where neither does."""
        info, resource = call.info, call.resource
        special = self.handlers.get((resource.group, resource.plural, info.subresource))
        if info.subresource:
            part = resource.subresources.get(info.subresource)
            if part is None or (part.kind and not special):
                raise no_such_resource()
            if info.verb not in part.verbs:
                raise method_not_allowed()
            return special or VERBS[info.verb]
        named = info.verb in ("update", "patch")
        if info.verb not in resource.verbs or (info.verb == "create" and info.name) or (named and not info.name):
            raise method_not_allowed()
        if not special and not (resource.stored_at or "update" in resource.verbs):
            raise no_such_resource()
        return special or VERBS[info.verb]

    def route(self, path: str) -> Handler | None:
        """Who answers this path, if it is not about objects: an exact path, or the longest that ends in a slash."""
        if path in self.routes or not path.startswith("/api"):
            prefixes = [each for each in self.routes if each.endswith("/") and path.startswith(each)]
            return self.routes.get(path) or self.routes.get(path.rstrip("/")) \
                or (self.routes[max(prefixes, key=len)] if prefixes else None)
        return self.routes.get(path.rstrip("/"))

    def resource(self, group: str, version: str, plural: str) -> Resource:
        """The row of the table. Raises ApiError 404."""
        if (group, version, plural) not in self.table:
            raise no_such_resource()
        return self.table[group, version, plural]

    def registry(self, plural: str, group: str = "") -> Registry:
        """Where the objects of a resource are, whatever its version."""
        return self.registries[group, plural]

    def cache(self, resource: Resource) -> WatchCache:
        """What its watches are fed from."""
        return self.told.get((resource.group, resource.version, resource.plural)) or self.caches[resource.group, resource.plural]

    def shape(self, request: Request, resource: Resource) -> Shape | None:
        """The form that a client wants its objects in, if not as they are stored."""
        wanted = next((shape for shaper in self.shapers if (shape := shaper(request, resource))), None)
        return wanted or (partial(from_stored, resource) if resource.stored_as else None)


def check_scope(info: RequestInfo, resource: Resource) -> None:
    """Raise ApiError unless the path has a namespace where there must be one, and none where there is none."""
    if resource.plural != "namespaces" and info.namespace and not resource.namespaced:
        raise no_such_resource()
    if resource.namespaced and not info.namespace:
        if info.name:
            raise no_such_resource()
        if info.verb not in ("list", "watch"):
            raise method_not_allowed()


async def no_such_page(request: Request) -> Response:
    """The answer to a path that nobody knows and that can't be about an object."""
    return Response(404, b"404 page not found\n", {"content-type": "text/plain; charset=utf-8"})


async def healthy(request: Request) -> Response:
    """The answer to those who ask whether we live: as long as we can answer at all, we do."""
    return Response(200, b"ok", {"content-type": "text/plain; charset=utf-8"})

