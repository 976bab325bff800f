"""How many pods may be driven out now without hurting an application: the status of PodDisruptionBudgets.

Genuine counterpart: disruption-controller, https://kubernetes.io/docs/tasks/run-application/configure-pdb/
"""
from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from math import ceil

from tinykube.controllers.conditions import holds, said
from tinykube.controllers.following import Following
from tinykube.controllers.podgc import ended
from tinykube.machinery.objects import Object, dig, key_of, labels, name, namespace, parse_time, timestamp
from tinykube.machinery.selectors import selector_of

FORGOTTEN = 120.0                      # seconds after which an eviction that led to nothing no longer counts
SCALABLE = {"ReplicaSet": "replicasets", "ReplicationController": "replicationcontrollers", "StatefulSet": "statefulsets",
            "Deployment": "deployments"}


def scaled(value: int | str, total: int) -> int:
    """`3`, or `50%` of a total, rounded up."""
    return ceil(total * int(value.removesuffix("%")) / 100) if isinstance(value, str) else value


def healthy(pods: Iterable[Object], leaving: Iterable[str]) -> int:
    """How many pods serve and are not about to leave."""
    gone = set(leaving)
    return sum(holds(pod, "Ready") and not pod["metadata"].get("deletionTimestamp") and name(pod) not in gone for pod in pods)


def needed(spec: Object, pods: int, expected: int | None) -> tuple[int, int]:
    """How many pods are expected, and how many of them must stay healthy. `expected`: what their controllers want."""
    if isinstance(spec.get("minAvailable"), int):
        return pods, spec["minAvailable"]
    count = expected or 0
    if "minAvailable" in spec:
        return count, scaled(spec["minAvailable"], count)
    return count, max(0, count - scaled(spec.get("maxUnavailable", 0), count))


def still_leaving(disrupted: dict[str, str], pods: Iterable[Object], now: str) -> dict[str, str]:
    """The evictions that have been allowed and not yet seen: of pods that are there, not marked, and lately."""
    there = {name(pod) for pod in pods if not pod["metadata"].get("deletionTimestamp")}
    oldest = parse_time(now) - timedelta(seconds=FORGOTTEN)
    return {pod: since for pod, since in disrupted.items() if pod in there and parse_time(since) > oldest}


def status_of(budget: Object, pods: list[Object], expected: int | None, now: str) -> Object:
    """The status of a budget, from the pods that it is about."""
    leaving = still_leaving(dig(budget, "status", "disruptedPods", default={}), pods, now)
    count, must = needed(budget["spec"], len(pods), expected)
    well = healthy(pods, leaving)
    allowed = max(0, well - must) if count > 0 else 0
    generation = budget["metadata"].get("generation", 0)
    told = said(budget, "DisruptionAllowed")
    answer = "True" if allowed else "False"
    condition = {"type": "DisruptionAllowed", "status": answer, "observedGeneration": generation,
                 "lastTransitionTime": told["lastTransitionTime"] if told.get("status") == answer else now,
                 "reason": "SufficientPods" if allowed else "InsufficientPods", "message": ""}
    found: Object = {"observedGeneration": generation, "disruptionsAllowed": allowed, "currentHealthy": well,
                     "desiredHealthy": must, "expectedPods": count, "conditions": [condition]}
    return found | ({"disruptedPods": leaving} if leaving else {})


class DisruptionController(Following):
    """Keeps the status of each budget true."""

    name, component = "disruption-controller", "controllermanager"

    def setup(self) -> None:
        """Follow budgets and pods, and those that say how many pods there should be."""
        self.watch("poddisruptionbudgets")
        self.watch("pods", self.budgets_of)
        for resource in SCALABLE.values():
            self.watch(resource, lambda obj: [key_of(each) for each in self.budgets(namespace(obj))])

    def budgets(self, where: str) -> list[Object]:
        """The budgets of a namespace."""
        return self.copy_of("poddisruptionbudgets").by("namespace", where)

    def budgets_of(self, pod: Object) -> list[str]:
        """The budgets that a pod counts in."""
        return [key_of(each) for each in self.budgets(namespace(pod)) if self.means(each, pod)]

    def means(self, budget: Object, pod: Object) -> bool:
        """Whether a budget is about a pod. One without a selector is about none."""
        return selector_of(budget["spec"].get("selector")).matches(labels(pod))

    async def sync(self, key: str) -> None:
        """Work out one budget anew."""
        budget = self.copy_of("poddisruptionbudgets").get(key)
        if budget is None:
            return
        pods = [pod for pod in self.copy_of("pods").by("namespace", namespace(budget))
                if self.means(budget, pod) and not ended(pod)]
        if not pods:
            self.recorder.event(budget, "Normal", "NoPods", "No matching pods found")
        integer = isinstance(budget["spec"].get("minAvailable"), int)
        status = status_of(budget, pods, None if integer else await self.expected(pods), timestamp(self.clock))
        if status != budget.get("status"):
            await self.client.update("poddisruptionbudgets", {**budget, "status": status}, subresource="status")
        if status.get("disruptedPods"):
            self.queue.add_after(key, FORGOTTEN)

    async def expected(self, pods: list[Object]) -> int:
        """How many pods the controllers of these pods want, all together. Pods that have none count for nothing."""
        wanted: dict[str, int] = {}
        for pod in pods:
            if owner := await self.scale_of(pod):
                wanted[owner[0]] = owner[1]
        return sum(wanted.values())

    async def scale_of(self, obj: Object) -> tuple[str, int] | None:
        """The uid and the wanted replicas of whoever controls an object: of the last in the chain."""
        owner = next((each for each in dig(obj, "metadata", "ownerReferences", default=[]) if each.get("controller")), None)
        resource = SCALABLE.get(owner["kind"]) if owner else None
        if owner is None or resource is None:
            return None
        found = self.copy_of(resource).get(f"{namespace(obj)}/{owner['name']}")
        if found is None or found["metadata"]["uid"] != owner["uid"]:
            return None
        return await self.scale_of(found) or (owner["uid"], dig(found, "spec", "replicas", default=1))
