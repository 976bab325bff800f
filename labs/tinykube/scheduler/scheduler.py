"""The scheduler: follows pods and nodes, decides, binds, and tells what it did.

Genuine counterpart: kube-scheduler.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Coroutine
from functools import partial
from random import Random
from typing import Any

from tinykube.client.events import EventRecorder
from tinykube.client.leader import LeaderElector, within
from tinykube.client.reflector import Reflector
from tinykube.client.rest import Client
from tinykube.machinery.clock import Clock
from tinykube.machinery.errors import ApiError
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.objects import Object, dig, key_of, timestamp, uid
from tinykube.scheduler import volumes
from tinykube.scheduler.cache import Cache
from tinykube.scheduler.config import Configuration, read
from tinykube.scheduler.decide import Decision, choose, explain, find, refusal, why_not
from tinykube.scheduler.framework import Candidates, Change, Plugin, Profile, Rejected
from tinykube.scheduler.nodeinfo import NodeInfo, PodInfo, finished
from tinykube.scheduler.preempt import Room, filters_for, make_room, not_eligible, preempted
from tinykube.scheduler.queue import SchedulingQueue, Waiting

UNFINISHED = "status.phase!=Succeeded,status.phase!=Failed"
BINDINGS_AT_ONCE = 64
FORGOTTEN_AFTER, LOOK_EVERY, PATIENCE = 300.0, 30.0, 600.0      # seconds: for pods that nothing wakes; for volumes
ALSO = {"namespaces": "/api/v1", "services": "/api/v1", "replicationcontrollers": "/api/v1", "persistentvolumes": "/api/v1",
        "persistentvolumeclaims": "/api/v1", "replicasets": "/apis/apps/v1", "statefulsets": "/apis/apps/v1",
        "storageclasses": "/apis/storage.k8s.io/v1", "poddisruptionbudgets": "/apis/policy/v1"}
NODE_DECIDES = ("spec",), ("metadata", "labels"), ("status", "allocatable"), ("status", "images")
POD_DECIDES = ("metadata", "labels"), ("metadata", "deletionTimestamp"), ("spec",), ("status", "phase")


class Scheduler:
    """Gives a node to every pod that has none and names this scheduler. Speaks REST only, and never polls."""

    def __init__(self, client: Client, *, clock: Clock, random: Random, log: EventLog,
                 config: Configuration | None = None, elector: LeaderElector | None = None) -> None:
        self.client, self.clock, self.random, self.log, self.elector = client, clock, random, log, elector
        self.config = config or read()
        self.profiles, self.cache = self.config.profiles, Cache()
        self.queue = SchedulingQueue(clock, *self.config.backoff)
        self.recorders = {name: EventRecorder(client, name, clock=clock, log=log) for name in self.profiles}
        client.prefixes |= ALSO
        self.reflectors = {what: Reflector(client, what, clock=clock, random=random, log=log,
                                           field_selector=UNFINISHED if what == "pods" else None)
                           for what in ("nodes", "pods", *ALSO)}
        self.interested: defaultdict[str, dict[Plugin, None]] = defaultdict(dict)      # kind of change -> rules with a hint
        for kind, plugin in [(kind, each) for profile in self.profiles.values() for each in profile.filters for kind in each.hints]:
            self.interested[kind][plugin] = None
        self.tasks: dict[asyncio.Task[None], None] = {}
        self.claims_changed, self.slots = asyncio.Event(), asyncio.Semaphore(BINDINGS_AT_ONCE)
        self.next_node = 0

    async def start(self) -> None:
        """Fill the picture first, then decide: a scheduler that does not see all pods would promise a node twice."""
        self.reflectors["nodes"].start(self.on_node, self.on_node_change, self.on_node_gone)
        self.reflectors["pods"].start(self.on_pod, self.on_pod_change, self.on_pod_gone)
        for what in ALSO:
            on_object = partial(self.on_object, what)
            self.reflectors[what].start(on_object, on_object, partial(self.on_object_gone, what))
        self.spawn(self.lead())
        self.spawn(self.look_after_forgotten())
        self.log.add("scheduler", "started", name=", ".join(self.profiles))

    async def stop(self) -> None:
        """End every task; bindings that are under way may or may not have happened."""
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await asyncio.gather(*(reflector.stop() for reflector in self.reflectors.values()),
                             *(recorder.stop() for recorder in self.recorders.values()))
        self.log.add("scheduler", "stopped", name=", ".join(self.profiles))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the loop, and keep hold of it."""
        task = asyncio.create_task(work)
        self.tasks[task] = None
        task.add_done_callback(self.tasks.pop)

    async def lead(self) -> None:
        """Decide as long as nobody else does: alone, or whenever the lease is ours."""
        while self.elector:
            await self.elector.run(self.run)
        await self.run()

    def on_node(self, node: Object) -> None:
        """A node joined: pods that fitted nowhere may fit here."""
        self.look_again(Change("node", self.cache.set_node(node)))

    def on_node_change(self, before: Object, after: Object) -> None:
        """A node changed. Heartbeats are changes too, but not of anything that we decide by."""
        if any(dig(before, *path) != dig(after, *path) for path in NODE_DECIDES):
            self.on_node(after)

    def on_node_gone(self, node: Object) -> None:
        """A node is gone: where there are fewer places, pods may be spread evenly that were not."""
        self.look_again(Change("lost", self.cache.drop_node(node)))

    def on_object(self, what: str, *versions: Object) -> None:
        """Something else that rules look at appeared or changed; the last version counts."""
        self.cache.objects[what][key_of(versions[-1])] = versions[-1]
        self.claims_changed.set()
        self.look_again(Change(what))

    def on_object_gone(self, what: str, obj: Object) -> None:
        """It is gone."""
        self.cache.objects[what].pop(key_of(obj), None)

    def look_again(self, change: Change) -> None:
        """Wake the pods that a change may help, by the word of the rules that turned them away."""
        for plugin in self.interested[change.kind]:
            if self.queue.parked[plugin]:
                self.queue.wake(plugin, partial(plugin.hints[change.kind], self.cache, change))

    def on_pod(self, pod: Object) -> None:
        """A pod appeared: count it if it has a node, queue it if it waits for us."""
        if finished(pod):
            return self.on_pod_gone(pod)
        if node := pod["spec"].get("nodeName"):
            self.queue.remove(uid(pod))
            new = uid(pod) not in self.cache.places or uid(pod) in self.cache.assumed
            info = self.cache.confirm(pod, node)
            if new:
                self.look_again(Change("bound", self.cache.nodes.get(node), info))
        elif self.is_ours(pod):
            info = PodInfo.of(pod)
            self.cache.nominate(info, dig(pod, "status", "nominatedNodeName", default=""))
            self.queue.add(info)
        return None

    def on_pod_change(self, before: Object, after: Object) -> None:
        """A pod changed. That we marked it unschedulable ourselves is no reason to try it again."""
        if any(dig(before, *path) != dig(after, *path) for path in POD_DECIDES):
            self.on_pod(after)
        elif info := self.cache.pod(uid(after)) or self.queue.info(uid(after)):
            info.pod = after

    def on_pod_gone(self, pod: Object) -> None:
        """A pod is gone or finished: what it held is free."""
        self.queue.remove(uid(pod))
        node = self.cache.nodes.get(self.cache.places.get(uid(pod)) or self.cache.waits_for.get(uid(pod), ""))
        gone = self.cache.remove(uid(pod))
        self.cache.nominate(gone or PodInfo.of(pod), "")
        self.look_again(Change("gone", node, gone))

    def is_ours(self, pod: Object) -> bool:
        """Whether this pod wants a node, now, and from this scheduler."""
        return (scheduler_of(pod) in self.profiles and not pod["spec"].get("schedulingGates")
                and not dig(pod, "metadata", "deletionTimestamp") and uid(pod) not in self.cache.assumed)

    async def run(self) -> None:
        """The loop: one pod after the other, from the queue to a decision."""
        await asyncio.gather(*(reflector.wait_synced() for reflector in self.reflectors.values()))
        while True:
            waiting = await self.queue.pop()
            try:
                self.schedule(waiting)
            except Exception as error:     # a rule with a fault: the pod waits, the others go on
                self.log.add("scheduler", "failed", pod=waiting.info.key, error=f"{type(error).__name__}: {error}")
                self.queue.back_off(waiting)
            await asyncio.sleep(0)         # let the bindings and the watches have their turn

    async def look_after_forgotten(self) -> None:
        """Now and then, try pods again that nothing has woken for long."""
        while True:
            await self.clock.sleep(LOOK_EVERY)
            self.queue.wake_older(FORGOTTEN_AFTER)

    def schedule(self, waiting: Waiting) -> None:
        """Decide on one pod. No await between looking and assuming, so nothing changes in between."""
        pod, profile = waiting.info, self.profiles[scheduler_of(waiting.info.pod)]
        decision, room = self.decide(pod, profile), Room()
        self.log.add("scheduler", "decided", pod=pod.key, node=decision.node.name if decision.node else None,
                     scores=decision.scores, reasons=decision.reasons, attempt=waiting.attempts)
        if decision.node:
            self.cache.nominate(pod, "")
            self.cache.assume(pod, decision.node.name)
            self.spawn(self.bind(waiting, decision.node))
        else:
            waiting.turned_away_by = decision.turned_away_by or self.turned_away_by(pod, decision, profile)
            self.queue.park(waiting)
            if decision.reasons:
                room = self.preempt(pod, profile, decision)
            self.spawn(self.report(pod, decision, room))

    def decide(self, pod: PodInfo, profile: Profile) -> Decision:
        """Find a node: the one that the pod waits for if it fits there by now, else the best of those that fit."""
        nodes, awaited = self.cache.order, self.cache.nodes.get(self.cache.waits_for.get(pod.uid, ""))
        try:
            filters = filters_for(pod, profile, self.cache) if nodes else []
        except Rejected as rejected:                     # that there is no word of preemption is the genuine one's way
            text = f"0/{len(nodes)} nodes are available: {rejected.args[0]}.{' not found' if profile.preempts else ''}"
            return Decision(message=text, turned_away_by=(rejected.args[1],))
        if awaited and not why_not(pod, awaited, filters):
            return Decision(awaited)
        decision = find(pod, nodes, filters, self.next_node, profile.percentage)
        self.next_node = (self.next_node + decision.looked_at) % max(1, len(nodes))
        if decision.fitting:
            choose(decision, pod, self.random, profile.ranking(pod, Candidates(self.cache, decision.fitting)))
        else:
            decision.message = explain(len(nodes), decision.reasons)
        return decision

    def turned_away_by(self, pod: PodInfo, decision: Decision, profile: Profile) -> tuple[Plugin, ...]:
        """The rules that threw nodes out, found by asking again on one node for each different reason."""
        different = {tuple(why): self.cache.nodes[node] for node, why in decision.reasons.items()}
        chain = profile.chain(pod, self.cache) if different else []
        found = [next((plugin for plugin, filter in chain if filter(pod, node)), None) for node in different.values()]
        return tuple({plugin: None for plugin in found if plugin}) or tuple(profile.filters)

    def preempt(self, pod: PodInfo, profile: Profile, decision: Decision) -> Room:
        """See whether the pod may and can make room for itself, and say so in the decision's message."""
        cache, refused = self.cache, refusal(len(self.cache.order), decision.reasons.values())
        if not profile.preempts or (why := not_eligible(pod, decision.reasons, cache)):
            decision.message = f"{refused} preemption: {why}" if profile.preempts else refused
            return Room(cache.waits_for.get(pod.uid, ""))
        room = make_room(pod, profile, cache, decision.reasons, self.random)
        decision.message = explain(len(cache.order), decision.reasons, room.reasons) if not room.node else (
            f"{refused} preemption: found a potential placement for pod on node {room.node}, preempting "
            f"{len(room.victims)} victims")
        for other in [each for each in cache.nominated[room.node].values() if each.priority < pod.priority]:
            cache.nominate(other, "")
            self.spawn(self.patch_status(other, {"nominatedNodeName": None}))
        cache.nominate(pod, room.node)
        return room

    async def bind(self, waiting: Waiting, node: NodeInfo) -> None:
        """Write the decision down: POST a binding. If that fails, take back what was assumed."""
        pod, meta = waiting.info, waiting.info.pod["metadata"]
        binding: Object = {"apiVersion": "v1", "kind": "Binding",
                           "metadata": {"name": meta["name"], "namespace": meta["namespace"], "uid": pod.uid},
                           "target": {"kind": "Node", "name": node.name}}
        try:
            await self.bind_volumes(pod, node)
            async with self.slots:
                await self.client.create("pods", binding, name=meta["name"], subresource="binding")
        except Exception as error:
            self.not_bound(waiting, node, error)
        else:
            self.log.add("scheduler", "bound", pod=pod.key, node=node.name)
            self.tell(pod, pod, "Normal", "Scheduled", f"Successfully assigned {pod.key} to {node.name}")

    def not_bound(self, waiting: Waiting, node: NodeInfo, error: Exception) -> None:
        """A binding failed. The pod may be gone, or somebody else's by now: then there is nothing to try again."""
        pod = waiting.info
        self.log.add("scheduler", "not-bound", pod=pod.key, node=node.name, error=str(error))
        self.look_again(Change("gone", node, self.cache.forget(pod)))
        self.tell(pod, pod, "Warning", "FailedScheduling", f"binding rejected: {error}")
        if not (isinstance(error, ApiError) and error.code in (404, 409)):
            self.queue.back_off(waiting)

    def tell(self, pod: PodInfo, about: PodInfo, type: str, reason: str, message: str) -> None:
        """An event about a pod, in the name of the scheduler that `pod` asked for."""
        self.recorders[scheduler_of(pod.pod)].event(about.pod, type, reason, message)

    async def bind_volumes(self, pod: PodInfo, node: NodeInfo) -> None:
        """Give claims that waited for this decision their volumes, and wait until both sides say so."""
        patches = volumes.writes(pod, node, self.cache)
        for what, obj, patch in patches:
            made = await self.client.patch(what, obj["metadata"]["name"], patch, obj["metadata"].get("namespace"))
            self.cache.objects[what][key_of(obj)] = made
        while patches and not all(map(volumes.is_bound, volumes.claims(pod, self.cache))):
            self.claims_changed.clear()
            await within(self.clock, PATIENCE, self.claims_changed.wait())

    async def report(self, pod: PodInfo, decision: Decision, room: Room) -> None:
        """Tell people why a pod waits, by an event and its condition, and where, if room is being made for it."""
        self.tell(pod, pod, "Warning", "FailedScheduling", decision.message)
        status: Object = pod.pod.get("status") or {}
        patch: Object = {}
        told: Object = next((each for each in status.get("conditions") or () if each["type"] == "PodScheduled"), {})
        if (told.get("reason"), told.get("message")) != ("Unschedulable", decision.message):
            patch["conditions"] = [self.condition(pod, ("PodScheduled", "False", "Unschedulable", decision.message), told)]
        if room.node != status.get("nominatedNodeName", ""):
            patch["nominatedNodeName"] = room.node or None
        await asyncio.gather(self.patch_status(pod, patch), *(self.throw_out(each, pod, room.node) for each in room.victims))

    def condition(self, pod: PodInfo, says: tuple[str, str, str, str], told: Object) -> Object:
        """A condition as pods have it; the time of the last change stays while the status does."""
        since = told.get("lastTransitionTime") if told.get("status") == says[1] else None
        generation = pod.pod["metadata"].get("generation")
        return {**dict(zip(("type", "status", "reason", "message"), says, strict=True)), "lastProbeTime": None,
                "lastTransitionTime": since or timestamp(self.clock),
                **({"observedGeneration": generation} if generation else {})}

    async def patch_status(self, pod: PodInfo, patch: Object) -> None:
        """Write into a pod's status; one that is gone needs no word."""
        meta = pod.pod["metadata"]
        with contextlib.suppress(ApiError, OSError):
            if patch:
                await self.client.patch("pods", meta["name"], {"status": patch}, meta["namespace"], subresource="status")

    async def throw_out(self, victim: PodInfo, pod: PodInfo, node: str) -> None:
        """Delete a pod to make room for another, and leave word why."""
        meta, why = victim.pod["metadata"], f"{scheduler_of(pod.pod)}: preempting to accommodate a higher priority pod"
        if not preempted(victim):
            says = "DisruptionTarget", "True", "PreemptionByScheduler", why
            await self.patch_status(victim, {"conditions": [self.condition(victim, says, {})]})
        try:
            await self.client.delete("pods", meta["name"], meta["namespace"], uid=victim.uid)
        except (ApiError, OSError) as error:
            self.log.add("scheduler", "not-preempted", pod=victim.key, error=str(error))
            self.queue.wake_older(float("-inf"))
        else:
            self.tell(pod, victim, "Normal", "Preempted", f"Preempted by pod {pod.uid} on node {node}")


def scheduler_of(pod: Object) -> str:
    """The name of the scheduler that a pod asks for."""
    return str(pod["spec"].get("schedulerName", "default-scheduler"))
