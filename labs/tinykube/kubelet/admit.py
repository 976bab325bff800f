"""The kubelet's own look at a pod before it runs it: the binding was a promise, and promises can be wrong.

Genuine counterpart: the kubelet's lifecycle.PredicateAdmitHandler.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tinykube.machinery.objects import Object, dig, labels
from tinykube.machinery.quantity import milli, whole

SELECTOR = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"


@dataclass(frozen=True)
class Rejection:
    """Why a pod is not run: one word for machines, a sentence for people."""

    reason: str
    message: str


def amount(what: str, text: str) -> int:
    """A quantity as a whole number: CPU in thousandths, everything else in units."""
    return milli(text) if what == "cpu" else whole(text)


def asked(pod: Object, what: str) -> int:
    """How much of a resource a pod's containers ask for together."""
    if what == "pods":
        return 1
    return sum(amount(what, dig(container, "resources", "requests", what, default="0"))
               for container in pod["spec"]["containers"])


def admit(pod: Object, node: Object, running: Iterable[Object]) -> Rejection | None:
    """Why this node can't run the pod beside those that it runs, or None."""
    running = list(running)
    for key, value in (pod["spec"].get("nodeSelector") or {}).items():
        if labels(node).get(key) != value:
            return Rejection("NodeAffinity", SELECTOR)
    for what in ("pods", "cpu", "memory"):
        wanted, used = asked(pod, what), sum(asked(other, what) for other in running)
        capacity = amount(what, dig(node, "status", "allocatable", what, default="0"))
        if wanted and wanted > capacity - used:
            return Rejection(f"OutOf{what}", f"Node didn't have enough resource: {what}, requested: {wanted}, "
                                             f"used: {used}, capacity: {capacity}")
    return None
