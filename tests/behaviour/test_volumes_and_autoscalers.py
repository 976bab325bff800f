"""Volumes and autoscalers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.behaviour.target import Namespace, Object, Target, pod, wait
from tests.behaviour.test_nodes_and_budgets import told

# --- volumes

def volume(target: Target, size: str, kind: str, **spec: Any) -> str:
    """A volume, and its name."""
    name = f"v-{uuid.uuid4().hex[:8]}"
    made = target.call("POST", "/api/v1/persistentvolumes", {"metadata": {"name": name}, "spec": {
        "capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": f"/tmp/{name}"},
        "storageClassName": kind, "persistentVolumeReclaimPolicy": "Retain"} | spec})
    assert made.status_code == 201, made.text
    return name


def claim(ns: Namespace, size: str, kind: str, **spec: Any) -> None:
    """A claim."""
    ns.make("persistentvolumeclaims", {"metadata": {"name": "c"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, "storageClassName": kind} | spec})


@pytest.fixture
def kind(target: Target) -> Iterator[str]:
    """A storage class that is only a name; its volumes go afterwards."""
    name = f"k-{uuid.uuid4().hex[:8]}"
    yield name
    for each in target.call("GET", "/api/v1/persistentvolumes").json()["items"]:
        if each["spec"].get("storageClassName") == name:
            target.call("DELETE", f"/api/v1/persistentvolumes/{each['metadata']['name']}")


def wait_bound(ns: Namespace) -> Object:
    """Wait until the claim is bound; the claim."""
    return wait(lambda: (found := ns.get("persistentvolumeclaims", "c"))["status"].get("phase") == "Bound" and found,
                "it to be bound")  # type: ignore[no-any-return]


def phase(target: Target, name: str) -> Any:
    """The phase of a volume."""
    return target.call("GET", f"/api/v1/persistentvolumes/{name}").json().get("status", {}).get("phase")


def test_a_claim_gets_the_smallest_volume_that_fits(ns: Namespace, kind: str) -> None:
    large, small, fits = (volume(ns.target, size, kind) for size in ("10Gi", "1Gi", "5Gi"))
    for each in (large, small, fits):
        wait(lambda each=each: phase(ns.target, each) == "Available", "volumes to be free")
    claim(ns, "2Gi", kind)
    bound = wait_bound(ns)
    assert bound["spec"]["volumeName"] == fits
    assert bound["status"]["capacity"] == {"storage": "5Gi"}
    notes = ("pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller")
    assert bound["metadata"]["annotations"] == dict.fromkeys(notes, "yes")
    wait(lambda: phase(ns.target, fits) == "Bound", "the volume to be bound")
    reference = ns.target.call("GET", f"/api/v1/persistentvolumes/{fits}").json()["spec"]["claimRef"]
    assert (reference["namespace"], reference["name"], reference["uid"]) == (ns.name, "c", bound["metadata"]["uid"])
    ns.call("DELETE", "/persistentvolumeclaims/c")
    wait(lambda: phase(ns.target, fits) == "Released", "the volume to be released")


def test_a_claim_for_which_there_is_nothing(ns: Namespace, kind: str) -> None:
    volume(ns.target, "1Gi", kind)
    claim(ns, "2Gi", kind)
    found = told(ns, "ProvisioningFailed")
    assert found[0]["message"] == f'storageclass.storage.k8s.io "{kind}" not found'
    assert ns.get("persistentvolumeclaims", "c")["status"]["phase"] == "Pending"
    right = volume(ns.target, "3Gi", kind)
    wait(lambda: ns.get("persistentvolumeclaims", "c")["spec"].get("volumeName") == right, "the volume that came later")


def test_a_claim_that_names_its_volume(ns: Namespace, kind: str) -> None:
    name = volume(ns.target, "5Gi", kind)
    volume(ns.target, "1Gi", kind)
    claim(ns, "1Gi", kind, volumeName=name)
    bound = wait_bound(ns)
    assert bound["spec"]["volumeName"] == name
    assert bound["metadata"]["annotations"] == {"pv.kubernetes.io/bind-completed": "yes"}


def test_a_volume_that_waits_for_a_claim(ns: Namespace, kind: str) -> None:
    mine = volume(ns.target, "9Gi", kind, claimRef={"namespace": ns.name, "name": "c"})
    volume(ns.target, "1Gi", kind)
    claim(ns, "1Gi", kind)
    wait(lambda: ns.get("persistentvolumeclaims", "c")["spec"].get("volumeName") == mine, "the volume that waited")


# --- autoscalers

def scaled(ns: Namespace, replicas: int, **spec: Any) -> Callable[[], Object]:
    """A ReplicaSet and its autoscaler; what that says, by condition."""
    template = {"metadata": {"labels": {"app": "web"}}, "spec": pod("x")["spec"]}
    ns.target.call("POST", f"/apis/apps/v1/namespaces/{ns.name}/replicasets", {"metadata": {"name": "web"}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}})
    path = f"/apis/autoscaling/v2/namespaces/{ns.name}/horizontalpodautoscalers"
    target = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web"}
    made = ns.target.call("POST", path, {"metadata": {"name": "h"}, "spec": {"scaleTargetRef": target, "maxReplicas": 3} | spec})
    assert made.status_code == 201, made.text


    def conditions() -> Object:
        found = ns.target.call("GET", f"{path}/h").json().get("status") or {}
        return {each["type"]: each for each in found.get("conditions") or []}
    return conditions


@pytest.mark.parametrize(("before", "after", "why"), [
    (5, 3, "New size: 3; reason: Current number of replicas above Spec.MaxReplicas"),
    (1, 2, "New size: 2; reason: Current number of replicas below Spec.MinReplicas")])
def test_out_of_bounds(ns: Namespace, before: int, after: int, why: str) -> None:
    scaled(ns, before, minReplicas=2)
    path = f"/apis/apps/v1/namespaces/{ns.name}/replicasets/web"
    wait(lambda: ns.target.call("GET", path).json()["spec"]["replicas"] == after, "the size to be within bounds")
    found = told(ns, "SuccessfulRescale")
    assert found[0]["message"] == why


def test_switched_off_at_zero(ns: Namespace) -> None:
    conditions = scaled(ns, 0)
    told = wait(lambda: conditions().get("ScalingActive"), "the condition")
    assert (told["status"], told["reason"]) == ("False", "ScalingDisabled")
    assert told["message"] == "scaling is disabled since the replica count of the target is zero"


def test_a_target_that_is_not_there(ns: Namespace) -> None:
    conditions = scaled(ns, 1, scaleTargetRef={"apiVersion": "apps/v1", "kind": "Deployment", "name": "nobody"})
    told = wait(lambda: conditions().get("AbleToScale"), "the condition")
    assert (told["status"], told["reason"]) == ("False", "FailedGetScale")
    assert told["message"].endswith('unable to get the target\'s current scale: deployments.apps "nobody" not found')


def test_no_metrics(ns: Namespace) -> None:
    conditions = scaled(ns, 1)
    told = wait(lambda: conditions().get("ScalingActive"), "the condition")
    assert (told["status"], told["reason"]) == ("False", "FailedGetResourceMetric")
    assert told["message"].startswith("the HPA was unable to compute the replica count: failed to get cpu utilization: ")
