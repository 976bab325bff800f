"""One decision: which node for this pod, or why none. Pure: it looks at what it is given and changes nothing.

Genuine counterpart: findNodesThatFitPod, prioritizeNodes and selectHost of kube-scheduler, and its FitError.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from tinykube.scheduler import plugins
from tinykube.scheduler.nodeinfo import NodeInfo, PodInfo
from tinykube.scheduler.plugins import Filter, Reasons, Weighted


@dataclass
class Decision:
    """The node that won, or, for each node, why it did not."""

    node: NodeInfo | None
    reasons: dict[str, Reasons] = field(default_factory=dict)     # node name -> why not
    scores: dict[str, float] = field(default_factory=dict)        # node name -> points
    message: str = ""
    looked_at: int = 0


def why_not(pod: PodInfo, node: NodeInfo, filters: Sequence[Filter]) -> Reasons:
    """What the first filter that throws the node out says; nothing when all let it pass."""
    for passes in filters:
        reasons = passes(pod, node)
        if reasons:
            return reasons
    return plugins.PASSED


def enough(total: int) -> int:
    """How many fitting nodes to find before scoring: all of up to 100, a falling share of more, as the genuine one."""
    if total < 100:
        return total
    return max(100, total * max(5, 50 - total // 125) // 100)


def decide(pod: PodInfo, nodes: Sequence[NodeInfo], random: Random, filters: Sequence[Filter],
           scores: Sequence[Weighted], start: int = 0) -> Decision:
    """Filter from node number `start` on, score those that fit, take the best; a tie is drawn by lot."""
    fitting, decision, wanted = [], Decision(None), enough(len(nodes))
    for step in range(len(nodes)):
        node = nodes[(start + step) % len(nodes)]
        decision.looked_at += 1
        reasons = why_not(pod, node, filters)
        if reasons:
            decision.reasons[node.name] = reasons
        else:
            fitting.append(node)
            if len(fitting) >= wanted:
                break
    if fitting:
        decision.node = best(pod, fitting, random, scores, decision)
    else:
        decision.message = explain(pod, nodes, decision.reasons, filters)
    return decision


def best(pod: PodInfo, fitting: Sequence[NodeInfo], random: Random, scores: Sequence[Weighted],
         decision: Decision) -> NodeInfo:
    """The node with the most points; among equals, any."""
    if len(fitting) == 1:
        return fitting[0]
    points = [0] * len(fitting)
    for each in scores:
        points = [sofar + each.weight * int(each.score(pod, node)) for sofar, node in zip(points, fitting, strict=True)]
    decision.scores = {node.name: point for node, point in zip(fitting, points, strict=True)}
    highest = max(points)
    return random.choice([node for node, point in zip(fitting, points, strict=True) if point == highest])


def explain(pod: PodInfo, nodes: Sequence[NodeInfo], reasons: dict[str, Reasons], filters: Sequence[Filter]) -> str:
    """The sentence that `kubectl describe pod` shows, word for word as the genuine scheduler forms it."""
    if not nodes:
        return "no nodes available to schedule pods"
    head = f"0/{len(nodes)} nodes are available"
    counted = tally(reason for each in reasons.values() for reason in each)
    hopeless = sum(bool(why_not(pod, node.emptied(), filters)) for node in nodes)
    preemption = tally(["Preemption is not helpful for scheduling"] * hopeless
                       + ["No preemption victims found for incoming pod"] * (len(nodes) - hopeless))
    return f"{head}: {counted}. preemption: {head}: {preemption}."


def tally(reasons: Iterable[str]) -> str:
    """Equal reasons counted: `1 Insufficient cpu, 2 node(s) were unschedulable`, sorted as text."""
    return ", ".join(sorted(f"{count} {reason}" for reason, count in Counter(reasons).items()))
