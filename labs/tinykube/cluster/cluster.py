"""A whole cluster in one event loop: store, api-server, scheduler, controllers, and a kubelet for each node.

Genuine counterpart: `kind create cluster`.
"""

from __future__ import annotations

import asyncio
import builtins
import secrets
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from tinykube.api.http import serve
from tinykube.api.tls import server_tls
from tinykube.client.kubeconfig import write as write_kubeconfig
from tinykube.client.rest import Client
from tinykube.cluster.capacity import Capacity, node_capacities
from tinykube.cluster.identities import (
    ADMIN,
    KUBELET_CLIENT,
    MANAGER,
    PROXY,
    SCHEDULER,
    Identities,
    account_user,
    node_user,
)
from tinykube.cluster.manifests import Manifest, documents
from tinykube.cluster.parts import (
    ApiPart,
    Dialer,
    NodePart,
    RuntimeFactory,
    audit_log,
    let_measure,
    make_runtime,
    registration,
)
from tinykube.cluster.servicerange import ServiceRange
from tinykube.cluster.signing import Signing
from tinykube.cluster.storeseat import etcd_storage
from tinykube.cluster.waiting import CLUSTER_WIDE, Predicate, parse_reference, wait_for
from tinykube.controllers.manager import Manager
from tinykube.controllers.settings import Settings
from tinykube.kubelet.kubelet import Kubelet
from tinykube.machinery.clock import Clock, SystemClock
from tinykube.machinery.errors import ApiError, unauthorized
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.objects import Object
from tinykube.machinery.objects import name as name_of
from tinykube.machinery.wire import Request, Response, User, as_user
from tinykube.metrics.server import ACCOUNT, RESOLUTION, MetricsServer
from tinykube.metrics.server import VERSION as METRICS
from tinykube.network.proxy import Proxy
from tinykube.network.userspace import Relay
from tinykube.scheduler.scheduler import Scheduler
from tinykube.store import LocalStorage, Storage
from tinykube.store.directory import open_storage

PARTS = ("api", "scheduler", "controller-manager", "proxy", "kubelet")


class InProcess(Dialer):
    """How the api-server reaches kubelets that are in the same event loop."""

    def __init__(self, nodes: Mapping[str, NodePart]) -> None:
        super().__init__()
        self.nodes = nodes

    async def ask(self, node: Object, request: Request) -> Response:
        """Ask the kubelet of a node, as the api-server."""
        return await self.ask_as(KUBELET_CLIENT, node, request)

    async def ask_as(self, user: User, node: Object, request: Request) -> Response:
        """Ask the kubelet of a node, as somebody."""
        if name_of(node) not in self.nodes:
            raise ConnectionRefusedError(f"there is no kubelet of {name_of(node)}")
        return await self.nodes[name_of(node)].handle(replace(request, user=user))


class Cluster:
    """A tiny cluster that lives in this event loop, with a real server, so that kubectl can speak to it too."""

    def __init__(self, nodes: int | Iterable[str] | Mapping[str, Capacity] = 1, *,
                 without: Iterable[str] = (), runtime: str | RuntimeFactory = "process", seed: int = 0,
                 clock: Clock | None = None, port: int = 0, directory: str | Path | None = None,
                 data: str | Path | None = None, etcd: str = "", secure: bool = True,
                 controllers: Iterable[str] = ("*",), audit: Sequence[Object] = ()) -> None:
        self.capacities = node_capacities(nodes)
        self.without = set(without)
        unknown = self.without - set(PARTS)
        if unknown:
            raise ValueError(f"without: unknown part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
        self.runtime, self.seed, self.port, self.secure = runtime, seed, port, secure
        self.clock: Clock = clock or SystemClock()
        self.own_directory = directory is None
        self.directory = Path(directory or Path(tempfile.gettempdir()) / f"tinykube-{secrets.token_hex(4)}")
        self.log = EventLog(self.clock)
        self.running: dict[str, Callable[[], Awaitable[None]]] = {}     # component -> how to stop it
        self.nodes: dict[str, NodePart] = {}
        self.data, self.etcd = Path(data) if data else None, etcd      # where the store survives, or whose it is
        self.storage: Storage = LocalStorage(clock=self.clock)
        self.schedulers: list[Scheduler] = []                          # none, or one
        self.controllers = tuple(controllers)                          # as the genuine option --controllers
        self.audit, self.trail = audit, ExitStack()                    # rules of an audit policy; the log is audit.log
        self.managers: list[Manager] = []                              # none, or one
        self.proxies: list[Proxy] = []                                 # none, or one: all nodes are this machine
        self.metrics: list[MetricsServer] = []                         # none, or one
        self.resolution = RESOLUTION                                   # seconds between two of its rounds
        self.services: ServiceRange | None = None
        self.api: ApiPart | None = None
        self.url = self.ca = ""
        self.cert = ("", "")                                           # the administrator's certificate and key
        self.kubeconfig = self.directory / "kubeconfig"
        self.client = self.client_of("tinykube-cluster")
        self.dialer = InProcess(self.nodes)

    async def start(self) -> Cluster:
        """Start everything that `without` does not name; returns when the nodes are Ready."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=not self.own_directory)
        try:
            if self.data:
                self.storage = open_storage(self.data, self.clock, self.log)
            elif self.etcd:
                self.storage = etcd_storage(self.etcd)
            self.services = ServiceRange()
            await self.start_component("api")
            names = [part for part in ("scheduler", "controller-manager", "proxy") if part not in self.without]
            names += [f"kubelet/{node}" for node in self.capacities if "kubelet" not in self.without]
            await asyncio.gather(*(self.start_component(name) for name in names))
            await asyncio.gather(*(self.wait(f"node/{node} Ready") for node in self.nodes))
        except BaseException:
            await self.stop()
            raise
        return self

    async def stop(self) -> None:
        """Stop everything, last started first, and remove what was written; safe to call twice."""
        for name in reversed(list(self.running)):
            await self.stop_component(name)
        while self.nodes:
            await self.nodes.popitem()[1].close()
        await self.dialer.close()
        await self.storage.aclose()
        if self.services:
            self.services.close()
        self.log.close()
        if self.own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    async def __aenter__(self) -> Cluster:
        return await self.start()

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    async def start_component(self, name: str) -> None:
        """Start one part: api, scheduler, controller-manager, proxy, kubelet/NODE, or metrics-server, which is an extra."""
        if name in self.running:
            raise ValueError(f"{name} runs already")
        part, _, node = name.partition("/")
        starts = {"api": self.start_api, "scheduler": self.start_scheduler,
                  "controller-manager": self.start_controllers, "proxy": self.start_proxy,
                  "metrics-server": self.start_metrics}
        if part in starts and not node:
            self.running[name] = await starts[part]()
        elif part == "kubelet" and node in self.capacities:
            self.running[name] = await self.start_kubelet(node)
        else:
            known = [*starts, *(f"kubelet/{each}" for each in self.capacities)]
            raise ValueError(f"there is no component {name!r}; there are {', '.join(known)}")

    async def stop_component(self, name: str) -> None:
        """Stop one part; the others go on, and meet it again when it is started again. Pods outlive their kubelet."""
        if name not in self.running:
            raise ValueError(f"{name} does not run; running are {', '.join(self.running) or 'none'}")
        await self.running.pop(name)()

    def random(self, who: str) -> Random:
        """A source of randomness of one's own, so that the order in which parts ask does not matter."""
        return Random(f"{self.seed}/{who}")

    @cached_property
    def identities(self) -> Identities:
        """The authority of this cluster, made when it is first asked for; it survives where the store does."""
        return Identities(self.data / "pki" if self.data else None)

    def client_of(self, user_agent: str, user: User = ADMIN) -> Client:
        """A client that speaks to the api-server as a user, without a network between."""
        return Client(as_user(self.send, user), user_agent)

    def kubeconfig_for(self, user: User) -> Path:
        """A kubeconfig for somebody else than the administrator."""
        return self.identities.kubeconfig(self.directory / f"{user.name.replace(':', '-')}.kubeconfig", self.url, user)

    async def send(self, request: Request) -> Response:
        """One request to the api-server as it is now: it may have been stopped, or started anew."""
        if self.api is None:
            raise ConnectionRefusedError("the api-server is not running")
        return await self.api.server.handle(request)

    async def start_api(self) -> Callable[[], Awaitable[None]]:
        """The api-server, on the same store and port as before if it was here before."""
        assert self.services
        write = self.trail.enter_context(audit_log(self.directory / "audit.log")) if self.audit else None
        self.api = await ApiPart.start(self.storage, self.dialer, self.port, self.clock, self.random("api"), self.log,
                                       self.identities.guard if self.secure else None, write, self.audit, str(self.services))
        self.port, self.url = self.api.http.port, self.api.http.url
        if not self.secure:
            write_kubeconfig(self.kubeconfig, self.url)
        elif not self.ca:
            self.identities.kubeconfig(self.kubeconfig, self.url, ADMIN)
            self.ca, self.cert = self.identities.files(self.directory, ADMIN)
        return self.stop_api

    async def stop_api(self) -> None:
        """Stop the api-server; its store stays, as etcd would."""
        assert self.api
        api, self.api = self.api, None
        await api.stop()
        self.trail.close()

    async def start_scheduler(self) -> Callable[[], Awaitable[None]]:
        """A scheduler, with a client of its own."""
        scheduler = Scheduler(self.client_of("tinykube-scheduler", SCHEDULER), clock=self.clock,
                              random=self.random("scheduler"), log=self.log)
        await scheduler.start()
        self.schedulers.append(scheduler)
        return self.stop_scheduler

    async def stop_scheduler(self) -> None:
        """Stop the scheduler; pods that it has not placed wait for the next one."""
        await self.schedulers.pop().stop()

    @property
    def scheduler(self) -> Scheduler:
        """The scheduler that runs, to look into."""
        if not self.schedulers:
            raise RuntimeError("no scheduler is running")
        return self.schedulers[0]

    async def start_controllers(self) -> Callable[[], Awaitable[None]]:
        """A controller manager; each controller in it has a client, and the rights, of its own service account."""
        def client(account: str) -> Client:
            return self.client_of(f"tinykube-{account or 'controller-manager'}", account_user(account) if account else MANAGER)
        manager = Manager(client, f"tinykube-{self.seed}", clock=self.clock, random=self.random("controllers"),
                          log=self.log, controllers=self.controllers,
                          settings=Settings(self.identities.authority.certificate.decode(),
                                            authority=Signing(self.identities.authority)))
        await manager.start()
        self.managers.append(manager)
        return self.stop_controllers

    async def stop_controllers(self) -> None:
        """Stop the controllers; what they made stays, and nobody looks after it."""
        await self.managers.pop().stop()

    @property
    def manager(self) -> Manager:
        """The controller manager that runs, to look into: `c.manager.controllers["replicaset-controller"]`."""
        if not self.managers:
            raise RuntimeError("no controller-manager is running")
        return self.managers[0]

    async def start_proxy(self) -> Callable[[], Awaitable[None]]:
        """A proxy for the Services, on this machine; ports of nodes are served on 127.0.0.1."""
        here: Object = {"status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}}
        proxy = Proxy(self.client_of("tinykube-proxy", PROXY), Relay.listen, clock=self.clock,
                      random=self.random("proxy"), log=self.log, node=here)
        await proxy.start()
        self.proxies.append(proxy)
        return self.stop_proxy

    async def stop_proxy(self) -> None:
        """Stop the proxy, and with it every connection through it."""
        await self.proxies.pop().stop()

    @property
    def proxy(self) -> Proxy:
        """The proxy that runs, to look into."""
        if not self.proxies:
            raise RuntimeError("no proxy is running")
        return self.proxies[0]

    async def start_metrics(self) -> Callable[[], Awaitable[None]]:
        """A metrics server behind the api-server, which asks the kubelets with the rights of its own account."""
        await let_measure(self.client)
        me = account_user(ACCOUNT)

        async def ask(node: Object, request: Request) -> Response:
            return await self.dialer.ask_as(me, node, request)
        server = MetricsServer(self.client_of("tinykube-metrics-server", me), ask, clock=self.clock,
                               random=self.random("metrics-server"), log=self.log, resolution=self.resolution)
        await server.start()
        self.metrics.append(server)
        host = f"{ACCOUNT}.kube-system.svc"
        tls = server_tls(self.identities.authority.server(host, (host,)), self.identities.front.certificate)

        async def answer(request: Request) -> Response:
            if self.secure and request.user is None:
                raise unauthorized()                  # nobody but the api-server has a certificate of the front proxy's authority
            return await server.handle(request)
        http = await serve(answer, tls=tls)
        await self.apply(registration(ACCOUNT, METRICS, http.port, self.identities.authority.certificate))
        await self.wait("apiservice/v1beta1.metrics.k8s.io Available")

        async def stop() -> None:
            await http.close()
            await self.metrics.pop().stop()
        return stop

    async def start_kubelet(self, node: str) -> Callable[[], Awaitable[None]]:
        """A kubelet for a node. The node's runtime, and with it the pods, outlive the kubelet."""
        if node not in self.nodes:
            directory = self.directory / "nodes" / node
            runtime = make_runtime(self.runtime, node, directory / "runtime", keep=False, clock=self.clock,
                                   random=self.random(f"runtime/{node}"))
            self.nodes[node] = NodePart(node, runtime, self.capacities[node], directory, self.clock, self.log,
                                        guarded=self.secure)
        await self.nodes[node].start(self.client_of(f"tinykube-kubelet/{node}", node_user(node)),
                                     self.random(f"kubelet/{node}"))
        return self.nodes[node].stop

    @property
    def kubelets(self) -> dict[str, Kubelet]:
        """The kubelets that run, by node."""
        return {node: part.kubelet for node, part in self.nodes.items() if part.kubelet}

    async def wait(self, what: str, predicate: Predicate | None = None, *, namespace: str = "default",
                   timeout: float = 30.0) -> Any:  # noqa: ASYNC109
        """Wait, without polling, for "pod/web Running", or for a predicate on "pod/web" or on all "pods"."""
        return await wait_for(self.client, self.clock, what, predicate, namespace, timeout)

    async def apply(self, *manifests: Manifest, namespace: str = "default") -> builtins.list[Object]:
        """Make the objects in YAML text, a file, dicts or lists of these exist as they say, like `kubectl apply`."""
        return [await self.apply_one(obj, namespace) for obj in documents(list(manifests))]

    async def apply_one(self, obj: Object, namespace: str) -> Object:
        """Create an object, or merge it into the one that has its name."""
        resource, where = await self.place_of(obj, namespace)
        try:
            return await self.client.create(resource, obj, where)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
        return await self.client.patch(resource, obj["metadata"]["name"], obj, where, type="merge")

    async def place_of(self, obj: Object, namespace: str) -> tuple[str, str | None]:
        """The resource that serves this object, and the namespace that it goes to, if its kind has namespaces."""
        resource, namespaced = await self.client.resource_of(obj)
        return resource, obj.get("metadata", {}).get("namespace") or namespace if namespaced else None

    async def delete(self, *what: Manifest, namespace: str = "default", grace_seconds: int | None = None) -> None:
        """Delete objects, named as "pod/web" or given as manifests; what is not there is deleted already."""
        for each in what:
            if isinstance(each, str) and "\n" not in each and not each.endswith((".yaml", ".yml", ".json")):
                places = [self.reference(each, namespace)]
            else:
                places = [(*await self.place_of(obj, namespace), obj["metadata"]["name"]) for obj in documents(each)]
            for resource, where, name in places:
                await self.delete_one(resource, where, name, grace_seconds)

    async def delete_one(self, resource: str, where: str | None, name: str, grace_seconds: int | None) -> None:
        """Delete an object if it is there."""
        try:
            await self.client.delete(resource, name, where, grace_seconds=grace_seconds)
        except ApiError as error:
            if error.code != 404:
                raise

    def reference(self, text: str, namespace: str) -> tuple[str, str | None, str]:
        """`pod/web` as resource, namespace and name."""
        resource, name = parse_reference(text)
        if not name:
            raise ValueError(f"{text!r} names a kind and no object: write {text}/NAME")
        return resource, None if resource in CLUSTER_WIDE else namespace, name

    async def get(self, what: str, *, namespace: str = "default") -> Object:
        """One object, named as "pod/web"."""
        resource, where, name = self.reference(what, namespace)
        return await self.client.get(resource, name, where)

    async def list(self, resource: str, *, namespace: str | None = None, **query: str | int | bool | None) -> Any:
        """The objects of a kind, everywhere or in one namespace."""
        return (await self.client.list(parse_reference(resource)[0], namespace, **query))["items"]
