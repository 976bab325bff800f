"""The last word before something is written: plugins that fill in or refuse, each with a view of the whole cluster.

Genuine counterpart: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinykube.machinery.errors import ApiError, forbidden, not_found
from tinykube.machinery.objects import Object
from tinykube.machinery.wire import NOBODY, User

if TYPE_CHECKING:
    from tinykube.api.resources import Resource
    from tinykube.api.server import ApiServer

UNDELETABLE = ("default", "kube-system", "kube-public")
PATIENCE = 300                           # seconds on a node that went silent


@dataclass
class Change:
    """What somebody is about to do. `object` may still be changed, in place; None when something is deleted."""

    operation: str                       # CREATE, UPDATE or DELETE
    resource: Resource
    namespace: str
    name: str
    object: Object | None = None
    old: Object | None = None
    subresource: str = ""
    user: User = NOBODY


Admit = Callable[["ApiServer", Change], Awaitable[None]]


async def namespace_lifecycle(server: ApiServer, change: Change) -> None:
    """Nothing new where there is no namespace, or one that is going; and some namespaces never go."""
    plural = change.resource.plural
    if change.operation == "DELETE" and plural == "namespaces" and change.name in UNDELETABLE:
        raise forbidden(plural, change.name, "this namespace may not be deleted")
    if change.operation != "CREATE" or not change.namespace or change.subresource:
        return
    home = await server.registry("namespaces").find("", change.namespace)
    if home is None:
        raise not_found("namespaces", change.namespace)
    if home.obj["metadata"].get("deletionTimestamp"):
        error = forbidden(plural, change.name, f"unable to create new content in namespace {change.namespace} because "
                          "it is being terminated", change.resource.group)
        error.details = {**(error.details or {}), "causes": [
            {"reason": "NamespaceTerminating", "message": f"namespace {change.namespace} is being terminated",
             "field": "metadata.namespace"}]}
        raise error


async def default_tolerations(server: ApiServer, change: Change) -> None:
    """Pods put up with a node that is not ready for five minutes, unless they say otherwise."""
    if change.operation != "CREATE" or change.resource.plural != "pods" or change.subresource or not change.object:
        return
    spec = change.object["spec"]
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(each.get("key", "") in (key, "") and each.get("effect", "") in ("NoExecute", "")
                   for each in spec.get("tolerations") or []):
            spec["tolerations"] = [*(spec.get("tolerations") or []), {
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": PATIENCE}]


async def priority(server: ApiServer, change: Change) -> None:
    """Every pod has a priority. There are no classes of it here yet, so it is 0."""
    if change.operation != "CREATE" or change.resource.plural != "pods" or change.subresource or not change.object:
        return
    spec = change.object["spec"]
    if spec.get("priorityClassName") not in (None, "", "system-node-critical", "system-cluster-critical"):
        raise forbidden("pods", change.name, f"no PriorityClass with name {spec['priorityClassName']} was found")
    known = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
    spec.update(priority=known.get(spec.get("priorityClassName", ""), 0), preemptionPolicy="PreemptLowerPriority")


ADMISSION: list[Admit] = [namespace_lifecycle, default_tolerations, priority]


async def admit(server: ApiServer, change: Change) -> None:
    """Ask each plugin in turn. The first that raises an ApiError ends the matter."""
    for plugin in server.admission:
        try:
            await plugin(server, change)
        except ApiError:
            server.log.add("api", "refused", plugin=plugin.__name__, resource=change.resource.plural, name=change.name)
            raise
