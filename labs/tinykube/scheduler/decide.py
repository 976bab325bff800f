"""One decision: which node for this pod, or why none. Pure: it looks at what it is given and changes nothing.

Genuine counterpart: findNodesThatFitPod, prioritizeNodes and selectHost of kube-scheduler, and its FitError.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from tinykube.scheduler.nodeinfo import NodeInfo, PodInfo
from tinykube.scheduler.plugins import PASSED, Filter, Never, Reasons, Weighted

HELPLESS = ["Preemption is not helpful for scheduling"]
NO_VICTIMS = ["No preemption victims found for incoming pod"]


@dataclass
class Decision:
    """The node that won, or, for each node, why it did not."""

    node: NodeInfo | None = None
    reasons: dict[str, Reasons] = field(default_factory=dict)     # node name -> why not
    scores: dict[str, float] = field(default_factory=dict)        # node name -> points
    message: str = ""
    looked_at: int = 0
    fitting: list[NodeInfo] = field(default_factory=list)
    turned_away_by: tuple[Hashable, ...] = ()                     # the rule that rejected the pod, whatever the node


def why_not(pod: PodInfo, node: NodeInfo, filters: Sequence[Filter]) -> Reasons:
    """What the first filter that throws the node out says; nothing when all let it pass."""
    for passes in filters:
        reasons = passes(pod, node)
        if reasons:
            return reasons
    return PASSED


def enough(total: int, percentage: int = 0) -> int:
    """How many fitting nodes to find before scoring: all of up to 100, a falling share of more, as the genuine one."""
    if total < 100:
        return total
    return max(100, total * (percentage or max(5, 50 - total // 125)) // 100)


def decide(pod: PodInfo, nodes: Sequence[NodeInfo], random: Random, filters: Sequence[Filter],
           scores: Sequence[Weighted], start: int = 0) -> Decision:
    """Filter from node number `start` on, score those that fit, take the best; a tie is drawn by lot."""
    decision = find(pod, nodes, filters, start)
    if decision.fitting:
        choose(decision, pod, random, scores)
    else:
        decision.message = explain(len(nodes), decision.reasons)
    return decision


def find(pod: PodInfo, nodes: Sequence[NodeInfo], filters: Sequence[Filter], start: int = 0,
         percentage: int = 0) -> Decision:
    """Collect enough nodes that pass the filters, and the reasons against the others."""
    decision, wanted = Decision(), enough(len(nodes), percentage)
    for step in range(start, start + len(nodes)):
        node = nodes[step % len(nodes)]
        reasons = why_not(pod, node, filters)
        if reasons:
            decision.reasons[node.name] = reasons
        else:
            decision.fitting.append(node)
            if len(decision.fitting) >= wanted:
                break
    decision.looked_at = len(decision.fitting) + len(decision.reasons)
    return decision


def choose(decision: Decision, pod: PodInfo, random: Random, scores: Sequence[Weighted]) -> None:
    """Settle on the fitting node with the most points; among equals, on any."""
    fitting, points = decision.fitting, [0] * len(decision.fitting)
    for each in scores if len(fitting) > 1 else ():
        found = each.scaled([each.score(pod, node) for node in fitting])
        points = [sofar + each.weight * int(more) for sofar, more in zip(points, found, strict=True)]
    decision.scores = {node.name: point for node, point in zip(fitting, points, strict=True)}
    highest = max(points)
    decision.node = random.choice([node for node, point in zip(fitting, points, strict=True) if point == highest])


def explain(total: int, reasons: dict[str, Reasons], victims: dict[str, Reasons] | None = None) -> str:
    """The sentence that `kubectl describe pod` shows, word for word as the genuine scheduler forms it.

    `victims` says, for some nodes, why throwing out other pods does not help there either.
    """
    if not total:
        return "no nodes available to schedule pods"
    after = {node: HELPLESS if isinstance(why, Never) else NO_VICTIMS for node, why in reasons.items()} | (victims or {})
    return f"{refusal(total, reasons.values())} preemption: {refusal(total, after.values())}"


def refusal(total: int, reasons: Iterable[Reasons]) -> str:
    """Equal reasons counted: `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.`"""
    counted = Counter(reason for each in reasons for reason in each)
    return f"0/{total} nodes are available: {', '.join(sorted(f'{count} {reason}' for reason, count in counted.items()))}."
