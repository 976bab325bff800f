"""What a DELETE makes of an object: nothing left, or an object that knows that it has to go.

Genuine counterpart: BeforeDelete in k8s.io/apiserver/pkg/registry/rest/delete.go.
"""
from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tinykube.machinery import errors
from tinykube.machinery.objects import Object, dig, format_time, parse_time

if TYPE_CHECKING:
    from tinykube.api.resources import Resource

WAITING = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}     # whom the object waits for, by policy
LEAVE_THEIRS = {("batch/v1", "jobs"), ("v1", "replicationcontrollers")}    # old kinds, whose pods stay if nobody says else


def finalizers(obj: Object) -> list[str]:
    """Who still has to clean up before the object may go. Namespaces have a second list in their spec."""
    in_spec = dig(obj, "spec", "finalizers", default=[]) if obj.get("kind") == "Namespace" else []
    return [*dig(obj, "metadata", "finalizers", default=[]), *in_spec]


def may_vanish(obj: Object) -> bool:
    """Whether an object that is marked for deletion has nothing left to wait for."""
    meta = obj["metadata"]
    return bool(meta.get("deletionTimestamp")) and not meta.get("deletionGracePeriodSeconds") and not finalizers(obj)


def policy_causes(options: Object) -> list[Object]:
    """What is wrong with what a client says of the objects that depend on the one to be deleted."""
    policy = options.get("propagationPolicy")
    if policy is not None and "orphanDependents" in options:
        return [errors.invalid_value("propagationPolicy", policy, "orphanDependents and deletionPropagation cannot be both set")]
    known = policy in (None, "Background", *WAITING)
    return [] if known else [errors.unsupported_value("propagationPolicy", policy, ("Foreground", "Background", "Orphan", "nil"))]


def waiting_for(obj: Object, resource: Resource, options: Object) -> list[str]:
    """The finalizers of an object that is to go: the garbage collector's is there if dependents are to go first, or to stay.

    What the client says counts, else a finalizer that the object has already, else the habit of its kind.
    """
    had: list[str] = dig(obj, "metadata", "finalizers", default=[])
    kept = [each for each in had if each not in WAITING.values()]
    policy = options.get("propagationPolicy")
    if resource.plural == "events":
        return had
    if "orphanDependents" in options:
        wanted = WAITING["Orphan"] if options["orphanDependents"] else None
    elif policy:
        wanted = WAITING.get(policy)
    else:
        wanted = next((each for each in had if each in WAITING.values()),
                      WAITING["Orphan"] if (resource.api_version, resource.plural) in LEAVE_THEIRS else None)
    return [*kept, wanted] if wanted else kept


def marked(obj: Object, resource: Resource, options: Object, now: datetime) -> Object:
    """`obj` with the mark of its deletion: when it has to be gone, and how long it may take. Maybe `obj` itself.

    A second DELETE can shorten the time that the first one gave, never lengthen it.
    """
    waits = waiting_for(obj, resource, options)
    if waits != dig(obj, "metadata", "finalizers", default=[]):
        kept = {key: value for key, value in obj["metadata"].items() if key != "finalizers"}
        obj = {**obj, "metadata": {**kept, **({"finalizers": waits} if waits else {})}}
    meta, grace = obj["metadata"], resource.strategy.grace(obj, options.get("gracePeriodSeconds"))
    if meta.get("deletionTimestamp"):
        given = meta.get("deletionGracePeriodSeconds") or 0
        if grace >= given:
            return obj
        end = parse_time(meta["deletionTimestamp"]) - timedelta(seconds=given - grace)
    else:
        end = now + timedelta(seconds=grace)
    first = not meta.get("deletionTimestamp")
    mark: Object = {"deletionTimestamp": format_time(end)}
    if resource.plural != "namespaces":
        mark["deletionGracePeriodSeconds"] = grace
    if first and "generation" in meta:
        mark["generation"] = meta["generation"] + 1
    going = resource.strategy.going({**obj, "metadata": {**meta, **mark}})
    return going if resource.plural != "namespaces" else {**going, "status": {**(obj.get("status") or {}),
                                                                            "phase": "Terminating"}}


def check_preconditions(obj: Object, options: Object, resource: Resource) -> None:
    """Raise ApiError 409 unless the object is the one that the client means."""
    for field, what, may in (("uid", "UID", "deleted and then recreated"), ("resourceVersion", "ResourceVersion", "modified")):
        wanted, found = dig(options, "preconditions", field), obj["metadata"].get(field)
        if wanted is not None and wanted != found:
            raise errors.conflict(resource.kind, obj["metadata"]["name"], f"the {what} in the precondition ({wanted}) "
                                  f"does not match the {what} in record ({found}). The object might have been {may}",
                                  resource.group)
