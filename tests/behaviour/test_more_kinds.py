"""Namespaces, nodes, events and leases; what the server says about itself."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.behaviour.target import Namespace, Object, Target, configmap, wait
from tests.behaviour.test_objects import refused


def test_a_namespace_is_born_active(ns: Namespace) -> None:
    found = ns.target.call("GET", f"/api/v1/namespaces/{ns.name}").json()
    assert found["status"]["phase"] == "Active"
    assert found["spec"]["finalizers"] == ["kubernetes"]
    assert found["metadata"]["labels"]["kubernetes.io/metadata.name"] == ns.name


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public", "kube-node-lease"])
def test_namespaces_that_are_always_there(target: Target, name: str) -> None:
    assert target.call("GET", f"/api/v1/namespaces/{name}").status_code == 200


def test_the_default_namespace_stays(target: Target) -> None:
    refused(target.call("DELETE", "/api/v1/namespaces/default"), 403, "Forbidden",
            r'namespaces "default" is forbidden: this namespace may not be deleted')


def test_nothing_new_in_a_dying_namespace(target: Target) -> None:
    name = f"t-{uuid.uuid4().hex[:8]}"
    core = f"/api/v1/namespaces/{name}"
    target.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    holdup = configmap("hold")
    holdup["metadata"]["finalizers"] = ["example.com/hold"]
    assert target.call("POST", f"{core}/configmaps", holdup).status_code == 201
    target.call("DELETE", core)
    assert target.call("GET", core).json()["status"]["phase"] == "Terminating"
    answer = target.call("POST", f"{core}/configmaps", configmap("late"))
    refused(answer, 403, "Forbidden", r'configmaps "late" is forbidden: unable to create new content in namespace '
            rf"{name} because it is being terminated")
    target.call("PATCH", f"{core}/configmaps/hold", {"metadata": {"finalizers": None}}, kind="application/merge-patch+json")


def test_a_deleted_namespace_goes_with_all_that_is_in_it(target: Target) -> None:
    name = f"t-{uuid.uuid4().hex[:8]}"
    core = f"/api/v1/namespaces/{name}"
    target.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    target.call("POST", f"{core}/configmaps", configmap("a"))
    assert target.call("DELETE", core).status_code == 200
    if "controller-manager" not in target.parts:
        pytest.skip(f"the target {target.name} has no controller-manager, which would empty the namespace")
    wait(lambda: target.call("GET", core).status_code == 404, "the namespace to be gone")


@pytest.fixture
def node(target: Target) -> Iterator[Object]:
    """A node that nobody stands behind."""
    name = f"n-{uuid.uuid4().hex[:8]}"
    made = target.call("POST", "/api/v1/nodes", {"metadata": {"name": name, "labels": {"pen": name}}})
    assert made.status_code == 201, made.text
    yield made.json()
    target.call("DELETE", f"/api/v1/nodes/{name}")


def test_nodes_are_in_no_namespace(target: Target, node: Object) -> None:
    name = node["metadata"]["name"]
    assert "namespace" not in node["metadata"]
    assert target.call("GET", f"/api/v1/namespaces/default/nodes/{name}").status_code == 404


def test_node_status_is_written_by_itself(target: Target, node: Object) -> None:
    path = f"/api/v1/nodes/{node['metadata']['name']}"
    change = {"status": {"capacity": {"cpu": "4", "memory": "8Gi", "pods": "110"}}, "spec": {"unschedulable": True}}
    answer = target.call("PATCH", f"{path}/status", change, kind="application/merge-patch+json")
    assert answer.status_code == 200, answer.text
    found = target.call("GET", path).json()
    assert found["status"]["capacity"]["cpu"] == "4"
    assert "unschedulable" not in found["spec"]


def test_cordon_is_one_field(target: Target, node: Object) -> None:
    name = node["metadata"]["name"]
    done = target.kubectl("cordon", name)
    assert done.returncode == 0, done.stderr
    assert target.call("GET", f"/api/v1/nodes/{name}").json()["spec"]["unschedulable"] is True
    listed = target.call("GET", "/api/v1/nodes", fieldSelector="spec.unschedulable=true").json()["items"]
    assert name in {n["metadata"]["name"] for n in listed}


def event(ns: Namespace, name: str, about: str) -> Object:
    return {"metadata": {"name": name}, "involvedObject": {"kind": "Pod", "namespace": ns.name, "name": about},
            "reason": "Started", "message": "it began", "type": "Normal", "count": 1}


def test_events_are_found_by_what_they_are_about(ns: Namespace) -> None:
    ns.make("events", event(ns, "one", "web"))
    ns.make("events", event(ns, "two", "other"))
    found = ns.call("GET", "/events", fieldSelector="involvedObject.name=web,involvedObject.kind=Pod").json()["items"]
    assert [e["metadata"]["name"] for e in found] == ["one"]


def test_event_about_another_namespace(ns: Namespace) -> None:
    body = event(ns, "one", "web")
    body["involvedObject"]["namespace"] = "default"
    answer = ns.call("POST", "/events", body)
    assert answer.status_code == 422
    assert "involvedObject.namespace" in answer.json()["message"]


def lease(**spec: object) -> Object:
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"}, "spec": spec}


def leases(ns: Namespace) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{ns.name}/leases"


def test_only_one_can_take_a_lease(ns: Namespace) -> None:
    made = ns.target.call("POST", leases(ns), lease(holderIdentity="a", leaseDurationSeconds=15))
    assert made.status_code == 201, made.text
    found = made.json()
    found["spec"]["holderIdentity"] = "b"
    assert ns.target.call("PUT", f"{leases(ns)}/a", found).status_code == 200
    found["spec"]["holderIdentity"] = "c"
    assert ns.target.call("PUT", f"{leases(ns)}/a", found).status_code == 409


def test_lease_without_a_length(ns: Namespace) -> None:
    answer = ns.target.call("POST", leases(ns), lease(holderIdentity="a", leaseDurationSeconds=0))
    refused(answer, 422, "Invalid", r'Lease\.coordination\.k8s\.io "a" is invalid: spec\.leaseDurationSeconds: '
            r"Invalid value: 0: must be greater than 0")


def test_micro_time_keeps_its_digits(ns: Namespace) -> None:
    made = ns.target.call("POST", leases(ns), lease(renewTime="2026-01-02T03:04:05.678901Z"))
    assert made.json()["spec"]["renewTime"] == "2026-01-02T03:04:05.678901Z"


# ---- what the server says about itself

def test_version(target: Target) -> None:
    version = target.call("GET", "/version").json()
    assert version["major"] == "1"
    assert version["gitVersion"].startswith("v1.")


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
def test_health(target: Target, path: str) -> None:
    answer = target.call("GET", path)
    assert (answer.status_code, answer.text) == (200, "ok")


def test_plain_discovery(target: Target) -> None:
    assert target.call("GET", "/api", headers={"Accept": "application/json"}).json()["versions"] == ["v1"]
    found = {r["name"]: r for r in target.call("GET", "/api/v1").json()["resources"]}
    assert found["pods"]["shortNames"] == ["po"]
    assert found["pods"]["namespaced"] is True
    assert set(found["pods"]["verbs"]) == {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
    assert found["nodes"]["namespaced"] is False
    assert {"pods/status", "pods/log", "pods/binding", "namespaces/finalize"} <= set(found)


def test_aggregated_discovery(target: Target) -> None:
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    answer = target.call("GET", "/apis", headers={"Accept": accept})
    assert "as=APIGroupDiscoveryList" in answer.headers["Content-Type"]
    groups = {g["metadata"]["name"]: g for g in answer.json()["items"]}
    (version,) = groups["coordination.k8s.io"]["versions"][:1]
    assert "leases" in {r["resource"] for r in version["resources"]}


def test_openapi_is_listed(target: Target) -> None:
    paths = target.call("GET", "/openapi/v3").json()["paths"]
    assert {"api/v1", "apis/coordination.k8s.io/v1"} <= set(paths)
    document = target.call("GET", paths["api/v1"]["serverRelativeURL"]).json()
    assert "io.k8s.api.core.v1.Pod" in document["components"]["schemas"]
