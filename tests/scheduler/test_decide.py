"""Filters, scores and the sentence that explains: as the genuine scheduler 1.37 answered for the same objects."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from tinykube.machinery.objects import Object
from tinykube.scheduler import plugins
from tinykube.scheduler.decide import decide, enough
from tinykube.scheduler.nodeinfo import NodeInfo, PodInfo, requests_of
from tinykube.scheduler.plugins import FILTERS, SCORES


def node(name: str, taints: list[Object] | None = None, labels: dict[str, str] | None = None,
         unschedulable: bool = False, **offers: str) -> NodeInfo:
    offered = {"cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "10Gi", **offers}
    return NodeInfo.of({"metadata": {"name": name, "labels": labels or {}},
                        "spec": {"taints": taints or [], "unschedulable": unschedulable},
                        "status": {"allocatable": offered}})


def pod(name: str = "web", requests: dict[str, str] | None = None, **spec: Any) -> PodInfo:
    containers = [{"name": "main", "resources": {"requests": requests or {}}}]
    return PodInfo.of({"metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}"},
                       "spec": {"containers": containers, **spec}})


def taint(key: str, value: str = "", effect: str = "NoSchedule") -> Object:
    return {"key": key, "value": value, "effect": effect}


GPU = taint("gpu", "yes")
SIX = [node("a1", cpu="1", pods="2"), node("a2", [GPU]), node("a3", unschedulable=True),
       node("a4", labels={"disk": "ssd"}, memory="1Gi"), node("a5", [GPU, taint("zz", effect="NoExecute")]),
       node("a6", [taint("other")])]
HELPLESS = ". preemption: 0/6 nodes are available: 6 Preemption is not helpful for scheduling."


def message(pod: PodInfo, nodes: list[NodeInfo]) -> str:
    return decide(pod, nodes, Random(0), FILTERS, SCORES).message


@pytest.mark.parametrize(("asking", "counted"), [
    (pod(requests={"cpu": "3", "memory": "4Gi"}),
     "1 Insufficient cpu, 1 Insufficient memory, 1 node(s) were unschedulable, 3 node(s) had untolerated taint(s)"),
    (pod(requests={"cpu": "30", "memory": "40Gi"}),
     "1 node(s) were unschedulable, 2 Insufficient cpu, 2 Insufficient memory, 3 node(s) had untolerated taint(s)"),
    (pod(nodeSelector={"disk": "hdd"}),
     "1 node(s) were unschedulable, 2 node(s) didn't match Pod's node affinity/selector, "
     "3 node(s) had untolerated taint(s)"),
    (pod(requests={"memory": "3Gi"}, nodeSelector={"disk": "ssd"}),
     "1 Insufficient memory, 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) were unschedulable, "
     "3 node(s) had untolerated taint(s)"),
    (pod(requests={"ephemeral-storage": "100Gi"}),
     "1 node(s) were unschedulable, 2 Insufficient ephemeral-storage, 3 node(s) had untolerated taint(s)"),
    (pod(requests={"cpu": "30"}, tolerations=[{"operator": "Exists"}]), "6 Insufficient cpu"),
])
def test_the_message_is_the_genuine_one(asking: PodInfo, counted: str) -> None:
    assert message(asking, SIX) == f"0/6 nodes are available: {counted}{HELPLESS}"


def test_no_nodes_at_all() -> None:
    assert message(pod(), []) == "no nodes available to schedule pods"


def test_a_full_node_might_be_helped_by_preemption_but_has_no_victims() -> None:
    nodes = [node("b1", cpu="1", pods="2"), node("b2", memory="1Gi")]
    for number, each in enumerate(nodes):
        each.add(pod(f"p{number}", {"cpu": "3" if number else "600m"}))
    nodes[0].add(pod("small"))
    hungry = pod("hungry", {"memory": "2Gi"})
    assert message(hungry, nodes) == (
        "0/2 nodes are available: 1 Insufficient memory, 1 Too many pods. preemption: 0/2 nodes are available: "
        "1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling.")


@pytest.mark.parametrize(("toleration", "covered"), [
    ({"operator": "Exists"}, True),
    ({"key": "gpu", "operator": "Exists"}, True),
    ({"key": "gpu", "value": "yes"}, True),
    ({"key": "gpu", "value": "yes", "effect": "NoSchedule"}, True),
    ({"key": "gpu", "value": "no"}, False),
    ({"key": "gpu", "value": "yes", "effect": "NoExecute"}, False),
    ({"key": "disk", "operator": "Exists"}, False),
    ({"key": "gpu"}, False),
])
def test_tolerations(toleration: Object, covered: bool) -> None:
    assert plugins.tolerates([toleration], GPU) is covered


def test_requests_count_init_containers_by_the_largest() -> None:
    asked = requests_of({"spec": {
        "containers": [{"resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}] * 2,
        "initContainers": [{"resources": {"requests": {"cpu": "1"}}}, {"resources": {}}],
        "overhead": {"memory": "1Mi"}}})
    assert asked == {"cpu": 1000, "memory": 129 << 20}


def test_the_emptier_node_wins_and_a_soft_taint_outweighs_it() -> None:
    empty, full = node("empty"), node("full")
    full.add(pod("other", {"cpu": "2", "memory": "4Gi"}))
    assert decide(pod(), [full, empty], Random(0), FILTERS, SCORES).node is empty
    empty.taints = [taint("slow", effect="PreferNoSchedule")]      # none against one: 100 points against 0, three-fold
    assert decide(pod(), [full, empty], Random(0), FILTERS, SCORES).node is full


def test_a_tie_is_drawn_by_the_given_randomness() -> None:
    def winners(seed: int) -> list[str]:
        random = Random(seed)
        return [chosen.name for _ in range(20)
                if (chosen := decide(pod(), [node("a"), node("b")], random, FILTERS, SCORES).node)]
    assert winners(1) == winners(1)
    assert winners(1) != winners(2)
    assert set(winners(1)) == {"a", "b"}


def test_balance_prefers_the_node_where_the_pod_brings_cpu_and_memory_nearer_together() -> None:
    much_cpu, even = node("much-cpu"), node("even")
    much_cpu.add(pod("x", {"cpu": "3", "memory": "1Gi"}))
    even.add(pod("y", {"cpu": "2", "memory": "4Gi"}))
    hungry = pod(requests={"memory": "2Gi"})
    assert plugins.balanced_allocation(hungry, much_cpu) > plugins.balanced_allocation(hungry, even)
    assert plugins.balanced_allocation(pod(), even) == 0, "one that asks for nothing changes nothing"


def test_a_node_that_offers_nothing_holds_nothing() -> None:
    bare = NodeInfo.of({"metadata": {"name": "bare"}, "spec": {}})
    assert plugins.resources_fit(pod(requests={"cpu": "1"}), bare) == ["Too many pods", "Insufficient cpu"]
    assert plugins.least_allocated(pod(), bare) == 0


def test_large_clusters_are_sampled() -> None:
    assert [enough(total) for total in (3, 99, 100, 1000, 5000, 20000)] == [3, 99, 100, 420, 500, 1000]
    nodes = [node(f"n{number}") for number in range(1000)]
    decision = decide(pod(), nodes, Random(0), FILTERS, SCORES, start=900)
    assert decision.looked_at == 420
    assert "n950" in decision.scores
    assert "n500" not in decision.scores
