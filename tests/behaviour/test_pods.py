"""Pods as the api-server sees them: defaults, validation, binding, status, deletion."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.behaviour.target import Namespace, Object, pod
from tests.behaviour.test_objects import refused

BOX = {"name": "main", "image": "kubernetes-by-hand/box:1"}


def dig(obj: Any, path: str) -> Any:
    """`dig(pod, "spec.containers.0.image")`."""
    for part in path.split("."):
        obj = obj[int(part)] if isinstance(obj, list) else obj[part]
    return obj


@pytest.mark.parametrize(("path", "expected"), [
    ("spec.restartPolicy", "Always"), ("spec.dnsPolicy", "ClusterFirst"), ("spec.terminationGracePeriodSeconds", 30),
    ("spec.enableServiceLinks", True), ("spec.securityContext", {}), ("spec.preemptionPolicy", "PreemptLowerPriority"),
    ("spec.priority", 0), ("spec.containers.0.imagePullPolicy", "IfNotPresent"), ("spec.containers.0.resources", {}),
    ("spec.containers.0.terminationMessagePath", "/dev/termination-log"),
    ("spec.containers.0.terminationMessagePolicy", "File"), ("status.phase", "Pending"), ("status.qosClass", "BestEffort"),
    ("metadata.generation", 1)])
def test_defaults(ns: Namespace, path: str, expected: Any) -> None:
    assert dig(ns.make("pods", pod("a")), path) == expected


def test_default_scheduler(ns: Namespace) -> None:
    body = pod("a")
    del body["spec"]["schedulerName"]
    body["spec"]["schedulingGates"] = [{"name": "example.com/stay"}]
    assert ns.make("pods", body)["spec"]["schedulerName"] == "default-scheduler"


@pytest.mark.parametrize(("image", "policy"), [("box", "Always"), ("box:latest", "Always"), ("box:1", "IfNotPresent"),
                                               ("box@sha256:" + "0" * 64, "IfNotPresent")])
def test_pull_policy_follows_the_tag(ns: Namespace, image: str, policy: str) -> None:
    made = ns.make("pods", pod("a", containers=[{"name": "main", "image": image}]))
    assert dig(made, "spec.containers.0.imagePullPolicy") == policy


def test_tolerations_for_lost_nodes_are_added(ns: Namespace) -> None:
    tolerations = ns.make("pods", pod("a"))["spec"]["tolerations"]
    assert tolerations == [{"key": f"node.kubernetes.io/{what}", "operator": "Exists", "effect": "NoExecute",
                            "tolerationSeconds": 300} for what in ("not-ready", "unreachable")]


def test_requests_default_to_limits(ns: Namespace) -> None:
    container = BOX | {"resources": {"limits": {"cpu": "1", "memory": "64Mi"}}}
    made = ns.make("pods", pod("a", containers=[container]))
    assert dig(made, "spec.containers.0.resources.requests") == {"cpu": "1", "memory": "64Mi"}
    assert made["status"]["qosClass"] == "Guaranteed"


def test_some_requests_make_a_pod_burstable(ns: Namespace) -> None:
    made = ns.make("pods", pod("a", containers=[BOX | {"resources": {"requests": {"cpu": "100m"}}}]))
    assert made["status"]["qosClass"] == "Burstable"


INVALID: list[tuple[str, Object, str]] = [
    ("no containers", {"containers": []}, r"spec\.containers: Required value"),
    ("no image", {"containers": [{"name": "main"}]}, r"spec\.containers\[0\]\.image: Required value"),
    ("no container name", {"containers": [{"image": "box:1"}]}, r"spec\.containers\[0\]\.name: Required value"),
    ("bad container name", {"containers": [BOX | {"name": "Main"}]},
     r'spec\.containers\[0\]\.name: Invalid value: "Main": a lowercase RFC 1123 label must consist of .*'),
    ("two of one name", {"containers": [BOX, BOX]}, r'spec\.containers\[1\]\.name: Duplicate value: "main"'),
    ("restart policy", {"restartPolicy": "Sometimes"},
     r'spec\.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"'),
    ("pull policy", {"containers": [BOX | {"imagePullPolicy": "Perhaps"}]},
     r'spec\.containers\[0\]\.imagePullPolicy: Unsupported value: "Perhaps": supported values: '
     r'"Always", "IfNotPresent", "Never"'),
    ("port too large", {"containers": [BOX | {"ports": [{"containerPort": 70000}]}]},
     r"spec\.containers\[0\]\.ports\[0\]\.containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"),
    ("request above limit", {"containers": [BOX | {"resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}}]},
     r'spec\.containers\[0\]\.resources\.requests: Invalid value: "2Gi": must be less than or equal to memory limit of 1Gi'),
    ("unknown volume", {"containers": [BOX | {"volumeMounts": [{"name": "none", "mountPath": "/x"}]}]},
     r'spec\.containers\[0\]\.volumeMounts\[0\]\.name: Not found: "none"'),
    ("env without a name", {"containers": [BOX | {"env": [{"value": "x"}]}]},
     r"spec\.containers\[0\]\.env\[0\]\.name: Required value"),
    ("toleration operator", {"tolerations": [{"key": "a", "operator": "Likes"}]},
     r'spec\.tolerations\[0\]\.operator: Unsupported value: "Likes": supported values: .*"Equal", "Exists".*'),
    ("node selector", {"nodeSelector": {"bad key!": "x"}}, r'spec\.nodeSelector: Invalid value: "bad key!": .*'),
]


@pytest.mark.parametrize(("spec", "message"), [case[1:] for case in INVALID], ids=[case[0] for case in INVALID])
def test_invalid(ns: Namespace, spec: Object, message: str) -> None:
    refused(ns.call("POST", "/pods", pod("a", **spec)), 422, "Invalid", rf'Pod "a" is invalid: {message}')


def test_several_faults_are_told_at_once(ns: Namespace) -> None:
    answer = ns.call("POST", "/pods", pod("a", restartPolicy="Sometimes", containers=[{"name": "main"}]))
    assert answer.status_code == 422
    fields = {cause["field"] for cause in answer.json()["details"]["causes"]}
    assert fields == {"spec.restartPolicy", "spec.containers[0].image"}
    assert re.match(r'Pod "a" is invalid: \[', answer.json()["message"])


def test_a_grace_below_zero_is_one_second(ns: Namespace) -> None:
    assert ns.make("pods", pod("a", terminationGracePeriodSeconds=-1))["spec"]["terminationGracePeriodSeconds"] == 1


def test_bad_quantity(ns: Namespace) -> None:
    answer = ns.call("POST", "/pods", pod("a", containers=[BOX | {"resources": {"requests": {"cpu": "much"}}}]))
    refused(answer, 400, "BadRequest", r'Pod in version "v1" cannot be handled as a Pod: quantities must match '
            r"the regular expression '\^\(\[\+-\]\?\[0-9\.\]\+\)\(\[eEinumkKMGTP\]\*\[-\+\]\?\[0-9\]\*\)\$'")


def test_most_of_a_spec_is_for_ever(ns: Namespace) -> None:
    made = ns.make("pods", pod("a"))
    made["spec"]["containers"][0]["command"] = ["sleep", "1"]
    answer = ns.call("PUT", "/pods/a", made)
    assert answer.status_code == 422
    assert "spec: Forbidden: pod updates may not change fields other than" in answer.json()["message"]


def test_the_image_may_change(ns: Namespace) -> None:
    made = ns.make("pods", pod("a"))
    made["spec"]["containers"][0]["image"] = "kubernetes-by-hand/web:1"
    answer = ns.call("PUT", "/pods/a", made)
    assert answer.status_code == 200
    assert answer.json()["metadata"]["generation"] == 2


def test_status_is_not_written_with_the_spec(ns: Namespace) -> None:
    made = ns.make("pods", pod("a"))
    answer = ns.call("PUT", "/pods/a", made | {"status": {"phase": "Running"}})
    assert answer.status_code == 200
    assert ns.get("pods", "a")["status"]["phase"] == "Pending"


def test_spec_is_not_written_with_the_status(ns: Namespace) -> None:
    made = ns.make("pods", pod("a"))
    changed = made | {"status": made["status"] | {"phase": "Running", "message": "hello"}}
    changed["spec"] = made["spec"] | {"terminationGracePeriodSeconds": 1}
    answer = ns.call("PUT", "/pods/a/status", changed)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"]["message"] == "hello"
    assert answer.json()["spec"]["terminationGracePeriodSeconds"] == 30


def bind(ns: Namespace, name: str, node: str) -> Any:
    return ns.call("POST", f"/pods/{name}/binding", {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
                                                     "target": {"apiVersion": "v1", "kind": "Node", "name": node}})


def test_binding_gives_a_pod_its_node(ns: Namespace) -> None:
    ns.make("pods", pod("a"))
    assert bind(ns, "a", "nowhere").status_code == 201
    bound = ns.get("pods", "a")
    assert bound["spec"]["nodeName"] == "nowhere"
    assert {"PodScheduled": "True"}.items() <= {c["type"]: c["status"] for c in bound["status"]["conditions"]}.items()


def test_binding_twice(ns: Namespace) -> None:
    ns.make("pods", pod("a"))
    bind(ns, "a", "nowhere")
    refused(bind(ns, "a", "elsewhere"), 409, "Conflict",
            r'Operation cannot be fulfilled on pods/binding "a": pod a is already assigned to node "nowhere"')


def test_binding_what_is_not_there(ns: Namespace) -> None:
    refused(bind(ns, "ghost", "nowhere"), 404, "NotFound", r'pods "ghost" not found')


def test_node_name_cannot_be_edited(ns: Namespace) -> None:
    made = ns.make("pods", pod("a"))
    made["spec"]["nodeName"] = "somewhere"
    assert ns.call("PUT", "/pods/a", made).status_code == 422


def test_a_pod_that_was_never_scheduled_goes_at_once(ns: Namespace) -> None:
    ns.make("pods", pod("a"))
    assert ns.call("DELETE", "/pods/a").status_code == 200
    assert ns.call("GET", "/pods/a").status_code == 404


def test_a_pod_on_a_node_is_given_time(ns: Namespace) -> None:
    ns.make("pods", pod("a"))
    bind(ns, "a", "nowhere")
    dying = ns.call("DELETE", "/pods/a").json()
    assert dying["metadata"]["deletionGracePeriodSeconds"] == 30
    assert dying["metadata"]["deletionTimestamp"]
    assert ns.get("pods", "a")["metadata"]["uid"] == dying["metadata"]["uid"]
    ns.call("DELETE", "/pods/a", {"gracePeriodSeconds": 0})
    assert ns.call("GET", "/pods/a").status_code == 404


def test_grace_can_be_asked_for(ns: Namespace) -> None:
    ns.make("pods", pod("a"))
    bind(ns, "a", "nowhere")
    dying = ns.call("DELETE", "/pods/a", gracePeriodSeconds=7).json()
    assert dying["metadata"]["deletionGracePeriodSeconds"] == 7


def test_logs_of_a_pod_that_is_nowhere(ns: Namespace) -> None:
    ns.make("pods", pod("a"))
    answer = ns.call("GET", "/pods/a/log")
    assert (answer.status_code, answer.text) == (204, "")


def test_logs_of_a_container_that_is_not_in_it(ns: Namespace) -> None:
    ns.make("pods", pod("a"))
    refused(ns.call("GET", "/pods/a/log", container="other"), 400, "BadRequest",
            r"container other is not valid for pod a")


def test_logs_of_two_containers_need_a_name(ns: Namespace) -> None:
    ns.make("pods", pod("a", containers=[BOX, BOX | {"name": "side"}]))
    refused(ns.call("GET", "/pods/a/log"), 400, "BadRequest",
            r"a container name must be specified for pod a, choose one of: \[main side\]")


@pytest.mark.parametrize(("selector", "expected"), [
    ("spec.nodeName=nowhere", {"a"}), ("spec.nodeName=", {"b"}), ("status.phase=Pending", {"a", "b"}),
    ("status.phase!=Pending", set()), ("spec.restartPolicy=Always,spec.nodeName=nowhere", {"a"})])
def test_field_selectors_of_pods(ns: Namespace, selector: str, expected: set[str]) -> None:
    ns.make("pods", pod("a"))
    ns.make("pods", pod("b"))
    bind(ns, "a", "nowhere")
    found = ns.call("GET", "/pods", fieldSelector=selector).json()["items"]
    assert {p["metadata"]["name"] for p in found} == expected
