"""Which nodes are alive, and what becomes of the pods on those that are not.

Genuine counterparts: node-lifecycle-controller and taint-eviction-controller,
https://kubernetes.io/docs/concepts/architecture/nodes/#node-status
"""
from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from tinykube.client.queue import Bucket
from tinykube.controllers.conditions import said, set_condition
from tinykube.controllers.following import Following
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import (
    Object,
    dig,
    format_time,
    key_of,
    labels,
    name,
    namespace,
    parse_time,
    timestamp,
    uid,
)

GRACE, STARTUP_GRACE = 50.0, 60.0       # seconds without a sign of life: of a node, and of one that never gave any
RATE, SLOW_RATE = 0.1, 0.01             # nodes a second whose pods may be driven out: in a zone, and in one in trouble
TROUBLE, LARGE = 0.55, 50               # a zone is in trouble when so great a share of it is down; large beyond so many
NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
BY_CONDITION = {                        # condition, status -> the taint that keeps new pods away
    ("Ready", "False"): NOT_READY, ("Ready", "Unknown"): UNREACHABLE,
    ("MemoryPressure", "True"): "node.kubernetes.io/memory-pressure",
    ("DiskPressure", "True"): "node.kubernetes.io/disk-pressure",
    ("PIDPressure", "True"): "node.kubernetes.io/pid-pressure",
    ("NetworkUnavailable", "True"): "node.kubernetes.io/network-unavailable"}
SILENT = "NodeStatusUnknown"            # the reason of a condition that a kubelet reported and then reported no more
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
OWN_TAINTS = {*BY_CONDITION.values(), UNSCHEDULABLE}
REPORTED = ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")


def ready_status(node: Object) -> str:
    """True, False or Unknown: what the condition Ready says. A node without it is Unknown."""
    return str(said(node, "Ready").get("status", "Unknown"))


def silent(node: Object, now: str) -> list[Object]:
    """The conditions of a node that is heard of no more: all that its kubelet would report is Unknown."""
    found: list[Object] = [dict(each) for each in dig(node, "status", "conditions", default=[])]
    for kind in REPORTED:
        there = next((each for each in found if each["type"] == kind), None)
        if there is None:
            found.append({"type": kind, "status": "Unknown", "lastHeartbeatTime": node["metadata"].get("creationTimestamp"),
                          "lastTransitionTime": now, "reason": "NodeStatusNeverUpdated",
                          "message": "Kubelet never posted node status."})
        elif there["status"] != "Unknown":
            there.update(status="Unknown", lastTransitionTime=now, reason=SILENT,
                         message="Kubelet stopped posting node status.")
    return found


def no_schedule(node: Object) -> set[str]:
    """The taints that keep new pods off a node, by what it reports and by what its administrator said."""
    found = {BY_CONDITION.get((each["type"], each["status"]), "") for each in dig(node, "status", "conditions", default=[])}
    return (found | ({UNSCHEDULABLE} if dig(node, "spec", "unschedulable") else set())) - {""}


def no_execute(node: Object) -> set[str]:
    """The taint that drives pods off a node, if it is down."""
    return {taint for taint, status in ((NOT_READY, "False"), (UNREACHABLE, "Unknown")) if ready_status(node) == status}


def with_taints(node: Object, wanted: set[str], effect: str, now: str) -> list[Object]:
    """The taints of a node when, of those that this controller sets with this effect, exactly `wanted` are there."""
    old = dig(node, "spec", "taints", default=[])
    kept = [each for each in old if each["effect"] != effect or each["key"] not in OWN_TAINTS or each["key"] in wanted]
    missing = sorted(wanted - {each["key"] for each in kept if each["effect"] == effect})
    return [*kept, *({"key": key, "effect": effect, "timeAdded": now} for key in missing)]


def zone_of(node: Object) -> str:
    """The zone in which nodes fail together."""
    return "/".join(labels(node).get(f"topology.kubernetes.io/{part}", "") for part in ("region", "zone"))


def eviction_rates(nodes: Iterable[Object]) -> dict[str, float]:
    """How many nodes a second may be tainted NoExecute, zone by zone.

    A zone of which most is down is more likely cut off than dead. If all zones are, it is us who are cut off: no evictions.
    """
    zones: dict[str, list[bool]] = {}
    for node in nodes:
        zones.setdefault(zone_of(node), []).append(ready_status(node) == "True")
    if not any(any(ready) for ready in zones.values()):
        return dict.fromkeys(zones, 0.0)
    rates = {}
    for zone, ready in zones.items():
        down = ready.count(False)
        trouble = down > 2 and down / len(ready) >= TROUBLE and down < len(ready)
        rates[zone] = RATE if not trouble else SLOW_RATE if len(ready) > LARGE else 0.0
    return rates


def tolerates(toleration: Object, taint: Object) -> bool:
    """Whether a toleration is about this taint."""
    if toleration.get("effect") not in (None, "", taint["effect"]) or toleration.get("key") not in (None, "", taint["key"]):
        return False
    return toleration.get("operator") == "Exists" or (
        bool(toleration.get("key")) and toleration.get("value", "") == taint.get("value", ""))


def time_left(pod: Object, taints: list[Object]) -> float | None:
    """How many seconds a pod may stay in spite of NoExecute taints; None: as long as it likes."""
    shortest = None
    for taint in taints:
        fitting = [each for each in dig(pod, "spec", "tolerations", default=[]) if tolerates(each, taint)]
        if not fitting:
            return 0.0
        for each in fitting:
            if each.get("tolerationSeconds") is not None:
                shortest = min(max(0.0, float(each["tolerationSeconds"])), float("inf") if shortest is None else shortest)
    return shortest


class NodeLifecycleController(Following):
    """Watches the leases of nodes, marks those that are silent, and taints what is not well."""

    name, account, component = "node-lifecycle-controller", "node-controller", "node-controller"

    def setup(self) -> None:
        """A node is looked at when it or its lease changes, and when it has been silent for too long."""
        self.heard: dict[str, tuple[str, str, float]] = {}         # node -> lease's time, heartbeat, when we saw it change
        self.known: dict[str, Object] = {}
        self.buckets: dict[str, Bucket] = {}
        self.watch("nodes")
        self.watch("leases", lambda lease: name(lease) if namespace(lease) == "kube-node-lease" else None)
        self.watch("pods", lambda pod: None)

    async def sync(self, key: str) -> None:
        """Look at one node."""
        node = self.copy_of("nodes").get(key)
        if node is None:
            return self.forget(key)
        if key not in self.known:
            self.recorder.event(node, "Normal", "RegisteredNode", f"Node {key} event: Registered Node {key} in Controller")
        self.known[key] = node
        before, late = ready_status(node), self.seconds_left(node)
        if late <= 0 and (fresh := silent(node, timestamp(self.clock))) != dig(node, "status", "conditions"):
            node = await self.client.update("nodes", {**node, "status": {**node["status"], "conditions": fresh}},
                                            subresource="status")
            if before == "True":
                self.recorder.event(node, "Normal", "NodeNotReady", f"Node {key} status is now: NodeNotReady")
        elif late > 0:
            self.queue.add_after(key, late)
        await self.taint(node)
        if said(node, "Ready").get("reason") == SILENT:
            for pod in self.copy_of("pods").by("node", key):
                await self.not_ready(pod)
        return None

    def forget(self, key: str) -> None:
        """A node has been deleted."""
        self.heard.pop(key, None)
        if node := self.known.pop(key, None):
            self.recorder.event(node, "Normal", "RemovingNode", f"Node {key} event: Removing Node {key} from Controller")

    def seconds_left(self, node: Object) -> float:
        """How long the node may still be silent before it counts as lost."""
        ready, now = said(node, "Ready"), self.clock.monotonic()
        lease = self.copy_of("leases").get(f"kube-node-lease/{name(node)}") or {}
        renewed, beat = dig(lease, "spec", "renewTime", default=""), ready.get("lastHeartbeatTime") or ""
        heard = self.heard.get(name(node))
        if heard is None or heard[:2] != (renewed, beat):
            heard = self.heard[name(node)] = renewed, beat, now
        return heard[2] + (GRACE if ready and ready.get("reason") != "NodeStatusNeverUpdated" else STARTUP_GRACE) - now

    async def taint(self, node: Object) -> None:
        """Make the node's taints say how it is. Those that drive pods out come no faster than the zone allows."""
        now = timestamp(self.clock)
        wanted = {**node, "spec": {**node["spec"], "taints": with_taints(node, no_schedule(node), "NoSchedule", now)}}
        evict = no_execute(node)
        there = {each["key"] for each in dig(node, "spec", "taints", default=[]) if each["effect"] == "NoExecute"} & OWN_TAINTS
        if evict and not there and not self.may_evict(node):
            evict = set()
        wanted["spec"]["taints"] = with_taints(wanted, evict, "NoExecute", now)
        if wanted["spec"]["taints"] != dig(node, "spec", "taints", default=[]):
            patch = {"metadata": {"resourceVersion": node["metadata"]["resourceVersion"]},
                     "spec": {"taints": wanted["spec"]["taints"]}}
            await self.client.patch("nodes", name(node), patch, type="merge")

    def may_evict(self, node: Object) -> bool:
        """Whether the zone has room for one more node whose pods are driven out; if not yet, the node's turn comes again."""
        rate, bucket = eviction_rates(self.copy_of("nodes").select())[zone_of(node)], self.buckets.get(zone_of(node))
        if not rate:
            self.queue.add_after(name(node), 1 / RATE)
            return False
        if bucket is None:
            bucket = self.buckets[zone_of(node)] = Bucket(self.clock, rate, 1)
        bucket.rate = rate
        if bucket.take():
            return True
        self.queue.add_after(name(node), (1 - bucket.tokens) / rate)
        return False

    async def not_ready(self, pod: Object) -> None:
        """Say of a pod on a lost node that it can't serve: nobody is there to say so."""
        ready = said(pod, "Ready")
        if ready.get("status") != "True" or pod["metadata"].get("deletionTimestamp"):
            return
        changed = {**ready, "status": "False", "lastTransitionTime": timestamp(self.clock)}
        self.recorder.event(pod, "Warning", "NodeNotReady", "Node is not ready")
        await set_condition(self.client, pod, changed)


class TaintEvictionController(Following):
    """Deletes the pods that do not tolerate the NoExecute taints of their node, when their time is up."""

    name, account = "taint-eviction-controller", "node-controller"

    def setup(self) -> None:
        """A pod is looked at when it changes, and when its node does."""
        self.marked: set[str] = set()
        self.watch("pods")
        self.watch("nodes", lambda node: [key_of(pod) for pod in self.copy_of("pods").by("node", name(node))])

    async def sync(self, key: str) -> None:
        """Look at one pod."""
        pod = self.copy_of("pods").get(key)
        node = pod and self.copy_of("nodes").get(dig(pod, "spec", "nodeName", default=""))
        if pod is None or node is None or pod["metadata"].get("deletionTimestamp"):
            return self.marked.discard(key)
        taints = [each for each in dig(node, "spec", "taints", default=[]) if each["effect"] == "NoExecute"]
        left = time_left(pod, taints) if taints else None
        if left is None:
            if key in self.marked:
                self.marked.discard(key)
                self.recorder.event(pod, "Normal", "TaintManagerEviction", f"Cancelling deletion of Pod {key}")
            return None
        until = self.since(pod, taints) + timedelta(seconds=left)
        if (seconds := (until - self.clock.now()).total_seconds()) > 0:
            self.marked.add(key)
            return self.queue.add_after(key, seconds)
        return await self.evict(pod)

    def since(self, pod: Object, taints: list[Object]):  # type: ignore[no-untyped-def]
        """From when on a pod's time counts: when the last taint came, or the pod, whichever is later."""
        added = [each["timeAdded"] for each in taints if each.get("timeAdded")]
        return max(map(parse_time, (*added, pod["metadata"]["creationTimestamp"])))

    async def evict(self, pod: Object) -> None:
        """Say on the pod why it goes, then delete it."""
        self.recorder.event(pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {key_of(pod)}")
        condition = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
                     "message": "Taint manager: deleting due to NoExecute taint", "lastProbeTime": None,
                     "lastTransitionTime": format_time(self.clock.now())}
        try:
            if said(pod, "DisruptionTarget").get("status") != "True":
                await set_condition(self.client, pod, condition)
            await self.client.delete("pods", name(pod), namespace(pod), uid=uid(pod))
        except ApiError as error:
            if error.code not in (404, 409):
                raise
        self.marked.discard(key_of(pod))
