"""The node as the kubelet presents it: what it offers, how it is, and the lease that says that it is alive.

Genuine counterpart: kubelet_node_status.go and component-helpers' lease controller.
"""

from __future__ import annotations

import platform
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tinykube.machinery.objects import Object

LEASE_NAMESPACE, LEASE_SECONDS, RENEW_SECONDS = "kube-node-lease", 40, 10
VERSION = "v1.37.0-tiny"
ARCHITECTURES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64"}

HEALTH = [          # type, status, reason, message; clients look for Ready as the last one
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
]


PRESSED = {         # what is said instead when the node runs short of something
    "MemoryPressure": ("True", "KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
    "DiskPressure": ("True", "KubeletHasDiskPressure", "kubelet has disk pressure"),
}


@dataclass(frozen=True)
class Machine:
    """What a kubelet says of where it runs."""

    name: str
    capacity: Mapping[str, str]
    runtime: str                       # name://version
    address: str = "127.0.0.1"
    port: int = 10250
    labels: Mapping[str, str] | None = None


def node_object(machine: Machine, now: str) -> Object:
    """The Node that a kubelet registers."""
    system, cpu = platform.system().lower(), ARCHITECTURES.get(platform.machine(), platform.machine())
    return {
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": machine.name, "labels": {
            "kubernetes.io/hostname": machine.name, "kubernetes.io/os": system, "kubernetes.io/arch": cpu,
            **(machine.labels or {})}},
        "spec": {},
        "status": node_status(machine, now),
    }


def node_status(machine: Machine, now: str, pressures: Collection[str] = ()) -> Object:
    """How the node is now, and what it runs short of."""
    system, cpu = platform.system().lower(), ARCHITECTURES.get(platform.machine(), platform.machine())
    return {
        "capacity": dict(machine.capacity), "allocatable": dict(machine.capacity),
        "conditions": [{"type": kind, "status": status, "reason": reason, "message": message,
                        "lastHeartbeatTime": now, "lastTransitionTime": now}
                       for kind, *said in HEALTH
                       for status, reason, message in [PRESSED[kind] if kind in pressures else said]],
        "addresses": [{"type": "InternalIP", "address": machine.address},
                      {"type": "Hostname", "address": machine.name}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": machine.port}},
        "nodeInfo": {"machineID": "", "systemUUID": "", "bootID": "", "kernelVersion": platform.release(),
                     "osImage": f"{platform.system()} {platform.release()}", "operatingSystem": system,
                     "architecture": cpu, "containerRuntimeVersion": machine.runtime, "kubeletVersion": VERSION,
                     "kubeProxyVersion": ""},
        "declaredFeatures": ["ExtendWebSocketsToKubelet"],     # exec and attach reach us as WebSockets
    }


def keep_transitions(status: Object, old: Object) -> Object:
    """The status, with the transition times that the server has for conditions that did not change."""
    before = {each["type"]: each for each in old.get("conditions") or []}
    for each in status["conditions"]:
        if before.get(each["type"], {}).get("status") == each["status"]:
            each["lastTransitionTime"] = before[each["type"]]["lastTransitionTime"]
    return status


def lease_object(node: Object, renewed: str) -> Object:
    """The Lease by which the control plane knows that the kubelet is alive."""
    name = node["metadata"]["name"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node["metadata"]["uid"]}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": name, "namespace": LEASE_NAMESPACE, "ownerReferences": [owner]},
            "spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": renewed}}
