"""Workloads, Services, storage and access: what is filled in, refused, kept, scaled and evicted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.behaviour.target import Namespace, Object, pod, wait

MERGE = "application/merge-patch+json"
TEMPLATE: Object = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "a", "image": "box"}]}}
ONCE: Object = {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "box"}]}}
CHOSEN: Object = {"selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE}
GROUPS = {"deployments": "apps/v1", "replicasets": "apps/v1", "statefulsets": "apps/v1", "daemonsets": "apps/v1",
          "jobs": "batch/v1", "cronjobs": "batch/v1", "horizontalpodautoscalers": "autoscaling/v2",
          "poddisruptionbudgets": "policy/v1", "ingresses": "networking.k8s.io/v1", "networkpolicies": "networking.k8s.io/v1",
          "roles": "rbac.authorization.k8s.io/v1", "rolebindings": "rbac.authorization.k8s.io/v1",
          "endpointslices": "discovery.k8s.io/v1", "leases": "coordination.k8s.io/v1"}
SPECS: dict[str, Object] = {
    "deployments": {"spec": CHOSEN}, "replicasets": {"spec": CHOSEN}, "daemonsets": {"spec": CHOSEN},
    "statefulsets": {"spec": CHOSEN | {"serviceName": "web"}}, "jobs": {"spec": {"template": ONCE, "suspend": True}},
    "cronjobs": {"spec": {"schedule": "@daily", "jobTemplate": {"spec": {"template": ONCE}}}},
    "horizontalpodautoscalers": {"spec": {"maxReplicas": 3, "scaleTargetRef": {
        "apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}},
    "poddisruptionbudgets": {"spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}},
    "services": {"spec": {"ports": [{"port": 80}]}}, "secrets": {"stringData": {"a": "b"}},
    "persistentvolumeclaims": {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}},
    "replicationcontrollers": {"spec": {"template": TEMPLATE, "replicas": 0}},
    "ingresses": {"spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}}},
    "networkpolicies": {"spec": {"podSelector": {}}},
    "roles": {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
    "rolebindings": {"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "jane"}]},
    "endpointslices": {"addressType": "IPv4", "endpoints": [{"addresses": ["10.1.2.3"]}], "ports": [{"port": 80}]},
    "limitranges": {"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}}]}}, "podtemplates": {"template": TEMPLATE},
    "configmaps": {"data": {"a": "b"}, "immutable": True}, "leases": {"spec": {}},
}


def where(ns: Namespace, plural: str, name: str = "") -> str:
    group = GROUPS.get(plural, "")
    return f"/api{'s/' + group if group else '/v1'}/namespaces/{ns.name}/{plural}" + (f"/{name}" if name else "")


def make(ns: Namespace, plural: str, name: str = "web", **changes: Any) -> Object:
    body = {"metadata": {"name": name}} | SPECS[plural] | changes
    made = ns.target.call("POST", where(ns, plural), body)
    assert made.status_code == 201, made.text
    return made.json()  # type: ignore[no-any-return]


def at(obj: Any, path: str) -> Any:
    for step in path.split("."):
        obj = obj[int(step) if step.isdigit() else step]
    return obj


@pytest.mark.parametrize(("plural", "path", "value"), [
    ("deployments", "spec.replicas", 1), ("deployments", "spec.strategy.rollingUpdate.maxSurge", "25%"),
    ("deployments", "spec.progressDeadlineSeconds", 600), ("deployments", "spec.template.spec.restartPolicy", "Always"),
    ("deployments", "spec.template.spec.containers.0.imagePullPolicy", "Always"), ("deployments", "metadata.generation", 1),
    ("replicasets", "spec.replicas", 1), ("replicasets", "status.replicas", 0),
    ("statefulsets", "spec.podManagementPolicy", "OrderedReady"),
    ("statefulsets", "spec.updateStrategy.rollingUpdate.partition", 0),
    ("statefulsets", "spec.persistentVolumeClaimRetentionPolicy.whenScaled", "Retain"),
    ("daemonsets", "spec.updateStrategy.rollingUpdate.maxUnavailable", 1), ("daemonsets", "spec.revisionHistoryLimit", 10),
    ("jobs", "spec.backoffLimit", 6), ("jobs", "spec.completions", 1), ("jobs", "spec.completionMode", "NonIndexed"),
    ("jobs", "spec.podReplacementPolicy", "TerminatingOrFailed"), ("cronjobs", "spec.concurrencyPolicy", "Allow"),
    ("cronjobs", "spec.successfulJobsHistoryLimit", 3), ("cronjobs", "spec.failedJobsHistoryLimit", 1),
    ("horizontalpodautoscalers", "spec.minReplicas", 1),
    ("horizontalpodautoscalers", "spec.metrics.0.resource.target.averageUtilization", 80),
    ("services", "spec.type", "ClusterIP"), ("services", "spec.ports.0.protocol", "TCP"),
    ("services", "spec.ports.0.targetPort", 80),
    ("services", "spec.sessionAffinity", "None"), ("services", "spec.ipFamilies.0", "IPv4"), ("secrets", "type", "Opaque"),
    ("secrets", "data.a", "Yg=="), ("persistentvolumeclaims", "spec.volumeMode", "Filesystem"),
    ("replicationcontrollers", "spec.selector.app", "web"), ("replicationcontrollers", "metadata.labels.app", "web"),
    ("networkpolicies", "spec.policyTypes.0", "Ingress"), ("rolebindings", "roleRef.apiGroup", "rbac.authorization.k8s.io"),
    ("rolebindings", "subjects.0.apiGroup", "rbac.authorization.k8s.io"), ("endpointslices", "ports.0.protocol", "TCP"),
    ("limitranges", "spec.limits.0.defaultRequest.cpu", "2"), ("podtemplates", "template.spec.dnsPolicy", "ClusterFirst"),
])
def test_filled_in(ns: Namespace, plural: str, path: str, value: Any) -> None:
    assert at(make(ns, plural), path) == value


def test_a_job_in_a_cronjob_has_no_defaults_yet(ns: Namespace) -> None:
    assert "backoffLimit" not in make(ns, "cronjobs")["spec"]["jobTemplate"]["spec"]


@pytest.mark.parametrize(("plural", "change", "says"), [
    ("deployments", {"spec": CHOSEN | {"replicas": -1}}, "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
    ("deployments", {"spec": CHOSEN | {"selector": {}}},
     "spec.selector: Invalid value: {}: empty selector is invalid for deployment"),
    ("deployments", {"spec": CHOSEN | {"selector": {"matchLabels": {"app": "x"}}}},
     'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`'),
    ("jobs", {"spec": {"template": ONCE, "parallelism": -1}},
     "spec.parallelism: Invalid value: -1: must be greater than or equal to 0"),
    ("cronjobs", {"spec": {"schedule": "now", "jobTemplate": {"spec": {"template": ONCE}}}},
     'spec.schedule: Invalid value: "now": expected exactly 5 fields, found 1: [now]'),
    ("services", {"spec": {}}, "spec.ports: Required value"),
    ("services", {"spec": {"ports": [{"port": 80}, {"port": 81}]}}, "spec.ports[0].name: Required value"),
    ("services", {"spec": {"type": "Near", "ports": [{"port": 80}]}},
     'spec.type: Unsupported value: "Near": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"'),
    ("secrets", {"type": "kubernetes.io/tls"}, "data[tls.crt]: Required value"),
    ("persistentvolumeclaims", {"spec": {"resources": {"requests": {"storage": "1Gi"}}}},
     "spec.accessModes: Required value: at least 1 access mode is required"),
    ("rolebindings", {"subjects": [{"kind": "Robot", "name": "jane"}]}, 'subjects[0].kind: Unsupported value: "Robot"'),
    ("roles", {"rules": [{"apiGroups": [""], "resources": ["pods"]}]}, "rules[0].verbs: Required value"),
    ("poddisruptionbudgets", {"spec": {"minAvailable": -1}},
     "spec.minAvailable: Invalid value: -1: must be greater than or equal to 0"),
    ("endpointslices", {"addressType": "IPX", "endpoints": []},
     'addressType: Unsupported value: "IPX": supported values: "FQDN", "IPv4", "IPv6"'),
    ("leases", {"spec": {"leaseDurationSeconds": 0}}, "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"),
])
def test_refused(ns: Namespace, plural: str, change: Object, says: str) -> None:
    answer = ns.target.call("POST", where(ns, plural), {"metadata": {"name": "web"}} | SPECS[plural] | change)
    assert answer.status_code == 422, answer.text
    assert says in answer.json()["message"]


@pytest.mark.parametrize(("plural", "change", "says"), [
    ("deployments", {"spec": {"selector": {"matchLabels": {"app": "x"}}, "template": {"metadata": {"labels": {"app": "x"}}}}},
     'spec.selector: Invalid value: {"matchLabels":{"app":"x"}}: field is immutable'),
    ("statefulsets", {"spec": {"serviceName": "x"}}, 'spec.serviceName: Invalid value: "x": field is immutable'),
    ("statefulsets", {"spec": {"podManagementPolicy": "Parallel"}}, "spec.podManagementPolicy"),
    ("jobs", {"spec": {"completions": 5}}, "spec.completions: Invalid value: 5: field is immutable"),
    ("configmaps", {"data": {"a": "x"}}, "data: Forbidden: field is immutable when `immutable` is set"),
    ("configmaps", {"immutable": False}, "immutable: Forbidden: field is immutable when `immutable` is set"),
    ("secrets", {"type": "x"}, 'type: Invalid value: "x": field is immutable'),
    ("rolebindings", {"roleRef": {"name": "x"}}, "roleRef: Invalid value"),
    ("services", {"spec": {"clusterIP": "10.96.7.7"}}, "may not change once set"),
    ("endpointslices", {"addressType": "IPv6"}, "addressType: Invalid value: null: field is immutable"),
])
def test_kept(ns: Namespace, plural: str, change: Object, says: str) -> None:
    make(ns, plural)
    answer = ns.target.call("PATCH", where(ns, plural, "web"), change, kind=MERGE)
    assert answer.status_code == 422, answer.text
    assert says in answer.json()["message"]


# ---- Services

def test_a_service_has_an_address_of_its_own(ns: Namespace) -> None:
    first, second = (make(ns, "services", name)["spec"] for name in ("one", "two"))
    assert first["clusterIP"] != second["clusterIP"]
    assert first["clusterIPs"] == [first["clusterIP"]]


def test_an_address_is_given_back(ns: Namespace) -> None:
    held = make(ns, "services", "one")["spec"]["clusterIP"]
    body = {"metadata": {"name": "two"}, "spec": {"clusterIP": held, "ports": [{"port": 80}]}}
    answer = ns.call("POST", "/services", body)
    assert answer.status_code == 422
    assert f"failed to allocate IP {held}: provided IP is already allocated" in answer.json()["message"]
    assert ns.call("DELETE", "/services/one").status_code == 200
    assert ns.call("POST", "/services", body).status_code == 201


@pytest.mark.parametrize(("spec", "address"), [
    ({"clusterIP": "None", "ports": [{"port": 80}]}, "None"), ({"type": "ExternalName", "externalName": "example.com"}, None)])
def test_services_without_an_address(ns: Namespace, spec: Object, address: str | None) -> None:
    assert make(ns, "services", spec=spec)["spec"].get("clusterIP") == address


@pytest.mark.parametrize("kind", ["NodePort", "LoadBalancer"])
def test_ports_of_all_nodes(ns: Namespace, kind: str) -> None:
    made = make(ns, "services", spec={"type": kind, "ports": [{"port": 80}]})["spec"]
    assert 30000 <= made["ports"][0]["nodePort"] <= 32767
    assert made["externalTrafficPolicy"] == "Cluster"


def test_the_servers_own_service(ns: Namespace) -> None:
    assert ns.target.call("GET", "/api/v1/namespaces/default/services/kubernetes").json()["spec"]["ports"][0]["port"] == 443


# ---- scale

@pytest.mark.parametrize("plural", ["deployments", "replicasets", "statefulsets", "replicationcontrollers"])
def test_scale_is_the_same_for_all(ns: Namespace, plural: str) -> None:
    make(ns, plural)
    path = where(ns, plural, "web/scale")
    answer = ns.target.call("PATCH", path, {"spec": {"replicas": 2}}, kind=MERGE)
    assert answer.status_code == 200, answer.text
    found = ns.target.call("GET", path).json()
    assert (found["kind"], found["apiVersion"], found["spec"]) == ("Scale", "autoscaling/v1", {"replicas": 2})
    assert found["status"]["selector"] == "app=web"
    found["spec"]["replicas"] = 0
    del found["metadata"]["resourceVersion"]
    assert ns.target.call("PUT", path, found).json()["spec"] == {}
    assert ns.target.call("GET", where(ns, plural, "web")).json()["spec"]["replicas"] == 0


def test_scale_below_zero(ns: Namespace) -> None:
    make(ns, "deployments")
    answer = ns.target.call("PATCH", where(ns, "deployments", "web/scale"), {"spec": {"replicas": -1}}, kind=MERGE)
    assert answer.json()["message"] == ('Scale.autoscaling "web" is invalid: spec.replicas: Invalid value: -1: must be greater '
                                        "than or equal to 0")


def test_scale_of_nothing(ns: Namespace) -> None:
    assert ns.target.call("GET", where(ns, "deployments", "none/scale")).status_code == 404


# ---- eviction

def eviction(ns: Namespace, name: str, options: Object | None = None, **query: Any) -> Any:
    return ns.call("POST", f"/pods/{name}/eviction", {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}, **(
        {} if options is None else {"deleteOptions": options})}, **query)


def running(ns: Namespace, name: str, ready: str = "True") -> None:
    body = pod(name)
    body["metadata"]["labels"] = {"app": ns.name}
    ns.make("pods", body)
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}
    assert ns.call("PATCH", f"/pods/{name}/status", {"status": status}, kind=MERGE).status_code == 200


def test_eviction_without_a_budget(ns: Namespace) -> None:
    running(ns, "one")
    assert eviction(ns, "one").status_code == 201
    assert ns.call("GET", "/pods/one").status_code == 404


def test_eviction_of_another_pod(ns: Namespace) -> None:
    running(ns, "one")
    answer = ns.call("POST", "/pods/one/eviction", {"metadata": {"name": "two"}, "apiVersion": "policy/v1", "kind": "Eviction"})
    assert (answer.status_code, answer.json()["message"]) == (400, "name in URL does not match name in Eviction object")


def test_eviction_of_none(ns: Namespace) -> None:
    assert eviction(ns, "none").status_code == 404


def test_a_budget_that_is_too_small(ns: Namespace) -> None:
    running(ns, "one")
    make(ns, "poddisruptionbudgets", spec={"minAvailable": 5, "selector": {"matchLabels": {"app": ns.name}}})
    answer = eviction(ns, "one")
    assert answer.status_code == 429
    assert answer.json()["message"] == "Cannot evict pod as it would violate the pod's disruption budget."
    assert answer.json()["details"]["causes"][0]["reason"] == "DisruptionBudget"


@pytest.mark.parametrize(("options", "query"), [
    ({"dryRun": ["All"]}, {}), ({}, {"dryRun": "All"}), ({"dryRun": ["All"]}, {"dryRun": "All"}),
    ({"dryRun": []}, {"dryRun": "All"}), ({"dryRun": ["All", "All"]}, {})])
def test_an_eviction_that_only_asks(ns: Namespace, options: Object, query: Object) -> None:
    running(ns, "one")
    assert eviction(ns, "one", options, **query).status_code == 201
    assert "deletionTimestamp" not in ns.get("pods", "one")["metadata"]


@pytest.mark.parametrize(("options", "query", "code", "message"), [
    ({"dryRun": ["Some"]}, {}, 422, 'DeleteOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Some"]: supported '
     'values: "All"'),
    ({"dryRun": ["Some"]}, {"dryRun": "All"}, 500, "Non-matching dry-run options in request and content: [All] and [Some]"),
    ({"propagationPolicy": "Odd"}, {}, 422, 'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "Odd": '
     'supported values: "Foreground", "Background", "Orphan", "nil"'),
    ({"gracePeriodSeconds": "x"}, {}, 400, 'Eviction in version "v1" cannot be handled as a Eviction: json: cannot unmarshal '
     "string into Go struct field DeleteOptions.deleteOptions.gracePeriodSeconds of type int64")])
def test_an_eviction_with_wrong_options(ns: Namespace, options: Object, query: Object, code: int, message: str) -> None:
    running(ns, "one")
    answer = eviction(ns, "one", options, **query)
    assert (answer.status_code, answer.json()["message"]) == (code, message)
    assert ns.call("GET", "/pods/one").status_code == 200


def test_an_eviction_without_a_name(ns: Namespace) -> None:
    running(ns, "one")
    answer = ns.call("POST", "/pods/one/eviction", {"apiVersion": "policy/v1", "kind": "Eviction"})
    assert (answer.status_code, answer.json()["message"]) == (400, "name in URL does not match name in Eviction object")


@pytest.mark.parametrize(("policy", "wanted", "code"), [
    (None, 1, 201), ("IfHealthyBudget", 1, 201), (None, 2, 429), ("IfHealthyBudget", 2, 429), ("AlwaysAllow", 2, 201)])
def test_a_budget_and_a_pod_that_does_not_serve(
        ns: Namespace, need: Callable[[str], None], policy: str | None, wanted: int, code: int) -> None:
    need("controller-manager")
    running(ns, "well")
    running(ns, "ill", "False")
    make(ns, "poddisruptionbudgets", spec={"minAvailable": wanted, "selector": {"matchLabels": {"app": ns.name}}, **(
        {"unhealthyPodEvictionPolicy": policy} if policy else {})})
    budgets = f"/apis/policy/v1/namespaces/{ns.name}/poddisruptionbudgets"

    def counted() -> Any:
        status = ns.target.call("GET", budgets).json()["items"][0]["status"]
        return status.get("observedGeneration") and (status["currentHealthy"], status["desiredHealthy"]) == (1, wanted)
    wait(counted, "the budget to be worked out")
    assert eviction(ns, "well").status_code == 429
    assert eviction(ns, "ill").status_code == code
    assert "disruptedPods" not in ns.target.call("GET", budgets).json()["items"][0]["status"]


# ---- others

def test_ephemeral_containers_come_by_a_path_of_their_own(ns: Namespace) -> None:
    ns.make("pods", pod("one"))
    change = {"spec": {"ephemeralContainers": [{"name": "look", "image": "box"}]}}
    answer = ns.call("PATCH", "/pods/one/ephemeralcontainers", change, kind="application/strategic-merge-patch+json")
    assert answer.status_code == 200, answer.text
    assert answer.json()["spec"]["ephemeralContainers"][0]["terminationMessagePolicy"] == "File"
    assert ns.call("PATCH", "/pods/one/ephemeralcontainers", {"spec": {"ephemeralContainers": []}}, kind=MERGE).status_code == 422


@pytest.mark.parametrize(("change", "generation"), [
    ({"spec": {"replicas": 0}}, 2), ({"metadata": {"labels": {"a": "b"}}}, 1), ({"spec": {"paused": True}}, 2)])
def test_a_generation_counts_changes_of_the_spec(ns: Namespace, change: Object, generation: int) -> None:
    make(ns, "deployments", spec=CHOSEN | {"replicas": 1, "paused": False})
    answer = ns.target.call("PATCH", where(ns, "deployments", "web"), change, kind=MERGE)
    assert answer.json()["metadata"]["generation"] == generation


def test_a_job_selects_its_own_pods(ns: Namespace) -> None:
    made = make(ns, "jobs")
    mine = {"batch.kubernetes.io/controller-uid": made["metadata"]["uid"]}
    assert made["spec"]["selector"]["matchLabels"] == mine
    assert made["spec"]["template"]["metadata"]["labels"]["job-name"] == "web"


@pytest.mark.parametrize(("plural", "selector", "found"), [
    ("secrets", "type=Opaque", 1), ("secrets", "type=other", 0), ("services", "spec.type=ClusterIP", 1),
    ("services", "spec.clusterIP=None", 0), ("replicationcontrollers", "status.replicas=7", 0),
    ("jobs", "status.successful=0", 1)])
def test_field_selectors(ns: Namespace, plural: str, selector: str, found: int) -> None:
    make(ns, plural)
    listed = ns.target.call("GET", where(ns, plural), fieldSelector=selector).json()
    assert len(listed["items"]) == found


@pytest.mark.parametrize("plural", ["deployments", "services", "secrets"])
def test_a_field_that_nothing_is_selected_by(ns: Namespace, plural: str) -> None:
    answer = ns.target.call("GET", where(ns, plural), fieldSelector="spec.color=red")
    assert answer.status_code == 400
    assert "field label not supported" in answer.text or "not a known field selector" in answer.text
