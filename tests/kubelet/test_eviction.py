"""Who has to go when a node runs short, in the order and the words that a genuine 1.37 kubelet was seen to use."""
from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from tinykube.cluster import Cluster
from tinykube.kubelet.eviction import (
    Evictions,
    Threshold,
    eviction_message,
    is_critical,
    rank,
    refusal,
    thresholds,
)
from tinykube.kubelet.stats import Observed
from tinykube.machinery.objects import Object

MI = 1 << 20


def pod(*containers: Mapping[str, Any], **spec: Any) -> Object:
    every = [{"name": f"c{at}", "resources": each} for at, each in enumerate(containers)]
    return {"metadata": {"name": "p", "uid": "u"}, "spec": {"containers": every, **spec}}


def test_thresholds_are_read() -> None:
    assert thresholds("") == []
    assert thresholds("memory.available<100Mi, nodefs.available<10%", {"memory.available": "50Mi"}) == [
        Threshold("memory.available", "100Mi", "50Mi"), Threshold("nodefs.available", "10%")]
    assert Threshold("nodefs.available", "10%").least(Observed(0, 500)) == 50
    for text in ("memory.available", "memory.available<", "memory.available>1", "pid.available<5", "memory.available<x"):
        with pytest.raises(ValueError, match=r"is no eviction threshold|quantities must match"):
            thresholds(text)


def test_what_was_short_takes_more_to_be_enough() -> None:
    threshold = Threshold("memory.available", "100Mi", "50Mi")
    assert [threshold.crossed(Observed(mi * MI, 1000 * MI), before) for mi, before in (
        (99, False), (100, False), (120, False), (120, True), (150, True))] == [True, False, False, True, False]


def test_the_genuine_order_and_words() -> None:
    """The four pods, and what the kubelet of a kind cluster said of them."""
    best, high = pod({}), pod({}, priority=1000)
    burst = pod({"requests": {"memory": "50Mi"}}, {"requests": {"memory": "1k"}})
    guaranteed = pod({"limits": {"memory": "50Mi", "cpu": "100m"}, "requests": {"memory": "50Mi", "cpu": "100m"}})
    uses = [{"c0": 252 << 10}, {"c0": 224 << 10}, {"c0": 200 << 10, "c1": 224 << 10}, {"c0": 200 << 10}]
    line = list(zip((best, high, burst, guaranteed), uses, strict=True))
    assert sorted(reversed(line), key=lambda each: rank(*each, "memory")) == line
    said = [eviction_message(each, use, "memory", 23700 * MI, 24120236 << 10) for each, use in line]
    low = "The node was low on resource: memory. Threshold quantity: 23700Mi, available: 24120236Ki. "
    assert said == [low + "Container c0 was using 252Ki, request is 0, has larger consumption of memory. ",
                    low + "Container c0 was using 224Ki, request is 0, has larger consumption of memory. ",
                    low + "Container c1 was using 224Ki, request is 1k, has larger consumption of memory. ", low]


def test_the_line() -> None:
    small = pod({"requests": {"memory": "10Mi"}})
    assert rank(small, None, "memory") < rank(small, {"c0": 99 * MI}, "memory")          # nobody knows what it uses
    assert rank(small, {"c0": 50 * MI}, "memory") < rank(small, {"c0": 40 * MI}, "memory") < rank(small, {"c0": 9 * MI}, "memory")
    assert rank({**small, "spec": {**small["spec"], "priority": 5}}, {"c0": 11 * MI}, "memory") < rank(
        small, {"c0": 10 * MI}, "memory")


def test_who_may_not_come() -> None:
    memory, disk, both = {"MemoryPressure"}, {"DiskPressure"}, {"MemoryPressure", "DiskPressure"}
    best, burst = pod({}), pod({"requests": {"memory": "1"}})
    bears = pod({}, tolerations=[{"key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoSchedule"}])
    critical = pod({}, priority=2_000_000_000)
    assert is_critical(critical)
    found = [(refused := refusal(each, short)) and refused.message for short in (set(), memory, disk, both)
             for each in (best, burst, bears, critical)]
    at_disk, at_both = "The node had condition: [DiskPressure]. ", "The node had condition: [DiskPressure MemoryPressure]. "
    assert found == [None, None, None, None, "The node had condition: [MemoryPressure]. ", None, None, None,
                     at_disk, at_disk, at_disk, None, at_both, None, None, None]


PODS = """
apiVersion: v1
kind: Pod
metadata: {name: best}
spec: {containers: [{name: main, image: "kubernetes-by-hand/box:1", command: [sleep, "100000"]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: modest}
spec:
  containers:
  - {name: main, image: "kubernetes-by-hand/box:1", command: [sleep, "100000"], resources: {requests: {memory: 1Gi}}}
"""


class Signal:
    """What an evictions manager is made to see."""

    def __init__(self, evictions: Evictions) -> None:
        self.memory, self.disk = 1000, 1000
        evictions.thresholds, evictions.observe = thresholds("memory.available<100Mi,nodefs.available<10%"), self.observe

    async def observe(self) -> dict[str, Observed]:
        return {"memory.available": Observed(self.memory * MI, 1000 * MI), "nodefs.available": Observed(self.disk * MI, 1000 * MI)}


def condition(obj: Object, kind: str) -> Object:
    return next((each for each in obj["status"]["conditions"] if each["type"] == kind), {})


async def test_one_after_the_other(tmp_path: Any) -> None:
    async with Cluster(["ant"]) as c:
        await c.apply(PODS)
        for name in ("best", "modest"):
            await c.wait(f"pod/{name} Ready", timeout=60)
        evictions = c.kubelets["ant"].evictions
        signal = Signal(evictions)
        assert await evictions.look() is None
        assert (evictions.pressures, condition(await c.get("node/ant"), "MemoryPressure")["status"]) == (set(), "False")

        signal.memory = 50
        gone = await evictions.look()
        assert gone
        assert gone.pod["metadata"]["name"] == "best"
        node = await c.wait("node/ant", lambda node: bool(node) and any(
            each["key"] == "node.kubernetes.io/memory-pressure" for each in node["spec"].get("taints", [])))
        assert (condition(node, "MemoryPressure")["status"], condition(node, "MemoryPressure")["reason"],
                condition(node, "DiskPressure")["status"]) == ("True", "KubeletHasInsufficientMemory", "False")
        best = await c.wait("pod/best Failed", timeout=60)
        assert best["status"]["reason"] == "Evicted"
        assert best["status"]["message"].startswith(
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. Container main was using ")
        assert best["status"]["conditions"][0] | {"message": 0, "lastTransitionTime": 0, "lastProbeTime": 0} == {
            "type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet", "message": 0,
            "lastTransitionTime": 0, "lastProbeTime": 0, "observedGeneration": 1}
        assert best["status"]["conditions"][0]["message"] == best["status"]["message"]
        assert condition(best, "Ready")["reason"] == "PodFailed"
        assert (await c.get("pod/modest"))["status"]["phase"] == "Running"

        late = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "late"}, "spec": {"nodeName": "ant", "containers": [
            {"name": "main", "image": "kubernetes-by-hand/box:1", "command": ["sleep", "1000"]}]}}
        await c.apply(late)
        refused = await c.wait("pod/late Failed")
        assert (refused["status"]["reason"], refused["status"]["message"]) == (
            "Evicted", "Pod was rejected: The node had condition: [MemoryPressure]. ")

        signal.memory = 1000                            # enough again, but the condition stays for a while
        assert await evictions.look() is None
        assert evictions.pressures == {"MemoryPressure"}
        evictions.transition = 0.0
        assert await evictions.look() is None
        node = await c.wait("node/ant", lambda node: bool(node) and not node["spec"].get("taints"))
        assert condition(node, "MemoryPressure")["reason"] == "KubeletHasSufficientMemory"
        async with asyncio.timeout(30):
            while not {"NodeHasInsufficientMemory", "EvictionThresholdMet", "Evicted", "NodeHasSufficientMemory"} <= (
                    found := {each["reason"] for each in await c.list("events")}):
                await c.clock.sleep(0.1)
        assert "NodeHasDiskPressure" not in found

        signal.disk = 99                                # short of disk: nobody is spared for what it said of memory
        gone = await evictions.look()
        assert gone
        modest = await c.wait("pod/modest Failed", timeout=60)
        assert modest["status"]["message"].startswith(
            "The node was low on resource: ephemeral-storage. Threshold quantity: 100Mi, available: 99Mi. ")
        await asyncio.wait_for(gone.ended.wait(), 30)
        assert await evictions.look() is None           # still short, and nobody left


async def test_a_file_of_its_own_protects(tmp_path: Any) -> None:
    manifests = tmp_path / "nodes" / "ant" / "manifests"
    manifests.mkdir(parents=True)
    (manifests / "best.yaml").write_text(PODS.partition("---")[0])
    async with Cluster(["ant"], directory=tmp_path) as c:
        await c.wait("pod/best-ant Ready", timeout=60)
        Signal(evictions := c.kubelets["ant"].evictions).memory = 5
        assert await evictions.look() is None
        assert evictions.pressures == {"MemoryPressure"}
        (manifests / "best.yaml").unlink()
        await c.wait("pod/best-ant deleted", timeout=60)
