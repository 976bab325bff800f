"""How each part is put together, the same whether it shares a loop with the others or has a process of its own.

Genuine counterpart: the command lines in kubeadm's manifests.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tinykube.api import new_server
from tinykube.api.access import doorkeepers
from tinykube.api.audit import Write
from tinykube.api.http import Server, serve
from tinykube.api.server import ApiServer
from tinykube.client.http import HttpTransport
from tinykube.client.rest import Client
from tinykube.cluster.dialer import ask_webhook
from tinykube.cluster.identities import Guard
from tinykube.kubelet.kubelet import Kubelet
from tinykube.kubelet.server import KubeletServer
from tinykube.machinery.clock import Clock
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.objects import Object, dig
from tinykube.machinery.wire import Request, Response
from tinykube.runtime.interface import Runtime, remove_everything
from tinykube.runtime.process import ProcessRuntime
from tinykube.store import Storage

RuntimeFactory = Callable[[str, Path], Runtime]      # node's name, directory for its state
Dial = Callable[[Object, Request], Awaitable[Response]]


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


@dataclass
class ApiPart:
    """An api-server and what serves it to the world."""

    server: ApiServer
    http: Server

    @classmethod
    async def start(cls, storage: Storage, dial: Dial, port: int, clock: Clock, random: Random, log: EventLog,
                    guard: Guard | None = None, audit: Write | None = None) -> ApiPart:
        """Start the api-server on a storage, and listen; without a guard, to everybody on this machine."""
        server = new_server(storage, clock=clock, random=random, log=log, kubelet=dial, dial=ask_webhook,
                            plugins=[doorkeepers(guard.signer, write=audit)] if guard else [])
        await server.start()
        return cls(server, await serve(server.handle, port=port, tls=guard.tls if guard else None))

    async def stop(self) -> None:
        """Stop answering; the storage stays with whoever has it."""
        await self.http.close()
        await self.server.stop()


class NodePart:
    """A node: its runtime, and the kubelet on it, which can be stopped and started while the pods run on."""

    def __init__(self, name: str, runtime: Runtime, capacity: Mapping[str, str], directory: Path, clock: Clock,
                 log: EventLog) -> None:
        self.name, self.runtime, self.capacity, self.directory = name, runtime, capacity, directory
        self.clock, self.log = clock, log
        self.kubelet: Kubelet | None = None

    async def start(self, client: Client, random: Random, port: int = 10250) -> None:
        """Start a kubelet; one that was here before has left its pods to it."""
        kubelet = Kubelet(client, self.name, self.runtime, capacity=self.capacity, clock=self.clock, random=random,
                          log=self.log, directory=self.directory, port=port)
        await kubelet.start()
        self.kubelet = kubelet

    async def stop(self) -> None:
        """Stop the kubelet."""
        if self.kubelet:
            kubelet, self.kubelet = self.kubelet, None
            await kubelet.stop()

    async def handle(self, request: Request) -> Response:
        """The kubelet's own API."""
        if self.kubelet is None:
            raise ConnectionRefusedError(f"the kubelet of {self.name} is not running")
        return await KubeletServer(self.kubelet).handle(request)

    async def close(self) -> None:
        """End the kubelet and every pod."""
        await self.stop()
        await remove_everything(self.runtime)
        await self.runtime.close()


class Dialer:
    """Reaches kubelets over HTTP, where their nodes' statuses say that they listen. Keeps connections."""

    def __init__(self) -> None:
        self.transports: dict[str, HttpTransport] = {}

    async def __call__(self, node: Object, request: Request) -> Response:
        """Ask the kubelet of a node."""
        port = dig(node, "status", "daemonEndpoints", "kubeletEndpoint", "Port")
        addresses = {each["type"]: each["address"] for each in dig(node, "status", "addresses", default=[])}
        url = f"http://{addresses.get('InternalIP')}:{port}"
        return await self.transports.setdefault(url, HttpTransport(url))(request)

    async def close(self) -> None:
        """Close all connections."""
        for transport in self.transports.values():
            await transport.close()
