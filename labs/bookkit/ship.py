"""A ship of Theseus: a control plane whose seats are tiny or genuine, and change while it sails.

Everything speaks verified TLS, and each part has the identity that Kubernetes gives it, whichever kind it is: the same
authority, the same kubeconfigs, the same address of the api-server. The nodes are tiny ones, on the process runtime.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from threading import Lock
from typing import Any, Self

from anyio.from_thread import BlockingPortal, start_blocking_portal
from genuine.controlplane import COMPONENTS, ControlPlane
from genuine.etcd_members import Etcd
from genuine.find import need
from genuine.processes import GuardedProcesses
from tinykube.api.aggregation import published
from tinykube.api.http import serve
from tinykube.api.keys import EcSigner, Identity
from tinykube.api.tls import server_tls
from tinykube.client.http import HttpTransport
from tinykube.client.kubeconfig import load
from tinykube.client.rest import Client
from tinykube.cluster.identities import KUBELET_CLIENT, Guard, to_kubelets
from tinykube.cluster.parts import ApiPart, Dialer, NodePart, audit_log
from tinykube.cluster.storeseat import etcd_storage
from tinykube.machinery.clock import SystemClock
from tinykube.machinery.eventlog import EventLog
from tinykube.runtime.process import ProcessRuntime
from tinykube.store import Delete, Put

from bookkit.planks import tiny_controllers, tiny_scheduler

__all__ = ["KINDS", "SEATS", "Ship"]

SEATS = ("store", "api", "scheduler", "controllers")
KINDS = ("tiny", "genuine")
GENUINE = {"api": "apiserver", "scheduler": "scheduler", "controllers": "controller-manager"}
LEASES = ["--leader-elect-retry-period=1s"]
FLAGS: dict[str, Sequence[str]] = {"scheduler": LEASES, "controller-manager": [*LEASES, "--node-monitor-grace-period=8s"]}
OFFERS = {"cpu": "8", "memory": "8Gi", "pods": "110"}
TINYKUBE = Path(sys.executable).with_name("tinykube")
MARK = b"/ship/moved"                        # written until the revisions of a new store are beyond those of the old one

Plank = Callable[[], AbstractAsyncContextManager[None]]
Stop = Callable[[], Awaitable[Any]]


class Ship(ControlPlane):
    """A control plane of four seats, and some tiny nodes. `Ship(api="genuine")` begins with that plank; `swap` changes one.

    Whichever api-server it is, `audit()` has its audit log, at the level `audit`.
    """

    def __init__(self, nodes: tuple[str, ...] = ("ant", "bee"), *, audit: str = "Metadata", timeout: float = 90,
                 **seats: str) -> None:
        super().__init__(audit=audit, flags=FLAGS, timeout=timeout)
        self.seats, self.names = dict.fromkeys(SEATS, "tiny") | seats, nodes
        for seat, kind in self.seats.items():
            self._check(seat, kind)
        self.clock, self.random, self.eventlog = SystemClock(), Random(0), EventLog()
        self.nodes: dict[str, NodePart] = {}
        self._stack, self._aboard = ExitStack(), dict[str, AsyncExitStack]()
        self._hands = Lock()                             # held while planks are moved, and while somebody looks after them

    # --- life

    def start(self) -> Self:
        """Put a plank into each seat, from the store up, then start the nodes. Raises MissingPart or PartFailed."""
        self._binaries = need("etcd", *(f"kube-{name}" for name in COMPONENTS))
        self.processes = GuardedProcesses()
        try:
            self._portal: BlockingPortal = self._stack.enter_context(start_blocking_portal(name="ship"))
            self._prepare()
            self._ports = {name: held.getsockname()[1] for name, held in self._held.items()}
            self._held.pop("apiserver").close()          # this port is ours to give, to one api-server at a time
            self._make_identities()
            for seat in SEATS:
                self._put(seat, self.seats[seat])
            self._wait_for_namespace()
            for node in self.names:
                self.start_node(node)
            self._watchman = self._portal.start_task_soon(self._watch)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Take out everything, from the top down, and remove the directory. Safe to repeat."""
        if hasattr(self, "_watchman"):
            self._watchman.cancel()
        for name in reversed(list(self._aboard)):
            self._leave(name)
        self._stack.close()
        super().stop()

    def swap(self, seat: str, kind: str) -> None:
        """Change one plank while the others stay where they are. A new store takes over the data of the old one."""
        self._check(seat, kind)
        with self._hands:
            old, self.seats[seat] = self.seats[seat], kind
            if old != kind:
                self._change(seat, old, kind)

    def _change(self, seat: str, old: str, kind: str) -> None:
        if seat == "store":
            api = self.seats["api"]
            self._take("api", api)
            before = self._etcd_url
            self._put("store", kind)
            self._portal.call(self._move, before, self._etcd_url)
            self._take("store", old)
            self._put("api", api)
        elif seat == "api":                              # one address: the old one goes before the new one comes
            self._take(seat, old)
            self._put(seat, kind)
        else:                                            # the new one stands by until the old one's lease is free
            self._put(seat, kind)
            self._take(seat, old)

    @property
    def planks(self) -> str:
        """The ship in a word, store first: TTGT has a genuine scheduler, the rest is tiny."""
        return "".join(self.seats[seat][0].upper() for seat in SEATS)

    def start_node(self, node: str) -> None:
        """Start a tiny node."""
        self._enter(f"node/{node}", lambda: self._node(node))

    def stop_node(self, node: str) -> None:
        """Take a node away, with all that runs on it, as if its power failed: nobody is told."""
        self._leave(f"node/{node}")

    # --- planks

    def _put(self, seat: str, kind: str) -> None:
        if kind == "genuine" and seat != "store":
            self._launch(GENUINE[seat])
            return self._wait(GENUINE[seat])
        if seat == "store":
            return self._genuine_store() if kind == "genuine" else self._tiny_store()
        planks: dict[str, Plank] = {"api": self._api, "scheduler": self._tiny_scheduler, "controllers": self._controllers}
        return self._enter(seat, planks[seat])

    def _take(self, seat: str, kind: str) -> None:
        if seat == "store":
            self.processes.stop("etcd" if kind == "genuine" else "tiny-store")
            shutil.rmtree(self.directory / ("etcd-data" if kind == "genuine" else "tiny-store"), ignore_errors=True)
        elif kind == "genuine":
            self.processes.stop(f"kube-{GENUINE[seat]}", timeout=3)
        else:
            self._leave(seat)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(1)
            await asyncio.to_thread(self._revive)

    def _revive(self) -> None:
        """Start again who gave up, as a kubelet would: a genuine leader ends when it can't renew its Lease in time."""
        with self._hands:
            exits = self.processes.exits()
            for seat in ("scheduler", "controllers"):
                if self.seats[seat] == "genuine" and exits.get(f"kube-{GENUINE[seat]}") is not None:
                    self._launch(GENUINE[seat])

    def _enter(self, name: str, plank: Plank) -> None:
        async def enter() -> AsyncExitStack:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(plank())
                return stack.pop_all()
        self._aboard[name] = self._portal.call(enter)

    def _leave(self, name: str) -> None:
        self._portal.call(self._aboard.pop(name).aclose)

    def _make_identities(self) -> None:
        of = self._authority.identity
        self._store_server = of("store-server", "etcd", names=("127.0.0.1", "localhost"))
        self._store_client = of("store-client", "client-of-etcd")
        of(KUBELET_CLIENT.name, KUBELET_CLIENT.name)
        for node in self.names:
            of(f"kubelet-{node}", f"system:node:{node}", ("system:nodes",), names=(node, "127.0.0.1"))

    def restart_store(self) -> None:
        """Start the tiny store again where it was, after it was killed."""
        if self.seats["store"] != "tiny":
            raise ValueError("the store is a genuine one: stop_component and start_component know it as etcd")
        self._tiny_store(self._etcd_url.removeprefix("https://"))

    def _tiny_store(self, address: str = "127.0.0.1:0") -> None:
        log = self.processes.log_path("tiny-store")
        log.unlink(missing_ok=True)
        mine = self._store_server
        self.processes.start("tiny-store", [
            TINYKUBE, "store", f"--listen={address}", f"--data-dir={self.directory / 'tiny-store'}",
            f"--cert-file={mine.certificate}", f"--key-file={mine.key}", f"--trusted-ca-file={self.ca_file}"])
        self.processes.wait("the store did not start", "tiny-store",
                            lambda: log.exists() and "serving at" in log.read_text(), self.timeout)
        self._etcd_url = f"https://{log.read_text().split()[-1]}"

    def _genuine_store(self) -> None:
        self.etcd = Etcd(tls=True, timeout=self.timeout, processes=self.processes, authority=self._authority).start()
        self._etcd_url = self.etcd.url

    def _store_files(self) -> dict[str, str]:
        mine = self._store_client
        return {"cafile": str(self.ca_file), "certfile": str(mine.certificate), "keyfile": str(mine.key)}

    async def _move(self, old: str, new: str) -> None:
        """Copy all that is stored. Revisions go on above the old ones, so that nobody takes an old version for a new one."""
        source, target = (etcd_storage(url, **self._store_files()) for url in (old, new))
        found = await source.range(b"\0", b"\0")
        revision = 0
        while revision <= found.revision:
            results = await asyncio.gather(*(target.txn([], [Put(MARK, b"")]) for _ in range(64)))
            revision = max(result.revision for result in results)
        for each in found.kvs:
            await target.txn([], [Put(each.key, each.value)])
        await target.txn([], [Delete(MARK)])
        await source.aclose()
        await target.aclose()

    @asynccontextmanager
    async def _api(self) -> AsyncIterator[None]:
        storage, dialer = etcd_storage(self._etcd_url, **self._store_files()), Dialer(to_kubelets(self.directory))
        mine = Identity(self._server.certificate.read_bytes(), self._server.key.read_bytes())
        ca, front = self.ca_file.read_bytes(), Identity(self._proxy.certificate.read_bytes(), self._proxy.key.read_bytes())
        guard = Guard(server_tls(mine, ca), EcSigner(self._accounts.key.read_bytes()), front,
                      published(ca, self._front.file.read_bytes()))
        with audit_log(self.directory / "audit.log") as write:
            part = await ApiPart.start(storage, dialer, self._port("apiserver"), self.clock, self.random, self.eventlog,
                                       guard, write, [{"level": self._audit, "omitStages": ["RequestReceived"]}])
            try:
                yield
            finally:
                await part.stop()
                await dialer.close()
                await storage.aclose()

    def _tiny_scheduler(self) -> AbstractAsyncContextManager[None]:
        return tiny_scheduler(self.kubeconfig_for("scheduler"), self.clock, self.random, self.eventlog)

    def _controllers(self) -> AbstractAsyncContextManager[None]:
        return tiny_controllers(self.kubeconfig_for("controller-manager"), self.clock, self.random, self.eventlog)

    @asynccontextmanager
    async def _node(self, node: str) -> AsyncIterator[None]:
        directory = self.directory / "nodes" / node
        runtime = ProcessRuntime(directory / "runtime", clock=self.clock, random=self.random)
        part = self.nodes[node] = NodePart(node, runtime, OFFERS, directory, self.clock, self.eventlog)
        files = [(self.directory / f"kubelet-{node}.{end}").read_bytes() for end in ("crt", "key")]
        tls = server_tls(Identity(*files), self.ca_file.read_bytes())
        async with (HttpTransport.from_access(load(self.kubeconfig_for(f"node:{node}"))) as transport,
                    await serve(part.handle, tls=tls) as server):
            await part.start(Client(transport, f"tinykube-kubelet/{node}"), self.random, server.port)
            try:
                yield
            finally:
                await part.close()

    # --- what differs from a control plane that is genuine throughout

    def _apiserver(self) -> list[str]:
        store = [f"--etcd-{name}={path}" for name, path in self._store_files().items()]
        asks = self.directory / KUBELET_CLIENT.name
        return [*super()._apiserver(), *store, "--storage-media-type=application/json",
                f"--kubelet-certificate-authority={self.ca_file}", f"--kubelet-client-certificate={asks}.crt",
                f"--kubelet-client-key={asks}.key"]

    def _wait_for_namespace(self) -> None:
        """Whether pods can be created; who makes service accounts may come later."""
        path = "/api/v1/namespaces/default"
        self.processes.wait(f"no {path} came to be", "tiny-store", lambda: self.request("GET", path)[0] == 200, self.timeout)

    def _port(self, name: str) -> int:
        return int(self._ports[name])

    def _check(self, seat: str, kind: str) -> None:
        if seat not in SEATS:
            raise ValueError(f"no seat is called {seat!r}; there are {', '.join(SEATS)}")
        if kind not in KINDS:
            raise ValueError(f"a plank is {' or '.join(KINDS)}, not {kind!r}")
