"""Pods with names, an order, and claims of their own: StatefulSets.

Genuine counterpart: the statefulset-controller of kube-controller-manager.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tinykube.controllers.controller import Context
from tinykube.controllers.owners import deleting
from tinykube.controllers.podowner import PodOwner
from tinykube.controllers.pods import available_in, is_ready, pod_from_template
from tinykube.controllers.revisions import Revisions
from tinykube.controllers.rolling import share
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, copy, dig, labels, name, namespace, uid

REVISION_HASH, REVISION = "controller.kubernetes.io/hash", "controller-revision-hash"
POD_NAME, POD_INDEX = "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"


def ordinal_of(pod: Object, owner: Object) -> int | None:
    """The number behind the owner's name, or None: this pod only has the right labels."""
    head, _, number = name(pod).rpartition("-")
    return int(number) if head == name(owner) and number.isdecimal() and str(int(number)) == number else None


def claims_of(owner: Object, ordinal: int) -> list[Object]:
    """The volume claims of one pod, by the templates for them."""
    claims = []
    for template in owner["spec"].get("volumeClaimTemplates") or []:
        meta = template["metadata"]
        marks = {**labels(template), **dig(owner, "spec", "selector", "matchLabels", default={})}
        claims.append({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": copy(template["spec"]), "metadata": {
            "name": f"{meta['name']}-{name(owner)}-{ordinal}", "namespace": namespace(owner), "labels": marks,
            "annotations": meta.get("annotations") or {}}})
    return claims


def stateful_pod(owner: Object, ordinal: int, revision: Object) -> Object:
    """The pod of one number, of one revision: named after it, under its own host name, with its own claims."""
    pod = pod_from_template(revision["data"]["spec"]["template"], owner)
    itself = f"{name(owner)}-{ordinal}"
    pod["metadata"]["name"] = itself
    pod["metadata"].setdefault("labels", {}).update({POD_NAME: itself, POD_INDEX: str(ordinal), REVISION: name(revision)})
    spec = pod["spec"]
    spec["hostname"] = itself
    if owner["spec"].get("serviceName"):
        spec["subdomain"] = owner["spec"]["serviceName"]
    templates = [each["metadata"]["name"] for each in owner["spec"].get("volumeClaimTemplates") or []]
    own = [{"name": each, "persistentVolumeClaim": {"claimName": f"{each}-{itself}"}} for each in templates]
    if volumes := own + [each for each in spec.get("volumes") or [] if each["name"] not in templates]:
        spec["volumes"] = volumes
    return pod


@dataclass
class Ordered:
    """What a decision looks at: a StatefulSet, its pods by number, its two revisions, and what time it is."""

    owner: Object
    pods: Mapping[int, Object]
    current: Object
    update: Object
    now: datetime

    @property
    def numbers(self) -> range:
        """The numbers that there should be pods of."""
        start = dig(self.owner, "spec", "ordinals", "start", default=0)
        return range(start, start + self.owner["spec"].get("replicas", 1))

    @property
    def one_by_one(self) -> bool:
        """Whether a pod waits for the one before it."""
        return bool(self.owner["spec"].get("podManagementPolicy") != "Parallel")

    @property
    def partition(self) -> int:
        """The first number that an update reaches."""
        return int(dig(self.owner, "spec", "updateStrategy", "rollingUpdate", "partition", default=0)) + self.numbers.start

    def serves(self, pod: Object | None) -> bool:
        """Whether a pod runs, is available, and is to stay."""
        return (pod is not None and dig(pod, "status", "phase") == "Running" and not deleting(pod)
                and available_in(pod, self.owner["spec"].get("minReadySeconds", 0), self.now) == 0)

    def revision_for(self, number: int) -> Object:
        """Of which revision a pod has to be that is made now."""
        rolls = self.owner["spec"]["updateStrategy"]["type"] == "RollingUpdate"
        return self.current if rolls and number < self.partition else self.update


Step = tuple[str, int]          # create, delete or claims, and the number of the pod


def next_steps(at: Ordered) -> list[Step]:
    """What to do now: first make what is missing, then end what is too much, then update; one by one, or all at once."""
    steps, blocked = make_steps(at)
    if blocked:
        return steps
    ends, blocked = end_steps(at)
    if blocked or at.owner["spec"]["updateStrategy"]["type"] != "RollingUpdate":
        return steps + ends
    return steps + ends + update_steps(at)


def make_steps(at: Ordered) -> tuple[list[Step], bool]:
    """From the lowest number up: create what is not there, end what has run to its end; whether to wait then."""
    steps: list[Step] = []
    blocked = False
    for number in at.numbers:
        pod = at.pods.get(number)
        if pod is None:
            steps.append(("create", number))
        elif dig(pod, "status", "phase") in ("Failed", "Succeeded"):
            blocked = True
            if not deleting(pod):
                steps.append(("delete", number))
        elif dig(pod, "status", "phase") == "Pending":
            steps.append(("claims", number))
        if at.one_by_one and not at.serves(pod):
            return steps, True
    return steps, blocked


def end_steps(at: Ordered) -> tuple[list[Step], bool]:
    """From the highest number down: end what is beyond the numbers wanted; whether to wait then."""
    steps: list[Step] = []
    ill = [number for number in sorted(at.pods) if not at.serves(at.pods[number])]
    for number in sorted(at.pods.keys() - set(at.numbers), reverse=True):
        pod = at.pods[number]
        if at.one_by_one and (deleting(pod) or not (at.serves(pod) or number == ill[0])):
            return steps, True
        if not deleting(pod):
            steps.append(("delete", number))
            if at.one_by_one:
                return steps, True
    return steps, False


def update_steps(at: Ordered) -> list[Step]:
    """From the highest number down to the partition: end pods of older revisions, as many as may be missing."""
    rolling = dig(at.owner, "spec", "updateStrategy", "rollingUpdate", default={})
    spare = max(1, share(rolling.get("maxUnavailable", 1), len(at.numbers)))
    spare -= sum(not at.serves(at.pods.get(number)) for number in at.numbers)
    old = [number for number in reversed(at.numbers) if number >= at.partition and number in at.pods
           and labels(at.pods[number]).get(REVISION) != name(at.update) and not deleting(at.pods[number])]
    return [("delete", number) for number in old[:max(0, spare)]]


def stateful_status(at: Ordered) -> Object:
    """The status by numbers, and which revision is the current one: the new one, as soon as all pods are of it."""
    staying = [pod for pod in at.pods.values() if not deleting(pod)]

    def of(revision: Object) -> int:
        return sum(labels(pod).get(REVISION) == name(revision) for pod in staying)
    ready = sum(dig(pod, "status", "phase") == "Running" and is_ready(pod) for pod in at.pods.values())
    numbers = {"replicas": len(at.pods), "readyReplicas": ready, "currentReplicas": of(at.current),
               "updatedReplicas": of(at.update), "availableReplicas": sum(map(at.serves, at.pods.values()))}
    current, wanted = at.current, len(at.numbers)
    if (at.owner["spec"]["updateStrategy"]["type"] == "RollingUpdate"
            and numbers["updatedReplicas"] == numbers["replicas"] == ready == wanted):
        current, numbers["currentReplicas"] = at.update, numbers["updatedReplicas"]
    always = ("replicas", "availableReplicas")
    return {key: count for key, count in numbers.items() if count or key in always} | {
        "observedGeneration": at.owner["metadata"]["generation"], "currentRevision": name(current),
        "updateRevision": name(at.update), "collisionCount": dig(at.owner, "status", "collisionCount", default=0)}


class StatefulSetController(PodOwner):
    """Keeps the pods of each StatefulSet, each under its number."""

    name, kind, resource = "statefulset-controller", "StatefulSet", "statefulsets"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.claims = self.context.informer("persistentvolumeclaims")
        informer = self.follow("controllerrevisions", lambda one: None, lambda before, after: None, lambda one: None)
        self.revisions = Revisions(self.client, self.resource, informer, REVISION_HASH)

    async def sync(self, key: str) -> None:
        """One look at one StatefulSet: its revisions, its pods, the next steps, the status."""
        owner = self.owners.get(key)
        if owner is None:
            return
        revisions = await self.revisions.own(owner)
        pods = {}
        for pod in await self.claimed(owner, lambda pod: ordinal_of(pod, owner) is not None):
            pods[ordinal_of(pod, owner) or 0] = pod
        if deleting(owner):
            return
        update = await self.revisions.current(owner, revisions)
        known = {name(each): each for each in [*revisions, update]}
        current = known.get(dig(owner, "status", "currentRevision", default=""), update)
        at = Ordered(owner, pods, current, update, self.clock.now())
        try:
            for step, number in next_steps(at):
                await self.take(at, step, number)
        finally:
            await self.write_status(self.resource, owner, stateful_status(at))
        used = [name(current), name(update), *(labels(pod).get(REVISION, "") for pod in pods.values())]
        await self.revisions.forget_old(owner, revisions, used)
        waits = [wait for pod in pods.values() if (wait := available_in(pod, owner["spec"].get("minReadySeconds", 0), at.now))]
        if waits:
            self.queue.add_after(key, min(waits))

    async def take(self, at: Ordered, step: str, number: int) -> None:
        """One step. A pod is created after its claims, so that it never starts without them."""
        pod = at.pods.get(number)
        if step == "delete" and pod:
            try:
                await self.client.delete("pods", name(pod), namespace(pod), uid=uid(pod))
            except ApiError as error:
                if error.code in (404, 409):
                    return
                self.tell(at.owner, "Delete", f"Pod {name(pod)}", error)
                raise
            return self.tell(at.owner, "Delete", f"Pod {name(pod)}")
        await self.make_claims(at.owner, number)
        if step == "create":
            made = stateful_pod(at.owner, number, at.revision_for(number))
            await self.make(at.owner, "pods", made, f"Pod {name(made)}", "successful")

    async def make_claims(self, owner: Object, number: int) -> None:
        """Make the claims of one pod that are not there. They stay when the pod goes: they hold its data."""
        for claim in claims_of(owner, number):
            if not self.claims.get(f"{namespace(claim)}/{name(claim)}"):
                what = f"Claim {name(claim)} Pod {name(owner)}-{number}"
                try:
                    await self.make(owner, "persistentvolumeclaims", claim, what, "success")
                except ApiError as error:
                    if error.reason != "AlreadyExists":
                        raise

    async def make(self, owner: Object, resource: str, obj: Object, what: str, word: str) -> None:
        """Create something, and tell of it; that it is there already is no news."""
        try:
            await self.client.create(resource, obj)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                self.tell(owner, "Create", what, error)
            raise
        self.tell(owner, "Create", what, word=word)

    def tell(self, owner: Object, verb: str, what: str, error: ApiError | None = None, word: str = "successful") -> None:
        """An event about what was done, or could not be."""
        if error:
            self.recorder.event(owner, "Warning", f"Failed{verb}", f"{verb.lower()} {what} in StatefulSet {name(owner)} "
                                f"failed error: {error}")
        else:
            self.recorder.event(owner, "Normal", f"Successful{verb}", f"{verb} {what} in StatefulSet {name(owner)} {word}")
