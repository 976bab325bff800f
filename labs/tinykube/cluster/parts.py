"""How each part is put together, the same whether it shares a loop with the others or has a process of its own.

Genuine counterpart: the command lines in kubeadm's manifests.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from ssl import SSLContext

import orjson

from tinykube.api import new_server
from tinykube.api.access import doorkeepers
from tinykube.api.aggregation import Dial, aggregation
from tinykube.api.audit import EVERYTHING, Write
from tinykube.api.http import Server, serve
from tinykube.api.keys import Identity
from tinykube.api.server import ApiServer
from tinykube.client.credentials import show
from tinykube.client.http import HttpTransport
from tinykube.client.rest import Client
from tinykube.cluster.dialer import ask_webhook
from tinykube.cluster.identities import ADMIN, API_SERVER, KUBELET_CLIENT, Guard, account_user
from tinykube.cluster.servicerange import SERVICES
from tinykube.kubelet.auth import Doorkeeper
from tinykube.kubelet.kubelet import Kubelet
from tinykube.kubelet.server import KubeletServer
from tinykube.machinery.clock import Clock
from tinykube.machinery.errors import ApiError
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.objects import Object, dig
from tinykube.machinery.wire import Handler, Request, Response, User, as_user
from tinykube.metrics import server as metrics
from tinykube.runtime.interface import Runtime, remove_everything
from tinykube.runtime.process import ProcessRuntime
from tinykube.store import Storage

RuntimeFactory = Callable[[str, Path], Runtime]      # node's name, directory for its state


def make_runtime(kind: str | RuntimeFactory, node: str, directory: Path, *, keep: bool, clock: Clock,
                 random: Random) -> Runtime:
    """The runtime of a node: "process", "docker", or what a factory of yours makes."""
    if callable(kind):
        return kind(node, directory)
    if kind == "process":
        return ProcessRuntime(directory, keep=keep, clock=clock, random=random)
    if kind == "docker":
        from tinykube.runtime.docker import DockerRuntime
        return DockerRuntime(directory, keep=keep, clock=clock)
    raise ValueError(f"unknown runtime {kind!r}: there are process and docker")


@contextmanager
def audit_log(path: Path) -> Iterator[Write]:
    """What writes audit events to the end of a file, a line of JSON each, there as soon as it is written."""
    with path.open("ab", buffering=0) as file:
        yield lambda event: file.write(orjson.dumps(event) + b"\n")


@dataclass
class ApiPart:
    """An api-server and what serves it to the world."""

    server: ApiServer
    http: Server

    @classmethod
    async def start(cls, storage: Storage, dialer: Dialer, port: int, clock: Clock, random: Random, log: EventLog,
                    guard: Guard | None = None, audit: Write | None = None, policy: Sequence[Object] = EVERYTHING,
                    services: str = SERVICES) -> ApiPart:
        """Start the api-server on a storage, and listen; without a guard, to everybody on this machine."""
        server = new_server(storage, clock=clock, random=random, log=log, kubelet=dialer.ask, proxy=dialer.proxy,
                            dial=ask_webhook, services=services,
                            plugins=[*([doorkeepers(guard.signer, write=audit, policy=policy)] if guard else []),
                                     aggregation(dialer.behind(guard.front if guard else None), guard.trust if guard else {})])
        await server.start()
        if guard:
            await let_ask_kubelets(Client(as_user(server.dispatch, ADMIN), API_SERVER))
        return cls(server, await serve(server.handle, port=port, tls=guard.tls if guard else None))

    async def stop(self) -> None:
        """Stop answering; the storage stays with whoever has it."""
        await self.http.close()
        await self.server.stop()


class NodePart:
    """A node: its runtime, and the kubelet on it, which can be stopped and started while the pods run on."""

    def __init__(self, name: str, runtime: Runtime, capacity: Mapping[str, str], directory: Path, clock: Clock,
                 log: EventLog, *, guarded: bool = True, eviction_hard: str = "") -> None:
        self.name, self.runtime, self.capacity, self.directory = name, runtime, capacity, directory
        self.clock, self.log, self.guarded, self.eviction_hard = clock, log, guarded, eviction_hard
        self.kubelet: Kubelet | None = None
        self.answer: Handler | None = None         # the kubelet's own API

    async def start(self, client: Client, random: Random, port: int = 10250) -> None:
        """Start a kubelet; one that was here before has left its pods to it."""
        manifests = self.directory / "manifests"   # whoever wants static pods makes this directory
        kubelet = Kubelet(client, self.name, self.runtime, capacity=self.capacity, clock=self.clock, random=random,
                          log=self.log, directory=self.directory, port=port,
                          manifests=manifests if manifests.is_dir() else None, eviction_hard=self.eviction_hard)
        await kubelet.start()
        handler = KubeletServer(kubelet).handle
        self.answer = Doorkeeper(handler, client, self.name, self.clock).handle if self.guarded else handler
        self.kubelet = kubelet

    async def stop(self) -> None:
        """Stop the kubelet."""
        if self.kubelet:
            kubelet, self.kubelet = self.kubelet, None
            await kubelet.stop()

    async def handle(self, request: Request) -> Response:
        """The kubelet's own API."""
        if self.kubelet is None or self.answer is None:
            raise ConnectionRefusedError(f"the kubelet of {self.name} is not running")
        return await self.answer(request)

    async def close(self) -> None:
        """End the kubelet and every pod."""
        await self.stop()
        await remove_everything(self.runtime)
        await self.runtime.close()


class Dialer:
    """How an api-server reaches kubelets, pods and services. Keeps connections; `tls` says whom to trust as a kubelet."""

    def __init__(self, tls: SSLContext | None = None) -> None:
        self.tls = tls
        self.transports: dict[str, HttpTransport] = {}

    async def ask(self, node: Object, request: Request) -> Response:
        """Ask the kubelet of a node, where the node's status says that it listens."""
        port = dig(node, "status", "daemonEndpoints", "kubeletEndpoint", "Port")
        addresses = {each["type"]: each["address"] for each in dig(node, "status", "addresses", default=[])}
        url = f"https://{addresses.get('InternalIP')}:{port}"
        return await self.transports.setdefault(url, HttpTransport(url, tls=self.tls))(request)

    async def proxy(self, url: str, request: Request) -> Response:
        """Ask a pod. Nobody vouches for its certificate, if it has one."""
        if url not in self.transports:
            tls = ssl.create_default_context()
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
            self.transports[url] = HttpTransport(url, tls=tls)
        return await self.transports[url](request)

    def behind(self, front: Identity | None) -> Dial:
        """How to reach servers behind the api-server: they get to see who it is, and show a certificate for their name."""
        async def dial(url: str, name: str, authority: str | None, request: Request) -> Response:
            key = f"{url} {name} {authority}"
            if key not in self.transports:
                tls = ssl.create_default_context(cadata=authority or None)
                if authority is None:
                    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
                if front:
                    show(front.certificate, front.key, tls)
                self.transports[key] = HttpTransport(url, tls=tls, name=name)
            return await self.transports[key](request)
        return dial

    async def close(self) -> None:
        """Close all connections."""
        for transport in self.transports.values():
            await transport.close()


async def let_ask_kubelets(client: Client) -> None:
    """Give the api-server the right to ask kubelets, and no other; kubeadm does it by a binding, too."""
    await allow(client, KUBELET_CLIENT, "system:kubelet-api-admin")


async def let_measure(client: Client) -> None:
    """Give the metrics server's account the rights that it needs, and no other."""
    role: Object = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": f"system:{metrics.ACCOUNT}"}, "rules": metrics.RULES}
    await create_if_missing(client, role)
    await allow(client, account_user(metrics.ACCOUNT), role["metadata"]["name"])


async def allow(client: Client, user: User, role: str) -> None:
    """Bind a role of the whole cluster to a user."""
    await create_if_missing(client, {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": role if role.endswith(metrics.ACCOUNT) else user.name},
        "subjects": [{"kind": "User", "name": user.name, "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"kind": "ClusterRole", "name": role, "apiGroup": "rbac.authorization.k8s.io"}})


def registration(service: str, group_version: str, port: int, authority: bytes) -> list[Object]:
    """A Service that leads to a port of this machine, and the registration of a group with whoever listens there."""
    group, _, version = group_version.partition("/")
    place = {"name": service, "namespace": "kube-system"}
    return [{"apiVersion": "v1", "kind": "Service", "metadata": place, "spec": {
                "type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}},
            {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": f"{version}.{group}"}, "spec": {
                "group": group, "version": version, "groupPriorityMinimum": 100, "versionPriority": 100,
                "caBundle": base64.b64encode(authority).decode(), "service": {**place, "port": port}}}]


async def create_if_missing(client: Client, obj: Object) -> None:
    """Create an object unless it is there."""
    try:
        await client.create((await client.resource_of(obj))[0], obj)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
