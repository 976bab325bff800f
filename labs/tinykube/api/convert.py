"""One object in two versions: stored once, in the form of one, and told in the form of the other on the way.

Genuine counterpart: the conversions of k8s.io/kubernetes/pkg/apis/*/v*/conversion.go.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tinykube.machinery.objects import Object

if TYPE_CHECKING:
    from tinykube.api.resources import Resource

Convert = Callable[[Object], Object]
RENAMED = {                              # in v1, in events.k8s.io/v1
    "involvedObject": "regarding", "message": "note", "source": "deprecatedSource", "count": "deprecatedCount",
    "firstTimestamp": "deprecatedFirstTimestamp", "lastTimestamp": "deprecatedLastTimestamp",
    "reportingComponent": "reportingController"}
BACK = {new: old for old, new in RENAMED.items()}


def renamed(obj: Object, names: dict[str, str]) -> Object:
    """`obj` with other names for its fields, at the top alone."""
    return {names.get(field, field): value for field, value in obj.items()}


def newer_event(obj: Object) -> Object:
    """An event of v1 as events.k8s.io/v1, which leaves out who reports if nobody does."""
    return {field: value for field, value in renamed(obj, RENAMED).items() if value != "" or not field.startswith("reporting")}


def utilization_to_metric(obj: Object) -> Object:
    """A HorizontalPodAutoscaler of autoscaling/v1 as v2: the percentage becomes one metric of many."""
    spec = dict(obj.get("spec") or {})
    percent = spec.pop("targetCPUUtilizationPercentage", None)
    if percent is not None:
        target = {"type": "Utilization", "averageUtilization": percent}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    return {**obj, "spec": spec}


def metric_to_utilization(obj: Object) -> Object:
    """A HorizontalPodAutoscaler of autoscaling/v2 as v1, which knows the processors' utilization and no other metric."""
    spec = dict(obj.get("spec") or {})
    for metric in spec.pop("metrics", None) or []:
        cpu = metric.get("resource") or {}
        if cpu.get("name") == "cpu" and "averageUtilization" in cpu.get("target", {}):
            spec["targetCPUUtilizationPercentage"] = cpu["target"]["averageUtilization"]
    spec.pop("behavior", None)
    status = {field: value for field, value in (obj.get("status") or {}).items()
              if field not in ("currentMetrics", "conditions")}
    return {**obj, "spec": spec, "status": {"currentReplicas": 0, **status}}


CONVERTERS: dict[tuple[str, str], tuple[Convert, Convert]] = {
    ("events.k8s.io/v1", "events"): (lambda obj: renamed(obj, BACK), newer_event),
    ("autoscaling/v1", "horizontalpodautoscalers"): (utilization_to_metric, metric_to_utilization),
}
ALIKE: tuple[Convert, Convert] = (lambda obj: obj, lambda obj: obj)      # but for the name of the version


def to_stored(resource: Resource, obj: Object) -> Object:
    """What a client sent, in the form that is stored."""
    home = resource.stored_as
    if home is None:
        return obj
    convert, _ = CONVERTERS.get((resource.api_version, resource.plural), ALIKE)
    return convert({**obj, "apiVersion": home.api_version})


def from_stored(resource: Resource, obj: Object) -> Object:
    """What is stored (an object or a list), in the form that the client asked for."""
    home = resource.stored_as
    if home is None:
        return obj
    if "items" in obj:
        items = [from_stored(resource, item) for item in obj["items"]]
        return {**obj, "items": [{k: v for k, v in each.items() if k not in ("kind", "apiVersion")} for each in items]}
    _, convert = CONVERTERS.get((resource.api_version, resource.plural), ALIKE)
    return convert({**obj, "apiVersion": resource.api_version})
