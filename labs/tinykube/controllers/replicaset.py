"""As many pods as are wanted: ReplicaSet, and its elder, ReplicationController, by one and the same loop.

Genuine counterpart: the replicaset-controller and the replicationcontroller-controller of kube-controller-manager.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from tinykube.controllers.owners import controller_of, deleting
from tinykube.controllers.podowner import Failure, PodOwner
from tinykube.controllers.pods import (
    available_in,
    condition_of,
    first_to_go,
    fully_labeled,
    is_active,
    pod_from_template,
)
from tinykube.machinery.objects import Object, dig, format_time, uid
from tinykube.machinery.selectors import LabelSelector, selector_of

BURST = 500                    # pods created or deleted in one sync, at most


def reconcile(wanted: int, pods: Sequence[Object], on_node: dict[str, int], now: datetime) -> tuple[int, list[Object]]:
    """The decision: how many pods to create, and which to delete."""
    surplus = len(pods) - wanted
    if surplus <= 0:
        return min(-surplus, BURST), []
    return 0, first_to_go(pods, on_node, now)[:min(surplus, BURST)]


def replica_status(owner: Object, pods: Sequence[Object], going: int, failure: Failure | None,
                   now: datetime) -> tuple[Object, float | None]:
    """The status to write, and in how many seconds a pod that is ready now will be available."""
    waits = [wait for pod in pods
             if (wait := available_in(pod, owner["spec"].get("minReadySeconds", 0), now)) is not None]
    counts = {"replicas": len(pods), "readyReplicas": len(waits), "availableReplicas": sum(not wait for wait in waits),
              "fullyLabeledReplicas": sum(fully_labeled(pod, owner["spec"]["template"]) for pod in pods)}
    status: Object = {field: count for field, count in counts.items() if count or field == "replicas"}
    status["observedGeneration"] = owner["metadata"]["generation"]
    if owner["kind"] == "ReplicaSet":                    # the elder kind has no field for it
        status["terminatingReplicas"] = going
    if failure:
        told = condition_of(owner, "ReplicaFailure") or {
            "type": "ReplicaFailure", "status": "True", "lastTransitionTime": format_time(now),
            "reason": failure.reason, "message": str(failure)}
        status["conditions"] = [told]
    return status, min((wait for wait in waits if wait), default=None)


class ReplicaController(PodOwner):
    """What both kinds have in common: all but their names, and how they write a selector."""

    async def sync(self, key: str) -> None:
        """One look at one object: claim pods, create or delete what differs, say how things stand."""
        owner = self.owners.get(key)
        if owner is None:
            return self.expectations.forget(key)
        acts = self.expectations.satisfied(key) and not deleting(owner)
        pods = await self.claimed(owner, is_active)
        failure = await self.manage(owner, pods) if acts else None
        going = sum(map(deleting, self.pods.by("controller", uid(owner))))
        status, again = replica_status(owner, pods, going, failure, self.clock.now())
        await self.write_status(self.resource, owner, status)
        if again is not None:
            self.queue.add_after(key, again)
        if failure:
            raise failure
        return None

    async def manage(self, owner: Object, pods: list[Object]) -> Failure | None:
        """Decide, and do it."""
        missing, surplus = reconcile(owner["spec"].get("replicas", 1), pods, self.on_nodes(owner, pods), self.clock.now())
        pod = pod_from_template(owner["spec"]["template"], owner)
        return await self.change(owner, [pod] * missing, surplus)

    def on_nodes(self, owner: Object, pods: list[Object]) -> dict[str, int]:
        """How many pods each node has of this owner and of its siblings: those with the same controller above them."""
        parent = controller_of(owner)
        family = self.owners.by("controller", parent["uid"]) if parent else []
        related = [pod for each in family for pod in self.pods.by("controller", uid(each))] or pods
        return Counter(dig(pod, "spec", "nodeName", default="") for pod in related if is_active(pod))


class ReplicaSetController(ReplicaController):
    """Keeps as many pods as each ReplicaSet wants."""

    name, kind, resource = "replicaset-controller", "ReplicaSet", "replicasets"


class ReplicationController(ReplicaController):
    """The same for ReplicationControllers, whose selectors are plain labels."""

    name, kind, resource = "replicationcontroller-controller", "ReplicationController", "replicationcontrollers"
    account = component = "replication-controller"

    def selector(self, owner: Object) -> LabelSelector:
        """Which pods an owner wants."""
        return selector_of({"matchLabels": owner["spec"].get("selector")})
