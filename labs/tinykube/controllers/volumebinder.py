"""Claims and volumes find each other; and neither is removed while somebody uses it.

Genuine counterparts: persistentvolume-binder-controller, persistentvolumeclaim-protection-controller and
persistentvolume-protection-controller. Volumes are made by people: there is no provisioner here.
"""
from collections.abc import Iterable
from decimal import Decimal

from tinykube.controllers.following import Following
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, annotations, dig, key_of, labels, name, namespace, timestamp, uid
from tinykube.machinery.quantity import parse_quantity
from tinykube.machinery.selectors import selector_of

COMPLETED, BY_CONTROLLER = "pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller"
DELAYED, SELECTED_NODE = "WaitForFirstConsumer", "volume.kubernetes.io/selected-node"
CLAIMS, VOLUMES = "persistentvolumeclaims", "persistentvolumes"


def capacity(volume: Object) -> Decimal:
    """How much a volume holds."""
    return parse_quantity(dig(volume, "spec", "capacity", "storage", default="0"))


def belongs(volume: Object, claim: Object) -> bool:
    """Whether a volume names this claim as its own; one that names no uid means whoever has the name."""
    reference = dig(volume, "spec", "claimRef", default={})
    return (reference.get("namespace"), reference.get("name")) == (namespace(claim), name(claim)) and (
        reference.get("uid") in (None, "", uid(claim)))


def fits(volume: Object, claim: Object) -> bool:
    """Whether a volume that is nobody's yet is what a claim asks for."""
    wanted, offered = claim["spec"], volume["spec"]
    asked = parse_quantity(dig(wanted, "resources", "requests", "storage", default="0"))
    return (not volume["metadata"].get("deletionTimestamp") and capacity(volume) >= asked
            and set(wanted["accessModes"]) <= set(offered["accessModes"])
            and wanted.get("volumeMode", "Filesystem") == offered.get("volumeMode", "Filesystem")
            and (wanted.get("storageClassName") or "") == (offered.get("storageClassName") or "")
            and selector_of(wanted.get("selector") or {}).matches(labels(volume)))


def best(volumes: Iterable[Object], claim: Object) -> Object | None:
    """The volume for a claim: one that waits for it, else the smallest that fits."""
    there = sorted(volumes, key=lambda volume: (not belongs(volume, claim), capacity(volume), name(volume)))
    return next((each for each in there if belongs(each, claim) or (not dig(each, "spec", "claimRef") and fits(each, claim))), None)


def noted(obj: Object, *notes: str) -> Object:
    """An object with annotations that say yes."""
    return {**obj, "metadata": {**obj["metadata"], "annotations": {**annotations(obj), **dict.fromkeys(notes, "yes")}}}


class VolumeBinder(Following):
    """Binds claims to volumes, each in two steps that can be taken up after a crash: the volume first, then the claim."""

    name, account = "persistentvolume-binder-controller", "persistent-volume-binder"
    component, workers = "persistentvolume-controller", 1        # two claims must not think that one volume is theirs

    def setup(self) -> None:
        """Watch claims and volumes. Volumes have keys without a namespace."""
        self.claims = self.watch(CLAIMS, lambda claim: [key_of(claim), claim["spec"].get("volumeName", "")])
        self.volumes, self.classes = self.watch(VOLUMES, self.touched), self.copy_of("storageclasses")

    def touched(self, volume: Object) -> list[str]:
        """A volume itself, and the claims that it may be for: its own, or all that still wait."""
        if reference := dig(volume, "spec", "claimRef"):
            return [name(volume), f"{reference['namespace']}/{reference['name']}"]
        return [name(volume), *(key_of(each) for each in self.claims.select() if dig(each, "status", "phase") != "Bound")]

    async def sync(self, key: str) -> None:
        """Look at one claim or one volume."""
        claim, volume = self.claims.get(key), self.volumes.get(key)
        if volume:
            await self.sync_volume(volume)
        elif claim and not claim["metadata"].get("deletionTimestamp"):
            await (self.check(claim) if COMPLETED in annotations(claim) else self.find(claim))

    async def find(self, claim: Object) -> None:
        """Find a volume for a claim that has none, and bind the two; or tell why it waits."""
        spec, named = claim["spec"], claim["spec"].get("storageClassName") or ""
        volume = self.volumes.get(spec["volumeName"]) if spec.get("volumeName") else best(self.volumes.select(), claim)
        kind = self.classes.get(named)
        chosen = volume and (belongs(volume, claim) or (spec.get("volumeName") and not dig(volume, "spec", "claimRef")))
        delayed = (kind or {}).get("volumeBindingMode") == DELAYED and SELECTED_NODE not in annotations(claim)
        if volume and (chosen or not (delayed or spec.get("volumeName"))):
            return await self.bind(claim, volume)
        if not spec.get("volumeName") and delayed:
            self.recorder.event(claim, "Normal", DELAYED, "waiting for first consumer to be created before binding")
        elif not spec.get("volumeName") and not named:
            self.recorder.event(claim, "Normal", "FailedBinding",
                                "no persistent volumes available for this claim and no storage class is set")
        elif not spec.get("volumeName") and kind is None:
            self.recorder.event(claim, "Warning", "ProvisioningFailed", f'storageclass.storage.k8s.io "{named}" not found')
        await self.phase(CLAIMS, claim, "Pending")

    async def bind(self, claim: Object, volume: Object) -> None:
        """Write the claim into the volume, then the volume into the claim. After a crash in between we begin again."""
        if not dig(volume, "spec", "claimRef", "uid"):
            reference = {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": namespace(claim), "name": name(claim),
                         "uid": uid(claim), "resourceVersion": claim["metadata"]["resourceVersion"]}
            fresh = volume if dig(volume, "spec", "claimRef") else noted(volume, BY_CONTROLLER)
            volume = await self.client.update(VOLUMES, {**fresh, "spec": {**volume["spec"], "claimRef": reference}})
        volume = await self.phase(VOLUMES, volume, "Bound")
        if COMPLETED not in annotations(claim):
            fresh = noted(claim, *((COMPLETED,) if claim["spec"].get("volumeName") else (COMPLETED, BY_CONTROLLER)))
            claim = await self.client.update(CLAIMS, {**fresh, "spec": {**claim["spec"], "volumeName": name(volume)}})
        await self.phase(CLAIMS, claim, "Bound", accessModes=volume["spec"]["accessModes"], capacity=volume["spec"]["capacity"])

    async def check(self, claim: Object) -> None:
        """Look at a claim that has been bound: its volume may have gone."""
        volume = self.volumes.get(claim["spec"]["volumeName"])
        if volume and (belongs(volume, claim) or not dig(volume, "spec", "claimRef")):
            return await self.bind(claim, volume)
        if dig(claim, "status", "phase") != "Lost":
            why = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
            self.recorder.event(claim, "Warning", "ClaimLost", why)
        await self.phase(CLAIMS, claim, "Lost")

    async def sync_volume(self, volume: Object) -> None:
        """Say of a volume whether it is free, and what becomes of it when its claim is gone."""
        reference = dig(volume, "spec", "claimRef", default={})
        if not reference.get("uid"):
            await self.phase(VOLUMES, volume, "Available")
        elif dig(volume, "status", "phase") == "Released" or not await self.exists(reference):
            volume = await self.phase(VOLUMES, volume, "Released")
            if volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete" and volume["spec"].get("hostPath"):
                await self.delete(VOLUMES, volume)

    async def exists(self, reference: Object) -> bool:
        """Whether the claim is there, if need be by asking: our copy may be older than the volume."""
        found = self.claims.get(f"{reference['namespace']}/{reference['name']}")
        try:
            found = found or await self.client.get(CLAIMS, reference["name"], reference["namespace"])
        except ApiError as error:
            if error.code != 404:
                raise
        return found is not None and uid(found) == reference["uid"]

    async def phase(self, resource: str, obj: Object, phase: str, **more: object) -> Object:
        """Write a phase, if it is news; the object as it is then."""
        status = {**obj.get("status", {}), **more, "phase": phase}
        if resource == VOLUMES and dig(obj, "status", "phase") != phase:
            status["lastPhaseTransitionTime"] = timestamp(self.clock)
        same = status == obj.get("status")
        return obj if same else await self.client.update(resource, {**obj, "status": status}, subresource="status")


def claims_of(pod: Object) -> list[str]:
    """The names of the claims that a pod uses."""
    return [dig(each, "persistentVolumeClaim", "claimName", default=f"{name(pod)}-{each['name']}")
            for each in dig(pod, "spec", "volumes", default=[]) if each.get("persistentVolumeClaim") or each.get("ephemeral")]


class ClaimProtection(Following):
    """Takes its finalizer off a claim that is to be deleted once no pod uses it."""

    name, account = "persistentvolumeclaim-protection-controller", "pvc-protection-controller"
    resource, finalizer = CLAIMS, "kubernetes.io/pvc-protection"

    def setup(self) -> None:
        """Watch what is protected, and the pods that may use it."""
        self.protected = self.watch(self.resource)
        self.pods = self.watch("pods", lambda pod: [f"{namespace(pod)}/{claim}" for claim in claims_of(pod)])

    async def sync(self, key: str) -> None:
        """Look at one claim or volume."""
        obj = self.protected.get(key)
        there = dig(obj, "metadata", "finalizers", default=[])
        if obj and obj["metadata"].get("deletionTimestamp") and self.finalizer in there and not self.used(obj):
            meta = {**obj["metadata"], "finalizers": [each for each in there if each != self.finalizer]}
            await self.client.update(self.resource, {**obj, "metadata": meta})

    def used(self, obj: Object) -> bool:
        """Whether a pod that has not ended uses the claim."""
        return any(name(obj) in claims_of(pod) and dig(pod, "spec", "nodeName") for pod in self.pods.by("namespace", namespace(obj))
                   if dig(pod, "status", "phase") not in ("Succeeded", "Failed"))


class VolumeProtection(ClaimProtection):
    """Takes its finalizer off a volume that is to be deleted once no claim is bound to it."""

    name, account = "persistentvolume-protection-controller", "pv-protection-controller"
    resource, finalizer = VOLUMES, "kubernetes.io/pv-protection"

    def used(self, obj: Object) -> bool:
        """Whether the volume is bound."""
        return bool(dig(obj, "status", "phase") == "Bound")
