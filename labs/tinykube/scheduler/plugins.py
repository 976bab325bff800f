"""The rules by which a node is chosen: filters throw nodes out, scores rank what is left.

Genuine counterpart: the in-tree plugins of kube-scheduler, by the same names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinykube.machinery.objects import Object
from tinykube.scheduler.nodeinfo import Amounts, NodeInfo, PodInfo

Reasons = list[str]
Filter = Callable[[PodInfo, NodeInfo], Reasons]
Score = Callable[[PodInfo, NodeInfo], float]

UNSCHEDULABLE_TAINT: Object = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
PASSED: Reasons = []


class Never(Reasons):
    """Reasons that no amount of room on the node would take away."""


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
        return Never(["node(s) were unschedulable"])
    return PASSED


def node_name(pod: PodInfo, node: NodeInfo) -> Reasons:
    """Keep to the node that the pod itself names. Like NodeName."""
    if pod.node_name and pod.node_name != node.name:
        return Never(["node(s) didn't match the requested node name"])
    return PASSED


def taint_toleration(pod: PodInfo, node: NodeInfo) -> Reasons:
    """Keep off nodes with a taint that the pod does not tolerate. Like TaintToleration."""
    for taint in node.taints:
        if taint["effect"] in ("NoSchedule", "NoExecute") and not tolerates(pod.tolerations, taint):
            return Never(["node(s) had untolerated taint(s)"])
    return PASSED


def node_affinity(pod: PodInfo, node: NodeInfo) -> Reasons:
    """Keep to nodes that carry every label the pod selects. Like NodeAffinity (its nodeSelector part)."""
    for key, value in pod.node_selector.items():
        if node.labels.get(key) != value:
            return Never(["node(s) didn't match Pod's node affinity/selector"])
    return PASSED


def resources_fit(pod: PodInfo, node: NodeInfo) -> Reasons:
    """Name each resource of which the node has not enough left. Like NodeResourcesFit."""
    reasons = ["Too many pods"] if len(node.pods) >= node.allocatable.get("pods", 0) else []
    too_large = False
    for what, wanted in pod.requests.items():
        offered = node.allocatable.get(what, 0)
        if wanted and wanted > offered - node.requested[what]:
            reasons.append(f"Insufficient {what}")
            too_large = too_large or wanted > offered
    return Never(reasons) if too_large else reasons


FILTERS: list[Filter] = [node_unschedulable, node_name, taint_toleration, node_affinity, resources_fit]


def least_allocated(pod: PodInfo, node: NodeInfo) -> float:
    """Prefer the emptier node: the free share of CPU and of memory, averaged. Like LeastAllocated."""
    cpu, memory = node.allocatable.get("cpu", 0), node.allocatable.get("memory", 0)
    free_cpu, free_memory = cpu - node.counted_cpu - pod.counted[0], memory - node.counted_memory - pod.counted[1]
    shares = [100 * max(0, free) // offered for free, offered in ((free_cpu, cpu), (free_memory, memory)) if offered]
    return float(sum(shares) // len(shares)) if shares else 0.0


def evenness(node: NodeInfo, more: Amounts) -> int:
    """How near the promised shares of CPU and of memory are, with some more promised: 50 to 100."""
    shares = [min(1.0, (node.requested[what] + more.get(what, 0)) / node.allocatable[what])
              for what in ("cpu", "memory") if node.allocatable.get(what)]
    return int((1 - (max(shares) - min(shares)) / 2) * 100) if shares else 100


def balanced_allocation(pod: PodInfo, node: NodeInfo) -> float:
    """Prefer nodes where the pod brings CPU and memory nearer together. Like NodeResourcesBalancedAllocation."""
    if not pod.requests.get("cpu") and not pod.requests.get("memory"):
        return 0
    return 75 + (evenness(node, pod.requests) - evenness(node, {})) // 2


def unwanted_taints(pod: PodInfo, node: NodeInfo) -> float:
    """How many PreferNoSchedule taints of the node the pod does not tolerate. Like TaintToleration's score."""
    return len([taint for taint in node.taints
                if taint["effect"] == "PreferNoSchedule" and not tolerates(pod.tolerations, taint)])


def as_they_are(points: list[float]) -> list[float]:
    """Points that are 0 to 100 already."""
    return points


def most_is_best(points: list[float]) -> list[float]:
    """Scale to 0 to 100: the most becomes 100."""
    most = max(points)
    return [100 * each // most for each in points] if most else points


def least_is_best(points: list[float]) -> list[float]:
    """Scale to 0 to 100 and turn around: none becomes 100, the most becomes 0."""
    return [100 - each for each in most_is_best(points)]


@dataclass
class Weighted:
    """A score, how much it counts beside the others, and what makes its points comparable."""

    score: Score
    weight: int
    scaled: Callable[[list[float]], list[float]] = as_they_are


SCORES = [Weighted(unwanted_taints, 3, least_is_best), Weighted(least_allocated, 1), Weighted(balanced_allocation, 1)]
