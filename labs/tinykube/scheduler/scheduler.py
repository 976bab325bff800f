"""The scheduler: follows pods and nodes, decides, binds, and tells what it did.

Genuine counterpart: kube-scheduler with its default profile.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from random import Random

from tinykube.client.events import EventRecorder
from tinykube.client.reflector import Reflector
from tinykube.client.rest import Client
from tinykube.machinery.clock import Clock
from tinykube.machinery.errors import ApiError
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.objects import Object, dig, timestamp, uid
from tinykube.scheduler.cache import Cache
from tinykube.scheduler.decide import Decision, decide, why_not
from tinykube.scheduler.nodeinfo import NodeInfo, PodInfo, finished
from tinykube.scheduler.plugins import FILTERS, SCORES, Filter, Weighted
from tinykube.scheduler.queue import SchedulingQueue, Waiting

UNFINISHED = "status.phase!=Succeeded,status.phase!=Failed"
BINDINGS_AT_ONCE = 64


class Scheduler:
    """Gives a node to every pod that has none and names this scheduler. Speaks REST only, and never polls."""

    def __init__(self, client: Client, *, clock: Clock, random: Random, log: EventLog,
                 name: str = "default-scheduler", filters: Sequence[Filter] = FILTERS,
                 scores: Sequence[Weighted] = SCORES) -> None:
        self.client, self.clock, self.random, self.log, self.name = client, clock, random, log, name
        self.filters, self.scores = filters, scores
        self.cache = Cache()
        self.queue = SchedulingQueue(clock)
        self.recorder = EventRecorder(client, name, clock=clock, log=log)
        self.nodes = Reflector(client, "nodes", clock=clock, random=random, log=log)
        self.pods = Reflector(client, "pods", clock=clock, random=random, log=log, field_selector=UNFINISHED)
        self.tasks: set[asyncio.Task[None]] = set()
        self.slots = asyncio.Semaphore(BINDINGS_AT_ONCE)
        self.next_node = 0

    async def start(self) -> None:
        """Fill the picture first, then decide: a scheduler that does not see all pods would promise a node twice."""
        self.nodes.start(self.on_node, self.on_node_change, self.cache.drop_node)
        self.pods.start(self.on_pod, self.on_pod_change, self.on_pod_gone)
        self.spawn(self.run())
        self.log.add("scheduler", "started", name=self.name)

    async def stop(self) -> None:
        """End every task; bindings that are under way may or may not have happened."""
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await asyncio.gather(self.nodes.stop(), self.pods.stop(), self.recorder.stop())
        self.queue.close()
        self.log.add("scheduler", "stopped", name=self.name)

    def spawn(self, work) -> None:  # type: ignore[no-untyped-def]
        """Run something beside the loop, and keep hold of it."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def on_node(self, node: Object) -> None:
        """A node joined: pods that fitted nowhere may fit here."""
        self.look_again(self.cache.set_node(node))

    def on_node_change(self, before: Object, after: Object) -> None:
        """A node changed. Heartbeats are changes too, but not of anything that we decide by."""
        info = self.cache.set_node(after)
        if any(dig(before, *path) != dig(after, *path)
               for path in (("spec",), ("metadata", "labels"), ("status", "allocatable"))):
            self.look_again(info)

    def look_again(self, node: NodeInfo | None) -> None:
        """Wake the pods that could run on this node now."""
        if node:
            self.queue.wake(lambda pod: not why_not(pod, node, self.filters))

    def on_pod(self, pod: Object) -> None:
        """A pod appeared: count it if it has a node, queue it if it waits for us."""
        if finished(pod):
            self.on_pod_gone(pod)
        elif pod["spec"].get("nodeName"):
            self.queue.remove(uid(pod))
            self.cache.place(PodInfo.of(pod), pod["spec"]["nodeName"])
        elif self.is_ours(pod):
            self.queue.add(PodInfo.of(pod))

    def on_pod_change(self, before: Object, after: Object) -> None:
        """A pod changed. That we marked it unschedulable ourselves is no reason to try it again."""
        meta = ("metadata", "labels"), ("metadata", "deletionTimestamp"), ("spec",), ("status", "phase")
        if any(dig(before, *path) != dig(after, *path) for path in meta):
            self.on_pod(after)

    def on_pod_gone(self, pod: Object) -> None:
        """A pod is gone or finished: what it held is free."""
        self.queue.remove(uid(pod))
        self.look_again(self.cache.remove(uid(pod)))

    def is_ours(self, pod: Object) -> bool:
        """Whether this pod wants a node, now, and from this scheduler."""
        spec = pod["spec"]
        return (spec.get("schedulerName", "default-scheduler") == self.name and not spec.get("schedulingGates")
                and not dig(pod, "metadata", "deletionTimestamp") and uid(pod) not in self.cache.assumed)

    async def run(self) -> None:
        """The loop: one pod after the other, from the queue to a decision."""
        await self.nodes.wait_synced()
        await self.pods.wait_synced()
        while True:
            waiting = await self.queue.pop()
            self.schedule(waiting)
            await asyncio.sleep(0)         # let the bindings and the watches have their turn

    def schedule(self, waiting: Waiting) -> None:
        """Decide on one pod. No await between looking and assuming, so nothing changes in between."""
        pod, nodes = waiting.info, self.cache.order
        decision = decide(pod, nodes, self.random, self.filters, self.scores, self.next_node)
        self.next_node = (self.next_node + decision.looked_at) % max(1, len(nodes))
        self.log.add("scheduler", "decided", pod=pod.key, node=decision.node.name if decision.node else None,
                     scores=decision.scores, reasons=decision.reasons, attempt=waiting.attempts)
        if decision.node:
            self.cache.assume(pod, decision.node.name)
            self.spawn(self.bind(waiting, decision.node.name))
        else:
            self.queue.park(waiting)
            self.spawn(self.report(pod, decision))

    async def bind(self, waiting: Waiting, node: str) -> None:
        """Write the decision down: POST a binding. If that fails, take back what was assumed."""
        pod = waiting.info
        meta = pod.pod["metadata"]
        binding: Object = {"apiVersion": "v1", "kind": "Binding",
                           "metadata": {"name": meta["name"], "namespace": meta["namespace"], "uid": pod.uid},
                           "target": {"kind": "Node", "name": node}}
        try:
            async with self.slots:
                await self.client.create("pods", binding, name=meta["name"], subresource="binding")
        except Exception as error:
            self.not_bound(waiting, node, error)
        else:
            self.log.add("scheduler", "bound", pod=pod.key, node=node)
            self.recorder.event(pod.pod, "Normal", "Scheduled", f"Successfully assigned {pod.key} to {node}")

    def not_bound(self, waiting: Waiting, node: str, error: Exception) -> None:
        """A binding failed. The pod may be gone, or somebody else's by now: then there is nothing to try again."""
        pod = waiting.info
        self.log.add("scheduler", "not-bound", pod=pod.key, node=node, error=str(error))
        self.look_again(self.cache.forget(pod))
        self.recorder.event(pod.pod, "Warning", "FailedScheduling", f"binding rejected: {error}")
        if not (isinstance(error, ApiError) and error.code in (404, 409)):
            self.queue.back_off(waiting)

    async def report(self, pod: PodInfo, decision: Decision) -> None:
        """Tell people why a pod waits: an event, and the condition PodScheduled=False on the pod itself."""
        self.recorder.event(pod.pod, "Warning", "FailedScheduling", decision.message)
        told: Object = next((each for each in dig(pod.pod, "status", "conditions", default=[])
                     if each["type"] == "PodScheduled"), {})
        if told.get("message") == decision.message:
            return
        meta = pod.pod["metadata"]
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                     "message": decision.message, "lastProbeTime": None,
                     "lastTransitionTime": told.get("lastTransitionTime") or timestamp(self.clock)}
        if "generation" in meta:
            condition["observedGeneration"] = meta["generation"]
        with contextlib.suppress(ApiError, OSError):
            await self.client.patch("pods", meta["name"], {"status": {"conditions": [condition]}},
                                    meta["namespace"], subresource="status")
