"""Ours and the genuine scheduler decide alike: where, by how many points, why not, and at whose expense."""

from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest
import pytest_asyncio
from bookkit.tiers import missing
from tinykube.machinery.objects import Object

from tests.seats.decisions import Bench, Case, bench, node, pinned, pod

pytestmark = [pytest.mark.skipif(bool(missing("genuine")), reason="; ".join(missing("genuine"))),
              pytest.mark.timeout(600), pytest.mark.xdist_group("genuine-decisions")]

ZONED = [node(f"{zone}{number}", labels={"zone": zone, "topology.kubernetes.io/zone": zone})
         for zone in "abc" for number in (1, 2)]
WEB, DB = {"app": "web"}, {"app": "db"}


def near(key: str, *, labels: dict[str, str] = WEB, weight: int = 0, anti: bool = False, **more: Any) -> Object:
    """An affinity to pods with some labels: required, or with a weight."""
    term: Object = {"topologyKey": key, "labelSelector": {"matchLabels": labels}, **more}
    field = "podAntiAffinity" if anti else "podAffinity"
    if weight:
        return {field: {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": weight, "podAffinityTerm": term}]}}
    return {field: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def on(*terms: Object, prefer: dict[str, int] | None = None) -> Object:
    """A node affinity: one of some expressions lists, or preferences by zone."""
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}} if terms else {}
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": weight, "preference": {"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]}}
        for zone, weight in prefer.items()]} if prefer else {}
    return {"nodeAffinity": {**required, **preferred}}


def spread(key: str, skew: int = 1, *, hard: bool = True, labels: dict[str, str] = WEB, **more: Any) -> list[Object]:
    """One constraint of even spreading."""
    return [{"topologyKey": key, "maxSkew": skew, "labelSelector": {"matchLabels": labels},
             "whenUnsatisfiable": "DoNotSchedule" if hard else "ScheduleAnyway", **more}]


def asks(key: str, operator: str, *values: str) -> Object:
    """A node selector term with one expression."""
    return {"matchExpressions": [{"key": key, "operator": operator, **({"values": list(values)} if values else {})}]}


def taint(key: str, value: str = "", effect: str = "NoSchedule") -> Object:
    """A taint."""
    return {"key": key, "value": value, "effect": effect}


def claim(name: str, volume: str = "", **more: Any) -> tuple[str, Object]:
    """A PersistentVolumeClaim, bound if it names a volume."""
    bound = {"pv.kubernetes.io/bind-completed": "yes"} if volume else {}
    return "persistentvolumeclaims", {
        "metadata": {"name": name, "namespace": "default", "annotations": bound},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "volumeName": volume,
                 "storageClassName": "", **more}, "status": {"phase": "Bound"} if volume else {}}


def volume(name: str, zone: str = "", size: str = "1Gi", **more: Any) -> tuple[str, Object]:
    """A PersistentVolume, usable in one zone if it names one."""
    where = {"nodeAffinity": {"required": {"nodeSelectorTerms": [asks("zone", "In", zone)]}}} if zone else {}
    return "persistentvolumes", {
        "metadata": {"name": name}, "status": {"phase": "Available"},
        "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": size}, "hostPath": {"path": "/tmp"}, **where,
                 **more}}


def storage(name: str, provisioner: str = "kubernetes.io/no-provisioner", **more: Any) -> tuple[str, Object]:
    """A storage class that waits for the first consumer."""
    return "storageclasses", {"metadata": {"name": name}, "provisioner": provisioner,
                              "volumeBindingMode": "WaitForFirstConsumer", **more}


def using(*claims: str) -> list[Object]:
    """Volumes of a pod."""
    return [{"name": f"v{number}", "persistentVolumeClaim": {"claimName": each}} for number, each in enumerate(claims)]


def budget(name: str, allowed: int, labels: dict[str, str] = WEB) -> tuple[str, Object]:
    """A PodDisruptionBudget as its controller would leave it."""
    return "poddisruptionbudgets", {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": labels}},
        "status": {"disruptionsAllowed": allowed, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}}


def init(cpu: str, **more: Any) -> Object:
    """An init container."""
    return {"name": f"init-{cpu}", "image": "box", "resources": {"requests": {"cpu": cpu}}, **more}


PORT = {"containerPort": 80, "hostPort": 80}
T = "2030-01-01T00:00:0{}Z"
CASES = [
    Case("resources", [node("a"), node("b", "2"), node("c", memory="1Gi")],
         [pod("one", "1", "512Mi"), pod("two", "3", "2Gi"), pod("three", "8")], [("a", pod("x", "2", "1Gi"))]),
    Case("too many pods", [node("a", pods="1"), node("b", "1", pods="2")], [pod("one", "2"), pod("two", "1"), pod("more")],
         [("a", pod("x"))]),
    Case("init containers and sidecars", [node("a", "4"), node("b", "8")],
         [pod("one", "1", initContainers=[init("5")]),
          pod("two", "1", initContainers=[init("2", restartPolicy="Always"), init("3")]),
          pod("three", "1", initContainers=[init("3"), init("4", restartPolicy="Always"), init("5")])]),
    Case("extended resources", [node("a", offers={"example.com/gpu": "2"}), node("b"), node("c", offers={"example.com/gpu": "8"})],
         [pod("one", asks={"example.com/gpu": "1"}), pod("two", asks={"example.com/gpu": "4"}),
          pod("three", asks={"example.com/gpu": "9"})], [("a", pod("x", asks={"example.com/gpu": "1"}))]),
    Case("for a whole pod", [node("a", "2"), node("b", "4")],
         [pod("one", "1", resources={"requests": {"cpu": "3"}}), pod("two", resources={"requests": {"memory": "1Gi"}})]),
    Case("taints", [node("a", taints=[taint("gpu", "yes")]), node("b", taints=[taint("old", effect="PreferNoSchedule")]),
                    node("c", taints=[taint("x", effect="NoExecute")]), node("d", unschedulable=True)],
         [pod("one"), pod("two", tolerations=[{"key": "gpu", "operator": "Exists"}]),
          pod("three", tolerations=[{"operator": "Exists", "effect": "NoSchedule"}]),
          pod("four", "99", tolerations=[{"key": "gpu", "value": "yes"}])]),
    Case("soft taints", [node("a", taints=[taint(key, effect="PreferNoSchedule") for key in "xyz"]),
                         node("b", taints=[taint("x", effect="PreferNoSchedule")]), node("c", "1")],
         [pod("one", "500m"), pod("two", tolerations=[{"key": "x", "operator": "Exists"}])]),
    Case("node affinity", ZONED,
         [pod("in", affinity=on(asks("zone", "In", "a", "b"))), pod("not", affinity=on(asks("zone", "NotIn", "a", "b"))),
          pod("or", affinity=on(asks("zone", "In", "z"), asks("zone", "In", "c"))),
          pod("none", affinity=on(asks("zone", "Exists"), asks("nothing", "Exists"))),
          pod("never", affinity=on(asks("zone", "DoesNotExist"))), pod("both", nodeSelector={"zone": "a"},
              affinity=on(asks("zone", "NotIn", "a"))), pod("by-name", affinity=pinned("b2")),
          pod("by-another", "99", affinity=pinned("b1")), pod("nobody", affinity=pinned("zz"))]),
    Case("greater and less", [node("a", labels={"rank": "1"}), node("b", labels={"rank": "10"}), node("c", labels={"rank": "x"})],
         [pod("more", affinity=on(asks("rank", "Gt", "5"))), pod("less", affinity=on(asks("rank", "Lt", "5"))),
          pod("most", affinity=on(asks("rank", "Gt", "50")))]),
    Case("preferred nodes", ZONED, [pod("one", affinity=on(prefer={"a": 10, "b": 3})),
                                    pod("two", affinity=on(asks("zone", "NotIn", "a"), prefer={"a": 90, "c": 1}))]),
    Case("ports", [node("a"), node("b"), node("c")],
         [pod("one", ports=[PORT]), pod("two", ports=[{**PORT, "hostIP": "10.0.0.1"}]),
          pod("three", ports=[{**PORT, "protocol": "UDP"}]), pod("four", ports=[{**PORT, "hostIP": "10.0.0.2"}]),
          pod("five", ports=[PORT])],
         [("a", pod("x", ports=[PORT])), ("b", pod("y", ports=[{**PORT, "hostIP": "10.0.0.1"}]))]),
    Case("images", [node("a", images={"big:1": 900 << 20, "small:latest": 200 << 20}), node("b", images={"big:1": 900 << 20}),
                    node("c", images={"small:latest": 200 << 20}), node("d")],
         [pod("one", image="big:1"), pod("two", image="small"), pod("three", image="nowhere:1")]),
    Case("near others", ZONED,
         [pod("with", affinity=near("zone")), pod("same-host", affinity=near("kubernetes.io/hostname")),
          pod("with-none", affinity=near("zone", labels={"app": "none"})),
          pod("first", labels={"app": "new"}, affinity=near("zone", labels={"app": "new"})),
          pod("second", labels={"app": "new"}, affinity=near("zone", labels={"app": "new"})),
          pod("no-such-key", affinity=near("rack"))],
         [("a1", pod("x", labels=WEB)), ("b1", pod("y", labels=DB))]),
    Case("near two sorts", ZONED,
         [pod("both", affinity={"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
             *near("zone")["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"],
             *near("zone", labels={"tier": "back"})["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]]}})],
         [("a1", pod("x", labels=WEB)), ("b1", pod("y", labels={**WEB, "tier": "back"})),
          ("c1", pod("z", labels={"tier": "back"}))]),
    Case("far from others", ZONED,
         [pod("one", labels=WEB, affinity=near("zone", anti=True)), pod("two", labels=WEB, affinity=near("zone", anti=True)),
          pod("three", labels=WEB, affinity=near("zone", anti=True)),
          pod("host", affinity=near("kubernetes.io/hostname", anti=True)), pod("no-key", affinity=near("rack", anti=True))],
         [("a1", pod("x", labels=WEB))]),
    Case("others keep off", ZONED, [pod("web", labels=WEB), pod("db", labels=DB), pod("huge", "99", labels=WEB)],
         [("a1", pod("x", affinity=near("zone", anti=True))),
          ("b2", pod("y", affinity=near("kubernetes.io/hostname", anti=True)))]),
    Case("nowhere is far enough", ZONED[:2], [pod("one", labels=WEB, affinity=near("zone", anti=True)), pod("two", labels=WEB)],
         [("a1", pod("x", labels=WEB, affinity=near("zone", anti=True)))]),
    Case("rather near, rather far", ZONED,
         [pod("near", affinity=near("zone", weight=10)), pod("far", affinity=near("zone", weight=10, anti=True)),
          pod("mixed", affinity={**near("zone", weight=3), **near("kubernetes.io/hostname", weight=50, anti=True)}),
          pod("plain", labels=WEB)],
         [("a1", pod("x", labels=WEB)), ("a2", pod("y", labels=WEB)), ("b1", pod("z", labels=WEB)),
          ("c1", pod("w", affinity=near("zone", weight=40))), ("b2", pod("v", affinity=near("zone", weight=70, anti=True))),
          ("c2", pod("u", labels=WEB, affinity=near("zone")))]),
    Case("namespaces", ZONED,
         [pod("own", affinity=near("zone")), pod("named", affinity=near("zone", namespaces=["other"])),
          pod("by-labels", affinity=near("zone", namespaceSelector={"matchLabels": {"team": "blue"}})),
          pod("anywhere", affinity=near("zone", namespaceSelector={}, anti=True)),
          pod("nowhere", affinity=near("zone", namespaceSelector={"matchLabels": {"team": "red"}}))],
         [("a1", pod("x", labels=WEB)), ("b1", pod("y", labels=WEB, namespace="other")),
          ("c1", pod("z", labels=DB, namespace="other",
                     affinity=near("zone", namespaceSelector={"matchLabels": {"team": "blue"}}, anti=True)))],
         [("namespaces", {"metadata": {"name": "other", "labels": {"team": "blue"}}})]),
    Case("label keys", ZONED,
         [pod("match", labels={**WEB, "hash": "2"}, affinity=near("zone", anti=True, matchLabelKeys=["hash"])),
          pod("mismatch", labels={**WEB, "hash": "2"}, affinity=near("zone", mismatchLabelKeys=["hash"])),
          pod("spread", labels={**WEB, "hash": "2"}, topologySpreadConstraints=spread("zone", matchLabelKeys=["hash"]))],
         [("a1", pod("x", labels={**WEB, "hash": "1"})), ("b1", pod("y", labels={**WEB, "hash": "2"}))]),
    Case("even", ZONED, [pod(f"p{number}", labels=WEB, topologySpreadConstraints=spread("zone")) for number in range(4)],
         [("a1", pod("x", labels=WEB)), ("a2", pod("y", labels=WEB)), ("b1", pod("z", labels=WEB))]),
    Case("too uneven", [*ZONED[:4], node("c1", "1", labels={"zone": "c"})],
         [pod("one", "2", labels=WEB, topologySpreadConstraints=spread("zone")),
          pod("two", "2", labels=WEB, topologySpreadConstraints=spread("zone", 2)),
          pod("three", "2", labels=WEB, topologySpreadConstraints=spread("rack")),
          pod("four", "2", labels=DB, topologySpreadConstraints=spread("zone"))],
         [("a1", pod("x", labels=WEB)), ("b1", pod("y", labels=WEB)), ("b2", pod("z", labels=WEB))]),
    Case("few domains", ZONED[:4], [pod(f"p{number}", labels=WEB, topologySpreadConstraints=spread("zone", minDomains=3))
                                    for number in range(3)]),
    Case("who takes part", [*ZONED[:4], node("c1", labels={"zone": "c"}, taints=[taint("gpu")])],
         [pod("honor", labels=WEB, affinity=on(asks("zone", "In", "a", "b")), topologySpreadConstraints=spread("zone")),
          pod("ignore", labels=WEB, affinity=on(asks("zone", "In", "a", "b")),
              topologySpreadConstraints=spread("zone", nodeAffinityPolicy="Ignore")),
          pod("tainted", labels=WEB, topologySpreadConstraints=spread("zone")),
          pod("untainted", labels=WEB, topologySpreadConstraints=spread("zone", nodeTaintsPolicy="Honor"))],
         [("a1", pod("x", labels=WEB)), ("b1", pod("y", labels=WEB))]),
    Case("two rules at once", ZONED,
         [pod(f"p{number}", labels=WEB, topologySpreadConstraints=spread("zone") + spread("kubernetes.io/hostname", 1))
          for number in range(3)], [("a1", pod("x", labels=WEB)), ("b1", pod("z", labels=WEB))]),
    Case("rather even", [*ZONED, node("d1")],
         [pod("zones", labels=WEB, topologySpreadConstraints=spread("zone", hard=False)),
          pod("hosts", labels=WEB, topologySpreadConstraints=spread("kubernetes.io/hostname", 2, hard=False)),
          pod("both", labels=WEB,
              topologySpreadConstraints=spread("zone", 3, hard=False) + spread("kubernetes.io/hostname", hard=False))],
         [("a1", pod("x", labels=WEB)), ("a2", pod("y", labels=WEB)), ("b1", pod("z", labels=WEB)), ("b1", pod("w", labels=DB))]),
    Case("a service's pods", [*ZONED, node("d1")], [pod("one", labels=WEB), pod("two", labels=WEB), pod("other", labels=DB)],
         [("a1", pod("x", labels=WEB)), ("a1", pod("y", labels=WEB)), ("b1", pod("z", labels=WEB))],
         [("services", {"metadata": {"name": "web", "namespace": "default"}, "spec": {"selector": WEB, "ports": [{"port": 80}]}})]),
    Case("a replica set's pods", ZONED,
         [pod("one", labels=WEB, owner={"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": "u",
                                        "controller": True})],
         [("a1", pod("x", labels=WEB)), ("b2", pod("y", labels=WEB))],
         [("replicasets", {"metadata": {"name": "rs", "namespace": "default"}, "spec": {
             "replicas": 0, "selector": {"matchLabels": WEB},
             "template": {"metadata": {"labels": WEB}, "spec": {"containers": [{"name": "main", "image": "box"}]}}}})]),
    Case("bound volumes", ZONED, [pod("one", volumes=using("data")), pod("two", volumes=using("data", "more")),
                                  pod("three", volumes=using("lost")), pod("four", volumes=using("nowhere"))],
         also=[volume("pv-a", "a", claimRef={"name": "data", "namespace": "default"}), claim("data", "pv-a"),
               volume("pv-b", "b", claimRef={"name": "more", "namespace": "default"}), claim("more", "pv-b"),
               claim("lost", "pv-gone")]),
    Case("unbound at once", ZONED[:2], [pod("one", volumes=using("data")), pod("two", "1", volumes=using("missing"))],
         also=[claim("data")]),
    Case("no volume to be had", ZONED,
         [pod("one", volumes=using("large")), pod("two", volumes=using("elsewhere"))],
         also=[storage("local"), volume("pv-a", "a", storageClassName="local"),
               claim("large", storageClassName="local", resources={"requests": {"storage": "9Gi"}}),
               storage("made", "example.com/disk",
                       allowedTopologies=[{"matchLabelExpressions": [{"key": "zone", "values": ["z"]}]}]),
               claim("elsewhere", storageClassName="made")]),
    Case("the least important goes", [node("a", "2"), node("b", "2")], [pod("vip", "2", priority="high")],
         [("a", pod("x", "2", priority="middle")), ("b", pod("y", "2", priority="low"))]),
    Case("as few as possible", [node("a", "4"), node("b", "4")], [pod("vip", "2", priority="high")],
         [("a", pod("x", "2", priority="low", started=T.format(1))), ("a", pod("y", "2", priority="low", started=T.format(2))),
          ("b", pod("z", "1", priority="low")),
          ("b", pod("w", "1", priority="low")), ("b", pod("v", "2", priority="middle"))]),
    Case("only who has to", [node("a", "4")], [pod("vip", "1", priority="high")],
         [("a", pod("x", "1", priority="low", started=T.format(1))), ("a", pod("y", "1", priority="low", started=T.format(2))),
          ("a", pod("z", "2", priority="middle"))]),
    Case("the youngest goes", [node("a", "2"), node("b", "2")], [pod("vip", "2", priority="high")],
         [("a", pod("x", "2", priority="low", started=T.format(1))), ("b", pod("y", "2", priority="low", started=T.format(5)))]),
    Case("a budget protects", [node("a", "2"), node("b", "2")], [pod("vip", "2", priority="high")],
         [("a", pod("x", "2", priority="low", labels=WEB)), ("b", pod("y", "2", priority="middle"))], [budget("web", 0)]),
    Case("a budget gives way", [node("a", "2")], [pod("vip", "1", priority="high")],
         [("a", pod("x", "1", priority="low", labels=WEB)), ("a", pod("y", "1", priority="low"))], [budget("web", 0)]),
    Case("a budget allows one", [node("a", "4")], [pod("vip", "2", priority="high")],
         [("a", pod(f"x{number}", "1", priority="low", labels=WEB, started=T.format(number))) for number in range(4)],
         [budget("web", 1)]),
    Case("no victims", [node("a", "2"), node("b", "1"), node("c", "9", taints=[taint("x")])], [pod("vip", "2", priority="middle")],
         [("a", pod("x", "2", priority="middle")), ("b", pod("y", "1", priority="low"))]),
    Case("not even then", [node("a", "2"), node("b", "2")], [pod("vip", "2", priority="high")],
         [("a", pod("x", "1", priority="high")), ("a", pod("y", "1", priority="low")), ("b", pod("z", "1", priority="high"))]),
    Case("no wish to preempt", [node("a", "2")], [pod("meek", "2", priority="meek")],
         [("a", pod("x", "2", priority="low"))]),
    Case("room for ports", [node("a"), node("b")], [pod("vip", ports=[PORT], priority="high")],
         [("a", pod("x", ports=[PORT], priority="low")), ("b", pod("y", ports=[PORT], priority="middle"))]),
    Case("room for one who hates company", ZONED[:4], [pod("vip", labels=DB, priority="high", affinity=near("zone", anti=True))],
         [("a1", pod("x", labels=WEB, priority="low")), ("b1", pod("y", labels=WEB, priority="low")),
          ("b2", pod("z", labels=WEB, priority="low"))]),
    Case("room where others keep off", ZONED[:2], [pod("vip", labels=WEB, priority="high")],
         [("a1", pod("x", priority="low", affinity=near("zone", anti=True)))]),
    Case("room to be even", ZONED[:4], [pod("vip", "4", labels=WEB, priority="high", topologySpreadConstraints=spread("zone"))],
         [("a1", pod("x", "1", labels=WEB, priority="low", started=T.format(1))), ("a2", pod("y", "1", priority="high")),
          ("b1", pod("z", "4", priority="middle")), ("b2", pod("w", "4", priority="low", started=T.format(5)))]),
    Case("the next one respects who waits", [node("a", "2"), node("b", "2")],
         [pod("vip", "2", priority="high"), pod("small", "1", priority="middle"), pod("late", "2", priority="high")],
         [("a", pod("x", "2", priority="low")), ("b", pod("y", "1", priority="middle"))], together=True),
    Case("most allocated", [node("a"), node("b"), node("c", offers={"example.com/gpu": "4"})],
         [pod("one", "1", "1Gi"), pod("two", "2"), pod("three", asks={"example.com/gpu": "1"})],
         [("a", pod("x", "2", "1Gi")), ("b", pod("y", "1", "4Gi"))], profile="-packed"),
    Case("few plugins", [node("a", images={"big:1": 900 << 20}), node("b", taints=[taint("x")])],
         [pod("one", image="big:1"), pod("two", image="other"), pod("vip", "4", priority="high")],
         [("a", pod("x", "1", priority="low")), ("b", pod("y", "1", priority="low"))], profile="-bare"),
    Case("strict profile", [*[{**each, "metadata": {**each["metadata"], "labels": {**each["metadata"]["labels"], "disk": "ssd"}}}
                              for each in ZONED[:4]], *ZONED[4:]],
         [pod("one", labels=WEB, owner={"apiVersion": "v1", "kind": "X", "name": "x", "uid": "u"}),
          pod("three", affinity=on(asks("zone", "In", "c"))), pod("db", labels=DB)],
         [("a1", pod("x", labels=WEB)), ("a2", pod("y", affinity=near("zone", labels=DB)))],
         [("services", {"metadata": {"name": "web", "namespace": "default"}, "spec": {"selector": WEB, "ports": [{"port": 80}]}})],
         profile="-strict"),
]


def generated(seed: int) -> Case:
    """A cluster and pods drawn by lot: every rule has its say, and several at once."""
    lot = Random(seed)
    apps = [{"app": name} for name in ("web", "db", "job")]
    racks = [[taint("gpu")], [taint("old", effect="PreferNoSchedule")], []]
    nodes = [node(f"n{number}", lot.choice("248"), lot.choice(["2Gi", "4Gi", "8Gi"]), lot.choice(["5", "110"]),
                  labels={"zone": lot.choice("abc"), **({"disk": "ssd"} if lot.random() < .5 else {})},
                  taints=lot.choice(racks) if lot.random() < .4 else [], unschedulable=lot.random() < .1,
                  images={"big:1": 700 << 20} if lot.random() < .3 else {}) for number in range(lot.randint(3, 9))]

    def some(name: str, *, waiting: bool) -> Object:
        spec: Object = {}
        rules: Object = {}
        mine, other, key = lot.choice(apps), lot.choice(apps), lot.choice(["zone", "kubernetes.io/hostname"])
        if lot.random() < .3:
            rules |= near(key, labels=other, anti=True, weight=lot.choice([0, 0, 5, 40]))
        if lot.random() < .2:
            rules |= near("zone", labels=other, weight=lot.choice([0, 10, 60]))
        if waiting and lot.random() < .2:
            rules |= on(asks("zone", lot.choice(["In", "NotIn"]), lot.choice("abc")),
                        prefer={lot.choice("abc"): lot.randint(1, 99)})
        if waiting and lot.random() < .3:
            spec["topologySpreadConstraints"] = spread(key, lot.randint(1, 2), hard=lot.random() < .5, labels=mine)
        if waiting and lot.random() < .2:
            spec["nodeSelector"] = {"disk": "ssd"}
        if waiting and lot.random() < .3:
            spec["tolerations"] = [{"key": lot.choice(["gpu", "old"]), "operator": "Exists"}]
        ports = [{"containerPort": 80, "hostPort": lot.choice([80, 81])}] if lot.random() < .15 else []
        return pod(name, lot.choice(["", "500m", "1", "2", "3"]), lot.choice(["", "512Mi", "1Gi", "3Gi"]), labels=mine,
                   priority=lot.choice(["low", "middle", "high"] if waiting else ["low", "low", "middle"]),
                   image=lot.choice(["big:1", "box"]), ports=ports, affinity=rules, **spec)
    taken: dict[str, int] = {}
    placed = []
    for number in range(lot.randint(2, 14)):
        place = lot.choice(nodes)["metadata"]["name"]
        taken[place] = taken.get(place, 0) + 1
        if taken[place] <= 4:
            each = some(f"x{number}", waiting=False)
            each["status"] = {"startTime": f"2030-01-01T00:00:{number:02}Z"}
            placed.append((place, each))
    return Case(f"generated {seed}", nodes, [some("one", waiting=True)], placed)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    async with bench(tmp_path_factory.mktemp("schedulers")) as opened:
        yield opened


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.asyncio(loop_scope="module")
async def test_by_hand(both: Bench, case: Case) -> None:
    assert "\n".join(await both.compare(case)) == ""


@pytest.mark.parametrize("seed", range(100))
@pytest.mark.asyncio(loop_scope="module")
async def test_generated(both: Bench, seed: int) -> None:
    assert "\n".join(await both.compare(generated(seed))) == ""
