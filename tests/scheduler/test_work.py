"""What a decision costs is counted, not timed: pods are looked at when they come and go, and never by a decision."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from tinykube.machinery.objects import Object
from tinykube.scheduler import framework
from tinykube.scheduler.cache import Cache
from tinykube.scheduler.config import read
from tinykube.scheduler.decide import choose, find
from tinykube.scheduler.framework import Candidates
from tinykube.scheduler.nodeinfo import NodeInfo, PodInfo
from tinykube.scheduler.preempt import filters_for, make_room

PROFILE = read().profiles["default-scheduler"]
WEB = {"app": "web"}
SELECTOR = {"labelSelector": {"matchLabels": WEB}, "topologyKey": "zone"}
REQUIRED, PREFERRED = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"
WISHES: dict[str, Object] = {
    "none": {}, "spread": {"topologySpreadConstraints": [{**SELECTOR, "maxSkew": 50, "whenUnsatisfiable": "DoNotSchedule"}]},
    "softly": {"topologySpreadConstraints": [{**SELECTOR, "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}]},
    "near": {"affinity": {"podAffinity": {REQUIRED: [SELECTOR]}}},
    "far": {"affinity": {"podAntiAffinity": {PREFERRED: [{"weight": 5, "podAffinityTerm": SELECTOR}]}}}}


class Watched(dict[str, PodInfo]):
    """A node's pods, or a namespace's: says when somebody walks through them."""

    walked = 0

    def __iter__(self) -> Any:
        Watched.walked += len(self)
        return super().__iter__()

    def values(self) -> Any:
        Watched.walked += len(self)
        return super().values()

    def items(self) -> Any:
        Watched.walked += len(self)
        return super().items()


def node(number: int) -> Object:
    return {"metadata": {"name": f"n{number}", "labels": {"zone": "abc"[number % 3]}}, "spec": {},
            "status": {"allocatable": {"cpu": "64", "memory": "64Gi", "pods": "110"}}}


def pod(name: str, **spec: Any) -> PodInfo:
    return PodInfo.of({"metadata": {"name": name, "namespace": "default", "uid": name, "labels": WEB}, "spec": {
        "containers": [{"name": "main", "image": "box", "resources": {"requests": {"cpu": "100m"}}}], **spec}})


def crowd(nodes: int, each: int) -> Cache:
    cache = Cache()
    for number in range(nodes):
        info = cache.set_node(node(number))
        info.pods = Watched()
        for copy in range(each):
            cache.place(pod(f"x{number}-{copy}"), info.name)
    cache.index.pods["default"] = Watched(cache.index.pods["default"])  # type: ignore[assignment, arg-type]
    return cache


def decide(cache: Cache, each: PodInfo) -> None:
    decision = find(each, cache.order, filters_for(each, PROFILE, cache))
    choose(decision, each, Random(0), PROFILE.ranking(each, Candidates(cache, decision.fitting)))
    assert decision.node
    cache.assume(each, decision.node.name)


@pytest.mark.parametrize("wish", WISHES)
def test_decisions_look_at_no_pods_but_the_new_ones(wish: str) -> None:
    cache = crowd(60, 40)
    decide(cache, pod("first", **WISHES[wish]))
    Watched.walked, before = 0, cache.index.looked_at
    for number in range(50):
        decide(cache, pod(f"new-{number}", **WISHES[wish]))
    assert Watched.walked == 0, "2,400 pods are there, and no decision walks through them"
    assert cache.index.looked_at - before == 50, "each new pod is counted once"


def test_a_heartbeat_costs_nothing_and_a_change_of_one_node_does_not_touch_the_others() -> None:
    cache = crowd(120, 1)
    asked = []
    plain = [plugin for plugin in PROFILE.filters if plugin.same]
    assert len(plain) >= 5

    def counting(pod: PodInfo, node: NodeInfo) -> bool:
        asked.append(node.name)
        return True
    question = framework.remembered("counting", counting)
    for _ in range(10):
        assert all(question(pod("a"), each) for each in cache.order)
    assert len(asked) == 120, "each node is asked once for all pods that are alike"
    cache.place(pod("new"), "n7")
    assert all(question(pod("a"), each) for each in cache.order)
    assert asked[120:] == ["n7"]


def test_trying_in_thought_leaves_everything_as_it_was() -> None:
    cache = crowd(10, 5)
    for number in range(10):
        cache.place(pod(f"big-{number}", containers=[{"name": "m", "resources": {"requests": {"cpu": "63"}}}]), f"n{number}")
    vip = pod("vip", priority=9, containers=[{"name": "m", "resources": {"requests": {"cpu": "60"}}}],
              topologySpreadConstraints=WISHES["spread"]["topologySpreadConstraints"])
    reasons = find(vip, cache.order, filters_for(vip, PROFILE, cache)).reasons

    def state() -> Any:
        tallies = {key: dict(value) for key, value in cache.index.tallies["default"].items()}
        return (dict(cache.places), [dict(each.requested) for each in cache.order], tallies, set(cache.assumed),
                [each.counted_cpu for each in cache.order])
    before = state()
    room = make_room(vip, PROFILE, cache, reasons, Random(0))
    assert len(room.victims) == 1
    assert state() == before
