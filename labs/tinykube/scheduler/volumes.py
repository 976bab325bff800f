"""Where a pod's volumes are, or can be: claims that are bound, and claims that wait for the pod to choose.

Genuine counterpart: kube-scheduler's plugins VolumeRestrictions and VolumeBinding.
"""

from __future__ import annotations

from collections.abc import Mapping

from tinykube.machinery.objects import Object, dig, labels, name, uid
from tinykube.machinery.quantity import whole
from tinykube.machinery.selectors import selector_of
from tinykube.scheduler.affinity import node_terms
from tinykube.scheduler.cache import Cache
from tinykube.scheduler.framework import Change, Plugin, Rejected
from tinykube.scheduler.index import claims_of
from tinykube.scheduler.nodeinfo import NodeInfo, PodInfo
from tinykube.scheduler.plugins import PASSED, Filter, Never, Reasons

BOUND, SELECTED = "pv.kubernetes.io/bind-completed", "volume.kubernetes.io/selected-node"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
IN_USE = ("node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by "
          "another pod")
Plan = dict[str, str]          # claim's name -> the volume it shall get; empty: one that is to be made


def claims(pod: PodInfo, cache: Cache) -> list[Object]:
    """The claims that a pod's volumes name. Raises Rejected if one is missing or of no use."""
    found = []
    for claim_name in pod.worked_out(claims_of):
        claim = cache.objects["persistentvolumeclaims"].get(f"{pod.namespace}/{claim_name}")
        if claim is None:
            made = any("ephemeral" in volume for volume in pod.pod["spec"].get("volumes") or ())
            raise Rejected(f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{claim_name}"'
                           if made else f'persistentvolumeclaim "{claim_name}" not found')
        if dig(claim, "status", "phase") == "Lost":
            raise Rejected(f'persistentvolumeclaim "{claim_name}" bound to non-existent persistentvolume '
                           f'"{dig(claim, "spec", "volumeName", default="")}"')
        if dig(claim, "metadata", "deletionTimestamp"):
            raise Rejected(f'persistentvolumeclaim "{claim_name}" is being deleted')
        found.append(claim)
    return found


def is_bound(claim: Object) -> bool:
    """Whether a claim has its volume, and both sides say so."""
    return bool(claim["spec"].get("volumeName")) and BOUND in dig(claim, "metadata", "annotations", default={})


def used_alone(pod: PodInfo, cache: Cache) -> Filter | None:
    """Keep off if a claim is for one pod at a time, and one has it."""
    for claim_name in pod.worked_out(claims_of):
        claim = cache.objects["persistentvolumeclaims"].get(f"{pod.namespace}/{claim_name}")
        if claim is None:
            raise Rejected(f'persistentvolumeclaim "{claim_name}" not found')
        if "ReadWriteOncePod" in claim["spec"]["accessModes"] and cache.index.claims[f"{pod.namespace}/{claim_name}"]:
            return lambda pod, node: [IN_USE]
    return None


def reachable(volume: Object, node: NodeInfo) -> bool:
    """Whether a volume can be used on a node."""
    terms = node_terms(dig(volume, "spec", "nodeAffinity", "required"))
    return terms is None or any(term.picks(node) for term in terms)


def suits(volume: Object, claim: Object) -> bool:
    """Whether a volume that nobody has is what a claim asks for."""
    has, asks = volume["spec"], claim["spec"]
    holder = has.get("claimRef")
    return ((holder["name"], holder["namespace"]) == (name(claim), claim["metadata"]["namespace"]) if holder else
            dig(volume, "status", "phase") == "Available") and (
        has.get("storageClassName", "") == (asks.get("storageClassName") or "")
        and set(asks["accessModes"]) <= set(has["accessModes"])
        and has.get("volumeMode", "Filesystem") == asks.get("volumeMode", "Filesystem")
        and whole(has["capacity"]["storage"]) >= whole(dig(asks, "resources", "requests", "storage", default="0"))
        and selector_of(asks.get("selector") or {}).matches(labels(volume)))


def plan(waiting: list[Object], node: NodeInfo, cache: Cache) -> Plan | None:
    """Which volumes the waiting claims shall get if the pod goes to a node; None if there are none."""
    planned: Plan = {}
    for claim in waiting:
        if dig(claim, "metadata", "annotations", SELECTED, default=node.name) != node.name:
            return None
        fitting = [volume for volume in cache.objects["persistentvolumes"].values() if suits(volume, claim)
                   and name(volume) not in planned.values() and reachable(volume, node)]
        if fitting:
            smallest = min(fitting, key=lambda volume: (whole(volume["spec"]["capacity"]["storage"]), name(volume)))
            planned[name(claim)] = name(smallest)
        elif can_be_made(cache.objects["storageclasses"].get(claim["spec"].get("storageClassName") or "", {}), node):
            planned[name(claim)] = ""
        else:
            return None
    return planned


def can_be_made(kind: Object, node: NodeInfo) -> bool:
    """Whether somebody provisions volumes of a class, for this node."""
    topologies = [{"nodeSelectorTerms": [{"matchExpressions": [
        {"key": each["key"], "operator": "In", "values": each["values"]} for each in term["matchLabelExpressions"]]}]}
        for term in kind.get("allowedTopologies") or ()]
    return kind.get("provisioner", NO_PROVISIONER) != NO_PROVISIONER and (
        not topologies or any(term.picks(node) for each in topologies for term in node_terms(each) or ()))


def volume_binding(pod: PodInfo, cache: Cache) -> Filter | None:
    """Keep to where the pod's volumes are, or can be."""
    found = claims(pod, cache)
    if not found:
        return None
    waiting = [claim for claim in found if not is_bound(claim)]
    classes = cache.objects["storageclasses"]
    if any(claim["spec"].get("volumeName") or classes.get(claim["spec"].get("storageClassName") or "", {}).get(
            "volumeBindingMode") != "WaitForFirstConsumer" for claim in waiting):
        raise Rejected("pod has unbound immediate PersistentVolumeClaims")
    known, names = cache.objects["persistentvolumes"], [claim["spec"]["volumeName"] for claim in found if is_bound(claim)]
    for volume in names:
        if volume not in known:
            raise Rejected(f'persistentvolume "{volume}" not found')

    def fits(pod: PodInfo, node: NodeInfo) -> Reasons:
        reasons = Never()
        if not all(reachable(known[volume], node) for volume in names):
            reasons.append("node(s) didn't match PersistentVolume's node affinity")
        if waiting and plan(waiting, node, cache) is None:
            reasons.append("node(s) didn't find available persistent volumes to bind")
        return reasons or PASSED
    return fits


def writes(pod: PodInfo, node: NodeInfo, cache: Cache) -> list[tuple[str, Object, Object]]:
    """What has to be written so that the waiting claims get their volumes: resource, object and patch of each."""
    waiting = [claim for claim in claims(pod, cache) if not is_bound(claim)]
    patches: list[tuple[str, Object, Object]] = []
    for claim, volume in zip(waiting, (plan(waiting, node, cache) or {}).values(), strict=False):
        if volume:
            holder = {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "name": name(claim), "uid": uid(claim),
                      "namespace": pod.namespace, "resourceVersion": claim["metadata"]["resourceVersion"]}
            patches.append(("persistentvolumes", cache.objects["persistentvolumes"][volume], {
                "metadata": {"annotations": {"pv.kubernetes.io/bound-by-controller": "yes"}}, "spec": {"claimRef": holder}}))
        else:
            patches.append(("persistentvolumeclaims", claim, {"metadata": {"annotations": {SELECTED: node.name}}}))
    return patches


def volumes_plugin(args: Object) -> Plugin:
    """VolumeBinding."""
    def of_ours(pod: PodInfo, change: Change, cache: Cache) -> bool:
        return dig(change.obj, "metadata", "namespace") == pod.namespace and name(
            change.obj or {}) in pod.worked_out(claims_of)

    def may_suit(pod: PodInfo, change: Change, cache: Cache) -> bool:
        return True
    hints: Mapping[str, object] = {"persistentvolumeclaims": of_ours, "persistentvolumes": may_suit,
                                   "storageclasses": may_suit, "node": may_suit}
    return Plugin("VolumeBinding", volume_binding, hints=hints)  # type: ignore[arg-type]


def restrictions_plugin(args: Object) -> Plugin:
    """VolumeRestrictions."""
    def let_go(pod: PodInfo, change: Change, cache: Cache) -> bool:
        return change.pod is not None and not set(change.pod.worked_out(claims_of)).isdisjoint(pod.worked_out(claims_of))

    def of_ours(pod: PodInfo, change: Change, cache: Cache) -> bool:
        return name(change.obj or {}) in pod.worked_out(claims_of)
    return Plugin("VolumeRestrictions", used_alone, hints={"gone": let_go, "persistentvolumeclaims": of_ours})
