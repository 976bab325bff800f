"""Pods as controllers see them: which count, which serve, how one is made from a template, which goes first.

Genuine counterpart: controller_utils.go of kube-controller-manager, and podutil.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from functools import cmp_to_key

from tinykube.client.events import EventRecorder
from tinykube.client.rest import Client
from tinykube.controllers.owners import deleting, owner_reference
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, copy, dig, labels, name, namespace, parse_time, uid

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}
LONGEST_PREFIX = 58            # with five letters behind it, a generated name has 63


def is_active(pod: Object) -> bool:
    """Whether a pod runs or will: it has not run to its end, and nobody has asked for its end."""
    return dig(pod, "status", "phase") not in ("Succeeded", "Failed") and not deleting(pod)


def condition_of(obj: Object, type: str) -> Object | None:
    """One of an object's conditions, or None."""
    return next((each for each in dig(obj, "status", "conditions", default=[]) if each["type"] == type), None)


def is_ready(pod: Object) -> bool:
    """Whether the pod says that it can serve."""
    return (condition_of(pod, "Ready") or {}).get("status") == "True"


def ready_since(pod: Object) -> datetime | None:
    """Since when the pod has been Ready, or None: it is not, or does not say."""
    since = (condition_of(pod, "Ready") or {}).get("lastTransitionTime")
    return parse_time(since) if since and is_ready(pod) else None


def available_in(pod: Object, minimum: float, now: datetime) -> float | None:
    """In how many seconds a ready pod will have been ready for `minimum` seconds; None for one that is not ready."""
    if not is_ready(pod):
        return None
    since = ready_since(pod) or now
    return max(0.0, minimum - (now - since).total_seconds()) if minimum else 0.0


def pod_from_template(template: Object, owner: Object) -> Object:
    """The pod that a template describes, as a possession of `owner`; the server gives it its name."""
    meta = template.get("metadata") or {}
    prefix = f"{name(owner)}-" if len(name(owner)) < LONGEST_PREFIX else name(owner)
    kept = {field: copy(meta[field]) for field in ("labels", "annotations", "finalizers") if meta.get(field)}
    return {"apiVersion": "v1", "kind": "Pod", "spec": copy(template["spec"]), "metadata": {
        "generateName": prefix, "namespace": namespace(owner), **kept, "ownerReferences": [owner_reference(owner)]}}


class PodControl:
    """Creates and deletes pods, and tells of it in events on their owner."""

    def __init__(self, client: Client, recorder: EventRecorder) -> None:
        self.client, self.recorder = client, recorder

    async def create(self, pod: Object, owner: Object) -> Object:
        """Create a pod. Raises ApiError, after the event about it."""
        try:
            made = await self.client.create("pods", pod)
        except ApiError as error:
            if not namespace_ends(error):
                self.recorder.event(owner, "Warning", "FailedCreate", f"Error creating: {error}")
            raise
        self.recorder.event(owner, "Normal", "SuccessfulCreate", f"Created pod: {name(made)}")
        return made

    async def delete(self, pod: Object, owner: Object) -> bool:
        """Delete this very pod; False when it is gone already. Raises ApiError, after the event about it."""
        try:
            await self.client.delete("pods", name(pod), namespace(pod), uid=uid(pod))
        except ApiError as error:
            if error.code in (404, 409):
                return False
            self.recorder.event(owner, "Warning", "FailedDelete", f"Error deleting: {error}")
            raise
        self.recorder.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {name(pod)}")
        return True


def namespace_ends(error: ApiError) -> bool:
    """Whether something could not be created because its namespace is being deleted: no failure, and no event."""
    return any(cause.get("reason") == "NamespaceTerminating" for cause in (error.details or {}).get("causes") or [])


def restarts(pod: Object) -> int:
    """How often the pod's most unlucky container was started again."""
    return max((each.get("restartCount", 0) for each in dig(pod, "status", "containerStatuses", default=[])), default=0)


def deletion_cost(pod: Object) -> int:
    """What somebody says this pod's end would cost, compared with its like; 0 for what is no number."""
    try:
        return int(dig(pod, "metadata", "annotations", DELETION_COST, default="0"))
    except ValueError:
        return 0


def first_to_go(pods: Sequence[Object], on_node: dict[str, int], now: datetime) -> list[Object]:
    """Pods in the order in which they are given up: those first of which the least is lost.

    `on_node` says how many pods of the same kind each node has. Like ActivePodsWithRanks.
    """
    def plain(pod: Object) -> tuple[int, ...]:
        node = dig(pod, "spec", "nodeName", default="")
        return (bool(node), PHASES.get(dig(pod, "status", "phase", default="Pending"), 1), is_ready(pod),
                deletion_cost(pod), -on_node.get(node, 0))

    def compare(left: Object, right: Object) -> int:
        if plain(left) != plain(right):
            return 1 if plain(left) > plain(right) else -1
        by_ready = younger(ready_since(left), ready_since(right), left, right, now)
        by_age = younger(created(left), created(right), left, right, now)
        return by_ready or restarts(right) - restarts(left) or by_age
    return sorted(pods, key=cmp_to_key(compare))


def created(pod: Object) -> datetime | None:
    """When the pod was created."""
    text = dig(pod, "metadata", "creationTimestamp")
    return parse_time(text) if text else None


def younger(left_at: datetime | None, right_at: datetime | None, left: Object, right: Object, now: datetime) -> int:
    """Which of two pods has the shorter past: -1 the left one. Ages of one magnitude are told apart by uid, by lot."""
    if left_at is None or right_at is None or left_at == right_at:
        return (left_at is not None) - (right_at is not None)
    difference = magnitude(now, left_at) - magnitude(now, right_at)
    return difference or (1 if uid(left) > uid(right) else -1)


def magnitude(now: datetime, since: datetime) -> int:
    """How often an age in nanoseconds can be halved: days among days count as one, as seconds among seconds do."""
    age = (now - since).total_seconds() * 1e9
    return int(math.log2(age)) if age > 0 else -1


def fully_labeled(pod: Object, template: Object) -> bool:
    """Whether a pod carries every label of a template."""
    return labels(template).items() <= labels(pod).items()
