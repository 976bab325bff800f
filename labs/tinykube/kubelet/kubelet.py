"""The kubelet: registers its node, keeps its lease, watches the pods bound to it, and runs a worker for each.

Genuine counterpart: pkg/kubelet. Nobody calls it to start a pod; it finds out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from random import Random
from typing import Any

from tinykube.client.events import EventRecorder
from tinykube.client.reflector import Reflector
from tinykube.client.rest import Client
from tinykube.kubelet.admit import Rejection, admit
from tinykube.kubelet.eviction import Evictions, refusal, thresholds
from tinykube.kubelet.node import (
    LEASE_NAMESPACE,
    RENEW_SECONDS,
    Machine,
    keep_transitions,
    lease_object,
    node_object,
    node_status,
)
from tinykube.kubelet.restart import terminal
from tinykube.kubelet.static import StaticPods, is_mirror
from tinykube.kubelet.stats import Accounting
from tinykube.kubelet.worker import PodWorker
from tinykube.machinery.clock import Clock, within
from tinykube.machinery.errors import ApiError
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.objects import Object, dig, micro_timestamp, timestamp, uid
from tinykube.runtime.interface import Runtime

Dial = Callable[[str, int], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
STATUS_SECONDS = 300         # how often the node's status is sent when nothing in it has changed
RETRY_SECONDS = 1.0


class Kubelet:
    """The agent of one node. Stopping it stops no pod; a new one on the same runtime goes on where it was."""

    def __init__(self, client: Client, name: str, runtime: Runtime, *, capacity: Mapping[str, str], clock: Clock,
                 random: Random, log: EventLog, directory: str | Path, address: str = "127.0.0.1", port: int = 10250,
                 labels: Mapping[str, str] | None = None, dial: Dial = asyncio.open_connection,
                 manifests: Path | None = None, eviction_hard: str = "") -> None:
        self.client, self.name, self.runtime = client, name, runtime
        self.clock, self.random, self.log, self.directory = clock, random, log, Path(directory).absolute()
        self.machine = Machine(name, capacity, f"{runtime.name}://{runtime.version}", address, port, labels)
        self.recorder = EventRecorder(client, "kubelet", clock=clock, host=name, log=log)
        self.pods = Reflector(client, "pods", clock=clock, random=random, log=log,
                              field_selector=f"spec.nodeName={name}")
        self.nodes = Reflector(client, "nodes", clock=clock, random=random, log=log, field_selector=f"metadata.name={name}")
        self.outdated = asyncio.Event()            # the server says of the node what is not so
        self.services = Reflector(client, "services", clock=clock, random=random, log=log)
        self.dial = dial                           # to a port of a pod
        self.node: Object = node_object(self.machine, timestamp(clock))       # as it will be, until it is registered
        self.static, self.accounting = StaticPods(self, manifests), Accounting(self)
        self.evictions = Evictions(self, thresholds(eviction_hard))
        self.lease: Object = {}                    # as we wrote it last
        self.workers: dict[str, PodWorker] = {}
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Take up what the runtime has, register the node, follow its pods. Returns when the node is registered."""
        await self.runtime.start()
        self.begin(self.static.run(), self.hear_runtime())         # these need no api-server
        try:
            await self.register()
        except BaseException:
            await self.stop()
            raise
        self.begin(self.renew_lease(), self.report_node(), *([self.evictions.run()] if self.evictions.thresholds else []))
        self.nodes.start(added=self.node_seen, updated=lambda _, node: self.node_seen(node))
        self.services.start()
        self.pods.start(added=self.pod_seen, updated=lambda _, pod: self.pod_seen(pod), deleted=self.pod_gone)
        await self.pods.wait_synced()
        await self.end_orphans()
        self.log.add("kubelet", "started", node=self.name, pods=len(self.workers))

    async def stop(self) -> None:
        """Stop watching and reporting. The pods run on."""
        await asyncio.gather(self.pods.stop(), self.nodes.stop(), self.services.stop())
        tasks = [*self.tasks, *(worker.task for worker in self.workers.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *(worker.stop_helpers() for worker in self.workers.values()), return_exceptions=True)
        self.tasks, self.workers = [], {}
        await self.recorder.stop()

    def begin(self, *loops: Coroutine[Any, Any, None]) -> None:
        """Start some of our loops."""
        self.tasks += [asyncio.create_task(self.forever(what), name=f"kubelet {self.name}") for what in loops]

    async def forever(self, what: Coroutine[Any, Any, None]) -> None:
        """Run one of our loops; an end other than by `stop` would be a fault, and is written down."""
        try:
            await what
        except Exception as error:
            self.log.add("kubelet", "loop-died", node=self.name, error=f"{type(error).__name__}: {error}")
            raise

    async def register(self) -> None:
        """Create our Node, or take over the one that an earlier life of ours created; wait for the server if need be."""
        while True:
            try:
                self.node = await self.create_or_get_node()
                return
            except (ApiError, OSError) as error:
                self.log.add("kubelet", "register-failed", node=self.name, error=str(error))
                await self.clock.sleep(RETRY_SECONDS)

    async def create_or_get_node(self) -> Object:
        """The Node as the server has it, with our status."""
        try:
            return await self.client.create("nodes", node_object(self.machine, timestamp(self.clock)))
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
        return await self.patch_node(await self.client.get("nodes", self.name))

    async def patch_node(self, known: Object) -> Object:
        """Send the node's status; what has not changed since keeps its times."""
        status = node_status(self.machine, timestamp(self.clock), self.evictions.pressures)
        status = keep_transitions(status, known.get("status") or {})
        return await self.client.patch("nodes", self.name, {"status": status}, subresource="status")

    async def report_node(self) -> None:
        """Every five minutes, and when it is outdated, the whole status; the short sign of life is the lease."""
        while True:
            with contextlib.suppress(TimeoutError):
                await within(self.clock, STATUS_SECONDS, self.outdated.wait())
            self.outdated.clear()
            try:
                self.node = await self.patch_node(self.node)
            except (ApiError, OSError):
                self.outdated.set()
            await self.clock.sleep(RETRY_SECONDS)

    def node_seen(self, node: Object) -> None:
        """Our Node as the server has it now. If we were taken for dead, it says what is not so: then we report at once."""
        self.node = node
        says = {each["type"]: each["status"] for each in dig(node, "status", "conditions", default=[])}
        ours = node_status(self.machine, timestamp(self.clock), self.evictions.pressures)["conditions"]
        if any(says.get(each["type"]) != each["status"] for each in ours):
            self.outdated.set()

    def node_event(self, kind: str, reason: str, message: str) -> None:
        """Leave a note about the node."""
        self.recorder.event({"apiVersion": "v1", "kind": "Node", **self.node}, kind, reason, message)
        self.log.add("kubelet", "node-event", node=self.name, reason=reason, message=message)

    async def renew_lease(self) -> None:
        """Every ten seconds: we are alive. Who is not heard of for 40 s is taken for dead."""
        while True:
            try:
                await self.renew_once()
            except (ApiError, OSError) as error:
                self.log.add("kubelet", "lease-failed", node=self.name, error=str(error))
            await self.clock.sleep(RENEW_SECONDS)

    async def renew_once(self) -> None:
        """Write a new time into our Lease as we wrote it last; look first if somebody else has, and create it if there is none."""
        lease = lease_object(self.node, micro_timestamp(self.clock))
        with contextlib.suppress(ApiError):
            if self.lease:
                self.lease = await self.client.update("leases", {**self.lease, "spec": lease["spec"]}, LEASE_NAMESPACE)
                return
        try:
            known = await self.client.get("leases", self.name, LEASE_NAMESPACE)
        except ApiError as error:
            if error.code != 404:
                raise
            self.lease = await self.client.create("leases", lease, LEASE_NAMESPACE)
            return
        self.lease = await self.client.update("leases", {**known, "spec": {**known["spec"], **lease["spec"]}}, LEASE_NAMESPACE)

    def pod_seen(self, pod: Object) -> None:
        """A pod of ours is new, or has changed: its worker should look."""
        if is_mirror(pod):
            return self.static.seen(pod)
        worker = self.workers.get(uid(pod))
        if worker is None:
            if terminal(pod) and "deletionTimestamp" not in pod["metadata"] and "reason" in pod["status"]:
                return                             # refused earlier: nothing of it is here
            self.workers[uid(pod)] = PodWorker(self, pod)
            return
        worker.pod = pod
        worker.dirty.set()

    def pod_gone(self, pod: Object) -> None:
        """The api-server has dropped a pod: whatever is left of it has to end."""
        if is_mirror(pod):
            return self.static.seen(pod)
        if worker := self.workers.get(uid(pod)):
            meta = {key: value for key, value in worker.pod["metadata"].items() if key != "deletionTimestamp"}
            worker.pod, worker.forgotten = {**worker.pod, "metadata": meta}, True      # no more time than it takes
            worker.dirty.set()

    async def hear_runtime(self) -> None:
        """A container started or ended: its pod's worker should look. Like the PLEG."""
        async for event in self.runtime.container_events():
            worker = self.workers.get(event.pod_uid)
            if worker:
                worker.dirty.set()

    async def end_orphans(self) -> None:
        """End pods that the runtime still has and the api-server has not: they were deleted while we were away."""
        for box in await self.runtime.list_pod_sandbox():
            if box.config.uid not in self.workers:
                meta = {"name": box.config.name, "namespace": box.config.namespace, "uid": box.config.uid}
                worker = PodWorker(self, {"metadata": meta, "spec": {"containers": []}})
                worker.forgotten = True
                self.workers[box.config.uid] = worker

    def admit(self, pod: Object) -> Rejection | None:
        """Why the pod can't run here beside the others, or None."""
        if refused := refusal(pod, self.evictions.pressures):
            return refused
        others = [worker.pod for key, worker in self.workers.items() if key != uid(pod) and not terminal(worker.pod)
                  and worker.admitted]
        return admit(pod, self.node, others)
