"""Where a pod's volumes are, or can be: claims that are bound, and claims that wait for the pod to choose.

Genuine counterpart: kube-scheduler's plugin VolumeBinding.
"""

from __future__ import annotations

from tinykube.machinery.objects import Object, dig, labels, name, uid
from tinykube.machinery.quantity import whole
from tinykube.machinery.selectors import selector_of
from tinykube.scheduler.affinity import node_terms
from tinykube.scheduler.cache import Cache
from tinykube.scheduler.framework import Change, Plugin, Rejected
from tinykube.scheduler.nodeinfo import NodeInfo, PodInfo
from tinykube.scheduler.plugins import PASSED, Filter, Never, Reasons

BOUND, SELECTED = "pv.kubernetes.io/bind-completed", "volume.kubernetes.io/selected-node"
NO_PROVISIONER = "kubernetes.io/no-provisioner"


def claims_of(pod: PodInfo) -> list[str]:
    """The names of the PersistentVolumeClaims that a pod's volumes are."""
    return [dig(each, "persistentVolumeClaim", "claimName") or f"{name(pod.pod)}-{each['name']}"
            for each in pod.pod["spec"].get("volumes") or () if "persistentVolumeClaim" in each or "ephemeral" in each]


def claims(pod: PodInfo, cache: Cache) -> list[Object]:
    """The claims themselves. Raises Rejected if one is missing or of no use."""
    keys = [f"{pod.namespace}/{each}" for each in pod.worked_out(claims_of)]
    found = [cache.objects["persistentvolumeclaims"].get(key) for key in keys]
    for key, claim in zip(keys, found, strict=True):
        if claim is None:
            raise Rejected(f'persistentvolumeclaim "{key.partition("/")[2]}" not found')
        if dig(claim, "metadata", "deletionTimestamp"):
            raise Rejected(f'persistentvolumeclaim "{name(claim)}" is being deleted')
    return [claim for claim in found if claim]


def is_bound(claim: Object) -> bool:
    """Whether a claim has its volume, and both sides say so."""
    return bool(claim["spec"].get("volumeName")) and BOUND in dig(claim, "metadata", "annotations", default={})


def class_of(claim: Object, cache: Cache) -> Object:
    """The StorageClass that a claim names; an empty one if there is none."""
    return cache.objects["storageclasses"].get(claim["spec"].get("storageClassName") or "", {})


def reachable(volume: Object, node: NodeInfo) -> bool:
    """Whether a volume can be used on a node."""
    terms = node_terms(dig(volume, "spec", "nodeAffinity", "required"))
    return terms is None or any(term.picks(node) for term in terms)


def suits(volume: Object, claim: Object) -> bool:
    """Whether a volume that nobody has is what a claim asks for."""
    has, asks = volume["spec"], claim["spec"]
    return (not has.get("claimRef") and has.get("storageClassName", "") == (asks.get("storageClassName") or "")
            and set(asks["accessModes"]) <= set(has["accessModes"])
            and has.get("volumeMode") == asks.get("volumeMode")
            and whole(has["capacity"]["storage"]) >= whole(dig(asks, "resources", "requests", "storage", default="0"))
            and selector_of(asks.get("selector") or {}).matches(labels(volume)))


def plan(waiting: list[Object], node: NodeInfo, cache: Cache) -> list[str] | None:
    """Which volume each waiting claim shall get on a node (empty: one that is to be made); None if it can't be."""
    planned: list[str] = []
    for claim in waiting:
        fitting = [volume for volume in cache.objects["persistentvolumes"].values() if suits(volume, claim)
                   and name(volume) not in planned and reachable(volume, node)]
        planned.append(name(min(fitting, key=lambda each: whole(each["spec"]["capacity"]["storage"]))) if fitting else "")
        if not fitting and not can_be_made(class_of(claim, cache), node):
            return None
    return planned


def can_be_made(kind: Object, node: NodeInfo) -> bool:
    """Whether somebody provisions volumes of a class, for this node."""
    allowed = [term["matchLabelExpressions"] for term in kind.get("allowedTopologies") or ()]
    return kind.get("provisioner", NO_PROVISIONER) != NO_PROVISIONER and (not allowed or any(
        all(node.labels.get(each["key"]) in each["values"] for each in term) for term in allowed))


def volume_binding(pod: PodInfo, cache: Cache) -> Filter | None:
    """Keep to where the pod's volumes are, or can be."""
    found, known = claims(pod, cache), cache.objects["persistentvolumes"]
    waiting = [claim for claim in found if not is_bound(claim)]
    names = [claim["spec"]["volumeName"] for claim in found if claim not in waiting]
    if any(claim["spec"].get("volumeName") or class_of(claim, cache).get("volumeBindingMode") != "WaitForFirstConsumer"
           for claim in waiting):
        raise Rejected("pod has unbound immediate PersistentVolumeClaims")
    for volume in names:
        if volume not in known:
            raise Rejected(f'persistentvolume "{volume}" not found')

    def fits(pod: PodInfo, node: NodeInfo) -> Reasons:
        far = not all(reachable(known[volume], node) for volume in names)
        nowhere = waiting and plan(waiting, node, cache) is None
        return Never(["node(s) didn't match PersistentVolume's node affinity"] * far
                     + ["node(s) didn't find available persistent volumes to bind"] * bool(nowhere)) or PASSED
    return fits if found else None


def writes(pod: PodInfo, node: NodeInfo, cache: Cache) -> list[tuple[str, Object, Object]]:
    """What has to be written so that the waiting claims get their volumes: resource, object and patch of each."""
    waiting, patches = [claim for claim in claims(pod, cache) if not is_bound(claim)], []
    for claim, volume in zip(waiting, plan(waiting, node, cache) or (), strict=False):
        holder = {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "name": name(claim), "uid": uid(claim),
                  "namespace": pod.namespace}
        patches.append(("persistentvolumes", cache.objects["persistentvolumes"][volume], {"spec": {"claimRef": holder}})
                       if volume else ("persistentvolumeclaims", claim, {"metadata": {"annotations": {SELECTED: node.name}}}))
    return patches


def volumes_plugin(args: Object) -> Plugin:
    """VolumeBinding."""
    def may_help(cache: Cache, change: Change, pod: PodInfo) -> bool:
        return bool(pod.worked_out(claims_of))
    kinds = ("persistentvolumeclaims", "persistentvolumes", "storageclasses", "node")
    return Plugin("VolumeBinding", volume_binding, hints=dict.fromkeys(kinds, may_help))
