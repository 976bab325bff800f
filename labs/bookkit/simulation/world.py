"""The cluster of a simulated day: every part the real one, on machines and lines that fail when they are told to."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from tinykube.api import new_server
from tinykube.api.access import doorkeepers
from tinykube.api.keys import EcSigner
from tinykube.api.resources import RESOURCES
from tinykube.client.leader import LeaderElector
from tinykube.client.rest import Client
from tinykube.cluster.identities import ADMIN, MANAGER, SCHEDULER, account_user, node_user
from tinykube.controllers.manager import Manager
from tinykube.controllers.settings import Settings
from tinykube.kubelet.kubelet import Kubelet
from tinykube.machinery.errors import ApiError
from tinykube.machinery.eventlog import EventLog, Record
from tinykube.machinery.objects import Object
from tinykube.machinery.wire import Handler, as_user
from tinykube.scheduler.scheduler import Scheduler
from tinykube.store import Event

from bookkit.simulation.history import History, RecordingStorage
from bookkit.simulation.loop import LoopClock
from bookkit.simulation.runtime import SimulatedRuntime
from bookkit.simulation.wire import Line, Network
from bookkit.simulation.workloads import Size

T = TypeVar("T")
CAPACITY = {"cpu": "4", "memory": "8Gi", "pods": "30"}
PREFIXES = {each.plural: each.prefix for each in RESOURCES}
BEGINNING = 0                   # the seed of the time before the first trouble, whatever seed comes then
TAINTS_ARE_TAKEN = ("TaintNodesByCondition",)


@cache
def signer() -> EcSigner:
    """The key of all api-servers. No token of a simulated day is ever signed with it, so that it may be another each time."""
    return EcSigner(b"")


@dataclass
class Machine:
    """A node's machine: what is on it, and whether it is on."""

    name: str
    runtime: SimulatedRuntime
    powered: bool = True
    kubelet: Kubelet | None = None
    line: Line | None = None
    starting: asyncio.Future[None] | None = None
    lives: int = 0
    up_since: float = 0.0                       # since when all is well with it


@dataclass
class Process:
    """A running component of the control plane: how to end it, and the lines that it has."""

    stop: Callable[[], Awaitable[None]]
    lines: list[Line] = field(default_factory=list)


class Notes(EventLog):
    """What the control plane says, for the log of all; and until when one of its watches waits before it tries again."""

    def __init__(self, all_: EventLog) -> None:
        super().__init__(all_.clock, limit=0)
        self.all, self.pause_ends = all_, 0.0

    def add(self, component: str, verb: str, /, **facts: Any) -> Record:
        if (component, verb) == ("reflector", "retry"):
            self.pause_ends = max(self.pause_ends, self.clock.monotonic() + facts["delay"])
        return self.all.add(component, verb, **facts)


class World:
    """Store, api-server, scheduler, controllers, and machines with kubelets, in one loop, and all ways to hurt them."""

    def __init__(self, clock: LoopClock, size: Size, directory: Path, history: History) -> None:
        self.clock, self.seed, self.directory, self.history = clock, BEGINNING, directory, history
        self.lots: dict[str, Random] = {}                            # by whose they are
        self.log = EventLog(clock, limit=2000)
        self.notes = Notes(self.log)
        self.storage = RecordingStorage(clock, history, self.random("store"))
        self.storage.guards.append(self.guard)
        self.network = Network(clock, self.random("network"))
        self.machines: dict[str, Machine] = {}
        self.processes: dict[str, Process] = {}
        self.lives = 0
        self.wrong: list[str] = []                                   # what must never happen, and did
        self.bound: dict[str, tuple[str, str]] = {}                  # uid of a pod -> its node, its key
        self.ending: dict[asyncio.Future[None], None] = {}
        self.admin = Client(as_user(Line(self.network, "admin"), ADMIN), "admin")
        self.later: list[Callable[[], Awaitable[None]]] = []         # how to undo what stays broken until all else is well
        self.size, self.made = size, 0

    def random(self, who: str) -> Random:
        """A source of randomness of one's own."""
        return self.lots.setdefault(who, Random(f"{self.seed}/{who}"))

    def sow(self, seed: int) -> None:
        """From now on, everybody's lots are those of a seed. Raises ValueError for the seed of the time before: all would
        draw once more what they have drawn, uids and names as well."""
        if seed == BEGINNING:
            raise ValueError(f"seed {seed} is that of the time before the first trouble; a day has another, such as {seed + 1}")
        self.seed = seed
        for who, lots in self.lots.items():
            lots.seed(f"{seed}/{who}")

    def objects(self, plural: str) -> Iterator[Object]:
        """The objects of a resource, as they are in the store."""
        return self.storage.objects(PREFIXES[plural])

    # Starting and stopping

    async def start(self) -> None:
        """Start everything."""
        await self.start_api()
        await self.start_process("scheduler")
        await self.start_process("controller-manager")
        for _ in range(self.size.nodes):
            self.add_machine()
        await asyncio.gather(*(self.start_kubelet(each) for each in self.machines.values()))

    async def stop(self) -> None:
        """End everything."""
        for machine in self.machines.values():
            self.kill_kubelet(machine)
        for name in list(self.processes):
            self.kill(name)
        await self.crash_api()
        await asyncio.gather(*self.ending, return_exceptions=True)
        await self.storage.aclose()

    def spawn(self, work: Awaitable[None]) -> None:
        """Let something end in its own time."""
        task = asyncio.ensure_future(work)
        self.ending[task] = None
        task.add_done_callback(self.ending.pop)

    async def start_api(self) -> None:
        """A new api-server on the store."""
        self.lives += 1
        server = new_server(self.storage, clock=self.clock, random=self.random(f"api/{self.lives}"), log=self.log,
                            plugins=[doorkeepers(signer())], admission_on=TAINTS_ARE_TAKEN)
        await server.start()
        self.network.connect(server)

    async def crash_api(self) -> None:
        """The api-server is gone, whatever it was doing."""
        server = self.network.server
        self.network.crash()
        if server:
            await server.stop()

    async def start_process(self, name: str) -> None:
        """Start a scheduler or a controller-manager; `name` may end in a number, for a second one."""
        self.lives += 1
        kind, identity, process = name.partition("/")[0], f"{name}_{self.lives}", Process(self.nothing)
        random = self.random(identity)

        def client(user: Any, agent: str) -> Client:
            line = Line(self.network, name)
            process.lines.append(line)
            send: Handler = as_user(line, user)
            return Client(send, agent)
        if kind == "scheduler":
            mine = client(SCHEDULER, "scheduler")
            elector = LeaderElector(mine, "kube-scheduler", identity, clock=self.clock, random=random,
                                    namespace="kube-system", log=self.notes, times=self.size.election)
            scheduler = Scheduler(mine, clock=self.clock, random=random, log=self.notes, elector=elector)
            await scheduler.start()
            process.stop = scheduler.stop
        else:
            manager = Manager(lambda account: client(account_user(account) if account else MANAGER, account or "manager"),
                              identity, clock=self.clock, random=random, log=self.notes,
                              settings=Settings("the authority of a simulated day"), times=self.size.election)
            await manager.start()
            process.stop = manager.stop
        self.processes[name] = process

    async def nothing(self) -> None:
        """Nothing to stop yet."""

    def kill(self, name: str) -> None:
        """A component is gone in the middle of whatever it does. Nothing that it says on its way out is heard."""
        process = self.processes.pop(name)
        for line in process.lines:
            line.dead = True
        self.spawn(process.stop())

    def add_machine(self) -> Machine:
        """One more machine."""
        self.made += 1
        name = f"node-{self.made:03}"
        self.machines[name] = Machine(name, SimulatedRuntime(self.made, self.clock, self.random(f"runtime/{name}")))
        return self.machines[name]

    async def start_kubelet(self, machine: Machine) -> None:
        """Start the kubelet of a machine, which finds there what its forerunner left."""
        if not machine.powered or machine.kubelet or machine.name not in self.machines:
            return
        machine.lives += 1
        who, name = f"kubelet/{machine.name}/{machine.lives}", machine.name
        machine.line = Line(self.network, name)
        client = Client(as_user(machine.line, node_user(name)), "kubelet")
        machine.kubelet = kubelet = Kubelet(
            client, name, machine.runtime, capacity=CAPACITY, clock=self.clock, random=self.random(who), log=self.log,
            directory=self.directory / name, address=f"192.168.{machine.runtime.machine // 256}.{machine.runtime.machine % 256}",
            labels={"topology.kubernetes.io/zone": f"zone-{machine.runtime.machine % 3}"})
        machine.up_since = self.clock.monotonic()
        machine.starting = asyncio.ensure_future(kubelet.start())

    def kill_kubelet(self, machine: Machine) -> None:
        """The kubelet is gone, the pods run on."""
        if machine.kubelet and machine.line:
            machine.line.dead = True
            if machine.starting:
                machine.starting.cancel()
            self.spawn(machine.kubelet.stop())
        machine.kubelet = machine.line = None

    def up(self, name: str) -> bool:
        """Whether all is well with a machine."""
        machine = self.machines.get(name)
        return bool(machine and machine.powered and machine.kubelet and name not in self.network.cut)

    # What must never happen

    def guard(self, event: Event) -> None:
        """Look at each change of a pod as it is written."""
        if not event.kv.key.startswith(b"/registry/pods/") or event.type != "PUT":
            return
        if b'"nodeName"' not in event.kv.value:
            return
        pod = json.loads(event.kv.value)
        node, uid = pod["spec"].get("nodeName"), pod["metadata"]["uid"]
        key = event.kv.key.decode().removeprefix("/registry/pods/")
        known = self.bound.setdefault(uid, (node, key))
        if known[0] != node:
            self.wrong.append(f"pod {key} was bound to {known[0]}, and then to {node}")

    # What people do

    async def insist(self, call: Callable[[], Awaitable[T]], accept: tuple[int, ...] = ()) -> T | None:
        """Do something as an administrator who tries again until it is done; an error in `accept` is done, too."""
        while True:
            try:
                return await call()
            except ApiError as error:
                if error.code in accept:
                    return None
                if error.code < 500 and error.code not in (409, 429):
                    raise
            except OSError:
                pass
            await self.clock.sleep(1)

    @contextlib.asynccontextmanager
    async def without_api(self) -> Any:
        """For a while there is no api-server."""
        await self.crash_api()
        try:
            yield
        finally:
            await self.start_api()
