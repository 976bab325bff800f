"""The plugins that come with the scheduler, by name, each made from its arguments.

Genuine counterpart: kube-scheduler's in-tree registry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from tinykube.machinery.objects import Object, dig
from tinykube.scheduler import plugins
from tinykube.scheduler.affinity import node_affinity_plugin, pod_affinity_plugin
from tinykube.scheduler.framework import Candidates, Plugin, passes_now, plain
from tinykube.scheduler.nodeinfo import NodeInfo, PodInfo
from tinykube.scheduler.plugins import PASSED, SCORES, Reasons, Score, Weighted
from tinykube.scheduler.spread import spread_plugin
from tinykube.scheduler.volumes import restrictions_plugin, volumes_plugin

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


def clash(one: Port, other: Port) -> bool:
    """Whether two pods on one node can't both have their port."""
    return one[1:] == other[1:] and (one[0] == other[0] or "0.0.0.0" in (one[0], other[0]))


def ports_free(pod: PodInfo, node: NodeInfo) -> Reasons:
    """Keep off nodes where another pod has a port that this one takes. Like NodePorts."""
    if "ports" not in node.known:
        node.known["ports"] = [port for other in node.pods.values() for port in other.worked_out(host_ports)]
    if any(clash(mine, taken) for mine in pod.worked_out(host_ports) for taken in node.known["ports"]):
        return ["node(s) didn't have free ports for the requested pod ports"]
    return PASSED


def ports_plugin(args: Object) -> Plugin:
    """NodePorts."""
    return Plugin("NodePorts", lambda pod, cache: ports_free if pod.worked_out(host_ports) else None,
                  hints=passes_now(ports_free), same=True)


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


def share(pod: PodInfo, node: NodeInfo, what: str) -> tuple[int, int]:
    """How much of a resource would be promised with the pod, as scores count, and how much the node offers."""
    counted = {"cpu": node.counted_cpu + pod.counted[0], "memory": node.counted_memory + pod.counted[1]}
    return counted.get(what, node.requested[what] + pod.requests.get(what, 0)), node.allocatable.get(what, 0)


def by_strategy(strategy: Object) -> Score:
    """The score that a scoringStrategy names: LeastAllocated or MostAllocated, over resources with weights."""
    weights = {each["name"]: each.get("weight") or 1 for each in strategy.get("resources") or ()}
    most = strategy["type"] == "MostAllocated"

    def score(pod: PodInfo, node: NodeInfo) -> float:
        points, heavy = 0, 0
        for what, weight in weights.items():
            used, offered = share(pod, node, what)
            if offered and (what in ("cpu", "memory") or pod.requests.get(what)):
                points += weight * (100 * (min(used, offered) if most else max(0, offered - used)) // offered)
                heavy += weight
        return points // heavy if heavy else 0
    return score


def resources_plugin(args: Object) -> Plugin:
    """NodeResourcesFit: which resources are not looked at, and whether full nodes are better or empty ones."""
    ignored = {f"Insufficient {what}" for what in args.get("ignoredResources") or ()}
    groups = tuple(f"Insufficient {group}/" for group in args.get("ignoredResourceGroups") or ())

    def fits(pod: PodInfo, node: NodeInfo) -> Reasons:
        reasons = plugins.resources_fit(pod, node)
        left = [reason for reason in reasons if reason not in ignored and not reason.startswith(groups)]
        return type(reasons)(left)
    filter = fits if ignored or groups else plugins.resources_fit
    strategy = {"type": "LeastAllocated", "resources": [{"name": "cpu"}, {"name": "memory"}],
                **dig(args, "scoringStrategy", default={})}
    if strategy["type"] not in ("LeastAllocated", "MostAllocated"):
        raise ValueError(f"scoringStrategy.type: {strategy['type']}: this scheduler has LeastAllocated and MostAllocated")
    score = Weighted(by_strategy(strategy), 1) if "scoringStrategy" in args else SCORES[1]
    return replace(plain("NodeResourcesFit", filter, score), same=True)


def rule(name: str, filter: plugins.Filter | None = None, score: Weighted | None = None) -> Factory:
    """A plugin of the first chapter on scheduling; it takes no arguments."""
    return lambda args: replace(plain(name, filter, score), same=True)


IN_TREE: Mapping[str, Factory] = {
    "NodeUnschedulable": rule("NodeUnschedulable", plugins.node_unschedulable),
    "NodeName": rule("NodeName", plugins.node_name),
    "TaintToleration": rule("TaintToleration", plugins.taint_toleration, SCORES[0]),
    "NodeAffinity": node_affinity_plugin, "NodePorts": ports_plugin, "NodeResourcesFit": resources_plugin,
    "VolumeRestrictions": restrictions_plugin, "VolumeBinding": volumes_plugin, "PodTopologySpread": spread_plugin,
    "InterPodAffinity": pod_affinity_plugin,
    "NodeResourcesBalancedAllocation": rule("NodeResourcesBalancedAllocation", None, SCORES[2]),
    "ImageLocality": lambda args: Plugin("ImageLocality", scores=image_locality),
    "DefaultPreemption": lambda args: Plugin("DefaultPreemption"),
}
