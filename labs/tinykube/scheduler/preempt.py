"""Making room: which pods of lower priority have to go so that a pod that fits nowhere fits somewhere.

Genuine counterpart: kube-scheduler's plugin DefaultPreemption.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from tinykube.machinery.objects import Object, dig, name, namespace
from tinykube.machinery.selectors import selector_of
from tinykube.scheduler.cache import Cache
from tinykube.scheduler.decide import NO_VICTIMS, why_not
from tinykube.scheduler.framework import Profile
from tinykube.scheduler.index import leaving
from tinykube.scheduler.nodeinfo import NodeInfo, PodInfo
from tinykube.scheduler.plugins import PASSED, Filter, Never, Reasons

CANDIDATES, SHARE = 100, 10         # nodes to try in thought: as many, or that share (percent) of them
LOWEST = 1 << 31                    # added to priorities before they are summed up, so that each pod counts


@dataclass
class Room:
    """Where room can be made, and by whose going; or, for each node, why not."""

    node: str = ""
    victims: list[PodInfo] = field(default_factory=list)        # most important first
    violations: int = 0                                         # victims that a disruption budget protects
    reasons: dict[str, Reasons] = field(default_factory=dict)


def filters_for(pod: PodInfo, profile: Profile, cache: Cache) -> list[Filter]:
    """The filters as things are now, with those counted in who wait for room on a node and come before this pod."""
    filters = profile.rules(pod, cache)
    if not cache.waits_for:
        return filters

    def with_nominated(pod: PodInfo, node: NodeInfo) -> Reasons:
        first = [other for other in cache.nominated[node.name].values()
                 if other.priority >= pod.priority and other.uid != pod.uid]
        for other in first:
            cache.place(other, node.name)
        reasons = why_not(pod, node, profile.rules(pod, cache)) if first else PASSED
        for other in first:
            cache.remove(other.uid)
        return reasons or why_not(pod, node, filters)
    return [with_nominated]


def not_eligible(pod: PodInfo, reasons: dict[str, Reasons], cache: Cache) -> str:
    """Why a pod may not throw out others (now), if so: it says so itself, or it has done so and they are still going."""
    if pod.pod["spec"].get("preemptionPolicy") == "Never":
        return "not eligible due to preemptionPolicy=Never."
    node = cache.waits_for.get(pod.uid, "")
    going = any(other.priority < pod.priority and leaving(other) and preempted(other)
                for other in cache.residents.get(node, {}).values())
    if going and not isinstance(reasons.get(node), Never):
        return "not eligible due to a terminating pod on the nominated node."
    return ""


def preempted(pod: PodInfo) -> bool:
    """Whether a scheduler threw a pod out."""
    return any(each["type"] == "DisruptionTarget" and each.get("reason") == "PreemptionByScheduler"
               for each in dig(pod.pod, "status", "conditions", default=[]))


def make_room(pod: PodInfo, profile: Profile, cache: Cache, reasons: dict[str, Reasons], random: Random) -> Room:
    """Try in thought, node after node, to throw out pods; the node where that hurts least."""
    hopeful = [cache.nodes[node] for node, why in reasons.items() if not isinstance(why, Never)]
    wanted = max(CANDIDATES, SHARE * len(hopeful) // 100)
    start, found, told = random.randrange(len(hopeful)) if len(hopeful) > wanted else 0, [], {}
    for node in hopeful[start:] + hopeful[:start]:
        tried = without_some(pod, node, profile, cache)
        if isinstance(tried, Room):
            found.append(tried)
        else:
            told[node.name] = tried
        if len(found) >= wanted:
            break
    return best(found) if found else Room(reasons=told)


def without_some(pod: PodInfo, node: NodeInfo, profile: Profile, cache: Cache) -> Room | Reasons:
    """Who has to leave a node so that the pod fits: all less important ones, then back with each that can stay."""
    lower = sorted((other for other in node.pods.values() if other.priority < pod.priority), key=importance)
    if not lower:
        return NO_VICTIMS
    assumed = cache.assumed & {other.uid for other in lower}
    for other in lower:
        cache.remove(other.uid)
    gone = dict.fromkeys(lower)
    try:
        if reasons := why_not(pod, node, filters_for(pod, profile, cache)):
            return reasons
        protected = over_budget(lower, list(cache.objects["poddisruptionbudgets"].values()))
        for other in sorted(lower, key=lambda each: each not in protected):
            cache.place(other, node.name)
            if why_not(pod, node, filters_for(pod, profile, cache)):
                cache.remove(other.uid)
            else:
                del gone[other]
        return Room(node.name, list(gone), sum(other in protected for other in gone))
    finally:
        for other in gone:
            cache.place(other, node.name)
        cache.assumed |= assumed


def importance(pod: PodInfo) -> tuple[int, str]:
    """Sorts pods, most important first: by priority, then by how long they have run."""
    return -pod.priority, started(pod)


def started(pod: PodInfo) -> str:
    """When a pod started; one that has not yet comes after all others."""
    return str(dig(pod.pod, "status", "startTime", default="9"))


def over_budget(pods: Sequence[PodInfo], budgets: list[Object]) -> set[PodInfo]:
    """Those of some pods, in their order, whose going a PodDisruptionBudget would not allow any more."""
    over = set()
    for budget in budgets:
        selector, status = selector_of(budget["spec"].get("selector")), budget.get("status") or {}
        picked = [pod for pod in pods if namespace(budget) == pod.namespace and selector and selector.matches(pod.labels)
                  and name(pod.pod) not in status.get("disruptedPods", {})]
        over.update(picked[max(0, status.get("disruptionsAllowed", 0)):])
    return over


def best(rooms: list[Room]) -> Room:
    """Where it hurts least: fewest budgets broken, lowest priorities, fewest pods, those that started last."""
    def hurt(room: Room) -> tuple[int, int, int, int]:
        return (room.violations, room.victims[0].priority, sum(each.priority + LOWEST for each in room.victims),
                len(room.victims))
    least = min(hurt(room) for room in rooms)
    return max((room for room in rooms if hurt(room) == least), key=lambda room: min(
        started(each) for each in room.victims if each.priority == room.victims[0].priority))
