"""The controllers' decisions alone: pure functions on plain objects."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from tinykube.controllers.daemonset import Daemons, belongs, daemon_pod, daemon_status, manage, matches_node, update
from tinykube.controllers.deployment import new_replicaset, with_revision
from tinykube.controllers.expectations import PATIENCE, Expectations
from tinykube.controllers.podowner import Incomplete, slow_start
from tinykube.controllers.pods import available_in, first_to_go, pod_from_template
from tinykube.controllers.replicaset import BURST, reconcile
from tinykube.controllers.rolling import fraction, grown, limits, proportional, rolled, scaled, share, shrunk
from tinykube.controllers.statefulset import Ordered, next_steps, stateful_pod
from tinykube.controllers.table import selected
from tinykube.controllers.template import same_template, template_hash
from tinykube.machinery.clock import FakeClock
from tinykube.machinery.objects import Object, name

from tests.controllers.world import template, workload

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def pod(which: str, *, node: str = "ant", phase: str = "Running", ready: bool = True, since: str = "08:00:00",
        born: str = "08:00:00", cost: str | None = None, restarts: int = 0, uid: str = "") -> Object:
    meta: Object = {"name": which, "uid": uid or which, "creationTimestamp": f"2030-01-01T{born}Z"}
    if cost is not None:
        meta["annotations"] = {"controller.kubernetes.io/pod-deletion-cost": cost}
    return {"metadata": meta, "spec": {"nodeName": node}, "status": {
        "phase": phase, "containerStatuses": [{"restartCount": restarts}],
        "conditions": [{"type": "Ready", "status": str(ready), "lastTransitionTime": f"2030-01-01T{since}Z"}]}}


@pytest.mark.parametrize(("first", "second"), [
    (pod("a", node=""), pod("b", phase="Pending")), (pod("a", phase="Pending"), pod("b", phase="Unknown")),
    (pod("a", phase="Unknown"), pod("b")), (pod("a", ready=False), pod("b", cost="-9")), (pod("a", cost="1"), pod("b", cost="2")),
    (pod("a", node="full"), pod("b", since="11:59:00")), (pod("a", since="11:59:00"), pod("b", restarts=9)),
    (pod("a", restarts=3), pod("b", born="11:59:00")), (pod("a", born="11:59:00"), pod("b")),
    (pod("z", since="08:00:01", uid="1"), pod("a", since="08:00:00", uid="2")),                  # one age, so the lot decides
    (pod("a", cost="-1"), pod("b", cost="much"))])
def test_who_goes_first(first: Object, second: Object) -> None:
    on_node = {"full": 2, "ant": 1, "": 0}
    for order in ([first, second], [second, first]):
        assert list(map(name, first_to_go(order, on_node, NOON))) == [name(first), name(second)]


def test_as_many_as_are_wanted_and_no_more_at_a_time_than_the_burst() -> None:
    assert reconcile(3, [], {}, NOON) == (3, [])
    assert reconcile(1, [pod("a"), pod("b", ready=False)], {}, NOON)[1][0]["metadata"]["name"] == "b"
    assert reconcile(BURST + 9, [], {}, NOON)[0] == BURST


def test_available_after_its_time() -> None:
    assert available_in(pod("a", ready=False), 0, NOON) is None
    assert available_in(pod("a", since="11:59:50"), 30, NOON) == 20
    assert available_in(pod("a", since="11:59:50"), 5, NOON) == 0


def test_expectations_wait_for_what_was_asked_and_not_for_ever() -> None:
    clock = FakeClock()
    waiting = Expectations(clock)
    assert waiting.satisfied("k")
    waiting.expect("k", 1, ["a", "b"])
    waiting.created("k")
    waiting.deleted("k", "a")
    waiting.deleted("k", "a")
    assert not waiting.satisfied("k")
    waiting.deleted("k", "b")
    assert waiting.satisfied("k")
    waiting.expect("k", 1)
    clock.elapsed = PATIENCE + 1
    assert waiting.satisfied("k")


async def test_slow_start_stops_where_it_fails() -> None:
    calls: list[int] = []

    async def make() -> None:
        calls.append(len(calls))
        await asyncio.sleep(0)
        if len(calls) > 3:
            raise ConnectionError("full")
    with pytest.raises(Incomplete) as failed:
        await slow_start([make] * 100)
    assert len(calls) == 7, "one, two, four, and then no more"
    assert failed.value.done == 3


def test_which_controllers_run() -> None:
    def chosen(*words: str) -> set[str]:
        return {each.name.removesuffix("-controller") for each in selected(words)}
    everything = chosen("*")
    assert {"replicaset", "deployment", "daemonset", "statefulset"} <= everything
    assert chosen("replicaset") == chosen("replicaset-controller") == {"replicaset"}
    assert chosen("*", "-deployment") == everything - {"deployment"}
    assert chosen() == chosen("-deployment") == set()
    with pytest.raises(ValueError, match="there is no controller deploymet; there are"):
        selected(["*", "-deploymet"])


def test_names_of_pods_fit() -> None:
    owner = workload("ReplicaSet")
    owner["metadata"] |= {"name": "x" * 70, "uid": "u"}
    assert pod_from_template(template(), owner)["metadata"]["generateName"] == "x" * 70
    owner["metadata"]["name"] = "web"
    assert pod_from_template(template(), owner)["metadata"]["generateName"] == "web-"


# --- Deployments

def deployment(replicas: int, kind: str = "RollingUpdate", **rolling: Any) -> Object:
    made = workload("Deployment", replicas=replicas, strategy={"type": kind, **({"rollingUpdate": rolling} if rolling else {})})
    made["metadata"]["uid"] = "d"
    return made


def rs(which: str, replicas: int, available: int | None = None, born: int = 0, **notes: int) -> Object:
    return {"metadata": {"name": which, "creationTimestamp": f"2030-01-01T00:00:0{born}Z",
                         "annotations": {f"deployment.kubernetes.io/{key}-replicas": str(value) for key, value in notes.items()}},
            "spec": {"replicas": replicas}, "status": {"availableReplicas": replicas if available is None else available}}


def test_shares_and_limits() -> None:
    assert (share("25%", 3), share("25%", 3, 99), share(2, 100), share("100%", 7)) == (0, 1, 2, 7)
    assert limits(deployment(3)) == (1, 0)
    assert limits(deployment(10)) == (3, 2)
    assert limits(deployment(1, maxSurge=0, maxUnavailable="10%")) == (0, 1)
    assert limits(deployment(2, maxSurge=1, maxUnavailable=9)) == (1, 2)
    assert limits(deployment(3, "Recreate")) == (0, 0)


def test_the_new_one_grows_below_the_ceiling() -> None:
    assert grown(deployment(4), rs("new", 0), [rs("old", 4)]) == 1
    assert grown(deployment(4), rs("new", 1), [rs("old", 4)]) == 1
    assert grown(deployment(4), rs("new", 6), [rs("old", 0)]) == 4
    assert grown(deployment(4, "Recreate"), rs("new", 0), []) == 4


def test_the_broken_go_first_and_the_floor_holds() -> None:
    assert shrunk(deployment(4), rs("new", 1, 0), [rs("a", 2, 0), rs("b", 2)]) == {"a": 1, "b": 2}
    assert shrunk(deployment(4), rs("new", 1), [rs("a", 2), rs("b", 2)]) == {"a": 0, "b": 2}
    assert shrunk(deployment(4), rs("new", 1, 0), [rs("a", 3)]) == {"a": 3}


@pytest.mark.parametrize("seed", range(30))
def test_any_rollout_ends_within_its_limits(seed: int) -> None:
    """Pods come to serve, or do not, by lot; the sizes stay within the limits, and in the end all pods are new."""
    lots = Random(seed)
    wanted = lots.randint(1, 12)
    d = deployment(wanted, maxSurge=lots.choice([0, 1, 3, "50%"]), maxUnavailable=lots.choice([0, 1, "30%"]))
    surge, missing = limits(d)
    sizes, serving = {"old": wanted, "new": 0}, {"old": wanted, "new": 0}
    for _ in range(400):
        sizes |= rolled(d, rs("new", sizes["new"], serving["new"]), [rs("old", sizes["old"], serving["old"])])
        serving["old"] = min(serving["old"], sizes["old"])
        assert sum(sizes.values()) <= wanted + surge
        assert sum(serving.values()) >= wanted - missing
        serving["new"] = min(sizes["new"], serving["new"] + lots.randint(0, 1))
    assert (sizes, serving) == ({"old": 0, "new": wanted},) * 2


def test_a_change_of_number_is_shared() -> None:
    d = deployment(10, maxSurge=2, maxUnavailable=0)
    pair = [rs("old", 4, born=0, max=6, desired=4), rs("new", 2, 0, born=1, max=6, desired=4)]
    assert proportional(d, pair) == {"old": 8, "new": 4}
    assert fraction(d, pair[0]) == 4
    assert proportional(deployment(0), pair) == {"old": 0, "new": 0}
    assert scaled(d, pair[1], []) == {"new": 10}
    assert scaled(deployment(2), rs("new", 2, desired=2), [rs("old", 1)]) == {"old": 0}
    assert scaled(deployment(5), None, [rs("a", 0), rs("b", 0, born=1)]) == {"b": 5}


def test_revisions_go_up_and_remember() -> None:
    old = rs("a", 0)
    old["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "1"
    newer = rs("b", 1)
    newer["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "2"
    notes = with_revision(deployment(1), old, [newer])["metadata"]["annotations"]
    assert notes["deployment.kubernetes.io/revision"] == "3"
    assert notes["deployment.kubernetes.io/revision-history"] == "1"
    assert with_revision(deployment(1), newer, [old])["metadata"]["annotations"] == newer["metadata"]["annotations"]


def test_one_template_one_name() -> None:
    made = new_replicaset(deployment(3), [])
    assert same_template(made["spec"]["template"], template())
    assert not same_template(made["spec"]["template"], template(version="2"))
    assert template_hash(template()) == template_hash(template()) != template_hash(template(), 1)
    assert set(template_hash(template())) <= set("bcdfghjklmnpqrstvwxz2456789")


# --- DaemonSets

def node(which: str, *taints: str, **labels: str) -> Object:
    return {"metadata": {"name": which, "labels": labels}, "spec": {"taints": [{"key": "t", "effect": each} for each in taints]}}


def daemonset(**rolling: Any) -> Object:
    made = workload("DaemonSet", updateStrategy={"type": "RollingUpdate", "rollingUpdate": rolling})
    made["metadata"] |= {"uid": "ds", "generation": 1}
    return made


def test_where_daemons_belong() -> None:
    plain = daemonset()
    assert belongs(plain, node("ant")) == (True, True)
    assert belongs(plain, node("ant", "NoSchedule")) == (False, True)
    assert belongs(plain, node("ant", "NoExecute")) == (False, False)
    assert belongs(plain, node("ant", "PreferNoSchedule")) == (True, True)
    terms = [{"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]},
             {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["bee"]}]}, {}]
    spec = {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}}
    assert matches_node(spec, node("ant", disk="ssd"))
    assert matches_node(spec, node("bee"))
    assert not matches_node(spec, node("cat"))
    assert not matches_node({"nodeSelector": {"a": "b"}}, node("ant"))


def at(daemons: Object, pods: dict[str, list[Object]], nodes: int = 3) -> Daemons:
    return Daemons(daemons, [node(each) for each in ("ant", "bee", "cat")[:nodes]], pods, "2", NOON)


def on(which: str, hash: str = "2", **more: Any) -> Object:
    made = pod(which, **more)
    made["metadata"] |= {"labels": {"controller-revision-hash": hash}, "namespace": "default"}
    return made


def test_one_a_node() -> None:
    assert manage(at(daemonset(), {})).create == ["ant", "bee", "cat"]
    plan = manage(at(daemonset(), {"ant": [on("a"), on("b")], "bee": [on("c", phase="Failed")], "cat": [on("d")]}))
    assert list(map(name, plan.delete)) == ["b", "c"]
    assert plan.told == [("Warning", "FailedDaemonPod", "Found failed daemon pod default/c on node bee, will try to kill it")]
    assert list(map(name, manage(at(daemonset(), {"ant": [on("a")], "gone": [on("b", node="")]}, 1)).delete)) == ["b"]


def test_updates_keep_to_their_limits() -> None:
    old = {"ant": [on("a", "1")], "bee": [on("b", "1")], "cat": [on("c", "1", ready=False)]}
    assert list(map(name, update(at(daemonset(maxUnavailable=1), old)).delete)) == ["c"], "what does not serve costs nothing"
    assert list(map(name, update(at(daemonset(maxUnavailable=2), old)).delete)) == ["c", "a"]
    assert update(at(daemonset(maxSurge=1, maxUnavailable=0), old)).create == ["cat", "ant"]
    both = {"ant": [on("a", "1"), on("n")], "bee": [on("b", "1")], "cat": [on("c")]}
    plan = update(at(daemonset(maxSurge=1, maxUnavailable=0), both))
    assert (list(map(name, plan.delete)), plan.create) == (["a"], [])
    assert daemon_status(at(daemonset(), both))["updatedNumberScheduled"] == 1


def test_a_daemon_pod_is_for_one_node() -> None:
    made = daemon_pod(daemonset(), "ant", {"metadata": {"labels": {"controller-revision-hash": "2"}}})
    assert made["metadata"]["labels"] == {"app": "web", "controller-revision-hash": "2"}
    assert matches_node(made["spec"], node("ant"))
    assert not matches_node(made["spec"], node("bee"))


# --- StatefulSets

def member(number: int, revision: str = "web-1", **more: Any) -> Object:
    made = pod(f"web-{number}", **more)
    made["metadata"]["labels"] = {"controller-revision-hash": revision}
    return made


def plan(*members: Object, update: str = "web-1", replicas: int = 3, partition: int = 0, unavailable: int = 1,
         **spec: Any) -> list[Any]:
    owner = workload("StatefulSet", replicas=replicas, updateStrategy={"type": "RollingUpdate", "rollingUpdate": {
        "partition": partition, "maxUnavailable": unavailable}}, **spec)
    revisions = [{"metadata": {"name": each}} for each in ("web-1", update)]
    return next_steps(Ordered(owner, {int(name(each)[4:]): each for each in members}, *revisions, NOON))


def test_one_after_the_other() -> None:
    assert plan() == [("create", 0)]
    assert plan(member(0, phase="Pending", ready=False)) == [("claims", 0)]
    assert plan(member(0), member(2)) == [("create", 1)]
    assert plan(member(0), member(1, phase="Failed")) == [("delete", 1)]
    assert plan(member(0), member(1, ready=False), member(2), replicas=1) == [("delete", 2)]
    assert plan(member(0), member(1), member(2, ready=False), replicas=1) == [("delete", 2)]
    assert plan(member(0), member(1, ready=False), member(2, ready=False), replicas=1) == []
    assert plan(podManagementPolicy="Parallel", replicas=2) == [("create", 0), ("create", 1)]


def test_updates_from_above() -> None:
    three = [member(number) for number in range(3)]
    assert plan(*three, update="web-2") == [("delete", 2)]
    assert plan(*three, update="web-2", partition=3) == []
    assert plan(*three, update="web-2", unavailable=2) == [("delete", 2), ("delete", 1)]
    assert plan(*three[:2], member(2, "web-2", ready=False), update="web-2") == []


def test_a_pod_of_a_number() -> None:
    owner = workload("StatefulSet", serviceName="db", volumeClaimTemplates=[{"metadata": {"name": "data"}, "spec": {}}])
    owner["metadata"]["uid"] = "s"
    made = stateful_pod(owner, 7, {"metadata": {"name": "web-1"}, "data": {"spec": {"template": template()}}})
    assert (name(made), made["spec"]["hostname"], made["spec"]["subdomain"]) == ("web-7", "web-7", "db")
    assert made["spec"]["volumes"] == [{"name": "data", "persistentVolumeClaim": {"claimName": "data-web-7"}}]
