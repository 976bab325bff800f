"""The last word before something is written: plugins that fill in or refuse, each with a view of the whole cluster.

Genuine counterpart: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tinykube.machinery.errors import ApiError, forbidden, not_found
from tinykube.machinery.objects import Object
from tinykube.machinery.wire import NOBODY, Request, User

if TYPE_CHECKING:
    from tinykube.api.resources import Resource
    from tinykube.api.server import ApiServer

UNDELETABLE = ("default", "kube-system", "kube-public")
SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
SYSTEM_DESCRIPTIONS = {
    "system-cluster-critical": "Used for system critical pods that must run in the cluster, but can be moved to another node "
                               "if necessary.",
    "system-node-critical": "Used for system critical pods that must not be moved from their current node."}
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
    request: Request = field(default_factory=lambda: Request("", ""))


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
    if change.operation == "DELETE" or change.resource.plural != "pods" or change.subresource or not change.object:
        return
    spec = change.object["spec"]
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(each.get("key", "") in (key, "") and each.get("effect", "") in ("NoExecute", "")
                   for each in spec.get("tolerations") or []):
            spec["tolerations"] = [*(spec.get("tolerations") or []), {
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": PATIENCE}]


async def priority(server: ApiServer, change: Change) -> None:
    """Every pod has a priority: that of the class that it names, or of the class for all that name none, or 0."""
    classes, plural, group = server.registry("priorityclasses", "scheduling.k8s.io"), "priorityclasses", "scheduling.k8s.io"
    if change.resource.plural == plural and change.operation == "DELETE" and change.name in SYSTEM_PRIORITIES:
        raise forbidden(plural, change.name, "this is a system priority class and cannot be deleted", group)
    if change.operation == "UPDATE" and change.resource.plural == "pods" and change.object and change.old:
        for field in ("priority", "preemptionPolicy"):       # who replaces a pod need not know them
            change.object["spec"].setdefault(field, change.old["spec"].get(field))
    if change.subresource or not change.object:
        return
    if change.resource.plural == plural and change.object.get("globalDefault"):
        for kv in (await classes.range("")).kvs:
            name = (other := classes.record(kv).obj)["metadata"]["name"]
            if other.get("globalDefault") and name != change.name:
                raise forbidden(plural, change.name, f"PriorityClass {name} is already marked as default. Only one default "
                                "can exist", group)
    if change.resource.plural == "pods" and change.operation == "CREATE":
        set_priority(change, [classes.record(kv).obj for kv in (await classes.range("")).kvs])


def set_priority(change: Change, classes: list[Object]) -> None:
    """Write a pod's priority into it. Raises ApiError 403 if its class is not there, or if it says another number."""
    spec = (change.object or {})["spec"]
    named = spec.get("priorityClassName") or next((each["metadata"]["name"] for each in classes if each.get("globalDefault")), "")
    found = next((each for each in classes if each["metadata"]["name"] == named), {"value": SYSTEM_PRIORITIES.get(named, 0)})
    if named and named not in SYSTEM_PRIORITIES and "metadata" not in found:
        raise forbidden("pods", change.name, f"no PriorityClass with name {named} was found")
    policy = found.get("preemptionPolicy", "PreemptLowerPriority")
    for part, kind, computed in (("priority", "integer value of priority", found["value"]),
                                  ("preemptionPolicy", "string value of PreemptionPolicy", policy)):
        if spec.get(part, computed) != computed:
            raise forbidden("pods", change.name, f"the {kind} ({spec[part]}) must not be provided in pod spec; priority "
                            f"admission controller computed {computed} from the given PriorityClass name")
        spec[part] = computed
    if named:
        spec["priorityClassName"] = named


ADMISSION: list[Admit] = [namespace_lifecycle, default_tolerations, priority]


async def admit(server: ApiServer, change: Change) -> None:
    """Ask each plugin that may change the object, in turn. The first that raises an ApiError ends the matter."""
    await ask_each(server, server.admission, change)


async def judge(server: ApiServer, change: Change) -> None:
    """Ask each plugin that only judges: the object is complete by then, and known to be valid."""
    await ask_each(server, server.judges, change)


async def ask_each(server: ApiServer, plugins: Sequence[Admit], change: Change) -> None:
    """Ask plugins in turn, and note who refused."""
    for plugin in plugins:
        try:
            await plugin(server, change)
        except ApiError:
            server.log.add("api", "refused", plugin=plugin.__name__, resource=change.resource.plural, name=change.name)
            raise
