"""The plugins that come with the scheduler, by name, each made from its arguments.

Genuine counterpart: kube-scheduler's in-tree registry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from tinykube.machinery.objects import Object
from tinykube.scheduler import plugins
from tinykube.scheduler.affinity import node_affinity_plugin, pod_affinity_plugin
from tinykube.scheduler.framework import Candidates, Plugin, plain
from tinykube.scheduler.nodeinfo import NodeInfo, PodInfo
from tinykube.scheduler.plugins import PASSED, SCORES, Reasons, Score, Weighted
from tinykube.scheduler.spread import spread_plugin
from tinykube.scheduler.volumes import volumes_plugin

SMALL_IMAGE, LARGE_IMAGE = 23 << 20, 1000 << 20
Port = tuple[str, str, int]
Factory = Callable[[Object], Plugin]


def host_ports(pod: PodInfo) -> frozenset[Port]:
    """The ports of the node that a pod takes: address, protocol, number."""
    spec = pod.pod["spec"]
    staying = [each for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"]
    return frozenset((port.get("hostIP") or "0.0.0.0", port.get("protocol", "TCP"), port["hostPort"])
                     for container in [*spec["containers"], *staying] for port in container.get("ports") or ()
                     if port.get("hostPort"))


def clashes(one: Port, other: Port) -> bool:
    """Whether two pods on one node can't both have their port."""
    return one[1:] == other[1:] and (one[0] == other[0] or "0.0.0.0" in (one[0], other[0]))


def ports_free(pod: PodInfo, node: NodeInfo) -> Reasons:
    """Keep off nodes where another pod has a port that this one takes. Like NodePorts."""
    mine = pod.worked_out(host_ports)
    taken = [port for other in node.pods.values() for port in other.worked_out(host_ports)] if mine else []
    clash = any(clashes(one, other) for one in mine for other in taken)
    return ["node(s) didn't have free ports for the requested pod ports"] if clash else PASSED


def images_of(pod: PodInfo) -> tuple[str, ...]:
    """The images of a pod's containers, each with its tag."""
    spec = pod.pod["spec"]
    named = [each.get("image") or "" for each in [*(spec.get("initContainers") or ()), *spec["containers"]]]
    return tuple(image if ":" in image.rsplit("/", 1)[-1] else f"{image}:latest" for image in named)


def image_locality(pod: PodInfo, candidates: Candidates) -> Weighted | None:
    """Prefer nodes that have large images already; the more nodes have one, the more it counts."""
    cache, images = candidates.cache, pod.worked_out(images_of)
    if not any(cache.images[image] for image in images):
        return None
    most = LARGE_IMAGE * len(images)

    def there(pod: PodInfo, node: NodeInfo) -> float:
        size = sum(int(node.images[image] * (cache.images[image] / len(cache.order)))
                   for image in images if image in node.images)
        return 100 * (min(max(size, SMALL_IMAGE), most) - SMALL_IMAGE) // (most - SMALL_IMAGE)
    return Weighted(there, 1)


def resources_plugin(args: Object) -> Plugin:
    """NodeResourcesFit: whether full nodes are better or empty ones, and which resources count how much."""
    strategy = args.get("scoringStrategy") or {}
    score = Weighted(by_strategy(strategy), 1) if strategy else SCORES[1]
    return replace(plain("NodeResourcesFit", plugins.resources_fit, score), same=True)


def by_strategy(strategy: Object) -> Score:
    """The score that a scoringStrategy names: LeastAllocated or MostAllocated, over resources with weights."""
    kind, weights = strategy["type"], {each["name"]: each.get("weight", 1) for each in strategy["resources"]}
    if kind not in ("LeastAllocated", "MostAllocated"):
        raise ValueError(f"scoringStrategy.type: {kind}: this scheduler has LeastAllocated and MostAllocated")

    def score(pod: PodInfo, node: NodeInfo) -> float:
        counted = {"cpu": node.counted_cpu + pod.counted[0], "memory": node.counted_memory + pod.counted[1]}
        points, heavy = 0, 0
        for what, weight in weights.items():
            offered, asked = node.allocatable.get(what, 0), pod.requests.get(what, 0)
            used = min(offered, counted.get(what, node.requested[what] + asked))
            if offered and (asked or what in counted):
                points += weight * (100 * (used if kind == "MostAllocated" else offered - used) // offered)
                heavy += weight
        return points // heavy if heavy else 0
    return score


def rule(name: str, filter: plugins.Filter | None = None, score: Weighted | None = None) -> Factory:
    """A plugin of the first chapter on scheduling; it takes no arguments."""
    return lambda args: replace(plain(name, filter, score), same=True)


IN_TREE: Mapping[str, Factory] = {
    **{name: rule(name, filter, score) for name, filter, score in (
        ("NodeUnschedulable", plugins.node_unschedulable, None), ("NodeName", plugins.node_name, None),
        ("TaintToleration", plugins.taint_toleration, SCORES[0]))},
    "NodeAffinity": node_affinity_plugin, "NodePorts": rule("NodePorts", ports_free), "NodeResourcesFit": resources_plugin,
    "VolumeBinding": volumes_plugin, "PodTopologySpread": spread_plugin, "InterPodAffinity": pod_affinity_plugin,
    "NodeResourcesBalancedAllocation": rule("NodeResourcesBalancedAllocation", None, SCORES[2]),
    "ImageLocality": lambda args: Plugin("ImageLocality", scores=image_locality),
    "DefaultPreemption": lambda args: Plugin("DefaultPreemption"),
}
