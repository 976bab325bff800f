"""A kubelet that was broken into must not harm other nodes: what it may write, beyond what its rights say.

Genuine counterpart: the admission plugin NodeRestriction,
https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tinykube.api import signers
from tinykube.api.admission import Change
from tinykube.api.authorization import Attributes
from tinykube.api.nodes import named_in, node_of
from tinykube.machinery.errors import forbidden, not_found
from tinykube.machinery.objects import Object, dig, labels

if TYPE_CHECKING:
    from tinykube.api.server import ApiServer

MIRROR = "kubernetes.io/config.mirror"
KUBELETS_OWN = ("kubelet.kubernetes.io", "node.kubernetes.io")      # it may set labels below these domains, and these labels:
OWN_LABELS = {"kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch", "beta.kubernetes.io/os",
              "beta.kubernetes.io/arch", "beta.kubernetes.io/instance-type", *(
                  f"{prefix}.kubernetes.io/{part}" for prefix in ("topology", "failure-domain.beta")
                  for part in ("zone", "region"))}
NAMED = {"leases": "node lease", "csinodes": "CSINode"}
Restrict = Callable[["ApiServer", Change, str], Awaitable[str]]


async def node_restriction(server: ApiServer, change: Change) -> None:
    """Raise ApiError 403 if a kubelet writes what is not its node's."""
    node = node_of(change.user)
    check = CHECKS.get((change.resource.plural, change.subresource))
    if node and check and (why := await check(server, change, node)):
        raise forbidden(change.resource.plural, change.name, why, change.resource.group)


def of_kubernetes(label: str) -> bool:
    """Whether a label is Kubernetes' own, and not one of those that a kubelet may set on its node."""
    domain = label.partition("/")[0] if "/" in label else ""
    def below(*parents: str) -> bool:
        return any(domain == each or domain.endswith(f".{each}") for each in parents)
    return below("kubernetes.io", "k8s.io") and label not in OWN_LABELS and not below(*KUBELETS_OWN)


async def own_node(server: ApiServer, change: Change, node: str) -> str:
    """A node: only itself, and neither its taints nor the labels by which pods are kept apart."""
    obj, old = change.object or {}, change.old or {}
    if change.name != node:
        return f'node "{node}" is not allowed to modify node "{change.name}"'
    if dig(obj, "spec", "configSource") and not dig(old, "spec", "configSource"):
        return f'node "{node}" is not allowed to create pods with a non-nil configSource'
    theirs, mine = labels(old), labels(obj)
    wrong = sorted(each for each in {*theirs, *mine} if theirs.get(each) != mine.get(each) and of_kubernetes(each))
    if wrong and not old:
        return f'node "{node}" is not allowed to set the following labels: {", ".join(wrong)}'
    if old and (old["metadata"].get("ownerReferences") or []) != (obj["metadata"].get("ownerReferences") or []):
        return f'node "{node}" is not allowed to modify ownerReferences'
    if old and not change.subresource and (dig(old, "spec", "taints") or []) != (dig(obj, "spec", "taints") or []):
        return f'node "{node}" is not allowed to modify taints'
    return f"is not allowed to modify labels: {', '.join(wrong)}" if wrong else ""


async def own_pod(server: ApiServer, change: Change, node: str) -> str:
    """A pod: make mirrors of the static pods that it runs, and delete what is bound to it."""
    if change.operation == "DELETE":
        here = dig(change.old, "spec", "nodeName") == node
        return "" if here else f'node "{node}" can only delete pods with spec.nodeName set to itself'
    pod: Object = change.object or {}
    if MIRROR not in dig(pod, "metadata", "annotations", default={}):
        return f'pod does not have "{MIRROR}" annotation, node "{node}" can only create mirror pods'
    if pod["spec"].get("nodeName") != node:
        return f'node "{node}" can only create pods with spec.nodeName set to itself'
    if why := await not_owner(server, pod["metadata"].get("ownerReferences") or [], node):
        return why
    named = {resource for resource, _ in named_in(pod["spec"])} | ({"serviceaccounts"} if pod["spec"].get("serviceAccountName")
                                                                   else set()) | claims(pod["spec"])
    return f'node "{node}" can not create pods that reference {min(named)}' if named else ""


def claims(spec: Object) -> set[str]:
    """What a pod names that is no volume's: resource claims, and tokens of service accounts."""
    tokens = any(source.get("serviceAccountToken") for volume in spec.get("volumes") or []
                 for source in dig(volume, "projected", "sources", default=[]))
    return ({"resourceclaims"} if spec.get("resourceClaims") else set()) | ({"serviceaccounts"} if tokens else set())


async def not_owner(server: ApiServer, owners: list[Object], node: str) -> str:
    """Why a mirror pod is not owned by the node, as it has to be; or ''."""
    only = owners[0] if len(owners) == 1 else {}
    if (only.get("apiVersion"), only.get("kind"), only.get("name")) != ("v1", "Node", node):
        return f'node "{node}" can only create pods with an owner reference set to itself'
    if not only.get("controller"):
        return f'node "{node}" can only create pods with a controller owner reference set to itself'
    if only.get("blockOwnerDeletion"):
        return f'node "{node}" must not set blockOwnerDeletion on an owner reference'
    uid = (await server.registry("nodes").get("", node)).obj["metadata"]["uid"]
    return "" if uid == only["uid"] else f"node {node} UID mismatch: expected {only['uid']} got {uid}"


async def own_status(server: ApiServer, change: Change, node: str) -> str:
    """The status of a pod: of those that are bound to it, and nothing else with it."""
    old, obj = change.old or {}, change.object or {}
    if dig(old, "spec", "nodeName") != node:
        return f'node "{node}" can only update pod status for pods with spec.nodeName set to itself'
    if labels(old) != labels(obj):
        return f'node "{node}" cannot update labels through pod status'
    claimed, was = (dig(each, "status", "resourceClaimStatuses") or [] for each in (obj, old))
    return f'node "{node}" cannot update resource claim statues' if claimed != was else ""


async def own_eviction(server: ApiServer, change: Change, node: str) -> str:
    """An eviction: of the pods that are bound to it."""
    found = await server.registry("pods").find(change.namespace, change.name)
    if not found:
        raise not_found("pod", change.name)
    here = dig(found.obj, "spec", "nodeName") == node
    return "" if here else f"node {node} can only evict pods with spec.nodeName set to itself"


async def own_token(server: ApiServer, change: Change, node: str) -> str:
    """A token: bound to a pod that runs here, and for somebody whom the pod has a token for."""
    spec: Object = dig(change.object, "spec", default={})
    bound, audiences = spec.get("boundObjectRef") or {}, spec.get("audiences") or [""]
    if bound.get("kind") != "Pod" or bound.get("apiVersion", "v1") != "v1" or not bound.get("name"):
        return "node requested token not bound to a pod"
    if not bound.get("uid"):
        return "node requested token with a pod binding without a uid"
    found = await server.registry("pods").find(change.namespace, bound["name"])
    if not found:
        raise not_found("pod", bound["name"])
    if found.obj["metadata"]["uid"] != bound["uid"]:
        return (f"the UID in the bound object reference ({bound['uid']}) does not match the UID in record. The object might "
                "have been deleted and then recreated")
    if dig(found.obj, "spec", "nodeName") != node:
        return "node requested token bound to a pod scheduled on a different node"
    if len(audiences) > 1:
        return "node may only request 0 or 1 audiences"
    may = Attributes(change.user, "request-serviceaccounts-token-audience", "", "", audiences[0], "", change.namespace, change.name)
    if audiences[0] in audiences_of(found.obj) or (await server.may(may))[0]:
        return ""
    return f'{change.user.name} is not authorized to request tokens for audience "{audiences[0]}"'


def audiences_of(pod: Object) -> set[str]:
    """For whom the tokens in a pod's volumes are meant; '' is the api-server."""
    return {source["serviceAccountToken"].get("audience") or "" for volume in pod["spec"].get("volumes") or []
            for source in dig(volume, "projected", "sources", default=[]) if source.get("serviceAccountToken")}


async def own_name(server: ApiServer, change: Change, node: str) -> str:
    """A lease or a CSINode: the one that is called like the node."""
    what = NAMED[change.resource.plural]
    return "" if change.name == node else f"can only access {what} with the same name as the requesting node"


async def own_slice(server: ApiServer, change: Change, node: str) -> str:
    """A ResourceSlice: for the node."""
    named = dig(change.object or change.old, "spec", "nodeName")
    verb = {"CREATE": "create", "UPDATE": "update"}.get(change.operation, "delete")
    return "" if named == node else f"can only {verb} ResourceSlice with the same NodeName as the requesting node"


async def own_request(server: ApiServer, change: Change, node: str) -> str:
    """A request for a certificate of a node: in its own name."""
    spec = (change.object or {}).get("spec", {})
    if change.operation != "CREATE" or spec.get("signerName") not in (signers.KUBELET, signers.SERVING):
        return ""
    named = signers.asked_for(spec).get(signers.COMMON_NAME)
    return "" if named == [change.user.name] else f"can only create a node CSR with CN={change.user.name}"


CHECKS: dict[tuple[str, str], Restrict] = {
    ("nodes", ""): own_node, ("nodes", "status"): own_node, ("pods", ""): own_pod, ("pods", "status"): own_status,
    ("pods", "eviction"): own_eviction, ("serviceaccounts", "token"): own_token, ("leases", ""): own_name,
    ("csinodes", ""): own_name, ("resourceslices", ""): own_slice, (signers.PLURAL, ""): own_request}
