"""What in an object does not fit together, kind by kind: rules about two fields, which no table of single fields can say.

Each looks at an object and at what was found wrong with its fields so far, and returns what is wrong in all.

Genuine counterpart: the second halves of k8s.io/kubernetes/pkg/apis/*/validation.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinykube.api.defaults import POD_SPECS, items
from tinykube.machinery import errors
from tinykube.machinery.objects import Object, dig
from tinykube.machinery.quantity import parse_quantity
from tinykube.machinery.selectors import label_key_errors, label_value_errors

Causes = list[Object]
NEVER_ALWAYS = 'valid values: "OnFailure", "Never"'


def template_causes(obj: Object) -> Causes:
    """What is wrong with the labels and annotations of a template. (The genuine server leaves `metadata` out of the path.)"""
    path = POD_SPECS[obj["kind"]][:-1]
    meta, at, found = dig(obj, *path, "metadata", default={}), ".".join(path), list[Object]()
    for key, value in (meta.get("labels") or {}).items():
        found += [errors.invalid_value(f"{at}.labels", key, why) for why in label_key_errors(key)]
        found += [errors.invalid_value(f"{at}.labels", value, why) for why in label_value_errors(value)]
    return found + [errors.invalid_value(f"{at}.annotations", key, why)
                    for key in meta.get("annotations") or {} for why in label_key_errors(key.lower())]


def quota_causes(obj: Object, found: Causes) -> Causes:
    """Nobody can have less than nothing."""
    return found + [errors.invalid_value(f"spec.hard[{name}]", str(amount), "must be greater than or equal to 0")
                    for name, amount in (dig(obj, "spec", "hard", default={}) or {}).items() if parse_quantity(amount) < 0]


def claim_causes(obj: Object, found: Causes) -> Causes:
    """A claim says how much it needs."""
    if dig(obj, "spec", "resources", "requests", "storage"):
        return found
    return [each for each in found if each["field"] != "spec.resources"] + [errors.required("spec.resources[storage]")]


def volume_causes(obj: Object, found: Causes) -> Causes:
    """A volume says how much it has, and nothing else."""
    capacity = obj["spec"].get("capacity")
    return found if capacity else [*found, errors.unsupported_value("spec.capacity", capacity, ("storage",))]


def budget_causes(obj: Object, found: Causes) -> Causes:
    """A budget has one of two bounds."""
    spec = obj["spec"]
    if spec.get("minAvailable") is None or spec.get("maxUnavailable") is None:
        return found
    told = {name[0].upper() + name[1:]: spec.get(name) for name in (
        "minAvailable", "selector", "maxUnavailable", "unhealthyPodEvictionPolicy")}
    return [*found, errors.invalid_value("spec", told, "minAvailable and maxUnavailable cannot be both set")]


def autoscaler_causes(obj: Object, found: Causes) -> Causes:
    """At most is not less than at least."""
    most, least = obj["spec"].get("maxReplicas", 0), obj["spec"].get("minReplicas", 1)
    if most >= least:
        return found
    return [errors.invalid_value("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"), *found]


def stateful_causes(obj: Object, found: Causes) -> Causes:
    """Two ways to bring out what is new, in a sentence of their own."""
    way = dig(obj, "spec", "updateStrategy", default={})
    if way.get("type") in ("RollingUpdate", "OnDelete"):
        return found
    told = {"Type": way.get("type", ""), "RollingUpdate": way.get("rollingUpdate")}
    return [*found, errors.invalid_value("spec.updateStrategy", told, "must be 'RollingUpdate' or 'OnDelete'")]


def deployment_causes(obj: Object, found: Causes) -> Causes:
    """Old and new can't both be forbidden to give way, and who has to be ready for a while needs longer than that."""
    deadline, bounds = obj["spec"].get("progressDeadlineSeconds"), dig(obj, "spec", "strategy", "rollingUpdate", default={})
    if bounds.get("maxUnavailable") in NONE and bounds.get("maxSurge") in NONE:
        found = [*found, errors.invalid_value("spec.strategy.rollingUpdate.maxUnavailable", bounds["maxUnavailable"],
                                              "may not be 0 when `maxSurge` is 0")]
    if deadline is None or deadline > obj["spec"].get("minReadySeconds", 0):
        return found
    return [*found, errors.invalid_value("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")]


def daemon_causes(obj: Object, found: Causes) -> Causes:
    """On each node, the old pod goes first, or the new one comes first."""
    at, bounds = "spec.updateStrategy.rollingUpdate", dig(obj, "spec", "updateStrategy", "rollingUpdate", default={})
    fewer, more = bounds.get("maxUnavailable", 1), bounds.get("maxSurge", 0)
    if fewer in NONE and more in NONE:
        return [*found, errors.required(f"{at}.maxUnavailable", "cannot be 0 when maxSurge is 0")]
    if fewer in NONE or more in NONE:
        return found
    return [*found, errors.invalid_value(f"{at}.maxSurge", more, "may not be set when maxUnavailable is non-zero")]


NONE = (0, "0%")


def role_causes(obj: Object, found: Causes) -> Causes:
    """A rule speaks of resources, or of other paths; and other paths are in no namespace."""
    for number, rule in enumerate(items(obj, "rules")):
        urls, at = rule.get("nonResourceURLs"), f"rules[{number}]"
        named = rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames")
        why = [*(["namespaced rules cannot apply to non-resource URLs"] if obj["kind"] == "Role" else []),
               *(["rules cannot apply to both regular resources and non-resource URLs"] if named else [])] if urls else []
        found = [each for each in found if not urls or each["field"] not in (f"{at}.apiGroups", f"{at}.resources")]
        found += [errors.invalid_value(f"{at}.nonResourceURLs", urls, each) for each in why]
        if obj["kind"] == "ClusterRole" and not urls:
            found += [errors.required(f"{at}.{name}", f"resource rules must supply at least one {what}")
                      for name, what in (("apiGroups", "api group"), ("resources", "resource")) if not rule.get(name)]
    return found


def policy_causes(obj: Object, found: Causes) -> Causes:
    """A range of ports begins with a number and ends with one that is not less; a block of addresses stands alone."""
    for way, peers in (("ingress", "from"), ("egress", "to")):
        for at, rule in ((f"spec.{way}[{number}]", rule) for number, rule in enumerate(items(obj["spec"], way))):
            for number, port in enumerate(items(rule, "ports")):
                found = [*found, *range_causes(port.get("port"), port.get("endPort"), f"{at}.ports[{number}].endPort")]
            found = [*found, *(errors.forbidden_value(f"{at}.{peers}[{number}]", "may not specify both ipBlock and another peer")
                               for number, peer in enumerate(items(rule, peers)) if "ipBlock" in peer and len(peer) > 1)]
    return found


def range_causes(first: Any, last: int | None, at: str) -> Causes:
    """What is wrong with a range of ports."""
    if last is None:
        return []
    if not isinstance(first, int):
        why = [f"may not be specified when `port` is {'non-numeric' if first else 'not specified'}"]
    else:
        why = [*(["must be greater than or equal to `port`"] if last < first else []),
               *([] if 1 <= last <= 65535 else ["must be between 1 and 65535, inclusive"])]
    return [errors.invalid_value(at, last, each) for each in why]


def index_causes(obj: Object) -> Causes:
    """What is wrong with what a Job says of its indexes: it may not have any."""
    path = POD_SPECS[obj["kind"]][:-2]
    spec, at = dig(obj, *path, default={}), ".".join(path)
    if spec.get("completionMode") == "Indexed":
        return [] if spec.get("completions") is not None else [
            errors.required(f"{at}.completions", "when completion mode is Indexed")]
    found = [errors.required(f"{at}.backoffLimitPerIndex", "when maxFailedIndexes is specified")] \
        if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None else []
    return found + [errors.invalid_value(f"{at}.{name}", spec[name], "requires indexed completion mode")
                    for name in ("backoffLimitPerIndex", "maxFailedIndexes") if spec.get(name) is not None]


def job_causes(obj: Object, found: Causes) -> Causes:
    """What always runs never ends, so the pods of a Job may not be restarted always."""
    path, found = (*POD_SPECS[obj["kind"]], "restartPolicy"), [*found, *index_causes(obj)]
    if dig(obj, *path) != "Always":
        return found
    return [errors.required(each["field"], NEVER_ALWAYS) if each["field"] == ".".join(path) else each for each in found]


def cron_causes(obj: Object, found: Causes) -> Causes:
    """A CronJob has a Job's template in it."""
    return [*job_causes(obj, found), *template_causes(obj)]


def ingress_causes(obj: Object, found: Causes) -> Causes:
    """A backend's port has a name or a number."""
    backends = [("spec.defaultBackend", dig(obj, "spec", "defaultBackend"))]
    backends += [(f"spec.rules[{rule}].http.paths[{path}].backend", each.get("backend"))
                 for rule, of in enumerate(items(obj["spec"], "rules"))
                 for path, each in enumerate(items(of.get("http"), "paths"))]
    for at, backend in backends:
        port: Any = dig(backend, "service", "port", default={}) if dig(backend, "service") else None
        if port and port.get("name") and port.get("number"):
            found = [*found, errors.invalid_value(at, "", "cannot set both port name & port number")]
        elif port is not None and not port.get("name") and not port.get("number"):
            found = [*found, errors.required(at, "port name or number is required")]
    return found


RELATIONS: dict[tuple[str, str], Callable[[Object, Causes], Causes]] = {
    ("v1", "ResourceQuota"): quota_causes, ("v1", "PersistentVolumeClaim"): claim_causes, ("v1", "PersistentVolume"): volume_causes,
    ("policy/v1", "PodDisruptionBudget"): budget_causes, ("autoscaling/v2", "HorizontalPodAutoscaler"): autoscaler_causes,
    ("apps/v1", "StatefulSet"): stateful_causes, ("batch/v1", "Job"): job_causes, ("batch/v1", "CronJob"): cron_causes,
    ("networking.k8s.io/v1", "Ingress"): ingress_causes, ("networking.k8s.io/v1", "NetworkPolicy"): policy_causes,
    ("apps/v1", "Deployment"): deployment_causes, ("apps/v1", "DaemonSet"): daemon_causes,
    **{("rbac.authorization.k8s.io/v1", kind): role_causes for kind in ("Role", "ClusterRole")}}


def related(obj: Object, found: Causes) -> Causes:
    """What is wrong with an object, what does not fit together included."""
    check = RELATIONS.get((obj["apiVersion"], obj["kind"]))
    return check(obj, found) if check else found
