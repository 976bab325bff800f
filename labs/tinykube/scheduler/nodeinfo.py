"""What the scheduler knows of a pod and of a node, in the form in which it decides: whole numbers, counted once.

Genuine counterpart: PodInfo and NodeInfo of kube-scheduler's framework.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tinykube.machinery.objects import Object, dig, key_of, labels, name, namespace, uid
from tinykube.machinery.quantity import milli, whole

Amounts = dict[str, int]      # cpu in thousandths, everything else in whole units
LEAST_CPU = 100               # thousandths: what a score assumes of a container that asks for none
LEAST_MEMORY = 200 << 20      # bytes
T = TypeVar("T")


def amounts(quantities: Object | None) -> Amounts:
    """Quantities as numbers that can be added and compared."""
    return {what: number(what, text) for what, text in (quantities or {}).items()}


def number(what: str, text: str) -> int:
    """One quantity as a number."""
    return milli(text) if what == "cpu" else whole(text)


def total(parts: Iterable[Amounts]) -> Amounts:
    """The sum of amounts, resource by resource."""
    summed: Amounts = {}
    for part in parts:
        for what, amount in part.items():
            summed[what] = summed.get(what, 0) + amount
    return summed


def requests_of(pod: Object, least: Amounts | None = None) -> Amounts:
    """What a pod asks for: its containers together, or what its start takes if that is more, and its overhead.

    `least` stands in for what a container leaves out; then what is said for the pod as a whole does not count.
    """
    spec, assumed = pod["spec"], least or {}
    asked = total({**assumed, **amounts(dig(container, "resources", "requests"))} for container in spec["containers"])
    beside: Amounts = {}
    peaks = []
    for container in spec.get("initContainers") or []:
        peaks.append(total([beside, {**assumed, **amounts(dig(container, "resources", "requests"))}]))
        if container.get("restartPolicy") == "Always":      # a sidecar: it stays
            beside = peaks[-1]
    peaks.append(total([asked, beside]))
    asked = {what: max(peak.get(what, 0) for peak in peaks) for peak in peaks for what in peak}
    return total([asked | ({} if least else amounts(dig(spec, "resources", "requests"))), amounts(spec.get("overhead"))])


def counted_of(pod: Object) -> tuple[int, int]:
    """CPU and memory that scores assume of a pod: a container that asks for nothing still does something."""
    asked = requests_of(pod, {"cpu": LEAST_CPU, "memory": LEAST_MEMORY})
    return asked["cpu"], asked["memory"]


def likeness(pod: PodInfo) -> str:
    """All that the plain rules look at: they say the same of two pods that are alike in this."""
    spec = pod.pod["spec"]
    ports = [container.get("ports") for container in [*spec["containers"], *(spec.get("initContainers") or ())]]
    return repr((pod.requests, pod.counted, pod.node_name, pod.tolerations, pod.node_selector, ports,
                 dig(spec, "affinity", "nodeAffinity")))


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
    namespace: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    known: dict[Any, Any] = field(default_factory=dict)        # what rules have worked out about this pod

    @classmethod
    def of(cls, pod: Object) -> PodInfo:
        """Read a pod."""
        spec = pod["spec"]
        return cls(pod, key_of(pod), uid(pod), requests_of(pod), counted_of(pod), spec.get("nodeName") or "",
                   spec.get("tolerations") or [], spec.get("nodeSelector") or {}, spec.get("priority") or 0,
                   namespace(pod), labels(pod))

    def worked_out(self, what: Callable[[PodInfo], T]) -> T:
        """What a function says of this pod. It is asked once, however many nodes the pod is held against."""
        if what not in self.known:
            self.known[what] = what(self)
        return self.known[what]  # type: ignore[no-any-return]


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
    images: dict[str, int] = field(default_factory=dict)       # name -> bytes, of those that are there already
    known: dict[Any, Any] = field(default_factory=dict)        # what rules have found here since the last change

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
        self.images = {name: image.get("sizeBytes", 0) for image in dig(node, "status", "images", default=[])
                       for name in image.get("names") or ()}
        self.known.clear()

    def add(self, pod: PodInfo) -> None:
        """Promise the pod what it asks for."""
        self.pods[pod.uid] = pod
        self.count(pod, 1)

    def remove(self, uid: str) -> None:
        """Take back what was promised to a pod."""
        self.count(self.pods.pop(uid), -1)

    def count(self, pod: PodInfo, sign: int) -> None:
        """Raise or lower what is promised by what a pod asks for."""
        for what, amount in pod.requests.items():
            self.requested[what] += sign * amount
        self.counted_cpu += sign * pod.counted[0]
        self.counted_memory += sign * pod.counted[1]
        self.known.clear()

    def free(self) -> Amounts:
        """What the node can still promise."""
        return {what: amount - self.requested[what] for what, amount in self.allocatable.items()}
