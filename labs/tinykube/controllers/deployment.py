"""From one version of a program to the next, and back: Deployments, by way of ReplicaSets.

Genuine counterpart: the deployment-controller of kube-controller-manager.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tinykube.controllers.controller import Context, Controller
from tinykube.controllers.owners import Claimer, candidates, controller_of, deleting, owner_reference
from tinykube.controllers.pods import condition_of, namespace_ends
from tinykube.controllers.rolling import (
    DESIRED,
    MOST,
    Sizes,
    active,
    grown,
    is_scaling,
    limits,
    noted,
    rolled,
    scaled,
    size,
)
from tinykube.controllers.template import HASH_LABEL, same_template, template_hash
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import (
    Object,
    copy,
    dig,
    format_time,
    key_of,
    labels,
    name,
    namespace,
    parse_time,
    uid,
)
from tinykube.machinery.selectors import selector_of

REVISION, HISTORY = "deployment.kubernetes.io/revision", "deployment.kubernetes.io/revision-history"
NOT_COPIED = {REVISION, HISTORY, DESIRED, MOST, "kubectl.kubernetes.io/last-applied-configuration"}
NO_DEADLINE = 2**31 - 1


def find_new(deployment: Object, sets: Sequence[Object]) -> Object | None:
    """The ReplicaSet that has the Deployment's template; the oldest, if there are several."""
    template = deployment["spec"]["template"]
    return next((each for each in sets if same_template(each["spec"]["template"], template)), None)


def revision(replicaset: Object) -> int:
    """The number of the version that a ReplicaSet stands for; 0 if it has none yet."""
    return noted(replicaset, REVISION) or 0


def new_replicaset(deployment: Object, old: Sequence[Object]) -> Object:
    """The ReplicaSet for a template that has none, as large as it may be at once."""
    spec, template = deployment["spec"], copy(deployment["spec"]["template"])
    short = template_hash(template, dig(deployment, "status", "collisionCount", default=0))
    template.setdefault("metadata", {}).setdefault("labels", {})[HASH_LABEL] = short
    selector = copy(spec["selector"])
    selector.setdefault("matchLabels", {})[HASH_LABEL] = short
    made: Object = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {
        "name": f"{name(deployment)}-{short}", "namespace": namespace(deployment), "labels": dict(labels(template)),
        "annotations": {}, "ownerReferences": [owner_reference(deployment)]},
        "spec": {"replicas": 0, "minReadySeconds": spec.get("minReadySeconds", 0), "selector": selector,
                 "template": template}}
    made["spec"]["replicas"] = grown(deployment, made, old)
    return told(deployment, with_revision(deployment, made, old), size(made))


def with_revision(deployment: Object, replicaset: Object, old: Sequence[Object]) -> Object:
    """The new ReplicaSet with what it should say of itself: the Deployment's annotations, and the highest revision."""
    notes = dict(dig(replicaset, "metadata", "annotations", default={}))
    theirs = dig(deployment, "metadata", "annotations", default={})
    notes |= {key: value for key, value in theirs.items() if key not in NOT_COPIED}
    number, before = max(map(revision, old), default=0) + 1, revision(replicaset)
    if before < number:
        notes[REVISION] = str(number)
        if before:
            notes[HISTORY] = ",".join(filter(None, [notes.get(HISTORY), str(before)]))
    spec = {**replicaset["spec"], "minReadySeconds": deployment["spec"].get("minReadySeconds", 0)}
    return {**replicaset, "metadata": {**replicaset["metadata"], "annotations": notes}, "spec": spec}


def told(deployment: Object, replicaset: Object, replicas: int) -> Object:
    """The ReplicaSet with a size, and with what was wanted when it got it: by this a later sync sees a change."""
    most = size(deployment) + limits(deployment)[0]
    notes = {**dig(replicaset, "metadata", "annotations", default={}), DESIRED: str(size(deployment)), MOST: str(most)}
    return {**replicaset, "metadata": {**replicaset["metadata"], "annotations": notes},
            "spec": {**replicaset["spec"], "replicas": replicas}}


def counted(deployment: Object, new: Object | None, old: Sequence[Object]) -> Object:
    """The status by numbers; its conditions are those that were."""
    sets = [*old, *([new] if new else [])]

    def total(field: str) -> int:
        return sum(dig(each, "status", field, default=0) for each in sets)
    status: Object = {"observedGeneration": deployment["metadata"]["generation"]}
    numbers = {"replicas": total("replicas"), "updatedReplicas": dig(new, "status", "replicas", default=0),
               "readyReplicas": total("readyReplicas"), "availableReplicas": total("availableReplicas"),
               "unavailableReplicas": max(0, sum(map(size, sets)) - total("availableReplicas"))}
    status |= {field: number for field, number in numbers.items() if number}
    status["terminatingReplicas"] = total("terminatingReplicas")
    if collisions := dig(deployment, "status", "collisionCount"):
        status["collisionCount"] = collisions
    return status | {"conditions": [dict(each) for each in dig(deployment, "status", "conditions", default=[])]}


def is_complete(deployment: Object, status: Object) -> bool:
    """Whether every pod is new, all of them serve, and no old one is left."""
    return all(status.get(field, 0) == size(deployment) for field in ("replicas", "updatedReplicas", "availableReplicas"))


def has_progressed(before: Object, after: Object) -> bool:
    """Whether anything moved: more new pods, fewer old ones, more that are ready, more that serve."""
    def numbers(status: Object) -> tuple[int, ...]:
        updated = status.get("updatedReplicas", 0)
        return (updated, updated - status.get("replicas", 0), status.get("readyReplicas", 0),
                status.get("availableReplicas", 0))
    return any(now > then for now, then in zip(numbers(after), numbers(before), strict=True))


def deadline(deployment: Object) -> int | None:
    """How many seconds may pass without progress; None: as many as it takes."""
    seconds = deployment["spec"].get("progressDeadlineSeconds")
    return None if seconds is None or seconds == NO_DEADLINE else int(seconds)


def set_condition(status: Object, type: str, value: str, reason: str, message: str, now: datetime) -> None:
    """Say something in the status. What says the same as before stays as it is."""
    before = condition_of({"status": status}, type)
    if before and (before["status"], before["reason"]) == (value, reason):
        return
    stamp = format_time(now)
    since = before["lastTransitionTime"] if before and before["status"] == value else stamp
    drop_condition(status, type)
    status["conditions"].append({"type": type, "status": value, "lastUpdateTime": stamp, "lastTransitionTime": since,
                                 "reason": reason, "message": message})


def drop_condition(status: Object, type: str) -> None:
    """Say no more of it."""
    status["conditions"] = [each for each in status["conditions"] if each["type"] != type]


def judge(deployment: Object, new: Object | None, old: Sequence[Object], status: Object, now: datetime) -> None:
    """Write into the status how the rollout stands: does it move, is it done, or has its time run out?"""
    set_availability(deployment, status, now)
    before, seconds = condition_of({"status": status}, "Progressing"), deadline(deployment)
    if seconds is None:
        drop_condition(status, "Progressing")
    elif not (before and before["reason"] == "NewReplicaSetAvailable"
              and status.get("replicas", 0) == status.get("updatedReplicas", 0)):
        who = f'ReplicaSet "{name(new)}"' if new else f'Deployment "{name(deployment)}"'
        if is_complete(deployment, status):
            set_condition(status, "Progressing", "True", "NewReplicaSetAvailable", f"{who} has successfully progressed.", now)
        elif has_progressed(deployment.get("status") or {}, status):
            if before:                                      # a step forward starts the time anew
                drop_condition(status, "Progressing")
            set_condition(status, "Progressing", "True", "ReplicaSetUpdated", f"{who} is progressing.", now)
            if before and before["status"] == "True":
                status["conditions"][-1]["lastTransitionTime"] = before["lastTransitionTime"]
        elif time_left(status, seconds, now) < 0:
            set_condition(status, "Progressing", "False", "ProgressDeadlineExceeded", f"{who} has timed out progressing.", now)
    failures = [each for rs in [new, *old] if rs and (each := condition_of(rs, "ReplicaFailure"))]
    if failures:
        first = failures[0]
        set_condition(status, "ReplicaFailure", first["status"], first["reason"], first["message"], now)
    else:
        drop_condition(status, "ReplicaFailure")


def set_availability(deployment: Object, status: Object, now: datetime) -> None:
    """Say whether as many pods serve as have to."""
    if status.get("availableReplicas", 0) >= size(deployment) - limits(deployment)[1]:
        set_condition(status, "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now)
    else:
        set_condition(status, "Available", "False", "MinimumReplicasUnavailable",
                      "Deployment does not have minimum availability.", now)


def time_left(status: Object, seconds: int, now: datetime) -> float:
    """How many seconds a rollout has left to show progress; it is never late before it has begun or after it is done."""
    last = condition_of({"status": status}, "Progressing")
    if last is None or last["reason"] == "NewReplicaSetAvailable":
        return float(seconds)
    return (parse_time(last["lastUpdateTime"]) - now).total_seconds() + seconds


class DeploymentController(Controller):
    """Makes a ReplicaSet for each template, and moves pods from the old ones to the new."""

    name, kind = "deployment-controller", "Deployment"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.claimer = Claimer(self.client, "deployments", "replicasets")
        self.deployments = self.follow_own("deployments")
        self.sets = self.follow("replicasets", self.set_changed, lambda before, after: self.set_changed(after, before),
                                self.set_changed)
        self.pods = self.follow("pods", self.ignore, lambda before, after: None, self.pod_gone)

    def ignore(self, obj: Object) -> None:
        """Nothing to do."""

    def set_changed(self, replicaset: Object, before: Object | None = None) -> None:
        """A ReplicaSet appeared, changed or went: its Deployment looks, or, of an orphan, all that could want it."""
        for each in (replicaset, before):
            if each and (owner := self.owner_in(self.deployments, each, self.kind)):
                self.enqueue(owner)
        if controller_of(replicaset) or (before and labels(before) == labels(replicaset) and not controller_of(before)):
            return
        for each in self.deployments.by("namespace", namespace(replicaset)):
            if selector_of(each["spec"]["selector"]).matches(labels(replicaset)):
                self.enqueue(each)

    def pod_gone(self, pod: Object) -> None:
        """The last of the old pods may be gone: what is recreated waits for that."""
        replicaset = self.owner_in(self.sets, pod, "ReplicaSet")
        owner = replicaset and self.owner_in(self.deployments, replicaset, self.kind)
        if owner and owner["spec"]["strategy"]["type"] == "Recreate":
            self.enqueue(owner)

    async def sync(self, key: str) -> None:
        """One look at one Deployment: one step of its rollout, or of its scaling, and the status."""
        deployment = self.deployments.get(key)
        if deployment is None:
            return
        if not deployment["spec"]["selector"]:
            return self.recorder.event(deployment, "Warning", "SelectingAll", "This deployment is selecting all pods. "
                                       "A non-empty selector is required.")
        sets = await self.claimer.claim(deployment, selector_of(deployment["spec"]["selector"]),
                                        candidates(self.sets, deployment))
        sets.sort(key=lambda each: (each["metadata"]["creationTimestamp"], name(each)))
        new = find_new(deployment, sets)
        old = [each for each in sets if each is not new]
        status = counted(deployment, new, old)
        self.note_pause(deployment, status)
        if deleting(deployment):
            set_availability(deployment, status, self.clock.now())
        elif deployment["spec"].get("paused") or is_scaling(deployment, sets):
            if new:
                new = await self.keep_new(deployment, new, old)
            await self.resize(deployment, [*old, *([new] if new else [])], scaled(deployment, new, old))
            if deployment["spec"].get("paused"):
                await self.clean_up(deployment, old)
            set_availability(deployment, status, self.clock.now())
        else:
            new = await self.roll(deployment, new, old, status)
            judge(deployment, new, old, status, self.clock.now())
        await self.finish(deployment, new, status)

    def note_pause(self, deployment: Object, status: Object) -> None:
        """A pause is no delay: say that it began, or ended, and the time counts anew."""
        told = condition_of({"status": status}, "Progressing") or {"reason": ""}
        if deadline(deployment) is None or told["reason"] == "ProgressDeadlineExceeded":
            return
        paused, noted_pause = deployment["spec"].get("paused", False), told["reason"] == "DeploymentPaused"
        if paused != noted_pause:
            word = "paused" if paused else "resumed"
            set_condition(status, "Progressing", "Unknown", f"Deployment{word.title()}", f"Deployment is {word}",
                          self.clock.now())

    async def roll(self, deployment: Object, new: Object | None, old: list[Object], status: Object) -> Object | None:
        """One step of the strategy; the new ReplicaSet as it is then."""
        if deployment["spec"]["strategy"]["type"] == "Recreate":
            if active(old):
                await self.resize(deployment, old, {name(each): 0 for each in active(old)})
                return new
            if self.has_pods(old):
                return new
        new = await self.keep_new(deployment, new, old) if new else await self.make_new(deployment, old, status)
        sizes = rolled(deployment, new, old)
        if not await self.resize(deployment, [*old, new], sizes) and is_complete(deployment, status):
            await self.clean_up(deployment, old)
        if deadline(deployment) is not None and condition_of({"status": status}, "Progressing") is None:
            set_condition(status, "Progressing", "True", "FoundNewReplicaSet", f'Found new replica set "{name(new)}"',
                          self.clock.now())
        return new

    def has_pods(self, sets: Sequence[Object]) -> bool:
        """Whether pods of these are still there, also those on their way out."""
        return any(dig(pod, "status", "phase") not in ("Succeeded", "Failed")
                   for each in sets for pod in self.pods.by("controller", uid(each)))

    async def keep_new(self, deployment: Object, new: Object, old: Sequence[Object]) -> Object:
        """Let the ReplicaSet that has the template already say so: by the highest revision, and what else it carries."""
        meant = with_revision(deployment, new, old)
        same = (meant["metadata"].get("annotations"), meant["spec"]["minReadySeconds"]) == (
            dig(new, "metadata", "annotations", default={}), new["spec"].get("minReadySeconds", 0))
        return new if same else await self.client.update("replicasets", meant)

    async def make_new(self, deployment: Object, old: Sequence[Object], status: Object) -> Object:
        """Create the ReplicaSet for a new template. Made before a crash, it is found; another of its name, avoided."""
        meant = new_replicaset(deployment, old)
        try:
            made = await self.client.create("replicasets", meant)
        except ApiError as error:
            if error.reason == "AlreadyExists":
                return await self.existing(deployment, meant, status)
            if not namespace_ends(error):
                await self.cannot_make(deployment, meant, status, error)
            raise
        if size(made):
            self.scaling_event(deployment, made, 0, size(made))
        if deadline(deployment) is not None:
            set_condition(status, "Progressing", "True", "NewReplicaSetCreated", f'Created new replica set "{name(made)}"',
                          self.clock.now())
        return made

    async def existing(self, deployment: Object, meant: Object, status: Object) -> Object:
        """The one that has the name: it is ours, or we need another name."""
        found = await self.client.get("replicasets", name(meant), namespace(meant))
        owner = controller_of(found)
        if owner and owner["uid"] == uid(deployment) and same_template(found["spec"]["template"], meant["spec"]["template"]):
            return found
        collided = {**(deployment.get("status") or {}), "collisionCount": status.get("collisionCount", 0) + 1}
        await self.write_status("deployments", deployment, collided)
        raise ApiError(409, f'replicasets.apps "{name(meant)}" is not of this deployment', "AlreadyExists")

    async def cannot_make(self, deployment: Object, meant: Object, status: Object, error: ApiError) -> None:
        """Tell that the new ReplicaSet could not be made."""
        message = f'Failed to create new replica set "{name(meant)}": {error}'
        if deadline(deployment) is not None:
            set_condition(status, "Progressing", "False", "ReplicaSetCreateError", message, self.clock.now())
            await self.write_status("deployments", deployment, status)
        self.recorder.event(deployment, "Warning", "ReplicaSetCreateError", message)

    async def resize(self, deployment: Object, sets: Sequence[Object], sizes: Sizes) -> bool:
        """Give ReplicaSets their sizes, and note what was wanted; whether any size changed."""
        changed = False
        for each in sets:
            target = sizes.get(name(each), size(each))
            meant = told(deployment, each, target)
            if target == size(each) and (not size(each) or meant["metadata"] == each["metadata"]):
                continue
            await self.client.update("replicasets", meant)
            if target != size(each):
                changed = True
                self.scaling_event(deployment, each, size(each), target)
        return changed

    def scaling_event(self, deployment: Object, replicaset: Object, before: int, after: int) -> None:
        """Tell that a ReplicaSet has another size now."""
        way = "up" if after > before else "down"
        self.recorder.event(deployment, "Normal", "ScalingReplicaSet",
                            f"Scaled {way} replica set {name(replicaset)} from {before} to {after}")

    async def clean_up(self, deployment: Object, old: Sequence[Object]) -> None:
        """Delete the oldest of the ReplicaSets that are kept to go back to, if there are more than the limit."""
        limit = deployment["spec"].get("revisionHistoryLimit", 10)
        kept = sorted((each for each in old if not deleting(each)), key=revision)
        for each in kept[:max(0, len(kept) - limit)]:
            seen = dig(each, "status", "observedGeneration", default=0) >= each["metadata"]["generation"]
            if seen and not size(each) and not dig(each, "status", "replicas", default=0):
                await self.client.delete("replicasets", name(each), namespace(each), uid=uid(each))

    async def finish(self, deployment: Object, new: Object | None, status: Object) -> None:
        """Write the status and the revision; look again when the time for progress will be over."""
        notes = dict(dig(deployment, "metadata", "annotations", default={}))
        if new and not deleting(deployment):
            notes[REVISION] = str(revision(new))
        if notes != dig(deployment, "metadata", "annotations", default={}):
            meta = {**deployment["metadata"], "annotations": notes}
            await self.client.update("deployments", {**deployment, "metadata": meta, "status": status}, subresource="status")
        else:
            await self.write_status("deployments", deployment, status)
        seconds, told = deadline(deployment), condition_of({"status": status}, "Progressing")
        if (seconds is not None and told and not is_complete(deployment, status)
                and told["reason"] not in ("ProgressDeadlineExceeded", "DeploymentPaused")):
            self.queue.add_after(key_of(deployment), max(1.0, time_left(status, seconds, self.clock.now()) + 1))
