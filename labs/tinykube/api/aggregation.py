"""A second server behind the first: a group that somebody else answers for, as if we did.

Genuine counterpart: kube-aggregator inside kube-apiserver,
https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/apiserver-aggregation/
"""
from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from tinykube.api.cells import has
from tinykube.api.connect import answer, endpoint_slices, headers_onward, ready_endpoints
from tinykube.api.customresources import put
from tinykube.api.discovery import group
from tinykube.machinery.clock import within
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, copy, dig, labels, name, new_uid, timestamp
from tinykube.machinery.wire import Handler, Request, Response, User
from tinykube.store import StoreError

if TYPE_CHECKING:
    from tinykube.api.server import ApiServer
    from tinykube.api.watch import Watcher

T = TypeVar("T")
GROUP, PLURAL, MANAGED = "apiregistration.k8s.io", "apiservices", "kube-aggregator.kubernetes.io/automanaged"
DEFINITIONS, SERVICES = ("apiextensions.k8s.io", "customresourcedefinitions"), ("", "services")
SLICES = "discovery.k8s.io", "endpointslices"
PRIORITIES: dict[str, list[int]] = json.loads((Path(__file__).parent / "data" / "priorities.json").read_text())
DEFINED = 1000, 100                      # the priorities of what a definition made, of its group and of its version
FOREMOST = 20001, 1                      # and of this very group, which is beyond what others may ask for
PATIENCE, FIRST, RESYNC = 5.0, 0.1, 30.0         # seconds: for an answer, between two checks after a failure, and at most
TRUST = {"name": "extension-apiserver-authentication", "namespace": "kube-system"}
ME = User("system:kube-aggregator", ("system:masters",))
TEXT = {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}
FRONT_PROXY = "front-proxy-client"       # the name in the certificate by which those behind us know us
Dial = Callable[[str, str, str | None, Request], Awaitable[Response]]      # URL, name in the certificate, authority (None: any)


def published(clients: bytes, front: bytes) -> dict[str, str]:
    """What servers behind ours have to know: whose certificates users have, and how to recognize us and our word for users."""
    return {"client-ca-file": clients.decode(), "requestheader-client-ca-file": front.decode(),
            "requestheader-allowed-names": f'["{FRONT_PROXY}"]', "requestheader-username-headers": '["X-Remote-User"]',
            "requestheader-group-headers": '["X-Remote-Group"]', "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]'}


def remote(user: User) -> dict[str, str]:
    """The headers that say who asks, for a server that takes our word for it. More than one value: a line for each."""
    extra = {f"x-remote-extra-{quote(key.lower(), safe='')}": "\n".join(values) for key, values in user.extra.items()}
    named = {"x-remote-user": user.name, "x-remote-uid": user.uid, "x-remote-group": "\n".join(user.groups)}
    return {key: value for key, value in named.items() if value} | extra


class Unreachable(Exception):
    """Why there is no way to a server: a condition's reason and message."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


async def locate(server: ApiServer, at: Object) -> str:
    """The URL of somebody who is behind a Service's port. Raises Unreachable."""
    port, what = at["port"], f'service/{at["name"]} in "{at["namespace"]}"'
    try:
        found = await server.registry("services").find(at["namespace"], at["name"])
    except (ApiError, StoreError) as error:
        raise Unreachable("ServiceAccessError", f"{what} cannot be accessed due to: {error}") from None
    if found is None:
        raise Unreachable("ServiceNotFound", f"{what} is not present")
    if found.obj["spec"]["type"] == "ExternalName":
        return f"https://{found.obj['spec']['externalName']}:{port}"
    named = next((each.get("name", "") for each in found.obj["spec"].get("ports", []) if each["port"] == port), None)
    if named is None:
        raise Unreachable("ServicePortError", f"{what} is not listening on port {port}")
    slices = await endpoint_slices(server, at["namespace"], at["name"])
    if not slices:
        raise Unreachable("EndpointsNotFound", f"cannot find endpointslices for {what}")
    ready = ready_endpoints(slices, named)
    if not ready:
        raise Unreachable("MissingEndpoints", f'endpointslices for {what} have no addresses with port name "{named}"')
    host, number = server.random.choice(ready)
    return f"https://{host}:{number}"


def maturity(version: str) -> tuple[int, int, int, str]:
    """What sorts versions, the best first: v2, v1, v1beta2, v1beta1, v1alpha1, and then what has another form."""
    match = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if not match:
        return 3, 0, 0, version
    return ("", "beta", "alpha").index(match[2] or ""), -int(match[1]), -int(match[3] or 0), version


def entries(rows: list[Object]) -> list[Object]:
    """The resources of a plain list in the aggregated form."""
    def kind(row: Object) -> Object:
        return {key: row.get(key, "") for key in ("group", "version", "kind")}
    found = []
    for row in (row for row in rows if "/" not in row["name"]):
        subs = [{"subresource": each["name"].partition("/")[2], "responseKind": kind(each), "verbs": each["verbs"]}
                for each in rows if each["name"].startswith(f"{row['name']}/")]
        extras = {"shortNames": row.get("shortNames"), "categories": row.get("categories"), "subresources": subs}
        found.append({"resource": row["name"], "responseKind": kind(row), "verbs": row["verbs"],
                      "scope": "Namespaced" if row["namespaced"] else "Cluster", "singularResource": row.get("singularName", ""),
                      **{key: value for key, value in extras.items() if value}})
    return found


async def first_of(watchers: Iterable[Watcher]) -> None:
    """Wait until one of several watches has something to tell."""
    watchers = list(watchers)
    takes = [asyncio.ensure_future(each.take()) for each in watchers]
    try:
        await asyncio.wait(takes, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for watcher, take in zip(watchers, takes, strict=True):
            watcher.end()
            take.cancel()


def aggregation(dial: Dial, trust: Mapping[str, str]) -> Callable[[ApiServer], None]:
    """A plugin for an ApiServer that lets others answer for groups. It has to come after the doorkeepers.

    `dial` reaches them, `trust` is what they find in a ConfigMap, so that they know whom to believe.
    """
    def install(server: ApiServer) -> None:
        aggregator = Aggregator(server, dial, trust)
        server.filters.append(aggregator.handle)
        server.on_start.append(aggregator.start)
        server.on_stop.append(aggregator.stop)
    return install


class Aggregator:
    """Knows which group is whose: from APIService objects, whose condition Available it keeps."""

    def __init__(self, server: ApiServer, dial: Dial, trust: Mapping[str, str]) -> None:
        self.server, self.dial, self.trust = server, dial, trust
        self.told: dict[str, list[Object]] = {}               # what the servers behind us say that they serve
        self.kept: dict[str, tuple[str, Object]] = {}         # uid and spec of those that a task looks after
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Publish how to trust us, register what we serve ourselves, and follow what others register."""
        self.registry, self.cache = self.server.registry(PLURAL, GROUP), self.server.caches[GROUP, PLURAL]
        for cache in (self.cache, self.server.caches[DEFINITIONS]):
            await cache.start()
        if self.trust:
            await self.store("configmaps", "", {
                "kind": "ConfigMap", "apiVersion": "v1", "metadata": TRUST, "data": dict(self.trust)})
        for text in PRIORITIES.keys() - {"origin"}:
            await self.register(text, "onstart", PRIORITIES[text])
        self.tasks[""] = asyncio.create_task(self.follow(), name="aggregation")

    async def stop(self) -> None:
        """Follow no longer."""
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)

    async def store(self, plural: str, group: str, obj: Object) -> None:
        """See to it that an object of ours is there, with the data that we want in it."""
        registry, meta = self.server.registry(plural, group), obj["metadata"]
        found = await registry.find(meta.get("namespace", ""), meta["name"])
        if found is None:
            born = {"uid": new_uid(self.server.random), "creationTimestamp": timestamp(self.server.clock)}
            await registry.insert({**obj, "metadata": {**meta, **born}})
        elif found.obj.get("data") != obj.get("data"):
            await registry.replace(found, {**found.obj, "data": obj["data"]})

    async def register(self, text: str, managed: str, priorities: Sequence[int]) -> None:
        """See to it that there is an APIService for a version of ours."""
        version, _, group = text.partition(".")
        spec = {"version": version, "groupPriorityMinimum": priorities[0], "versionPriority": priorities[1]}
        await self.store(PLURAL, GROUP, {
            "kind": "APIService", "apiVersion": f"{GROUP}/v1", "metadata": {"name": text, "labels": {MANAGED: managed}},
            "spec": {"group": group, **spec} if group else spec, "status": {}})

    async def follow(self) -> None:
        """Settle after each change."""
        while True:
            caches = self.cache, self.server.caches[DEFINITIONS]
            watchers = [each.subscribe("", each.revision, None, None) for each in caches]
            await self.insist(self.settle)
            await first_of(watchers)

    async def insist(self, step: Callable[..., Awaitable[T]], *given: Any) -> T:
        """Do something until it can be done: the store may be full, or away, for a while."""
        while True:
            try:
                return await step(*given)
            except (ApiError, StoreError) as error:
                self.server.log.add("aggregation", "retry", error=str(error))
            await self.server.clock.sleep(PATIENCE)

    async def settle(self) -> None:
        """An APIService for each version that is defined; Available what is our own; a task for each that is another's."""
        defined = {f"{version['name']}.{crd['spec']['group']}" for crd in self.objects(DEFINITIONS)
                   if not crd["metadata"].get("deletionTimestamp") for version in crd["spec"]["versions"] if version["served"]}
        for text in defined:
            with suppress(ApiError):
                await self.register(text, "true", DEFINED)
        wanted = dict[str, tuple[str, Object]]()
        for service in self.objects((GROUP, PLURAL)):
            if labels(service).get(MANAGED) == "true" and name(service) not in defined:
                record = await self.registry.find("", name(service))
                if record:
                    await self.registry.remove(record, record.obj)
            elif dig(service, "spec", "service"):
                wanted[name(service)] = service["metadata"]["uid"], service["spec"]
            else:
                await self.write(name(service), "Local", "Local APIServices are always available")
        for text in self.kept.keys() | wanted.keys():
            if self.kept.get(text) != wanted.get(text):
                self.keep(text, wanted.get(text))
        self.kept = wanted

    def objects(self, where: tuple[str, str]) -> list[Object]:
        """All objects of a kind, as far as we have heard."""
        return [record.obj for record in list(self.server.caches[where].state.values())]

    def keep(self, text: str, wanted: tuple[str, Object] | None) -> None:
        """Look after an APIService, in its present form, or no longer."""
        if text in self.tasks:
            self.tasks.pop(text).cancel()
        self.told.pop(text, None)
        if wanted:
            self.tasks[text] = asyncio.create_task(self.look_after(text, wanted[1]), name=f"aggregation of {text}")

    async def look_after(self, text: str, spec: Object) -> None:
        """Check one: now, when its Service or that one's endpoints change, and after a while, which is longer each time."""
        at, pause = spec["service"], FIRST

        def concerns(obj: Object) -> bool:
            return at["name"] in (name(obj), labels(obj).get("kubernetes.io/service-name"))
        for where in (SERVICES, SLICES):
            await self.server.caches[where].start()
        while True:
            caches = [self.server.caches[where] for where in (SERVICES, SLICES)]
            watchers = [each.subscribe(at["namespace"], each.revision, concerns, None) for each in caches]
            reason, message = await self.insist(self.check, text, spec)
            await self.insist(self.write, text, reason, message)
            pause = FIRST if reason == "Passed" else min(2 * pause, RESYNC)
            with suppress(TimeoutError):
                await within(self.server.clock, RESYNC if reason == "Passed" else pause, first_of(watchers))

    async def check(self, text: str, spec: Object) -> tuple[str, str]:
        """Ask a server behind us what it serves: reason and message of the condition that this makes."""
        path = f"/apis/{spec['group']}/{spec['version']}"
        try:
            url = await locate(self.server, spec["service"])
        except Unreachable as missing:
            return missing.reason, str(missing)
        try:
            asked = self.ask(url, spec, Request("GET", path, headers=remote(ME)))
            found = await within(self.server.clock, PATIENCE, asked)
        except (OSError, ValueError) as error:                # a bundle may be no text at all
            why = f'Get "{url}{path}": {error}'
        else:
            why = "" if 200 <= found.status < 300 else f"bad status from {url}{path}: {found.status}"
        if why:
            return "FailedDiscoveryCheck", f"failing or missing response from {url}{path}: {why}"
        with suppress(ValueError, KeyError, TypeError):
            self.told[text] = entries(found.json()["resources"])
        return "Passed", "all checks passed"

    async def ask(self, url: str, spec: Object, request: Request) -> Response:
        """One request to a server behind us, which has to have a certificate for its Service's name."""
        authority = None if spec.get("insecureSkipTLSVerify") else base64.b64decode(spec.get("caBundle") or "").decode()
        return await self.dial(url, f"{spec['service']['name']}.{spec['service']['namespace']}.svc", authority, request)

    async def write(self, text: str, reason: str, message: str) -> None:
        """Set the condition Available, unless it says so already."""
        while record := await self.registry.find("", text):
            fresh: Object = copy(record.obj)
            fresh.setdefault("status", {}).setdefault("conditions", [])
            put(fresh, "Available", str(reason in ("Local", "Passed")), reason, message, timestamp(self.server.clock))
            if fresh == record.obj or await self.registry.replace(record, fresh):
                return

    def find(self, group: str, version: str) -> Object | None:
        """The APIService of a group's version, if the version is another server's."""
        record = self.cache.state.get(self.registry.key("", f"{version}.{group}"))
        return record.obj if record and dig(record.obj, "spec", "service") else None

    async def handle(self, request: Request, further: Handler) -> Response:
        """A filter: what is about all groups we answer together, what is about another's group they answer."""
        parts = [part for part in request.path.split("/") if part]
        if parts[:1] != ["apis"]:
            return await further(request)
        if len(parts) < 3:
            return await self.discover(parts[1:], request, further)
        service = self.find(*parts[1:3])
        if service is None:
            return await further(request)
        if not has(service, "Available"):
            return Response(503, b"service unavailable\n", TEXT)
        headers = headers_onward(request) | remote(request.user or User(""))
        onward = Request(request.method, request.path, request.query, headers, request.body)
        try:
            return answer(await self.ask(await locate(self.server, service["spec"]["service"]), service["spec"], onward))
        except (OSError, ValueError, Unreachable) as error:
            return Response(503, f"error trying to reach service: {error}\n".encode(), TEXT)

    async def discover(self, names: list[str], request: Request, further: Handler) -> Response:
        """All groups, in both forms, or one of them."""
        known, response = self.groups(), await further(request)
        if names and names[0] in known:
            return Response(200, {"kind": "APIGroup", "apiVersion": "v1"} | group(names[0], known[names[0]]))
        if not names and isinstance(response.body, dict) and "groups" in response.body:
            response.body["groups"] = [group(*each) for each in known.items()]
        elif not names and isinstance(response.body, dict) and "items" in response.body:
            own = {(each["metadata"]["name"], version["version"]): version
                   for each in response.body["items"] for version in each["versions"]}
            response.body["items"] = [{"metadata": {"name": each}, "versions": [
                self.behind(each, version) or own.get((each, version), {"version": version, "freshness": "Stale"})
                for version in versions]} for each, versions in known.items()]
        return response

    def groups(self) -> dict[str, list[str]]:
        """All groups and their versions, the most important first: by the priorities of their APIServices."""
        rank = {(row.group, row.version): DEFINED for row in self.server.resources if row.group} | {(GROUP, "v1"): FOREMOST}
        for spec in (each["spec"] for each in self.objects((GROUP, PLURAL)) if each["spec"].get("group")):
            rank[spec["group"], spec["version"]] = spec["groupPriorityMinimum"], spec["versionPriority"]
        found: dict[str, list[str]] = {}
        for each, version in sorted(rank, key=lambda pair: (-rank[pair][1], maturity(pair[1]))):
            found.setdefault(each, []).append(version)
        return dict(sorted(found.items(), key=lambda item: (
            -max(rank[item[0], version][0] for version in item[1]), f"{item[1][0]}.{item[0]}")))

    def behind(self, group: str, version: str) -> Object | None:
        """What the aggregated form says of a version that another server has; old news are not told."""
        service = self.find(group, version)
        if service is None:
            return None
        if not has(service, "Available") or f"{version}.{group}" not in self.told:
            return {"version": version, "freshness": "Stale"}
        return {"version": version, "resources": self.told[f"{version}.{group}"], "freshness": "Current"}
