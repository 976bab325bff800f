"""Nodes that are not well, pods that nobody looks after, budgets and quotas."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.behaviour.target import Namespace, Object, Target, pod, wait

MERGE = "application/merge-patch+json"


@pytest.fixture(autouse=True)
def controllers(need: Callable[[str], None]) -> None:
    """All of this is done by controllers."""
    need("controller-manager")


class Node:
    """A node that nobody stands behind; the test says what its kubelet would say."""

    def __init__(self, target: Target, zone: str, ready: str = "True") -> None:
        self.target, self.name = target, f"n-{uuid.uuid4().hex[:8]}"
        made = target.call("POST", "/api/v1/nodes", {"metadata": {"name": self.name, "labels": {
            "topology.kubernetes.io/zone": zone, "kubernetes.io/hostname": self.name}}})
        assert made.status_code == 201, made.text
        target.call("POST", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", {
            "metadata": {"name": self.name}, "spec": {"holderIdentity": self.name, "leaseDurationSeconds": 40,
                                                      "renewTime": time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())}})
        self.say(Ready=ready, MemoryPressure="False", DiskPressure="False", PIDPressure="False")

    def say(self, **conditions: str) -> None:
        """Write conditions, as its kubelet would."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        told = [{"type": kind, "status": status, "reason": "Test", "message": "", "lastHeartbeatTime": now,
                 "lastTransitionTime": now} for kind, status in conditions.items()]
        answer = self.target.call("PATCH", f"/api/v1/nodes/{self.name}/status", {"status": {"conditions": told}},
                                  kind="application/strategic-merge-patch+json")
        assert answer.status_code == 200, answer.text

    def get(self) -> Object:
        """The node as it is."""
        return self.target.call("GET", f"/api/v1/nodes/{self.name}").json()  # type: ignore[no-any-return]

    def taints(self, *wanted: str) -> None:
        """Wait until exactly these taints are there: the last part of the key, and the effect."""
        def there() -> set[str]:
            taints = self.get()["spec"].get("taints", [])
            return {f"{each['key'].removeprefix('node.kubernetes.io/')}:{each['effect']}" for each in taints}
        wait(lambda: there() == set(wanted), f"{wanted}, not {there()}", 45)


@pytest.fixture
def node(target: Target) -> Iterator[Callable[..., Node]]:
    """Makes nodes; a healthy one in another zone is always there, so that not all of the cluster is down."""
    zone, made = uuid.uuid4().hex[:8], list[Node]()

    def make(ready: str = "True") -> Node:
        made.append(Node(target, zone, ready))
        return made[-1]

    made.append(Node(target, f"{zone}-other"))
    yield make
    for each in made:
        target.call("DELETE", f"/api/v1/nodes/{each.name}")
        target.call("DELETE", f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{each.name}")


def test_a_node_that_is_ready_has_no_taint(node: Callable[..., Node]) -> None:
    node().taints()


@pytest.mark.parametrize(("said", "taint"), [
    ({"MemoryPressure": "True"}, "memory-pressure"), ({"DiskPressure": "True"}, "disk-pressure"),
    ({"PIDPressure": "True"}, "pid-pressure"), ({"NetworkUnavailable": "True"}, "network-unavailable")])
def test_what_a_node_reports_becomes_a_taint_and_goes(node: Callable[..., Node], said: dict[str, str], taint: str) -> None:
    one = node()
    one.say(**said)
    one.taints(f"{taint}:NoSchedule")
    one.say(**dict.fromkeys(said, "False"))
    one.taints()


def test_a_node_that_is_not_ready(node: Callable[..., Node]) -> None:
    one = node("False")
    one.taints("not-ready:NoSchedule", "not-ready:NoExecute")
    one.say(Ready="True")
    one.taints()


def test_a_node_whose_state_nobody_knows(node: Callable[..., Node]) -> None:
    one = node("Unknown")
    one.taints("unreachable:NoSchedule", "unreachable:NoExecute")
    one.say(Ready="False")
    one.taints("not-ready:NoSchedule", "not-ready:NoExecute")


def test_a_node_that_is_cordoned(node: Callable[..., Node]) -> None:
    one = node()
    one.taints()
    one.target.call("PATCH", f"/api/v1/nodes/{one.name}", {"spec": {"unschedulable": True}}, kind=MERGE)
    one.taints("unschedulable:NoSchedule")
    one.target.call("PATCH", f"/api/v1/nodes/{one.name}", {"spec": {"unschedulable": None}}, kind=MERGE)
    one.taints()


def test_a_taint_of_somebody_else_stays(node: Callable[..., Node]) -> None:
    one = node()
    mine = {"key": "example.com/mine", "effect": "NoSchedule"}
    one.taints()
    one.target.call("PATCH", f"/api/v1/nodes/{one.name}", {"spec": {"taints": [mine]}}, kind=MERGE)
    one.say(MemoryPressure="True")
    one.taints("example.com/mine:NoSchedule", "memory-pressure:NoSchedule")


def test_the_cluster_says_that_it_knows_a_node(node: Callable[..., Node]) -> None:
    one = node()
    about = f"involvedObject.name={one.name},reason=RegisteredNode"
    told = wait(lambda: one.target.call("GET", "/api/v1/events", fieldSelector=about).json()["items"], "an event")
    assert told[0]["message"] == f"Node {one.name} event: Registered Node {one.name} in Controller"
    assert told[0]["source"]["component"] == "node-controller"


def told(ns: Namespace, reason: str) -> list[Object]:
    """Wait for events of a reason."""
    return wait(lambda: [each for each in ns.call("GET", "/events").json()["items"] if each["reason"] == reason],
                f"an event {reason}")  # type: ignore[no-any-return]


def running(ns: Namespace, name: str, node: str, **spec: Any) -> Object:
    """A pod that says that it runs on a node."""
    ns.make("pods", pod(name, nodeName=node, **spec))
    conditions = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")]
    ns.call("PATCH", f"/pods/{name}/status", {"status": {"phase": "Running", "conditions": conditions}}, kind=MERGE)
    return ns.get("pods", name)


def tolerance(seconds: int | None) -> Object:
    """A toleration of nodes that are not ready."""
    limit = {} if seconds is None else {"tolerationSeconds": seconds}
    return {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"} | limit


def test_pods_leave_when_their_patience_ends(ns: Namespace, node: Callable[..., Node]) -> None:
    one = node()
    one.taints()
    running(ns, "none", one.name, tolerations=[tolerance(0)])
    running(ns, "forever", one.name, tolerations=[tolerance(None)])
    running(ns, "patient", one.name, tolerations=[tolerance(300)])
    one.say(Ready="False")
    wait(lambda: ns.get("pods", "none")["metadata"].get("deletionTimestamp"), "the impatient pod's deletion to begin", 45)
    why = {each["type"]: each for each in ns.get("pods", "none")["status"]["conditions"]}["DisruptionTarget"]
    assert (why["status"], why["reason"]) == ("True", "DeletionByTaintManager")
    assert why["message"] == "Taint manager: deleting due to NoExecute taint"
    found = told(ns, "TaintManagerEviction")
    assert found[0]["message"] == f"Marking for deletion Pod {ns.name}/none"
    for name in ("forever", "patient"):
        assert "deletionTimestamp" not in ns.get("pods", name)["metadata"]


def test_pods_of_no_node_that_are_deleted_go_at_once_even_with_finalizers_marked_failed(ns: Namespace) -> None:
    made = pod("held")
    made["metadata"]["finalizers"] = ["example.com/hold"]
    ns.make("pods", made)
    ns.call("DELETE", "/pods/held")
    wait(lambda: ns.get("pods", "held")["status"]["phase"] == "Failed", "it to count as failed", 45)
    ns.call("PATCH", "/pods/held", {"metadata": {"finalizers": None}}, kind=MERGE)


# --- budgets

def replicated(ns: Namespace, ready: int, replicas: int) -> None:
    """A ReplicaSet, so many of whose pods say that they can serve."""
    template = {"metadata": {"labels": {"app": "web"}}, "spec": pod("x")["spec"]}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    path = f"/apis/apps/v1/namespaces/{ns.name}/replicasets"
    made = ns.target.call("POST", path, {"metadata": {"name": "web"}, "spec": spec})
    assert made.status_code == 201, made.text
    pods = wait(lambda: len(found := ns.call("GET", "/pods").json()["items"]) == replicas and found, "its pods")
    for each in pods[:ready]:
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        ns.call("PATCH", f"/pods/{each['metadata']['name']}/status", {"status": status}, kind=MERGE)


@pytest.mark.parametrize(("spec", "ready", "expected"), [
    ({"minAvailable": 2}, 3, (1, 3, 2, 4)), ({"minAvailable": 2}, 2, (0, 2, 2, 4)),
    ({"maxUnavailable": 1}, 4, (1, 4, 3, 4)), ({"maxUnavailable": 1}, 3, (0, 3, 3, 4)),
    ({"minAvailable": "50%"}, 4, (2, 4, 2, 4)), ({"minAvailable": "60%"}, 4, (1, 4, 3, 4)),
    ({"maxUnavailable": "30%"}, 4, (2, 4, 2, 4)), ({"maxUnavailable": 0}, 4, (0, 4, 4, 4)),
    ({"minAvailable": "100%"}, 4, (0, 4, 4, 4))])
def test_how_many_may_go(ns: Namespace, spec: Object, ready: int, expected: tuple[int, ...]) -> None:
    replicated(ns, ready, 4)
    path = f"/apis/policy/v1/namespaces/{ns.name}/poddisruptionbudgets"
    made = ns.target.call("POST", path, {"metadata": {"name": "b"}, "spec": {"selector": {"matchLabels": {"app": "web"}}} | spec})
    assert made.status_code == 201, made.text
    fields = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")

    def status() -> Object:
        return ns.target.call("GET", f"{path}/b").json().get("status") or {}  # type: ignore[no-any-return]
    wait(lambda: tuple(status().get(field) for field in fields) == expected, f"{expected}, not {status()}")
    only, = status()["conditions"]
    assert (only["type"], only["status"], only["reason"]) == (
        ("DisruptionAllowed", "True", "SufficientPods") if expected[0] else ("DisruptionAllowed", "False", "InsufficientPods"))


def test_a_budget_of_nobody(ns: Namespace) -> None:
    path = f"/apis/policy/v1/namespaces/{ns.name}/poddisruptionbudgets"
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}}
    ns.target.call("POST", path, {"metadata": {"name": "b"}, "spec": spec})
    wait(lambda: (ns.target.call("GET", f"{path}/b").json().get("status") or {}).get("observedGeneration") == 1, "its status")
    found = told(ns, "NoPods")
    assert found[0]["message"] == "No matching pods found"


# --- quotas

def used(ns: Namespace, **hard: str) -> Callable[[], Object]:
    """A quota; what it says is used."""
    limits = {key.replace("__", "."): value for key, value in hard.items()}
    ns.make("resourcequotas", {"metadata": {"name": "q"}, "spec": {"hard": limits}})
    return lambda: ns.get("resourcequotas", "q").get("status", {}).get("used")  # type: ignore[no-any-return]


def test_what_is_there_already_counts(ns: Namespace) -> None:
    ns.make("pods", pod("a"))
    ns.make("secrets", {"metadata": {"name": "s"}})
    counted = used(ns, pods="5", secrets="5", services="5")
    wait(lambda: counted() == {"pods": "1", "secrets": "1", "services": "0"}, f"the sums, not {counted()}")


def test_what_goes_is_given_back(ns: Namespace) -> None:
    counted = used(ns, pods="5", secrets="5")
    wait(lambda: counted() == {"pods": "0", "secrets": "0"}, "the sums")
    ns.make("pods", pod("a"))
    ns.make("secrets", {"metadata": {"name": "s"}})
    wait(lambda: counted() == {"pods": "1", "secrets": "1"}, f"the sums, not {counted()}")
    ns.call("DELETE", "/pods/a", {"gracePeriodSeconds": 0})
    ns.call("DELETE", "/secrets/s")
    wait(lambda: counted() == {"pods": "0", "secrets": "0"}, f"the sums, not {counted()}")


def test_a_pod_that_has_ended_gives_back_what_it_asked_for(ns: Namespace) -> None:
    counted = used(ns, requests__cpu="1", pods="5")
    wait(lambda: counted() == {"requests.cpu": "0", "pods": "0"}, "the sums")
    made = pod("a")
    made["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "250m"}}
    ns.make("pods", made)
    wait(lambda: counted() == {"requests.cpu": "250m", "pods": "1"}, f"the sums, not {counted()}")
    ns.call("PATCH", "/pods/a/status", {"status": {"phase": "Succeeded"}}, kind=MERGE)
    wait(lambda: counted() == {"requests.cpu": "0", "pods": "0"}, f"the sums, not {counted()}")
