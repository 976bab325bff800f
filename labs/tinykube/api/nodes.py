"""What a kubelet may do: little, and only with what belongs to the pods of its own node.

Genuine counterpart: https://kubernetes.io/docs/reference/access-authn-authz/node/
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from tinykube.api.authorization import Attributes
from tinykube.api.rbac import POLICY, permits
from tinykube.machinery.objects import Object, dig
from tinykube.machinery.wire import User

if TYPE_CHECKING:
    from tinykube.api.server import ApiServer

RULES = next(each["rules"] for each in POLICY if each["kind"] == "ClusterRole" and each["metadata"]["name"] == "system:node")
READ = ("get", "list", "watch")
LEASE = ("get", "create", "update", "patch", "delete")
MENTIONS = {                             # the field of a pod that names an object -> what it names, and by which field
    "secret": ("secrets", ("secretName", "name")), "secretRef": ("secrets", ("name",)),
    "secretKeyRef": ("secrets", ("name",)), "imagePullSecrets": ("secrets", ("name",)),
    "nodePublishSecretRef": ("secrets", ("name",)), "configMap": ("configmaps", ("name",)),
    "configMapRef": ("configmaps", ("name",)), "configMapKeyRef": ("configmaps", ("name",)),
    "persistentVolumeClaim": ("persistentvolumeclaims", ("claimName",))}


def node_of(user: User) -> str:
    """The node whose kubelet this is; empty for everybody else. Name and group both have to say so."""
    return user.name.removeprefix("system:node:") if user.name.startswith("system:node:") and "system:nodes" in user.groups else ""


class NodeAuthorizer:
    """The authorizer for kubelets: a list of rules, and a look at which pods are where."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server

    async def decide(self, wanted: Attributes) -> tuple[bool, str]:
        """Whether a kubelet may. About other users it says nothing."""
        node = node_of(wanted.user)
        if not node:
            return False, ""
        check = CHECKS.get(wanted.resource)
        why = check(node, wanted) if check else ""
        if why == RELATED:
            why = "" if await self.related(node, wanted) else f"no relationship found between node '{node}' and this object"
        if why not in ("", YES):
            return False, f"node: {why}"
        return why == YES or any(permits(rule, wanted) for rule in RULES), ""

    async def related(self, node: str, wanted: Attributes) -> bool:
        """Whether a pod on the node needs this object."""
        if wanted.resource in ("volumeattachments", "resourceslices", "podcertificaterequests"):
            found = await self.server.registry(wanted.resource, wanted.group).find(wanted.namespace, wanted.name)
            return found is not None and dig(found.obj, "spec", "nodeName") == node
        resource, where, name = wanted.resource, wanted.namespace, wanted.name
        if resource == "persistentvolumes":
            found = await self.server.registry(resource).find("", name)
            claim = dig(found.obj, "spec", "claimRef", default={}) if found else {}
            resource, where, name = "persistentvolumeclaims", claim.get("namespace", ""), claim.get("name", "")
        return any((resource, name) in mentioned(pod) for pod in await self.pods(node, where))

    async def pods(self, node: str, namespace: str) -> list[Object]:
        """The pods of a node in a namespace."""
        cache = self.server.cache(self.server.resource("", "v1", "pods"))
        await cache.start()
        start = self.server.registry("pods").key(namespace)
        return [record.obj for key, record in cache.state.items()
                if key.startswith(start) and dig(record.obj, "spec", "nodeName") == node]


def mentioned(pod: Object) -> set[tuple[str, str]]:
    """All objects of its namespace that a pod needs to run, and the pod itself."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    claims = {("resourceclaims", each.get("resourceClaimName", "")) for each in dig(pod, "status", "resourceClaimStatuses",
                                                                                     default=[])}
    ephemeral = {("persistentvolumeclaims", f"{name}-{each['name']}") for each in spec.get("volumes") or []
                 if each.get("ephemeral")}
    return {("pods", name), ("serviceaccounts", spec.get("serviceAccountName", "")), *claims, *ephemeral, *named_in(spec)}


def named_in(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """What a part of a pod's spec names, wherever in it."""
    for each in value if isinstance(value, list) else ():
        yield from named_in(each, field)
    if not isinstance(value, dict):
        return
    resource, keys = MENTIONS.get(field, ("", ()))
    yield from ((resource, value[key]) for key in keys if value.get(key))
    for key, below in value.items():
        yield from named_in(below, key)


RELATED, YES = "related", "yes"          # only what a pod of the node needs; all of it. Other words are a no
Check = Callable[[str, Attributes], str]


def readable(node: str, wanted: Attributes) -> str:
    """Secrets and ConfigMaps: read one by one, by name."""
    if wanted.verb not in READ:
        return "can only read resources of this type"
    if wanted.subresource:
        return "cannot read subresource"
    if not wanted.namespace:
        return "can only read namespaced object of this type"
    return RELATED if wanted.name else "No Object name found"


def gettable(node: str, wanted: Attributes) -> str:
    """Claims and volumes: got one by one. The status of a claim may be written."""
    if wanted.part == "persistentvolumeclaims/status" and wanted.verb in ("update", "patch"):
        return RELATED
    if wanted.verb != "get":
        return "can only get individual resources of this type"
    return "cannot get subresource" if wanted.subresource else RELATED


def own_pods(node: str, wanted: Attributes) -> str:
    """Pods: those of the node, which a list has to ask for."""
    if wanted.verb in ("list", "watch") and ("spec.nodeName", node) not in wanted.fields:
        return "can only list/watch pods with spec.nodeName field selector"
    return RELATED if wanted.verb == "get" and not wanted.subresource else ""


def own_node(node: str, wanted: Attributes) -> str:
    """Nodes: itself. What it may write there is a matter for admission."""
    if wanted.verb not in READ or wanted.subresource or wanted.name == node:
        return ""
    return f"node '{node}' cannot read {repr(wanted.name) if wanted.name else 'all nodes'}, only its own Node object"


def own_lease(node: str, wanted: Attributes) -> str:
    """Leases: the one by which the node says that it is alive."""
    if wanted.verb not in LEASE:
        return "can only get, create, update, patch, or delete a node lease"
    if wanted.namespace != "kube-node-lease":
        return 'can only access leases in the "kube-node-lease" system namespace'
    same = wanted.name == node or wanted.verb == "create"
    return "" if same else "can only access node lease with the same name as the requesting node"


def own_csinode(node: str, wanted: Attributes) -> str:
    """CSINodes: its own."""
    if wanted.subresource:
        return "CSINode status access requires CSIVolumeHealth feature"
    if wanted.verb not in LEASE:
        return "can only get, create, update, patch, or delete a CSINode"
    same = wanted.name == node or wanted.verb == "create"
    return "" if same else "can only access CSINode with the same name as the requesting node"


def own_slices(node: str, wanted: Attributes) -> str:
    """ResourceSlices: those of the node, which a list has to ask for."""
    if wanted.verb not in ("list", "watch", "deletecollection"):
        return YES if wanted.verb == "create" else RELATED
    asked = ("spec.nodeName", node) in wanted.fields
    return YES if asked else "can only list/watch/deletecollection resourceslices with nodeName field selector"


def own_accounts(node: str, wanted: Attributes) -> str:
    """ServiceAccounts: tokens for the pods that run here."""
    fits = (wanted.verb, wanted.subresource) in (("create", "token"), ("get", ""))
    return RELATED if fits else "can only create tokens for individual service accounts"


def own_pod_certificates(node: str, wanted: Attributes) -> str:
    """Requests for certificates of pods: made for its pods, got one by one; a list has to ask for those of the node."""
    if wanted.subresource:
        return "nodes may not access the status subresource of PodCertificateRequests"
    if wanted.verb in ("list", "watch"):
        asked = ("spec.nodeName", node) in wanted.fields
        return YES if asked else "can only list/watch podcertificaterequests with nodeName field selector"
    if wanted.verb == "get":
        return RELATED if wanted.name else "No Object name found"
    return YES if wanted.verb == "create" else f"nodes may not {wanted.verb} podcertificaterequests"


CHECKS: dict[str, Check] = {
    "secrets": readable, "configmaps": readable, "persistentvolumeclaims": gettable, "persistentvolumes": gettable,
    "volumeattachments": gettable, "resourceclaims": gettable, "pods": own_pods, "nodes": own_node, "leases": own_lease,
    "csinodes": own_csinode, "resourceslices": own_slices, "serviceaccounts": own_accounts,
    "podcertificaterequests": own_pod_certificates}
