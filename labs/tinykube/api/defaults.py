"""What the server fills in where a manifest says nothing, so that everybody reads the same full object.

Nearly all of it is a table, asked of a genuine server: a type, a field, a value, and sometimes a condition.

Genuine counterpart: k8s.io/kubernetes/pkg/apis/core/v1/defaults.go.
"""
from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from tinykube.api.fields import Branch, holds, of_kind, visit
from tinykube.api.openapi import typed
from tinykube.machinery.objects import Object, copy, dig

DEFAULTS: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "defaults.json").read_text())

KINDS_OF_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
TEMPLATE = ("spec", "template", "spec")
POD_SPECS = {                            # where the kinds that are pods, or make pods, have a pod's spec
    "Pod": ("spec",), "PodTemplate": ("template", "spec"), "CronJob": ("spec", "jobTemplate", *TEMPLATE),
    **dict.fromkeys(("ReplicationController", "ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "Job"), TEMPLATE)}


def fill(obj: Any, **defaults: Any) -> None:
    """Set the fields that are missing or null; where `obj` is no object, leave that to validation."""
    if isinstance(obj, dict):
        for name, value in defaults.items():
            if obj.get(name) is None:
                obj[name] = value


def items(obj: Any, name: str) -> list[Object]:
    """The objects in a list field; an empty list where there is none. A null in it counts as an empty object."""
    found = obj.get(name) if isinstance(obj, dict) else None
    return [item if isinstance(item, dict) else {} for item in found] if isinstance(found, list) else []


@cache
def defaults_of(api_version: str, kind: str) -> Branch | None:
    """The entries of the table that concern objects of a kind."""
    return of_kind(DEFAULTS, api_version, kind)


@cache
def has_spec(api_version: str, kind: str) -> bool:
    """Whether objects of a kind have a spec. Then a missing one is an empty one."""
    group, _, version = api_version.rpartition("/")
    return "spec" in typed(group, version, kind).resolved().get("properties", {})


def fill_in(obj: Object) -> None:
    """Fill in what the table knows. Where zero counts as missing, an empty text or a 0 is replaced, too."""
    if obj.get("spec") is None and has_spec(obj["apiVersion"], obj["kind"]):
        obj["spec"] = {}
    for _, value, entries in visit(obj, defaults_of(obj["apiVersion"], obj["kind"])):
        given = {name for name in value if value[name] not in (None, "", [])}
        for entry in entries:
            have = value.get(entry["field"])
            missing = have is None or ("zero" in entry and have in ("", 0)) or (have == [] and entry["value"] is None) \
                or (have == {} and entry["field"] == "status")
            if missing and holds(entry.get("if", ""), value, given):
                value[entry["field"]] = copy(entry["value"])


def default_pod(obj: Object) -> None:
    """What in a pod's spec follows from other fields, so that no table can say it."""
    path = POD_SPECS.get(obj["kind"])
    if not path:
        return
    inner: Any = obj
    for step in path:
        if step == "spec":
            fill(inner, spec={}, metadata={})
        elif obj["kind"] != "ReplicationController":         # there alone, a template may be left out
            fill(inner, **{step: {}})
        inner = dig(inner, step)
    spec = dig(obj, *path)
    if first_name := dig(spec, "serviceAccount"):
        fill(spec, serviceAccountName=first_name)
    for container in items(spec, "ephemeralContainers"):         # another type, the same fields
        fill(container, **{entry["field"]: copy(entry["value"]) for entry in DEFAULTS["core.v1.Container"]})
    for kind in KINDS_OF_CONTAINERS:
        for container in items(spec, kind):
            default_container(container)
            if obj["kind"] == "Pod":     # a template asks for no more than it says
                request_limits(container)
    if dig(spec, "hostNetwork") is True:
        for container in items(spec, "containers"):
            for port in items(container, "ports"):
                fill(port, hostPort=port.get("containerPort"))
    for volume in items(spec, "volumes"):
        if not set(volume) - {"name"}:
            volume["emptyDir"] = {}


def default_container(container: Object) -> None:
    """An image without a tag, or with `latest`, is pulled each time."""
    latest = tag_of(str(container.get("image") or "")) == "latest"
    fill(container, imagePullPolicy="Always" if latest else "IfNotPresent")


def request_limits(container: Object) -> None:
    """What is limited is asked for as well."""
    limits = dig(container, "resources", "limits", default={})
    if isinstance(limits, dict) and limits:
        fill(container["resources"], requests={})
        fill(container["resources"]["requests"], **limits)


def tag_of(image: str) -> str:
    """The tag of an image's name; empty if a digest says which one is meant."""
    if "@" in image:
        return ""
    last = image.rsplit("/", 1)[-1]
    return last.partition(":")[2] or "latest"


def default_node(node: Object) -> None:
    """The defaults of a node: what it can give is what it has, until its kubelet says less; its range is its first."""
    spec, status = node.get("spec") or {}, node["status"]
    if isinstance(spec, dict) and spec.get("podCIDR") and (spec.get("podCIDRs") or [""])[0] != spec["podCIDR"]:
        spec["podCIDRs"] = [spec["podCIDR"]]
    if isinstance(status, dict) and status.get("capacity"):
        fill(status, allocatable=dict(status["capacity"]))
