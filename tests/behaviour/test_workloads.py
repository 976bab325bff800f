"""ReplicationController, ReplicaSet, Deployment, DaemonSet, StatefulSet: what their controllers do, on every target.

Pods here are for a scheduler that does not exist, so that no kubelet touches them; the tests say which run and serve.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.behaviour.target import Namespace, Object, Target, wait

APPS = "/apis/apps/v1/namespaces"
REVISION = "deployment.kubernetes.io/revision"


@pytest.fixture(autouse=True)
def controllers(need: Callable[[str], None]) -> None:
    need("workloads")


class Work:
    """Short calls about workloads in one namespace."""

    def __init__(self, ns: Namespace) -> None:
        self.ns, self.target = ns, ns.target

    def path(self, plural: str, which: str = "") -> str:
        root = f"/api/v1/namespaces/{self.ns.name}" if plural in ("pods", "replicationcontrollers", "events",
                                                                 "persistentvolumeclaims") else f"{APPS}/{self.ns.name}"
        return f"{root}/{plural}" + (f"/{which}" if which else "")

    def make(self, plural: str, body: Object) -> Object:
        made = self.target.call("POST", self.path(plural), body)
        assert made.status_code == 201, made.text
        return made.json()  # type: ignore[no-any-return]

    def get(self, plural: str, which: str) -> Object:
        return self.target.call("GET", self.path(plural, which)).json()  # type: ignore[no-any-return]

    def list(self, plural: str, **query: Any) -> list[Object]:
        found = self.target.call("GET", self.path(plural), **query).json()["items"]
        return sorted(found, key=lambda each: each["metadata"]["name"])

    def patch(self, plural: str, which: str, patch: Object, sub: str = "") -> Object:
        done = self.target.call("PATCH", self.path(plural, which) + sub, patch, kind="application/merge-patch+json")
        assert done.status_code == 200, done.text
        return done.json()  # type: ignore[no-any-return]

    def delete(self, plural: str, which: str, **options: Any) -> None:
        assert self.target.call("DELETE", self.path(plural, which), options or None).status_code in (200, 202)

    def pods(self, app: str = "web") -> list[Object]:
        """The pods that count: those not on their way out."""
        return [pod for pod in self.list("pods", labelSelector=f"app={app}") if "deletionTimestamp" not in pod["metadata"]]

    def mark(self, pod: Object, phase: str = "Running", ready: str = "True") -> None:
        status = {"phase": phase, "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}
        self.target.call("PATCH", self.path("pods", pod["metadata"]["name"]) + "/status", {"status": status},
                         kind="application/merge-patch+json")

    def serve(self, until: Callable[[], Any], what: str, sick: Callable[[Object], bool] = lambda pod: False) -> Any:
        """Let every pod that is not sick run, until something is so."""
        def look() -> Any:
            for pod in self.pods():
                if pod["status"]["phase"] == "Pending" and not sick(pod):
                    self.mark(pod)
            return until()
        return wait(look, what)

    def status(self, plural: str, which: str = "web", **fields: int) -> bool:
        """Whether the status speaks of this generation, and has these numbers."""
        found = self.get(plural, which)
        status = found.get("status", {})
        return (status.get("observedGeneration", found["metadata"]["generation"]) == found["metadata"]["generation"]
                and all(status.get(field, 0) == number for field, number in fields.items()))

    def events(self, which: str, reason: str) -> list[str]:
        return [each["message"] for each in self.list("events", fieldSelector=f"involvedObject.name={which},reason={reason}")]

    def condition(self, plural: str, which: str, kind: str) -> Object:
        found = self.get(plural, which).get("status", {}).get("conditions", [])
        return next((each for each in found if each["type"] == kind), {})


@pytest.fixture
def work(ns: Namespace) -> Iterator[Work]:
    made = Work(ns)
    yield made
    for plural in ("deployments", "replicasets", "daemonsets", "statefulsets", "replicationcontrollers"):
        ns.target.call("DELETE", made.path(plural), {"propagationPolicy": "Background"})


def template(version: str = "1", **labels: str) -> Object:
    return {"metadata": {"labels": {"app": "web", **labels}},
            "spec": {"schedulerName": "nobody", "containers": [{"name": "main", "image": f"box:{version}"}]}}


def workload(kind: str, **spec: Any) -> Object:
    selector: Object = {"app": "web"} if kind == "ReplicationController" else {"matchLabels": {"app": "web"}}
    return {"apiVersion": "v1" if kind == "ReplicationController" else "apps/v1", "kind": kind, "metadata": {"name": "web"},
            "spec": {"selector": selector, "template": template(), **spec}}


def images(pods: list[Object]) -> list[str]:
    return sorted(pod["spec"]["containers"][0]["image"] for pod in pods)


def names(objects: list[Object]) -> list[str]:
    return [each["metadata"]["name"] for each in objects]


def owner(obj: Object) -> Object:
    return (obj["metadata"].get("ownerReferences") or [{}])[0]  # type: ignore[no-any-return]


def lone(name: str, **labels: str) -> Object:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": template()["spec"]}


# --- ReplicaSet and ReplicationController

SETS = [("ReplicaSet", "replicasets"), ("ReplicationController", "replicationcontrollers")]
both = pytest.mark.parametrize(("kind", "plural"), SETS)


@both
def test_pods_are_made_from_the_template(work: Work, kind: str, plural: str) -> None:
    made = work.make(plural, workload(kind, replicas=3))
    pods = wait(lambda: len(work.pods()) == 3 and work.pods(), "three pods")
    for pod in pods:
        meta = pod["metadata"]
        assert meta["generateName"] == "web-"
        assert meta["labels"] == {"app": "web"}
        assert owner(pod) == {"apiVersion": made["apiVersion"], "kind": kind, "name": "web", "uid": made["metadata"]["uid"],
                              "controller": True, "blockOwnerDeletion": True}
    assert wait(lambda: work.status(plural, replicas=3, fullyLabeledReplicas=3, readyReplicas=0), "its status")


@both
def test_a_pod_that_is_deleted_is_replaced(work: Work, kind: str, plural: str) -> None:
    work.make(plural, workload(kind, replicas=2))
    pods = wait(lambda: len(work.pods()) == 2 and work.pods(), "two pods")
    work.delete("pods", pods[0]["metadata"]["name"])
    wait(lambda: len(work.pods()) == 2 and pods[0]["metadata"]["name"] not in names(work.pods()), "another one")
    assert pods[1]["metadata"]["name"] in names(work.pods())


@both
def test_scaled_down_and_up(work: Work, kind: str, plural: str) -> None:
    work.make(plural, workload(kind, replicas=3))
    work.serve(lambda: work.status(plural, readyReplicas=3), "three that serve")
    work.patch(plural, "web", {"spec": {"replicas": 1}})
    wait(lambda: len(work.pods()) == 1 and work.status(plural, replicas=1, readyReplicas=1), "one")
    work.patch(plural, "web", {"spec": {"replicas": 2}})
    wait(lambda: len(work.pods()) == 2, "two")


@both
def test_an_orphan_that_fits_is_adopted(work: Work, kind: str, plural: str) -> None:
    work.make("pods", lone("orphan", app="web"))
    work.make("pods", lone("stranger", app="other"))
    work.make(plural, workload(kind, replicas=2))
    wait(lambda: len(work.pods()) == 2 and all(owner(pod) for pod in work.pods()), "two pods with an owner")
    assert "orphan" in names(work.pods())
    assert not owner(work.get("pods", "stranger"))


@both
def test_a_pod_that_loses_its_label_is_let_go(work: Work, kind: str, plural: str) -> None:
    work.make(plural, workload(kind, replicas=1))
    pod = wait(lambda: work.pods(), "a pod")[0]["metadata"]["name"]
    work.patch("pods", pod, {"metadata": {"labels": {"app": "debug"}}})
    wait(lambda: len(work.pods()) == 1 and not owner(work.get("pods", pod)), "another in its place, and none above it")
    assert work.get("pods", pod)["status"]["phase"] == "Pending"


@both
def test_a_failed_pod_is_replaced_and_stays_to_be_looked_at(work: Work, kind: str, plural: str) -> None:
    work.make(plural, workload(kind, replicas=1))
    pod = wait(lambda: work.pods(), "a pod")[0]
    work.mark(pod, "Failed", "False")
    wait(lambda: len(work.pods()) == 2, "another")
    wait(lambda: work.status(plural, replicas=1), "one that counts")
    assert work.get("pods", pod["metadata"]["name"])["status"]["phase"] == "Failed"


@both
def test_what_it_did_is_told_in_events(work: Work, kind: str, plural: str) -> None:
    work.make(plural, workload(kind, replicas=1))
    pod = wait(lambda: work.pods(), "a pod")[0]["metadata"]["name"]
    wait(lambda: work.events("web", "SuccessfulCreate") == [f"Created pod: {pod}"], "the event about it")
    work.patch(plural, "web", {"spec": {"replicas": 0}})
    wait(lambda: work.events("web", "SuccessfulDelete") == [f"Deleted pod: {pod}"], "the event about its end")


@both
def test_orphaned_pods_live_on(work: Work, kind: str, plural: str, need: Callable[[str], None]) -> None:
    need("controller-manager")
    work.make(plural, workload(kind, replicas=1))
    pod = wait(lambda: work.pods(), "a pod")[0]["metadata"]["name"]
    work.delete(plural, "web", propagationPolicy="Orphan")
    wait(lambda: not owner(work.get("pods", pod)), "a pod without an owner")


def spare(work: Work, marks: dict[int, Callable[[Object], None]]) -> str:
    """Three pods, each marked in its way; the one that goes when there are to be two."""
    work.make("replicasets", workload("ReplicaSet", replicas=3))
    pods = wait(lambda: len(work.pods()) == 3 and work.pods(), "three pods")
    for number, mark in marks.items():
        mark(pods[number])
    wait(lambda: work.status("replicasets", readyReplicas=sum(
        any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", [])) for pod in work.pods())),
        "the status that says so")
    work.patch("replicasets", "web", {"spec": {"replicas": 2}})
    wait(lambda: len(work.pods()) == 2, "two pods")
    gone = set(names(pods)) - set(names(work.pods()))
    return str(next(index for index, pod in enumerate(pods) if pod["metadata"]["name"] in gone))


def cost(work: Work, amount: int) -> Callable[[Object], None]:
    def mark(pod: Object) -> None:
        work.mark(pod)
        work.patch("pods", pod["metadata"]["name"], {"metadata": {"annotations": {
            "controller.kubernetes.io/pod-deletion-cost": str(amount)}}})
    return mark


def test_first_to_go_is_the_one_that_does_not_run(work: Work) -> None:
    assert spare(work, {0: work.mark, 2: work.mark}) == "1"


def test_first_to_go_is_the_one_that_is_not_ready(work: Work) -> None:
    assert spare(work, {0: work.mark, 1: work.mark, 2: lambda pod: work.mark(pod, ready="False")}) == "2"


def test_first_to_go_is_the_cheapest(work: Work) -> None:
    assert spare(work, {0: cost(work, 5), 1: cost(work, -5), 2: cost(work, 1)}) == "1"


def test_ready_for_long_enough_is_available(work: Work) -> None:
    work.make("replicasets", workload("ReplicaSet", replicas=1, minReadySeconds=100))
    pod = wait(lambda: work.pods(), "a pod")[0]
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2099-01-01T00:00:00Z"}]}
    work.patch("pods", pod["metadata"]["name"], {"status": status}, "/status")
    wait(lambda: work.status("replicasets", readyReplicas=1, availableReplicas=0), "ready and not available")
    work.mark(pod)                              # ready since long ago
    wait(lambda: work.status("replicasets", readyReplicas=1, availableReplicas=1), "available")


def test_what_cannot_be_made_is_said_in_a_condition(work: Work) -> None:
    work.make("replicasets", workload("ReplicaSet", replicas=1, template={
        "metadata": {"labels": {"app": "web"}}, "spec": {**template()["spec"], "serviceAccountName": "nobody",
                                                        "priorityClassName": "no-such-class"}}))
    told = wait(lambda: work.condition("replicasets", "web", "ReplicaFailure"), "a condition")
    assert (told["status"], told["reason"]) == ("True", "FailedCreate")
    assert "is forbidden" in told["message"]
    assert wait(lambda: work.events("web", "FailedCreate"), "an event")[0].startswith('Error creating: pods "web-')


# --- Deployment

def deployment(**spec: Any) -> Object:
    return workload("Deployment", **{"replicas": 3, **spec})


def sets(work: Work) -> list[tuple[str, int]]:
    """Revision and size of each ReplicaSet."""
    return sorted((each["metadata"]["annotations"][REVISION], each["spec"]["replicas"]) for each in work.list("replicasets"))


def done(work: Work, **more: int) -> bool:
    want = work.get("deployments", "web")["spec"]["replicas"]
    return work.status("deployments", replicas=want, updatedReplicas=want, availableReplicas=want, **more)


def rolled_out(work: Work, **spec: Any) -> Object:
    made = work.make("deployments", deployment(**spec))
    work.serve(lambda: done(work), "the first version")
    return made


def update(work: Work, version: str = "2", **spec: Any) -> None:
    work.patch("deployments", "web", {"spec": {"template": template(version), **spec}})


def test_a_deployment_makes_a_replicaset_of_its_own(work: Work) -> None:
    made = rolled_out(work)
    (found,) = work.list("replicasets")
    short = found["metadata"]["labels"]["pod-template-hash"]
    assert found["metadata"]["name"] == f"web-{short}"
    assert found["spec"]["selector"] == {"matchLabels": {"app": "web", "pod-template-hash": short}}
    assert found["spec"]["template"]["metadata"]["labels"] == {"app": "web", "pod-template-hash": short}
    assert found["metadata"]["annotations"] == {REVISION: "1", "deployment.kubernetes.io/desired-replicas": "3",
                                               "deployment.kubernetes.io/max-replicas": "4"}
    assert owner(found)["uid"] == made["metadata"]["uid"]
    assert {pod["metadata"]["labels"]["pod-template-hash"] for pod in work.pods()} == {short}


def test_its_status_says_that_it_is_done(work: Work) -> None:
    rolled_out(work)
    available, progressing = (wait(lambda kind=kind: work.condition("deployments", "web", kind), kind)
                              for kind in ("Available", "Progressing"))
    assert (available["status"], available["reason"], available["message"]) == (
        "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    name = names(work.list("replicasets"))[0]
    wait(lambda: work.condition("deployments", "web", "Progressing")["reason"] == "NewReplicaSetAvailable", "done")
    assert work.condition("deployments", "web", "Progressing")["message"] == f'ReplicaSet "{name}" has successfully progressed.'
    assert progressing["status"] == "True"
    assert work.get("deployments", "web")["metadata"]["annotations"][REVISION] == "1"


def test_a_new_template_is_rolled_out(work: Work) -> None:
    rolled_out(work)
    update(work)
    work.serve(lambda: done(work) and sets(work) == [("1", 0), ("2", 3)], "the second version")
    wait(lambda: images(work.pods()) == ["box:2"] * 3, "three new pods")
    assert work.get("deployments", "web")["metadata"]["annotations"][REVISION] == "2"


def test_what_is_no_template_makes_no_new_replicaset(work: Work) -> None:
    rolled_out(work)
    work.patch("deployments", "web", {"metadata": {"labels": {"a": "b"}}, "spec": {"revisionHistoryLimit": 3, "replicas": 2}})
    wait(lambda: done(work) and len(work.pods()) == 2, "two pods")
    assert len(work.list("replicasets")) == 1


@pytest.mark.parametrize(("replicas", "rolling", "sizes"), [
    (3, {}, [3, 1]), (4, {}, [3, 2]), (4, {"maxSurge": 0, "maxUnavailable": 1}, [3, 1]),
    (4, {"maxSurge": 2, "maxUnavailable": 0}, [4, 2]), (4, {"maxSurge": "50%", "maxUnavailable": "50%"}, [2, 4]),
    (2, {"maxSurge": "100%", "maxUnavailable": "100%"}, [0, 2]), (10, {"maxSurge": "33%", "maxUnavailable": "33%"}, [7, 7])])
def test_a_step_is_as_large_as_its_limits_allow(work: Work, replicas: int, rolling: Object, sizes: list[int]) -> None:
    """The new pods never serve, so the first step is the last: old pods and new ones, as many as may be."""
    rolled_out(work, replicas=replicas, strategy={"type": "RollingUpdate", "rollingUpdate": rolling})
    update(work)
    wait(lambda: [size for _, size in sets(work)] == sizes, f"sizes {sizes}")
    wait(lambda: len(work.pods()) == sum(sizes), "so many pods")
    assert [size for _, size in sets(work)] == sizes


def test_recreate_ends_all_before_it_begins(work: Work) -> None:
    rolled_out(work, strategy={"type": "Recreate"})
    update(work)
    wait(lambda: len(sets(work)) == 2, "the new ReplicaSet")
    left = [pod for pod in work.list("pods") if pod["status"].get("phase") not in ("Failed", "Succeeded")]
    assert "box:1" not in images(left), "an old pod is still there, so there should be no new one"
    work.serve(lambda: done(work) and images(work.pods()) == ["box:2"] * 3, "the new ones")


def test_back_to_the_first_version(work: Work) -> None:
    rolled_out(work)
    first = names(work.list("replicasets"))
    update(work)
    work.serve(lambda: done(work), "the second version")
    update(work, "1")
    work.serve(lambda: done(work) and sets(work) == [("2", 0), ("3", 3)], "the first, as the third")
    found = work.get("replicasets", first[0])
    assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] == "1"


def test_paused_it_scales_and_does_not_roll(work: Work) -> None:
    rolled_out(work)
    work.patch("deployments", "web", {"spec": {"paused": True}})
    wait(lambda: work.condition("deployments", "web", "Progressing").get("reason") == "DeploymentPaused", "the pause")
    update(work, replicas=4)
    work.serve(lambda: work.status("deployments", replicas=4, availableReplicas=4), "four of the old version")
    assert images(work.pods()) == ["box:1"] * 4
    assert work.status("deployments", updatedReplicas=0)
    work.patch("deployments", "web", {"spec": {"paused": False}})
    work.serve(lambda: done(work) and images(work.pods()) == ["box:2"] * 4, "four of the new one")


def test_scaled_in_the_middle_both_get_their_share(work: Work) -> None:
    rolled_out(work, replicas=4, strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 0}})
    update(work)
    wait(lambda: sets(work) == [("1", 4), ("2", 2)], "the middle")
    work.patch("deployments", "web", {"spec": {"replicas": 10}})
    wait(lambda: sum(size for _, size in sets(work)) == 12, "twelve, by the new limits")
    assert sets(work) == [("1", 8), ("2", 4)]


def test_old_replicasets_are_kept_up_to_a_limit(work: Work) -> None:
    rolled_out(work, replicas=1, revisionHistoryLimit=1)
    for version in ("2", "3"):
        update(work, version)
        work.serve(lambda: done(work), f"version {version}")
    wait(lambda: [number for number, _ in sets(work)] == ["2", "3"], "the oldest to go")


def test_no_progress_in_time_is_told(work: Work) -> None:
    rolled_out(work, replicas=1, progressDeadlineSeconds=2)
    update(work)
    wait(lambda: work.condition("deployments", "web", "Progressing").get("reason") == "ProgressDeadlineExceeded", "the deadline")
    told = work.condition("deployments", "web", "Progressing")
    newest = next(each for each in work.list("replicasets") if each["metadata"]["annotations"][REVISION] == "2")
    assert (told["status"], told["message"]) == (
        "False", f'ReplicaSet "{newest["metadata"]["name"]}" has timed out progressing.')
    assert work.status("deployments", availableReplicas=1), "the old pod still serves"


def test_annotations_reach_the_replicaset(work: Work) -> None:
    rolled_out(work, replicas=1)
    work.patch("deployments", "web", {"metadata": {"annotations": {"kubernetes.io/change-cause": "because"}}})
    wait(lambda: work.list("replicasets")[0]["metadata"]["annotations"].get("kubernetes.io/change-cause") == "because", "the cause")


def test_a_deployment_adopts_a_replicaset_that_fits(work: Work) -> None:
    orphan = workload("ReplicaSet", replicas=2)
    orphan["metadata"]["labels"] = {"app": "web"}
    work.make("replicasets", orphan)
    wait(lambda: len(work.pods()) == 2, "two pods")
    before = names(work.pods())
    work.make("deployments", deployment(replicas=2))
    wait(lambda: owner(work.get("replicasets", "web")).get("kind") == "Deployment", "the adoption")
    work.serve(lambda: done(work), "its status")
    assert names(work.pods()) == before
    assert len(work.list("replicasets")) == 1


def test_each_scaling_is_told(work: Work) -> None:
    rolled_out(work)
    name = names(work.list("replicasets"))[0]
    wait(lambda: work.events("web", "ScalingReplicaSet") == [f"Scaled up replica set {name} from 0 to 3"], "an event")
    work.patch("deployments", "web", {"spec": {"replicas": 1}})
    wait(lambda: f"Scaled down replica set {name} from 3 to 1" in work.events("web", "ScalingReplicaSet"), "another")


# --- DaemonSet

@pytest.fixture
def nodes(target: Target) -> Iterator[list[str]]:
    """Two nodes of nobody's, with a label that only they have."""
    mark = uuid.uuid4().hex[:6]
    made = [f"{mark}-ant", f"{mark}-bee"]
    for node in made:
        body = {"metadata": {"name": node, "labels": {"mark": mark}}}
        assert target.call("POST", "/api/v1/nodes", body).status_code == 201
    yield made
    for node in made:
        target.call("DELETE", f"/api/v1/nodes/{node}")


def daemons(nodes: list[str], **spec: Any) -> Object:
    made = workload("DaemonSet", **spec)
    made["spec"]["template"]["spec"]["nodeSelector"] = {"mark": nodes[0].partition("-")[0]}
    return made


def second_version(work: Work, body: Object) -> None:
    """Give a DaemonSet another image, and leave all else as it is."""
    old = body["spec"]["template"]
    new = {**old, "spec": {**old["spec"], "containers": [{"name": "main", "image": "box:2"}]}}
    work.patch("daemonsets", "web", {"spec": {"template": new}})


def meant_for(pod: Object) -> str:
    terms = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    (field,) = terms[0]["matchFields"]
    assert (field["key"], field["operator"]) == ("metadata.name", "In")
    return field["values"][0]  # type: ignore[no-any-return]


def test_a_daemon_for_each_node(work: Work, nodes: list[str]) -> None:
    work.make("daemonsets", daemons(nodes))
    pods = wait(lambda: len(work.pods()) == 2 and work.pods(), "two pods")
    assert sorted(map(meant_for, pods)) == nodes
    (revision,) = work.list("controllerrevisions")
    assert revision["metadata"]["labels"]["controller-revision-hash"] == pods[0]["metadata"]["labels"]["controller-revision-hash"]
    assert revision["revision"] == 1
    assert revision["data"]["spec"]["template"]["$patch"] == "replace"
    numbers = {"desiredNumberScheduled": 2, "currentNumberScheduled": 2, "numberReady": 2, "numberAvailable": 2,
               "updatedNumberScheduled": 2, "numberMisscheduled": 0, "numberUnavailable": 0}
    work.serve(lambda: work.status("daemonsets", **numbers), "its status")


def test_daemons_stay_where_others_are_driven_away(work: Work, nodes: list[str]) -> None:
    work.make("daemonsets", daemons(nodes))
    pods = wait(lambda: len(work.pods()) == 2 and work.pods(), "two pods")
    kept = {(each["key"].removeprefix("node.kubernetes.io/"), each["effect"]) for each in pods[0]["spec"]["tolerations"]}
    assert kept >= {("not-ready", "NoExecute"), ("unreachable", "NoExecute"), ("disk-pressure", "NoSchedule"),
                    ("memory-pressure", "NoSchedule"), ("pid-pressure", "NoSchedule"), ("unschedulable", "NoSchedule")}


def taint(target: Target, node: str, effect: str) -> None:
    found = target.call("GET", f"/api/v1/nodes/{node}").json()
    taints = [*found["spec"].get("taints", []), {"key": "mine", "effect": effect}]
    target.call("PATCH", f"/api/v1/nodes/{node}", {"spec": {"taints": taints}}, kind="application/merge-patch+json")


def test_a_taint_keeps_daemons_away(work: Work, nodes: list[str]) -> None:
    taint(work.target, nodes[0], "NoSchedule")
    work.make("daemonsets", daemons(nodes))
    wait(lambda: work.status("daemonsets", desiredNumberScheduled=1, currentNumberScheduled=1), "one")
    assert list(map(meant_for, work.pods())) == [nodes[1]]


def bind(work: Work) -> None:
    """Put each daemon on its node: a genuine controller looks at a node's change only if it knows a pod there, or wants one."""
    for pod in work.pods():
        body = {"metadata": {"name": pod["metadata"]["name"]}, "target": {"kind": "Node", "name": meant_for(pod)}}
        assert work.target.call("POST", work.path("pods", pod["metadata"]["name"]) + "/binding", body).status_code == 201
    wait(lambda: all(pod["spec"].get("nodeName") for pod in work.pods()), "bound pods")


@pytest.mark.parametrize(("effect", "left"), [("NoSchedule", 2), ("NoExecute", 1)])
def test_a_taint_that_comes_later(work: Work, nodes: list[str], effect: str, left: int) -> None:
    work.make("daemonsets", daemons(nodes))
    wait(lambda: work.status("daemonsets", currentNumberScheduled=2), "two")
    bind(work)
    taint(work.target, nodes[0], effect)
    work.patch("daemonsets", "web", {"metadata": {"labels": {"look": "again"}}})      # a pod that may stay is no reason to look
    wait(lambda: work.status("daemonsets", desiredNumberScheduled=1, numberMisscheduled=1), "its status")     # gone or going
    wait(lambda: len(work.pods()) == left, f"{left} pods")


def test_a_node_that_gets_the_label_gets_a_daemon(work: Work, nodes: list[str]) -> None:
    body = daemons(nodes)
    body["spec"]["template"]["spec"]["nodeSelector"]["late"] = "yes"
    work.make("daemonsets", body)
    wait(lambda: work.get("daemonsets", "web")["status"].get("observedGeneration") == 1, "its first look")
    assert not work.pods()
    work.target.call("PATCH", f"/api/v1/nodes/{nodes[1]}", {"metadata": {"labels": {"late": "yes"}}},
                     kind="application/merge-patch+json")
    wait(lambda: list(map(meant_for, work.pods())) == [nodes[1]], "its pod")
    bind(work)
    work.target.call("PATCH", f"/api/v1/nodes/{nodes[1]}", {"metadata": {"labels": {"late": None}}},
                     kind="application/merge-patch+json")
    wait(lambda: not work.pods(), "its end")


def test_daemons_are_updated_one_by_one(work: Work, nodes: list[str]) -> None:
    body = work.make("daemonsets", daemons(nodes))
    work.serve(lambda: work.status("daemonsets", numberAvailable=2), "two that serve")
    second_version(work, body)
    wait(lambda: images(work.pods()) == ["box:1", "box:2"], "one of each: the new one does not serve yet")
    work.serve(lambda: work.status("daemonsets", numberAvailable=2, updatedNumberScheduled=2)
               and images(work.pods()) == ["box:2"] * 2, "both")
    assert [each["revision"] for each in sorted(work.list("controllerrevisions"), key=lambda one: one["revision"])] == [1, 2]


def test_daemons_that_surge(work: Work, nodes: list[str]) -> None:
    body = work.make("daemonsets", daemons(nodes, updateStrategy={"type": "RollingUpdate", "rollingUpdate": {
        "maxSurge": 1, "maxUnavailable": 0}}))
    work.serve(lambda: work.status("daemonsets", numberAvailable=2), "two that serve")
    second_version(work, body)
    wait(lambda: images(work.pods()) == ["box:1", "box:1", "box:2"], "a second one on one node")
    work.serve(lambda: images(work.pods()) == ["box:2"] * 2, "both")


def test_on_delete_nothing_is_updated_unasked(work: Work, nodes: list[str]) -> None:
    body = work.make("daemonsets", daemons(nodes, updateStrategy={"type": "OnDelete"}))
    work.serve(lambda: work.status("daemonsets", numberAvailable=2), "two that serve")
    second_version(work, body)
    wait(lambda: work.status("daemonsets", numberAvailable=2, updatedNumberScheduled=0), "its status")
    assert images(work.pods()) == ["box:1"] * 2
    work.delete("pods", names(work.pods())[0])
    wait(lambda: images(work.pods()) == ["box:1", "box:2"], "the one that was asked for")


# --- StatefulSet

CLAIM = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "none",
                                               "resources": {"requests": {"storage": "1Gi"}}}}


def stateful(**spec: Any) -> Object:
    return workload("StatefulSet", **{"replicas": 2, "serviceName": "web", **spec})


def settled(work: Work, count: int, **more: int) -> bool:
    return work.status("statefulsets", replicas=count, readyReplicas=count, availableReplicas=count, **more)


def test_one_after_the_other(work: Work) -> None:
    work.make("statefulsets", stateful())
    wait(lambda: names(work.pods()) == ["web-0"] and work.status("statefulsets", replicas=1), "the first")
    work.mark(work.pods()[0])
    wait(lambda: names(work.pods()) == ["web-0", "web-1"], "the second, when the first serves")


def test_all_at_once_if_asked(work: Work) -> None:
    work.make("statefulsets", stateful(podManagementPolicy="Parallel"))
    wait(lambda: names(work.pods()) == ["web-0", "web-1"], "both, though none serves")


def test_each_has_a_name_and_a_number(work: Work) -> None:
    work.make("statefulsets", stateful(replicas=1, ordinals={"start": 3}))
    pod = wait(lambda: work.pods(), "a pod")[0]
    revision = wait(lambda: work.get("statefulsets", "web")["status"].get("updateRevision"), "its revision")
    assert pod["metadata"]["name"] == pod["spec"]["hostname"] == "web-3"
    assert pod["spec"]["subdomain"] == "web"
    assert pod["metadata"]["labels"] == {
        "app": "web", "statefulset.kubernetes.io/pod-name": "web-3", "apps.kubernetes.io/pod-index": "3",
        "controller-revision-hash": revision}
    assert names(work.list("controllerrevisions")) == [revision]


def test_each_has_claims_that_stay(work: Work) -> None:
    work.make("statefulsets", stateful(volumeClaimTemplates=[CLAIM]))
    work.serve(lambda: settled(work, 2), "both")
    claims = work.list("persistentvolumeclaims")
    assert names(claims) == ["data-web-0", "data-web-1"]
    assert claims[0]["metadata"]["labels"] == {"app": "web"}
    assert work.pods()[1]["spec"]["volumes"][0] == {"name": "data", "persistentVolumeClaim": {"claimName": "data-web-1"}}
    work.patch("statefulsets", "web", {"spec": {"replicas": 1}})
    wait(lambda: names(work.pods()) == ["web-0"], "one")
    assert names(work.list("persistentvolumeclaims")) == ["data-web-0", "data-web-1"]
    assert "Create Claim data-web-0 Pod web-0 in StatefulSet web success" in work.events("web", "SuccessfulCreate")


def test_scaled_down_from_the_highest(work: Work) -> None:
    work.make("statefulsets", stateful(replicas=3))
    work.serve(lambda: settled(work, 3), "three")
    work.patch("statefulsets", "web", {"spec": {"replicas": 1}})
    wait(lambda: settled(work, 1) and names(work.pods()) == ["web-0"], "one")
    told = wait(lambda: len(work.events("web", "SuccessfulDelete")) == 2 and work.events("web", "SuccessfulDelete"), "events")
    assert sorted(told) == [f"Delete Pod web-{n} in StatefulSet web successful" for n in (1, 2)]


def test_the_same_name_comes_back(work: Work) -> None:
    work.make("statefulsets", stateful())
    work.serve(lambda: settled(work, 2), "both")
    before = work.get("pods", "web-0")["metadata"]["uid"]
    work.delete("pods", "web-0")
    work.serve(lambda: settled(work, 2) and work.get("pods", "web-0").get("metadata", {}).get("uid") not in (None, before),
               "another web-0")


def test_updated_from_the_highest(work: Work) -> None:
    work.make("statefulsets", stateful())
    work.serve(lambda: settled(work, 2), "both")
    work.patch("statefulsets", "web", {"spec": {"template": template("2")}})
    wait(lambda: [pod["spec"]["containers"][0]["image"] for pod in work.pods()] == ["box:1", "box:2"], "the higher one")
    found = work.get("statefulsets", "web")["status"]
    assert found["currentRevision"] != found["updateRevision"]
    work.serve(lambda: settled(work, 2, updatedReplicas=2) and images(work.pods()) == ["box:2"] * 2, "both")
    wait(lambda: work.get("statefulsets", "web")["status"]["currentRevision"] == found["updateRevision"], "the new revision")


def test_updated_down_to_the_partition(work: Work) -> None:
    work.make("statefulsets", stateful(replicas=3, updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}))
    work.serve(lambda: settled(work, 3), "three")
    work.patch("statefulsets", "web", {"spec": {"template": template("2")}})
    work.serve(lambda: settled(work, 3, updatedReplicas=1, currentReplicas=2), "one of the new")
    assert [pod["spec"]["containers"][0]["image"] for pod in work.pods()] == ["box:1", "box:1", "box:2"]
    work.delete("pods", "web-0")
    work.serve(lambda: settled(work, 3, updatedReplicas=1), "three again")
    assert work.get("pods", "web-0")["spec"]["containers"][0]["image"] == "box:1", "below the partition the old one comes back"


def test_a_failed_one_is_made_anew(work: Work) -> None:
    work.make("statefulsets", stateful(replicas=1))
    pod = wait(lambda: work.pods(), "a pod")[0]
    work.mark(pod, "Failed", "False")
    work.serve(lambda: settled(work, 1) and work.get("pods", "web-0")["metadata"]["uid"] != pod["metadata"]["uid"], "another")


@pytest.mark.parametrize("arguments", [["deployment/web"], ["daemonset/web"], ["statefulset/web"]])
def test_kubectl_waits_for_a_rollout(work: Work, nodes: list[str], arguments: list[str]) -> None:
    kind = arguments[0].partition("/")[0]
    body = {"deployment": deployment(replicas=1), "daemonset": daemons(nodes), "statefulset": stateful(replicas=1)}[kind]
    work.make(f"{kind}s", body)
    work.serve(lambda: work.status(f"{kind}s", readyReplicas=1) if kind != "daemonset"
               else work.status("daemonsets", numberAvailable=2), "it")
    told = work.ns.kubectl("rollout", "status", *arguments, "--timeout=20s")
    assert told.returncode == 0, told.stderr
    assert work.ns.kubectl("rollout", "history", *arguments).stdout.splitlines()[1].startswith("REVISION")
