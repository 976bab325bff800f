"""As many pods as are wanted: ReplicaSet, and its elder, ReplicationController, by one and the same loop.

Genuine counterpart: the replicaset-controller and the replicationcontroller-controller of kube-controller-manager.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

from tinykube.controllers.controller import Context, Controller
from tinykube.controllers.expectations import Expectations
from tinykube.controllers.owners import Claimer, candidates, controller_of, deleting
from tinykube.controllers.pods import (
    PodControl,
    available_in,
    condition_of,
    first_to_go,
    fully_labeled,
    is_active,
    namespace_ends,
    pod_from_template,
)
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, dig, key_of, labels, namespace, timestamp, uid
from tinykube.machinery.selectors import LabelSelector, selector_of

BURST = 500                    # pods created or deleted in one sync, at most


def reconcile(wanted: int, pods: Sequence[Object], on_node: dict[str, int], now: datetime) -> tuple[int, list[Object]]:
    """The decision: how many pods to create, and which to delete."""
    surplus = len(pods) - wanted
    if surplus <= 0:
        return min(-surplus, BURST), []
    return 0, first_to_go(pods, on_node, now)[:min(surplus, BURST)]


async def slow_start(count: int, make: Callable[[], Awaitable[Any]]) -> int:
    """Call `make` that often: one, then two, four, eight at a time, for as long as all goes well. How often it did.

    What fails for one will fail for five hundred: a server is not asked five hundred times to say so.
    """
    done, batch = 0, 1
    while done < count:
        size = min(batch, count - done)
        results = await asyncio.gather(*(make() for _ in range(size)), return_exceptions=True)
        errors = [each for each in results if isinstance(each, BaseException)]
        done += size - len(errors)
        if errors:
            raise Incomplete(done, errors[0])
        batch *= 2
    return done


class Incomplete(Exception):
    """Not all could be made: how many were, and the first failure."""

    def __init__(self, done: int, error: BaseException) -> None:
        super().__init__(str(error))
        self.done, self.error = done, error


class ReplicaController(Controller):
    """What both kinds have in common: all but their names, and how they write a selector."""

    kind, resource = "", ""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.expectations = Expectations(self.clock)
        self.pod_control = PodControl(self.client, self.recorder)
        self.claimer = Claimer(self.client, self.resource, "pods")
        self.sets = self.follow_own(self.resource)
        self.pods = self.follow("pods", self.pod_added, self.pod_changed, self.pod_gone)

    def selector(self, owner: Object) -> LabelSelector:
        """Which pods an owner wants."""
        return selector_of(owner["spec"].get("selector"))

    def pod_added(self, pod: Object) -> None:
        """A pod appeared: perhaps one that we wait for, perhaps an orphan that somebody wants."""
        if deleting(pod):
            return self.pod_gone(pod)
        if owner := self.owner_in(self.sets, pod, self.kind):
            self.expectations.created(key_of(owner))
            self.enqueue(owner)
        if not controller_of(pod):
            self.offer(pod)
        return None

    def pod_changed(self, before: Object, after: Object) -> None:
        """A pod changed. One that is being deleted counts as gone from that moment."""
        if deleting(after):
            return self.pod_gone(after)
        for pod in (before, after):
            if owner := self.owner_in(self.sets, pod, self.kind):
                self.enqueue(owner)
        if not controller_of(after) and (labels(before) != labels(after) or controller_of(before)):
            self.offer(after)
        return None

    def pod_gone(self, pod: Object) -> None:
        """A pod is gone, or on its way."""
        if owner := self.owner_in(self.sets, pod, self.kind):
            self.expectations.deleted(key_of(owner), uid(pod))
            self.enqueue(owner)

    def offer(self, pod: Object) -> None:
        """Let everybody look who could want this orphan."""
        for owner in self.sets.by("namespace", namespace(pod)):
            if self.selector(owner).matches(labels(pod)):
                self.enqueue(owner)

    async def sync(self, key: str) -> None:
        """One look at one object: claim pods, create or delete what differs, say how things stand."""
        owner = self.sets.get(key)
        if owner is None:
            return self.expectations.forget(key)
        acts = self.expectations.satisfied(key) and not deleting(owner)
        pods = [pod for pod in candidates(self.pods, owner) if is_active(pod)]
        pods = await self.claimer.claim(owner, self.selector(owner), pods)
        failure = None
        if acts:
            failure = await self.manage(owner, key, pods)
        status, again = replica_status(owner, pods, failure, self.clock.now(), timestamp(self.clock))
        await self.write_status(self.resource, owner, status)
        if again is not None:
            self.queue.add_after(key, again)
        if failure:
            raise failure
        return None

    async def manage(self, owner: Object, key: str, pods: list[Object]) -> Exception | None:
        """Create or delete. What was asked for is expected first, so that the next sync waits until it is seen."""
        missing, surplus = reconcile(owner["spec"].get("replicas", 1), pods, self.on_nodes(owner, pods), self.clock.now())
        self.expectations.expect(key, missing, map(uid, surplus))
        pod = pod_from_template(owner["spec"]["template"], owner)
        try:
            await slow_start(missing, lambda: self.pod_control.create(pod, owner))
        except Incomplete as incomplete:
            for _ in range(missing - incomplete.done):
                self.expectations.created(key)
            ends = isinstance(incomplete.error, ApiError) and namespace_ends(incomplete.error)
            return None if ends else Failure("FailedCreate", incomplete.error)
        results = await asyncio.gather(*(self.give_up(each, owner, key) for each in surplus), return_exceptions=True)
        errors = [each for each in results if isinstance(each, BaseException)]
        return Failure("FailedDelete", errors[0]) if errors else None

    async def give_up(self, pod: Object, owner: Object, key: str) -> None:
        """Delete one pod. If that fails, its end is not expected any more."""
        gone = False
        try:
            gone = not await self.pod_control.delete(pod, owner)
        except BaseException:
            gone = True
            raise
        finally:
            if gone:
                self.expectations.deleted(key, uid(pod))

    def on_nodes(self, owner: Object, pods: list[Object]) -> dict[str, int]:
        """How many pods each node has of this owner and of its siblings: those with the same controller above them."""
        parent = controller_of(owner)
        family = self.sets.by("controller", parent["uid"]) if parent else []
        related = [pod for each in family for pod in self.pods.by("controller", uid(each))] or pods
        return Counter(dig(pod, "spec", "nodeName", default="") for pod in related if is_active(pod))


class Failure(Exception):
    """Why a sync could not do all that it wanted: a reason for the condition ReplicaFailure, and the error."""

    def __init__(self, reason: str, error: BaseException) -> None:
        super().__init__(str(error))
        self.reason = reason


def replica_status(owner: Object, pods: Sequence[Object], failure: Exception | None, now: datetime,
                   stamp: str) -> tuple[Object, float | None]:
    """The status to write, and in how many seconds a pod that is ready now will be available."""
    waits = [wait for pod in pods
             if (wait := available_in(pod, owner["spec"].get("minReadySeconds", 0), now)) is not None]
    counts = {"replicas": len(pods), "readyReplicas": len(waits), "availableReplicas": sum(not wait for wait in waits),
              "fullyLabeledReplicas": sum(fully_labeled(pod, owner["spec"]["template"]) for pod in pods)}
    status: Object = {field: count for field, count in counts.items() if count or field == "replicas"}
    status["observedGeneration"] = owner["metadata"]["generation"]
    if failure:
        told = condition_of(owner, "ReplicaFailure") or {
            "type": "ReplicaFailure", "status": "True", "lastTransitionTime": stamp,
            "reason": getattr(failure, "reason", "FailedCreate"), "message": str(failure)}
        status["conditions"] = [told]
    return status, min((wait for wait in waits if wait), default=None)


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
