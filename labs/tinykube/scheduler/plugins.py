"""The rules by which a node is chosen: filters throw nodes out, scores rank what is left.

Genuine counterpart: the in-tree plugins of kube-scheduler, by the same names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinykube.machinery.objects import Object
from tinykube.scheduler.nodeinfo import NodeInfo, PodInfo

Reasons = list[str]
Filter = Callable[[PodInfo, NodeInfo], Reasons]
Score = Callable[[PodInfo, NodeInfo], float]

UNSCHEDULABLE_TAINT: Object = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
PASSED: Reasons = []


def tolerates(tolerations: list[Object], taint: Object) -> bool:
    """Whether one of the tolerations covers the taint: same key (or none), same effect (or none), same value."""
    for toleration in tolerations:
        key, effect = toleration.get("key"), toleration.get("effect")
        if (key and key != taint["key"]) or (effect and effect != taint["effect"]):
            continue
        if toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", ""):
            return True
    return False


def node_unschedulable(pod: PodInfo, node: NodeInfo) -> Reasons:
    """Keep off nodes that were cordoned. Like NodeUnschedulable."""
    if node.unschedulable and not tolerates(pod.tolerations, UNSCHEDULABLE_TAINT):
        return ["node(s) were unschedulable"]
    return PASSED


def node_name(pod: PodInfo, node: NodeInfo) -> Reasons:
    """Keep to the node that the pod itself names. Like NodeName."""
    if pod.node_name and pod.node_name != node.name:
        return ["node(s) didn't match the requested node name"]
    return PASSED


def taint_toleration(pod: PodInfo, node: NodeInfo) -> Reasons:
    """Keep off nodes with a taint that the pod does not tolerate. Like TaintToleration."""
    for taint in node.taints:
        if taint["effect"] in ("NoSchedule", "NoExecute") and not tolerates(pod.tolerations, taint):
            return ["node(s) had untolerated taint(s)"]
    return PASSED


def node_affinity(pod: PodInfo, node: NodeInfo) -> Reasons:
    """Keep to nodes that carry every label the pod selects. Like NodeAffinity (its nodeSelector part)."""
    for key, value in pod.node_selector.items():
        if node.labels.get(key) != value:
            return ["node(s) didn't match Pod's node affinity/selector"]
    return PASSED


def resources_fit(pod: PodInfo, node: NodeInfo) -> Reasons:
    """Name each resource of which the node has not enough left. Like NodeResourcesFit."""
    reasons = ["Too many pods"] if len(node.pods) >= node.allocatable.get("pods", 0) else []
    for what, wanted in pod.requests.items():
        if wanted and wanted > node.allocatable.get(what, 0) - node.requested[what]:
            reasons.append(f"Insufficient {what}")
    return reasons


FILTERS: list[Filter] = [node_unschedulable, node_name, taint_toleration, node_affinity, resources_fit]


def shares(pod: PodInfo, node: NodeInfo) -> tuple[int, int]:
    """How full the node would be with the pod, in percent: of its CPU, and of its memory."""
    cpu, memory = node.allocatable.get("cpu", 0), node.allocatable.get("memory", 0)
    return (min(100, 100 * (node.counted_cpu + pod.counted[0]) // cpu) if cpu else 100,
            min(100, 100 * (node.counted_memory + pod.counted[1]) // memory) if memory else 100)


def least_allocated(pod: PodInfo, node: NodeInfo) -> float:
    """Prefer the emptier node: the free share of CPU and of memory, averaged. Like LeastAllocated."""
    cpu, memory = shares(pod, node)
    return (100 - cpu + 100 - memory) / 2


def balanced_allocation(pod: PodInfo, node: NodeInfo) -> float:
    """Prefer nodes where CPU and memory run out together. Like NodeResourcesBalancedAllocation."""
    cpu, memory = shares(pod, node)
    return 100 - abs(cpu - memory) / 2


def preferred_taints(pod: PodInfo, node: NodeInfo) -> float:
    """Prefer nodes without PreferNoSchedule taints that the pod does not tolerate. Like TaintToleration's score."""
    if not node.taints:
        return 100
    unwanted = [taint for taint in node.taints
                if taint["effect"] == "PreferNoSchedule" and not tolerates(pod.tolerations, taint)]
    return 100 / (1 + len(unwanted))


@dataclass
class Weighted:
    """A score and how much it counts beside the others."""

    score: Score
    weight: int


SCORES = [Weighted(least_allocated, 1), Weighted(balanced_allocation, 1), Weighted(preferred_taints, 3)]
