"""When a node runs short of memory or disk: what counts as short, who has to go, who may not come.

Genuine counterpart: pkg/kubelet/eviction, https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinykube.kubelet.admit import Rejection
from tinykube.kubelet.restart import terminal
from tinykube.kubelet.static import is_static
from tinykube.kubelet.stats import Observed, Uses
from tinykube.kubelet.worker import PodWorker, pause
from tinykube.machinery.objects import Object, dig, uid
from tinykube.machinery.quantity import format_quantity, whole
from tinykube.machinery.quota import quality_of_service

if TYPE_CHECKING:
    from tinykube.kubelet.kubelet import Kubelet

RESOURCES = {"memory.available": "memory", "nodefs.available": "ephemeral-storage"}     # the first is saved first
CONDITIONS = {"memory.available": "MemoryPressure", "nodefs.available": "DiskPressure"}
NEWS = {("MemoryPressure", True): "NodeHasInsufficientMemory", ("MemoryPressure", False): "NodeHasSufficientMemory",
        ("DiskPressure", True): "NodeHasDiskPressure", ("DiskPressure", False): "NodeHasNoDiskPressure"}
LOOK_SECONDS, TRANSITION, GONE_SECONDS = 10.0, 300.0, 30.0
CRITICAL = 2_000_000_000                   # a priority from which on nobody is driven out
FORM = re.compile(r"([\w.]+)<([\d.]+%|[\w.]+)")


@dataclass(frozen=True)
class Threshold:
    """Below which a signal means that the node is short of something, and from which on it is no more."""

    signal: str
    amount: str                            # a quantity, or a share of all there is: 100Mi, 10%
    reclaim: str = "0"                     # so much more has to be free before the shortage is over

    def least(self, seen: Observed) -> int:
        """The amount in bytes."""
        share = self.amount.removesuffix("%")
        return whole(self.amount) if share == self.amount else int(seen.capacity * float(share) / 100)

    def crossed(self, seen: Observed, before: bool) -> bool:
        """Whether there is too little; once there was, it takes a bit more to be enough."""
        return seen.available < self.least(seen) + (whole(self.reclaim) if before else 0)


def thresholds(text: str, reclaim: Mapping[str, str] | None = None) -> list[Threshold]:
    """Read thresholds as the kubelet's option --eviction-hard has them: `memory.available<100Mi,nodefs.available<10%`.

    Raises ValueError, naming the part that can't be read.
    """
    found = []
    for part in text.split(",") if text else []:
        match = FORM.fullmatch(part.strip())
        if not match or match[1] not in RESOURCES:
            raise ValueError(f"{part!r} is no eviction threshold: write SIGNAL<AMOUNT or SIGNAL<SHARE%, "
                             f"where SIGNAL is one of {', '.join(RESOURCES)}")
        if not match[2].endswith("%"):
            whole(match[2])
        found.append(Threshold(match[1], match[2], (reclaim or {}).get(match[1], "0")))
    return found


def request_of(container: Object, what: str) -> str:
    """What a container asked for, as it said it."""
    limits = dig(container, "resources", "limits", what, default="0")
    return str(dig(container, "resources", "requests", what, default=limits))


def rank(pod: Object, uses: Uses | None, what: str) -> tuple[bool, bool, int, int]:
    """Where a pod stands in the line of those who have to go; the least goes first.

    Of whom nothing is known goes first; then who uses more than it asked for; then who has a lower priority; then who
    uses most beyond what it asked for.
    """
    if uses is None:
        return False, False, pod["spec"].get("priority") or 0, 0
    asked = sum(whole(request_of(each, what)) for each in pod["spec"]["containers"])
    beyond = sum(uses.values()) - asked
    return True, beyond <= 0, pod["spec"].get("priority") or 0, -beyond


def eviction_message(pod: Object, uses: Uses | None, what: str, least: int, available: int) -> str:
    """Why a pod has to go, as its status says it."""
    said = (f"The node was low on resource: {what}. Threshold quantity: {format_quantity(least, binary=True)}, "
            f"available: {format_quantity(available, binary=True)}. ")
    for each in pod["spec"]["containers"]:
        asked, used = request_of(each, what), (uses or {}).get(each["name"], 0)
        if used > whole(asked):
            said += (f"Container {each['name']} was using {format_quantity(used, binary=True)}, request is {asked}, "
                     f"has larger consumption of {what}. ")
    return said


def is_critical(pod: Object) -> bool:
    """Whether a pod stays whatever happens: the node would be no node without it."""
    return is_static(pod) or (pod["spec"].get("priority") or 0) >= CRITICAL


def refusal(pod: Object, pressures: set[str]) -> Rejection | None:
    """Why a pod may not come to a node in this trouble, or None. Short of memory, it still takes those who said what they need."""
    if not pressures or is_critical(pod):
        return None
    if "MemoryPressure" in pressures and (quality_of_service(pod) != "BestEffort" or tolerates_pressure(pod)):
        return None
    return Rejection("Evicted", f"The node had condition: [{' '.join(sorted(pressures))}]. ")


def tolerates_pressure(pod: Object) -> bool:
    """Whether a pod said that it does not mind nodes that are short of memory."""
    return any(each.get("key") in (None, "", "node.kubernetes.io/memory-pressure")
               and each.get("effect") in (None, "", "NoSchedule") and each.get("operator") == "Exists"
               for each in pod["spec"].get("tolerations") or [])


class Evictions:
    """Looks at what the node has left, tells the cluster, and drives out one pod at a time until there is enough."""

    def __init__(self, kubelet: Kubelet, hard: list[Threshold]) -> None:
        self.kubelet, self.clock = kubelet, kubelet.clock
        self.thresholds, self.transition = hard, TRANSITION
        self.observe: Callable[[], Awaitable[Mapping[str, Observed]]] = kubelet.accounting.observe
        self.met: set[str] = set()                         # the signals that were too low the last time
        self.seen_at: dict[str, float] = {}                # condition -> when it was last seen to hold
        self.pressures: set[str] = set()                   # the conditions that the node reports

    async def run(self) -> None:
        """Look again and again; after an eviction as soon as the pod is gone."""
        while True:
            gone = await self.look()
            if gone:
                await pause(self.clock, gone.ended, GONE_SECONDS)
            else:
                await self.clock.sleep(LOOK_SECONDS)

    async def look(self) -> PodWorker | None:
        """One look; the pod that has to go, if one has to."""
        seen = await self.observe()
        met = [each for each in self.thresholds if each.crossed(seen[each.signal], each.signal in self.met)]
        self.met = {each.signal for each in met}
        now = self.clock.monotonic()
        self.seen_at |= {CONDITIONS[signal]: now for signal in self.met}
        self.tell({each for each, at in self.seen_at.items() if at == now or now - at < self.transition})
        if not met:
            return None
        worst = min(met, key=lambda each: list(RESOURCES).index(each.signal))
        what = RESOURCES[worst.signal]
        self.kubelet.node_event("Warning", "EvictionThresholdMet", f"Attempting to reclaim {what}")
        found = seen[worst.signal]
        uses = await self.kubelet.accounting.uses(what)
        active = [worker for worker in self.kubelet.workers.values()
                  if worker.admitted and not terminal(worker.pod) and not worker.evicted and not is_critical(worker.pod)]
        for worker in sorted(active, key=lambda each: rank(each.pod, uses.get(uid(each.pod)), what))[:1]:
            worker.evict(eviction_message(worker.pod, uses.get(uid(worker.pod)), what, worst.least(found), found.available))
            return worker
        return None

    def tell(self, pressures: set[str]) -> None:
        """Report a change of the node's conditions. They stay for a while after the last shortage, so as not to flap."""
        changed, self.pressures = pressures ^ self.pressures, pressures
        for each in sorted(changed):
            word = NEWS[each, each in pressures]
            self.kubelet.node_event("Normal", word, f"Node {self.kubelet.name} status is now: {word}")
        if changed:
            self.kubelet.outdated.set()
