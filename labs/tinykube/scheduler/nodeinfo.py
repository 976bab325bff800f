"""What the scheduler knows of a pod and of a node, in the form in which it decides: whole numbers, counted once.

Genuine counterpart: PodInfo and NodeInfo of kube-scheduler's framework.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tinykube.machinery.objects import Object, dig, key_of, name, uid
from tinykube.machinery.quantity import milli, whole

Amounts = dict[str, int]      # cpu in thousandths, everything else in whole units
LEAST_CPU = 100               # thousandths: what a score assumes of a container that asks for none
LEAST_MEMORY = 200 << 20      # bytes


def amounts(quantities: Object | None) -> Amounts:
    """Quantities as numbers that can be added and compared."""
    return {what: milli(text) if what == "cpu" else whole(text) for what, text in (quantities or {}).items()}


def total(parts: Iterable[Amounts]) -> Amounts:
    """The sum of amounts, resource by resource."""
    summed: Counter[str] = Counter()
    for part in parts:
        summed.update(part)
    return dict(summed)


def requests_of(pod: Object) -> Amounts:
    """What a pod asks for: its containers together, or its hungriest init container if that asks for more."""
    spec = pod["spec"]
    asked = total(amounts(dig(container, "resources", "requests")) for container in spec["containers"])
    for container in spec.get("initContainers") or []:
        for what, amount in amounts(dig(container, "resources", "requests")).items():
            asked[what] = max(asked.get(what, 0), amount)
    return total([asked, amounts(spec.get("overhead"))])


def counted_of(pod: Object) -> tuple[int, int]:
    """CPU and memory that scores assume of a pod: a container that asks for nothing still does something."""
    asked = [amounts(dig(container, "resources", "requests")) for container in pod["spec"]["containers"]]
    return (sum(each.get("cpu", LEAST_CPU) for each in asked), sum(each.get("memory", LEAST_MEMORY) for each in asked))


def finished(pod: Object) -> bool:
    """Whether a pod has run to its end: it holds its name, but no longer any resources."""
    return dig(pod, "status", "phase") in ("Succeeded", "Failed")


@dataclass(eq=False, slots=True)
class PodInfo:
    """A pod as the scheduler sees it; everything that decisions ask for is worked out once."""

    pod: Object
    key: str
    uid: str
    requests: Amounts
    counted: tuple[int, int]
    node_name: str
    tolerations: list[Object]
    node_selector: dict[str, str]
    priority: int

    @classmethod
    def of(cls, pod: Object) -> PodInfo:
        """Read a pod."""
        spec = pod["spec"]
        return cls(pod, key_of(pod), uid(pod), requests_of(pod), counted_of(pod), spec.get("nodeName") or "",
                   spec.get("tolerations") or [], spec.get("nodeSelector") or {}, spec.get("priority") or 0)


@dataclass(eq=False, slots=True)
class NodeInfo:
    """A node, what it offers, and what it has promised to the pods that are (or will be) there."""

    node: Object
    name: str = ""
    allocatable: Amounts = field(default_factory=dict)
    requested: Counter[str] = field(default_factory=Counter)
    counted_cpu: int = 0           # for scores, see LEAST_CPU
    counted_memory: int = 0
    pods: dict[str, PodInfo] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    taints: list[Object] = field(default_factory=list)
    unschedulable: bool = False

    @classmethod
    def of(cls, node: Object) -> NodeInfo:
        """Read a node; it has no pods yet."""
        info = cls(node)
        info.update(node)
        return info

    def update(self, node: Object) -> None:
        """Take over a newer version of the node; its pods stay."""
        self.node, self.name = node, name(node)
        self.allocatable = amounts(dig(node, "status", "allocatable"))
        self.labels = dig(node, "metadata", "labels", default={})
        self.taints = dig(node, "spec", "taints", default=[])
        self.unschedulable = dig(node, "spec", "unschedulable", default=False)

    def add(self, pod: PodInfo) -> None:
        """Promise the pod what it asks for."""
        self.pods[pod.uid] = pod
        self.requested.update(pod.requests)
        self.counted_cpu += pod.counted[0]
        self.counted_memory += pod.counted[1]

    def remove(self, uid: str) -> None:
        """Take back what was promised to a pod."""
        pod = self.pods.pop(uid)
        self.requested.subtract(pod.requests)
        self.counted_cpu -= pod.counted[0]
        self.counted_memory -= pod.counted[1]

    def free(self) -> Amounts:
        """What the node can still promise."""
        return {what: amount - self.requested[what] for what, amount in self.allocatable.items()}

    def emptied(self) -> NodeInfo:
        """The same node without its pods."""
        return NodeInfo.of(self.node)
