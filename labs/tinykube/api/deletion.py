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


def finalizers(obj: Object) -> list[str]:
    """Who still has to clean up before the object may go. Namespaces have a second list in their spec."""
    in_spec = dig(obj, "spec", "finalizers", default=[]) if obj.get("kind") == "Namespace" else []
    return [*dig(obj, "metadata", "finalizers", default=[]), *in_spec]


def may_vanish(obj: Object) -> bool:
    """Whether an object that is marked for deletion has nothing left to wait for."""
    meta = obj["metadata"]
    return bool(meta.get("deletionTimestamp")) and not meta.get("deletionGracePeriodSeconds") and not finalizers(obj)


def marked(obj: Object, resource: Resource, wanted: int | None, now: datetime) -> Object:
    """`obj` with the mark of its deletion: when it has to be gone, and how long it may take. Maybe `obj` itself.

    A second DELETE can shorten the time that the first one gave, never lengthen it.
    """
    meta, grace = obj["metadata"], resource.strategy.grace(obj, wanted)
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
    for field, what in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        wanted, found = dig(options, "preconditions", field), obj["metadata"].get(field)
        if wanted is not None and wanted != found:
            raise errors.conflict(resource.kind, obj["metadata"]["name"], f"the {what} in the precondition ({wanted}) "
                                  f"does not match the {what} in record ({found}). The object might have been deleted "
                                  "and then recreated", resource.group)
