"""What the server fills in where a manifest says nothing, so that everybody reads the same full object.

Genuine counterpart: k8s.io/kubernetes/pkg/apis/core/v1/defaults.go.
"""
from __future__ import annotations

from typing import Any

from tinykube.machinery.objects import Object, dig

KINDS_OF_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


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


def default_pod(pod: Object) -> None:
    """The defaults of a pod."""
    fill(pod, spec={})
    spec = pod["spec"]
    fill(spec, restartPolicy="Always", terminationGracePeriodSeconds=30, dnsPolicy="ClusterFirst", securityContext={},
         schedulerName="default-scheduler", enableServiceLinks=True)
    if spec["terminationGracePeriodSeconds"] < 0:
        spec["terminationGracePeriodSeconds"] = 1
    for kind in KINDS_OF_CONTAINERS:
        for container in items(spec, kind):
            default_container(container)
    if dig(spec, "hostNetwork") is True:
        for container in items(spec, "containers"):
            for port in items(container, "ports"):
                fill(port, hostPort=port.get("containerPort"))
    for volume in items(spec, "volumes"):
        if not set(volume) - {"name"}:
            volume["emptyDir"] = {}
        for source in ("configMap", "secret", "projected", "downwardAPI"):
            fill(volume.get(source), defaultMode=420)


def default_container(container: Object) -> None:
    """The defaults of one container. An image without a tag, or with `latest`, is pulled each time."""
    latest = tag_of(str(container.get("image") or "")) == "latest"
    fill(container, resources={}, terminationMessagePath="/dev/termination-log", terminationMessagePolicy="File",
         imagePullPolicy="Always" if latest else "IfNotPresent")
    for port in items(container, "ports"):
        fill(port, protocol="TCP")
    limits = dig(container, "resources", "limits", default={})
    if isinstance(limits, dict) and limits:
        fill(container["resources"], requests={})
        fill(container["resources"]["requests"], **limits)
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        fill(container.get(probe), timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
        fill(dig(container, probe, "httpGet"), path="/", scheme="HTTP")
    for variable in items(container, "env"):
        fill(dig(variable, "valueFrom", "fieldRef"), apiVersion="v1")


def tag_of(image: str) -> str:
    """The tag of an image's name; empty if a digest says which one is meant."""
    if "@" in image:
        return ""
    last = image.rsplit("/", 1)[-1]
    return last.partition(":")[2] or "latest"


def quality_of_service(pod: Object) -> str:
    """How safe a pod is when memory gets short: Guaranteed, Burstable or BestEffort."""
    asked, guaranteed = False, True
    for container in [*items(pod["spec"], "initContainers"), *items(pod["spec"], "containers")]:
        requests, limits = (dig(container, "resources", side, default={}) for side in ("requests", "limits"))
        named = {name for name in ("cpu", "memory") if name in requests or name in limits}
        asked = asked or bool(named)
        guaranteed = guaranteed and all(name in limits and requests.get(name, limits[name]) == limits[name]
                                        for name in ("cpu", "memory"))
    return "BestEffort" if not asked else "Guaranteed" if guaranteed else "Burstable"


def default_node(node: Object) -> None:
    """The defaults of a node: what it can give is what it has, until its kubelet says less."""
    fill(node, spec={}, status={})
    status = node["status"]
    if isinstance(status, dict) and status.get("capacity"):
        fill(status, allocatable=dict(status["capacity"]))
    fill(status, daemonEndpoints={"kubeletEndpoint": {"Port": 0}}, nodeInfo=dict.fromkeys(NODE_INFO, ""))


NODE_INFO = ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion",
             "kubeletVersion", "kubeProxyVersion", "operatingSystem", "architecture")


def default_event(event: Object) -> None:
    """Events carry some empty fields always."""
    fill(event, source={}, reportingComponent="", reportingInstance="")
    for field in ("firstTimestamp", "lastTimestamp", "eventTime"):
        event.setdefault(field, None)
