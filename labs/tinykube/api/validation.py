"""What the server refuses, field by field, in the words of the genuine one.

Genuine counterpart: k8s.io/kubernetes/pkg/apis/core/validation/validation.go.
"""
from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from tinykube.api.defaults import POD_SPECS, items
from tinykube.machinery import errors
from tinykube.machinery.objects import Object, dig
from tinykube.machinery.quantity import parse_quantity
from tinykube.machinery.selectors import label_key_errors, label_value_errors, subdomain_errors

Causes = list[Object]
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LABEL_RULE = ("a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start "
              "and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
              "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')")
KEY = re.compile(r"[-._a-zA-Z0-9]+")
KEY_RULE = ("a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
            "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')")
ENV_RULE = ("a valid environment variable name must consist only of printable ASCII characters other than '='")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
LARGEST_ANNOTATIONS = 256 * 1024
LARGEST_CONFIGMAP = 1024 * 1024
LONGEST_IN_EVENTS = {"reportingInstance": 128, "action": 128, "reason": 128, "message": 1024}


def label_errors(value: str) -> list[str]:
    """What is wrong with a DNS label, the form of namespaces' and containers' names."""
    found = ["must be no more than 63 bytes"] if len(value) > 63 else []
    return found if LABEL.fullmatch(value) else [*found, LABEL_RULE]


def path_segment_errors(value: str) -> list[str]:
    """What is wrong with a name that only has to fit into a path: those of roles, such as system:node."""
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return [f"may not contain '{each}'" for each in "/%" if each in value]


def validate_metadata(obj: Object, strict_names: bool = False) -> Causes:
    """What is wrong with an object's name, labels and annotations. Nodes' and most names are DNS subdomains."""
    meta = obj["metadata"]
    found: Causes = []
    if not meta.get("name"):
        found.append(errors.required("metadata.name", "name or generateName is required"))
    else:
        judge = namespace_name_errors if strict_names else subdomain_errors
        wrong = (path_segment_errors if str(obj.get("apiVersion")).startswith("rbac.") else judge)(meta["name"])
        found += [errors.invalid_value("metadata.name", meta["name"], why) for why in wrong]
    found += validate_labels(meta.get("labels"), "metadata.labels")
    found += validate_annotations(meta.get("annotations") or {})
    return found + validate_owners(meta.get("ownerReferences") or []) + validate_finalizers(meta.get("finalizers") or [])


def validate_owners(owners: list[Object]) -> Causes:
    """What is wrong with references to owners: all four facts are needed, and one of them at most may be in control."""
    at = "metadata.ownerReferences"
    found = [errors.required(f"{at}[{number}].{field}", "must not be empty") for number, owner in enumerate(owners)
             for field in ("apiVersion", "kind", "name", "uid") if not owner.get(field)]
    found += [errors.invalid_value(at, f"{owner['apiVersion']}, Kind={owner['kind']}", "is disallowed from being an owner")
              for owner in owners if (owner.get("apiVersion"), owner.get("kind")) == ("v1", "Event")]
    heads = [f"{owner.get('kind')}/{owner.get('name')}" for owner in owners if owner.get("controller")]
    told = [{key: owner[key] for key in ("apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion") if key in owner}
            for owner in owners]
    return found + [errors.invalid_value(at, told, 'Only one reference can have Controller set to true. Found "true" in '
                                         f"references for {one} and {other}") for one, other in pairwise(heads)]


def validate_finalizers(names: list[str]) -> Causes:
    """What is wrong with finalizers: a name of somebody's own has a domain; dependents can't both stay and go first."""
    found = [errors.invalid_value("metadata.finalizers", name, why) for name in names for why in label_key_errors(name)]
    if {"orphan", "foregroundDeletion"} <= set(names):
        found.append(errors.invalid_value("metadata.finalizers", names, "finalizers orphan and foregroundDeletion cannot be "
                                          "both set"))
    return found + [errors.invalid_value(f"metadata.finalizers[{at}]", name, UNQUALIFIED) for at, name in enumerate(names)
                    if "/" not in name and name not in ("kubernetes", "orphan", "foregroundDeletion")]


UNQUALIFIED = "name is neither a standard finalizer name nor is it fully qualified"


def namespace_name_errors(name: str) -> list[str]:
    """What is wrong with a namespace's name, which has to be a label because it becomes part of DNS names."""
    return ["must not contain dots"] if "." in name else label_errors(name)


def validate_labels(labels: Any, field: str) -> Causes:
    """What is wrong with a map of labels."""
    found: Causes = []
    for key, value in (labels or {}).items():
        found += [errors.invalid_value(field, key, why) for why in label_key_errors(key)]
        found += [errors.invalid_value(f"{field}", value, why) for why in label_value_errors(value)]
    return found


def validate_annotations(annotations: dict[str, str]) -> Causes:
    """What is wrong with annotations: their keys, or their size."""
    found = [errors.invalid_value("metadata.annotations", key, why)
             for key in annotations for why in label_key_errors(key.lower())]
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > LARGEST_ANNOTATIONS:
        found.append(errors.too_long_value("metadata.annotations", LARGEST_ANNOTATIONS))
    return found


def validate_metadata_update(obj: Object, old: Object) -> Causes:
    """What of the metadata may never change."""
    new, before = obj["metadata"], old["metadata"]
    found = [errors.invalid_value(f"metadata.{field}", new.get(field), "field is immutable")
             for field in ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp",
                           "deletionGracePeriodSeconds") if new.get(field) != before.get(field)]
    late = sorted(set(new.get("finalizers") or ()) - set(before.get("finalizers") or ()))
    if before.get("deletionTimestamp") and late:
        told = ", ".join(f'"{name}"' for name in late)
        found.append(errors.forbidden_value("metadata.finalizers", "no new finalizers can be added if the object is being "
                                            f"deleted, found new finalizers []string{{{told}}}"))
    return found


def validate_pod(obj: Object) -> Causes:
    """What is wrong with a pod, or with the template of pods, beyond single fields: what does not fit together."""
    path = POD_SPECS.get(obj["kind"])
    if not path:
        return []
    spec, at, found = dig(obj, *path), ".".join(path), list[Object]()
    volumes: set[str] = set()
    for number, volume in enumerate(items(spec, "volumes")):
        found += taken(volume.get("name"), f"{at}.volumes[{number}].name", volumes)
    names: set[str] = set()
    for kind in ("containers", "initContainers"):
        for number, container in enumerate(items(spec, kind)):
            found += taken(container.get("name"), f"{at}.{kind}[{number}].name", names)
            found += validate_container(container, f"{at}.{kind}[{number}]", volumes)
            found += passing_causes(container, f"{at}.{kind}[{number}]") if kind == "initContainers" else []
            if obj["kind"] == "Pod" and (image := container.get("image") or "") != image.strip():
                found.append(errors.invalid_value(f"{at}.{kind}[{number}].image", image, "must not have leading or trailing "
                                                  "whitespace"))
    found += [errors.invalid_value(f"{at}.{name}", text, why) for name in ("hostname", "subdomain")
              if (text := dig(spec, name)) for why in namespace_name_errors(text)]
    for number, toleration in enumerate(items(spec, "tolerations")):
        found += validate_toleration(toleration, f"{at}.tolerations[{number}]")
    return found


OF_THOSE_THAT_STAY = ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")


def passing_causes(container: Object, at: str) -> Causes:
    """What is wrong with a container that runs before the others: it ends, unless it is restarted always."""
    return [] if container.get("restartPolicy") == "Always" else [
        errors.forbidden_value(f"{at}.{each}", "may not be set for init containers without restartPolicy=Always")
        for each in OF_THOSE_THAT_STAY if container.get(each)]


def taken(name: Any, field: str, names: set[str]) -> Causes:
    """A cause if the name of a container or volume is taken. `names` collects those that are."""
    found = [errors.duplicate_value(field, name)] if name and name in names else []
    names.add(name)
    return found


def validate_container(container: Object, at: str, volumes: set[str]) -> Causes:
    """What is wrong with one container."""
    found = validate_env(items(container, "env"), f"{at}.env")
    found += [errors.missing_value(f"{at}.volumeMounts[{number}].name", mount["name"])
              for number, mount in enumerate(items(container, "volumeMounts"))
              if mount.get("name") and mount["name"] not in volumes]
    found += [errors.invalid_value(f"{at}.volumeMounts[{number}].subPathExpr", mount["subPathExpr"],
                                   "subPathExpr and subPath are mutually exclusive")
              for number, mount in enumerate(items(container, "volumeMounts")) if mount.get("subPath") and mount.get("subPathExpr")]
    if (grace := dig(container, "readinessProbe", "terminationGracePeriodSeconds")) is not None:
        found.append(errors.invalid_value(f"{at}.readinessProbe.terminationGracePeriodSeconds", grace,
                                          "must not be set for readinessProbes"))
    return found + validate_resources(container.get("resources") or {}, f"{at}.resources")


FOR_VARIABLES = ("metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
                 "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs")
FOR_FILES = ("metadata.annotations", "metadata.labels", "spec.restartPolicy", "spec.schedulerName", "status.phase")


def validate_env(variables: list[Object], at: str) -> Causes:
    """What is wrong with a container's environment."""
    found: Causes = []
    for number, variable in enumerate(variables):
        name = variable.get("name") or ""
        if "=" in name or not (name.isascii() and name.isprintable()):
            found.append(errors.invalid_value(f"{at}[{number}].name", name, ENV_RULE))
        if variable.get("value") and variable.get("valueFrom"):
            found.append(errors.invalid_value(f"{at}[{number}].valueFrom", "",
                                              "may not be specified when `value` is not empty"))
        if path := dig(variable, "valueFrom", "fieldRef", "fieldPath"):
            found += field_causes(path, f"{at}[{number}].valueFrom.fieldRef.fieldPath")
    return found


def field_causes(path: str, at: str) -> Causes:
    """What is wrong with the field of a pod that a variable is to hold: there is none, or variables can't hold it."""
    name, key = path.removesuffix("']").split("['") if path.endswith("']") and path.count("['") == 1 else (path, "")
    if path in FOR_VARIABLES or (key and name in ("metadata.annotations", "metadata.labels")):
        return []
    if name in FOR_FILES:
        return [errors.unsupported_value(at, path, FOR_VARIABLES)]
    why = f"{'does not support subscript' if key else 'not supported'}: {path}"
    return [errors.invalid_value(at, path, f"error converting fieldPath: field label {why}")]


def validate_resources(resources: Object, at: str) -> Causes:
    """What is wrong with requests and limits: negative, or more requested than allowed."""
    found: Causes = []
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for side, amounts in (("limits", limits), ("requests", requests)):
        found += [errors.invalid_value(f"{at}.{side}[{name}]", str(amount), "must be greater than or equal to 0")
                  for name, amount in sorted(amounts.items()) if parse_quantity(amount) < 0]
    for name, amount in sorted(requests.items()):
        if name in limits and parse_quantity(amount) > parse_quantity(limits[name]):
            found.append(errors.invalid_value(f"{at}.requests", str(amount),
                                              f"must be less than or equal to {name} limit of {limits[name]}"))
    return found


def validate_toleration(toleration: Object, at: str) -> Causes:
    """What is wrong with a toleration."""
    found: Causes = []
    key, operator, effect = (toleration.get(field) or "" for field in ("key", "operator", "effect"))
    if not key and operator != "Exists":
        found.append(errors.invalid_value(f"{at}.operator", operator, "operator must be Exists when `key` is empty, "
                                          "which means \"match all values and all keys\""))
    if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
        found.append(errors.invalid_value(f"{at}.effect", effect,
                                          "effect must be 'NoExecute' when `tolerationSeconds` is set"))
    if operator == "Exists" and toleration.get("value"):
        found.append(errors.invalid_value(f"{at}.operator", toleration["value"],
                                          "value must be empty when `operator` is 'Exists'"))
    return found


FROZEN = ("pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
          "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
          "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)")


def changeable(spec: Object) -> Object:
    """A pod's spec without the few fields that may change later."""
    kept = {key: value for key, value in spec.items() if key not in ("activeDeadlineSeconds", "tolerations", "schedulingGates")}
    for kind in ("containers", "initContainers"):
        if kind in kept:
            kept[kind] = [{key: value for key, value in container.items() if key != "image"}
                          for container in kept[kind]]
    return kept


def validate_pod_update(pod: Object, old: Object) -> Causes:
    """What of a pod may not change: nearly all of its spec. What ran with the old one can't run with the new."""
    found: Causes = []
    if len(pod["spec"].get("containers") or []) != len(old["spec"]["containers"]):
        return [errors.forbidden_value("spec.containers", "pod updates may not add or remove containers")]
    now, before = (each["spec"].get("activeDeadlineSeconds") for each in (pod, old))
    if before is not None and (now is None or now > before):
        found.append(errors.invalid_value("spec.activeDeadlineSeconds", now, (
            "must not update from a positive integer to nil value" if now is None
            else "must be less than or equal to previous value")))
    kept = pod["spec"].get("tolerations") or []
    if any(toleration not in kept for toleration in old["spec"].get("tolerations") or []):
        found.append(errors.forbidden_value("spec.tolerations", "existing toleration can not be modified except its "
                                            "tolerationSeconds"))
    gates = old["spec"].get("schedulingGates") or []
    found += [errors.forbidden_value("spec.schedulingGates", f"only deletion is allowed, but found new scheduling gate "
                                     f"'{each['name']}'") for each in items(pod["spec"], "schedulingGates") if each not in gates]
    if changeable(pod["spec"]) != changeable(old["spec"]):
        found.append(errors.forbidden_value("spec", FROZEN))
    return found


def validate_ephemeral(pod: Object, old: Object) -> Causes:
    """What is wrong with a change of ephemeral containers: they come, and never change or go."""
    now = {each.get("name"): each for each in items(pod["spec"], "ephemeralContainers")}
    return [errors.forbidden_value("spec.ephemeralContainers", f'existing ephemeral containers "{each["name"]}" may not be '
                                   f'{"changed" if each["name"] in now else "removed"}\n')
            for each in items(old["spec"], "ephemeralContainers") if now.get(each["name"]) != each]


def validate_node(node: Object) -> Causes:
    """What is wrong with a node: a taint without an effect, or two taints that are one."""
    found: Causes = []
    seen: set[tuple[str, str]] = set()
    for at, taint in enumerate(items(node.get("spec"), "taints")):
        field, key, effect = f"metadata.taints[{at}]", taint.get("key") or "", taint.get("effect") or ""
        found += [errors.invalid_value(f"{field}.key", key, why) for why in label_key_errors(key)]
        if not effect:
            found.append(errors.required(f"{field}.effect"))
        elif effect not in EFFECTS:
            found.append(errors.unsupported_value(f"{field}.effect", effect, EFFECTS))
        if (key, effect) in seen:
            told = {"Key": key, "Value": taint.get("value") or "", "Effect": effect, "TimeAdded": None}
            cause = errors.invalid_value(field, told, "taints must be unique by key and effect pair")
            text = cause["message"].replace("Invalid value", "Duplicate value").replace('", "', '","')
            found.append({**cause, "reason": "FieldValueDuplicate", "message": text.replace('": ', '":', 4)})
        seen.add((key, effect))
    return found


def validate_node_update(node: Object, old: Object) -> Causes:
    """What of a node may not change: the addresses that were handed out for its pods."""
    found: Causes = []
    before, after = dig(old, "spec", "podCIDRs", default=[]), dig(node, "spec", "podCIDRs", default=[])
    if before and before != after:
        found.append(errors.forbidden_value("spec.podCIDRs", "node updates may not change podCIDR except from \"\" to valid"))
    if dig(old, "spec", "providerID") and dig(node, "spec", "providerID") != dig(old, "spec", "providerID"):
        found.append(errors.invalid_value("spec.providerID", None, "field cannot be modified once set"))
    return found


def validate_namespace(namespace: Object) -> Causes:
    """What is wrong with a namespace beyond its name: nothing that a finalizer's name could not be."""
    return [errors.invalid_value("spec.finalizers", each, UNQUALIFIED) for each in dig(namespace, "spec", "finalizers", default=[])
            if each != "kubernetes" and "/" not in each]


def validate_configmap(config: Object) -> Causes:
    """What is wrong with a ConfigMap: keys that can't be file names, keys that occur twice, too much of all."""
    data, binary, found = config.get("data") or {}, config.get("binaryData") or {}, list[Object]()
    for side, values in (("data", data), ("binaryData", binary)):
        for key in sorted(values):
            why = key_error(key)
            if why:
                found.append(errors.invalid_value(f"{side}[{key}]", key, why))
            if side == "data" and key in binary:
                found.append(errors.invalid_value(f"data[{key}]", key, "duplicate of key present in binaryData"))
    if sum(len(str(value).encode()) for value in [*data.values(), *binary.values()]) > LARGEST_CONFIGMAP:
        found.append(errors.too_long_value("[]", LARGEST_CONFIGMAP))
    return found


def key_error(key: str) -> str:
    """What is wrong with a key of a ConfigMap, or ''."""
    if len(key) > 253:
        return "must be no more than 253 characters"
    if key in (".", ".."):
        return f"must not be '{key}'"
    if key.startswith(".."):
        return "must not start with '..'"
    return "" if KEY.fullmatch(key) else KEY_RULE


def validate_event(event: Object, controller: str = "reportingComponent") -> Causes:
    """What is wrong with an event. One with an eventTime has to say who reports, and what was done."""
    about, where = dig(event, "involvedObject", "namespace", default=""), event["metadata"].get("namespace", "")
    if not event.get("eventTime"):
        fits = about == where or (about == "" and where == "default")
        return [] if fits else [errors.invalid_value("involvedObject.namespace", about, "does not match event.namespace")]
    found: Causes = []
    if not about and where not in ("default", "kube-system"):
        found.append(errors.invalid_value("involvedObject.namespace", about, "does not match event.namespace"))
    reporter = event.get("reportingComponent") or ""
    found += [] if reporter else [errors.required(controller)]
    found += [errors.invalid_value(controller, reporter, why) for why in label_key_errors(reporter)]
    for field, most in LONGEST_IN_EVENTS.items():
        text = event.get(field) or ""
        if not text and field != "message":
            found.append(errors.required(field))
        elif len(text.encode()) > most:
            found.append(errors.invalid_value(field, "", f"can have at most {most} characters"))
    return found


def validate_new_event(event: Object) -> Causes:
    """What is wrong with an event that somebody creates in the newer version, which takes nothing of the old form."""
    if not event.get("eventTime"):
        return [errors.required("eventTime")]
    series, kind, found = event.get("series"), event.get("type") or "", list[Object]()
    if series is not None and series.get("count", 0) < 2:
        found.append(errors.invalid_value("series.count", "", "should be at least 2"))
    if series is not None and not series.get("lastObservedTime"):
        found.append(errors.required("series.lastObservedTime"))
    if kind not in ("Normal", "Warning"):
        found.append(errors.invalid_value("type", "", f"has invalid value: {kind}"))
    return [*found, *(errors.invalid_value(field, "", "needs to be unset")
                      for field in ("firstTimestamp", "lastTimestamp", "count", "source") if event.get(field))]
