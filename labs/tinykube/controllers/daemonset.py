"""One pod on each node that fits: DaemonSets.

Genuine counterpart: the daemonset-controller of kube-controller-manager.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tinykube.controllers.controller import Context
from tinykube.controllers.owners import deleting
from tinykube.controllers.podowner import PodOwner
from tinykube.controllers.pods import available_in, is_ready, pod_from_template
from tinykube.controllers.revisions import Revisions
from tinykube.controllers.rolling import share
from tinykube.machinery.objects import Object, copy, dig, key_of, labels, name, uid
from tinykube.machinery.selectors import selector_of

HASH, GENERATION = "controller-revision-hash", "pod-template-generation"
TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
BURST = 250
FIRST_DELAY, LONGEST_DELAY = 1.0, 900.0       # seconds between pods that fail on one node
NODE = "node.kubernetes.io/"
BORN_WITH: list[Object] = [{"key": NODE + key, "operator": "Exists", "effect": effect} for key, effect in [
    ("not-ready", "NoExecute"), ("unreachable", "NoExecute"), ("disk-pressure", "NoSchedule"),
    ("memory-pressure", "NoSchedule"), ("pid-pressure", "NoSchedule"), ("unschedulable", "NoSchedule")]]
ON_HOST_NETWORK: Object = {"key": NODE + "network-unavailable", "operator": "Exists", "effect": "NoSchedule"}


def daemon_pod(daemonset: Object, node: str, revision: Object | None) -> Object:
    """The pod for one node: bound to it by affinity, so that the scheduler still has its say, and hard to drive away."""
    pod = pod_from_template(daemonset["spec"]["template"], daemonset)
    spec, marks = pod["spec"], pod["metadata"].setdefault("labels", {})
    only = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]
    affinity = spec.setdefault("affinity", {}).setdefault("nodeAffinity", {})
    affinity["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": only}
    born_with = BORN_WITH + ([ON_HOST_NETWORK] if spec.get("hostNetwork") else [])
    there = spec.setdefault("tolerations", [])
    there += [copy(each) for each in born_with if each not in there]
    if revision:
        marks[HASH] = labels(revision)[HASH]
    if generation := dig(daemonset, "metadata", "annotations", TEMPLATE_GENERATION):
        marks[GENERATION] = generation
    return pod


def tolerates(tolerations: Sequence[Object], taint: Object) -> bool:
    """Whether one of the tolerations covers the taint."""
    return any(each.get("key") in (None, "", taint["key"]) and each.get("effect") in (None, "", taint["effect"])
               and (each.get("operator") == "Exists" or each.get("value", "") == taint.get("value", ""))
               for each in tolerations)


def matches_node(spec: Object, node: Object) -> bool:
    """Whether a node has what a pod's node selector and its required node affinity ask for. Terms: one is enough."""
    terms = dig(spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
    fields = {"metadata.name": name(node)}

    def fits(term: Object) -> bool:
        asked = term.get("matchExpressions"), term.get("matchFields")
        return any(asked) and all(selector_of({"matchExpressions": each}).matches(having)
                                  for each, having in zip(asked, (labels(node), fields), strict=True))
    selected = selector_of({"matchLabels": spec.get("nodeSelector")}).matches(labels(node))
    return selected and spec.get("nodeName") in (None, "", name(node)) and (terms is None or any(map(fits, terms)))


def belongs(daemonset: Object, node: Object) -> tuple[bool, bool]:
    """Whether a pod should be started on a node, and whether one that is there may stay."""
    spec = daemonset["spec"]["template"]["spec"]
    if not matches_node(spec, node):
        return False, False
    tolerations = daemon_pod(daemonset, name(node), None)["spec"]["tolerations"]
    effects = {taint["effect"] for taint in dig(node, "spec", "taints", default=[]) if not tolerates(tolerations, taint)}
    return not effects & {"NoSchedule", "NoExecute"}, "NoExecute" not in effects


def target(pod: Object) -> str:
    """The node that a pod is on, or is meant for."""
    terms = dig(pod, "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution",
                "nodeSelectorTerms", default=[])
    meant = [value for term in terms for each in term.get("matchFields") or [] if each["key"] == "metadata.name"
             for value in each["values"]]
    return dig(pod, "spec", "nodeName") or next(iter(meant), "")


def finished(pod: Object) -> bool:
    """Whether a pod has run to its end."""
    return dig(pod, "status", "phase") in ("Succeeded", "Failed")


@dataclass
class Plan:
    """What a sync will do."""

    create: list[str] = field(default_factory=list)          # names of nodes
    delete: list[Object] = field(default_factory=list)
    told: list[tuple[str, str, str]] = field(default_factory=list)       # type, reason and message of events


@dataclass
class Daemons:
    """What a decision looks at: a DaemonSet, the nodes, the pods of each, which are new, and what time it is."""

    daemonset: Object
    nodes: Sequence[Object]
    pods: Mapping[str, list[Object]]                         # by name of the node, oldest first
    hash: str
    now: datetime

    def serves(self, pod: Object) -> bool:
        """Whether a pod is available."""
        return available_in(pod, self.daemonset["spec"].get("minReadySeconds", 0), self.now) == 0

    def is_new(self, pod: Object) -> bool:
        """Whether a pod has the template as it is now."""
        return labels(pod).get(HASH) == self.hash

    def limits(self) -> tuple[int, int]:
        """How many pods beyond one a node, and how many nodes without one, an update may have at a time."""
        rolling = dig(self.daemonset, "spec", "updateStrategy", "rollingUpdate", default={})
        count = sum(belongs(self.daemonset, node)[0] for node in self.nodes)
        surge, missing = share(rolling.get("maxSurge", 0), count, 99), share(rolling.get("maxUnavailable", 1), count, 99)
        return surge, missing or (0 if surge else 1)


def manage(at: Daemons) -> Plan:
    """One pod to each node that should have one; none to the others; none for nodes that are gone."""
    plan = Plan()
    for node in at.nodes:
        starts, stays = belongs(at.daemonset, node)
        here = at.pods.get(name(node), [])
        if starts and not here:
            plan.create.append(name(node))
        elif not stays:
            plan.delete += [pod for pod in here if not deleting(pod)]
        elif here:
            surplus(at, name(node), [pod for pod in here if not deleting(pod)], plan)
    known = {name(node) for node in at.nodes}
    plan.delete += [pod for node, pods in at.pods.items() if node not in known for pod in pods
                    if not pod["spec"].get("nodeName") and not deleting(pod)]
    return plan


def surplus(at: Daemons, node: str, pods: list[Object], plan: Plan) -> None:
    """Of several pods on a node the oldest stays; of an update that surges, the oldest of each version, for a while."""
    for pod in pods:
        if finished(pod):
            plan.delete.append(pod)
            where = f"{pod['metadata']['namespace']}/{name(pod)} on node {node}"
            failed = pod["status"]["phase"] == "Failed"
            plan.told.append(("Warning", "FailedDaemonPod", f"Found failed daemon pod {where}, will try to kill it")
                             if failed else
                             ("Normal", "SucceededDaemonPod", f"Found succeeded daemon pod {where}, will try to delete it"))
    running = [pod for pod in pods if not finished(pod)]
    if not at.limits()[0]:
        plan.delete += running[1:]
        return
    new, old = [pod for pod in running if at.is_new(pod)], [pod for pod in running if not at.is_new(pod)]
    plan.delete += new[1:] + old[1:]
    if new and old and (at.serves(new[0]) or not at.serves(old[0])):
        plan.delete.append(old[0])


def update(at: Daemons) -> Plan:
    """The next step of a rolling update: which old pods may go, and which nodes may have a second, new one."""
    (most, missing), plan = at.limits(), Plan()
    waiting: list[Object] = []
    more: list[str] = []
    for node in at.nodes:
        here = at.pods.get(name(node), [])
        new, old = [pod for pod in here if at.is_new(pod)], [pod for pod in here if not at.is_new(pod)]
        if any(map(deleting, here)) or len(new) > 1 or len(old) > 1:
            missing, most = missing - 1, most - 1               # something is under way here already
        elif not old:
            missing -= not (new and at.serves(new[0])) and belongs(at.daemonset, node)[0]
        elif not at.limits()[0]:
            missing -= not at.serves(old[0])
            (waiting if at.serves(old[0]) else plan.delete).append(old[0])
        elif new:
            most -= at.serves(old[0])
            plan.delete += old if at.serves(new[0]) or not at.serves(old[0]) else []
        else:
            (more if at.serves(old[0]) else plan.create).append(name(node))
    if at.limits()[0]:
        plan.create += more[:max(0, most)]
    else:
        plan.delete += waiting[:max(0, missing)]
    return plan


def daemon_status(at: Daemons) -> Object:
    """The status by numbers: of each node, its oldest pod."""
    status = dict.fromkeys(("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady",
                            "updatedNumberScheduled", "numberAvailable", "numberUnavailable"), 0)
    for node in at.nodes:
        here = at.pods.get(name(node), [])
        if not belongs(at.daemonset, node)[0]:
            status["numberMisscheduled"] += bool(here)
            continue
        status["desiredNumberScheduled"] += 1
        for pod in here[:1]:
            status["currentNumberScheduled"] += 1
            status["numberReady"] += is_ready(pod)
            status["numberAvailable"] += at.serves(pod)
            status["updatedNumberScheduled"] += at.is_new(pod)
    status["numberUnavailable"] = status["desiredNumberScheduled"] - status["numberAvailable"]
    always = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady")
    return {key: count for key, count in status.items() if count or key in always} | {
        "observedGeneration": at.daemonset["metadata"]["generation"]}


class DaemonSetController(PodOwner):
    """Keeps one pod of each DaemonSet on each node that fits it."""

    name, kind, resource = "daemonset-controller", "DaemonSet", "daemonsets"
    account = "daemon-set-controller"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.nodes = self.follow("nodes", self.node_changed, self.node_changed, self.node_changed)
        informer = self.follow("controllerrevisions", lambda one: None, lambda before, after: None, lambda one: None)
        self.revisions = Revisions(self.client, self.resource, informer, HASH)
        self.failed: dict[str, tuple[float, datetime]] = {}      # by DaemonSet and node: the next delay, and until when

    def node_changed(self, before: Object, after: Object | None = None) -> None:
        """A node joined, left, or changed: those for which it now is another look. Heartbeats change nothing."""
        for daemonset in list(self.owners.reflector.cache.values()):
            if after is None or belongs(daemonset, before) != belongs(daemonset, after):
                self.enqueue(daemonset)

    async def sync(self, key: str) -> None:
        """One look at one DaemonSet: its revisions, then its pods, then a step of an update, then the status."""
        daemonset = self.owners.get(key)
        if daemonset is None:
            return self.expectations.forget(key)
        if deleting(daemonset):
            return None
        revisions = await self.revisions.own(daemonset)
        current = await self.revisions.current(daemonset, revisions)
        at = await self.look(daemonset, current)
        failure = None
        if self.expectations.satisfied(key):
            plan = manage(at)
            if not plan.create and not plan.delete and daemonset["spec"]["updateStrategy"]["type"] == "RollingUpdate":
                plan = update(at)
            self.hold_back(daemonset, plan, at.now)
            for event in plan.told:
                self.recorder.event(daemonset, *event)
            pods = [daemon_pod(daemonset, node, current) for node in plan.create[:BURST]]
            failure = await self.change(daemonset, pods, plan.delete[:BURST])
            used = {labels(pod).get(HASH) for pods in at.pods.values() for pod in pods} | {labels(current)[HASH]}
            await self.revisions.forget_old(daemonset, revisions, [
                name(each) for each in revisions if labels(each).get(HASH) in used])
        await self.write_status(self.resource, daemonset, daemon_status(at))
        waits = [wait for pods in at.pods.values() for pod in pods
                 if (wait := available_in(pod, daemonset["spec"].get("minReadySeconds", 0), at.now))]
        if waits:
            self.queue.add_after(key, min(waits))
        if failure:
            raise failure
        return None

    def hold_back(self, daemonset: Object, plan: Plan, now: datetime) -> None:
        """A pod that failed again and again is replaced later each time: its node is not to be hammered."""
        for pod in [pod for pod in plan.delete if dig(pod, "status", "phase") == "Failed"]:
            node = f"{uid(daemonset)}/{target(pod)}"
            delay, until = self.failed.get(node, (FIRST_DELAY, now))
            if now < until:
                plan.delete.remove(pod)
                plan.told = [each for each in plan.told if f"/{name(pod)} on node" not in each[2]]
                self.queue.add_after(key_of(daemonset), (until - now).total_seconds())
            else:
                self.failed[node] = min(2 * delay, LONGEST_DELAY), now + timedelta(seconds=delay)

    async def look(self, daemonset: Object, current: Object) -> Daemons:
        """All that the decisions need, as it is now."""
        pods = defaultdict(list)
        for pod in await self.claimed(daemonset, lambda pod: not (finished(pod) and deleting(pod))):
            pods[target(pod)].append(pod)
        for each in pods.values():
            each.sort(key=lambda pod: (pod["metadata"]["creationTimestamp"], name(pod)))
        nodes = sorted(self.nodes.reflector.cache.values(), key=name)
        return Daemons(daemonset, nodes, pods, labels(current)[HASH], self.clock.now())
