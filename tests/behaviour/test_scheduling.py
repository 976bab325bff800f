"""Where pods go, where they don't, and what is said about it. The nodes are objects without machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from tests.behaviour.target import Namespace, Object, wait

REQUIRED, PREFERRED = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"
WEB, DB = {"app": "web"}, {"app": "db"}
# nobody answers for these nodes, so controllers taint them
AT_HOME = [{"key": f"node.kubernetes.io/{what}", "operator": "Exists"} for what in ("not-ready", "unreachable")]
AFFINITY, TAINT = "node(s) didn't match Pod's node affinity/selector", "node(s) had untolerated taint(s)"
SPREAD = "node(s) didn't match pod topology spread constraints"


class House:
    """Some nodes for one test, which no other pods can use, and pods that can use no others."""

    def __init__(self, ns: Namespace) -> None:
        self.ns, self.made = ns, list[str]()

    def node(self, name: str, cpu: str = "4500m", *, labels: dict[str, str] | None = None,
             offers: dict[str, str] | None = None, **spec: Any) -> None:
        """A node called NAMESPACE-NAME."""
        full = f"{self.ns.name}-{name}"
        offered = {"cpu": cpu, "memory": "64Gi", "pods": "110", **(offers or {})}
        made = self.ns.target.call("POST", "/api/v1/nodes", {
            "metadata": {"name": full, "labels": {"case": self.ns.name, "kubernetes.io/hostname": full, **(labels or {})}},
            "spec": spec, "status": {"capacity": offered, "allocatable": offered}})
        assert made.status_code == 201, made.text
        self.made.append(full)

    def patch_node(self, name: str, patch: Object) -> None:
        """Change a node."""
        done = self.ns.target.call("PATCH", f"/api/v1/nodes/{self.ns.name}-{name}", patch, kind="application/merge-patch+json")
        assert done.status_code == 200, done.text

    def pod(self, name: str, cpu: str = "", *, on: str = "", labels: dict[str, str] | None = None, asks: Object | None = None,
            ports: list[Object] | None = None, inits: list[Object] | None = None, **spec: Any) -> Object:
        """A pod for these nodes: on one of them at once, or to be placed."""
        wanted = {**({"cpu": cpu} if cpu else {}), **(asks or {})}
        container = {"name": "main", "image": "kubernetes-by-hand/box:1", "ports": ports or [],
                     "resources": {"requests": wanted, "limits": asks or {}}}
        spec = {"containers": [container], "initContainers": inits or [], **spec}
        spec["tolerations"] = [*AT_HOME, *spec.get("tolerations", [])]
        spec["nodeSelector"] = {"case": self.ns.name, **spec.get("nodeSelector", {})}
        if on:
            spec["nodeName"] = f"{self.ns.name}-{on}"
        return self.ns.make("pods", {"metadata": {"name": name, "labels": labels or {}}, "spec": spec})

    def place(self, name: str) -> str:
        """The node that a pod gets, without the namespace."""
        found = wait(lambda: self.ns.get("pods", name)["spec"].get("nodeName"), f"a node for {name}")
        return str(found).removeprefix(f"{self.ns.name}-")

    def refusal(self, name: str) -> str:
        """Why a pod waits."""
        return str(wait(lambda: scheduled(self.ns.get("pods", name)).get("message"), f"a refusal of {name}"))

    def close(self) -> None:
        """Remove the nodes."""
        for name in self.made:
            self.ns.target.call("DELETE", f"/api/v1/nodes/{name}")


def scheduled(pod: Object) -> Object:
    """The condition PodScheduled if it is False."""
    return next((each for each in pod["status"].get("conditions", ()) if each["type"] == "PodScheduled"
                 and each["status"] == "False"), {})


@pytest.fixture
def house(ns: Namespace, need: Callable[[str], None]) -> Iterator[House]:
    need("scheduler")
    opened = House(ns)
    yield opened
    for each in ns.call("GET", "/pods").json()["items"]:
        ns.call("DELETE", f"/pods/{each['metadata']['name']}", {"gracePeriodSeconds": 0})
    opened.close()


def on(*terms: Object, prefer: Object | None = None) -> Object:
    rules: Object = {REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [term]} for term in terms]}} if terms else {}
    if prefer:
        rules[PREFERRED] = [{"weight": 10, "preference": {"matchExpressions": [prefer]}}]
    return {"nodeAffinity": rules}


def asks(key: str, operator: str, *values: str) -> Object:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def near(key: str = "zone", *, anti: bool = False, weight: int = 0, labels: Object = WEB, **more: Any) -> Object:
    term = {"topologyKey": key, "labelSelector": {"matchLabels": labels}, **more}
    rule = {PREFERRED: [{"weight": weight, "podAffinityTerm": term}]} if weight else {REQUIRED: [term]}
    return {"podAntiAffinity" if anti else "podAffinity": rule}


def spread(skew: int = 1, when: str = "DoNotSchedule", **more: Any) -> list[Object]:
    return [{"topologyKey": "zone", "maxSkew": skew, "whenUnsatisfiable": when, "labelSelector": {"matchLabels": WEB}, **more}]


def taint(key: str, value: str = "", effect: str = "NoSchedule") -> list[Object]:
    return [{"key": key, "value": value, "effect": effect}]


class Case(NamedTuple):
    """Nodes, pods that are there, a pod, and the nodes that it may get, or why it gets none."""

    name: str
    nodes: dict[str, Object]
    there: list[Object]
    pod: Object
    expected: set[str] | str


def plain(count: int = 2, **each: Any) -> dict[str, Object]:
    return {name: dict(each) for name in "abcd"[:count]}


ZONES = {name: {"labels": {"zone": name}} for name in "abc"}
PORT = [{"containerPort": 80, "hostPort": 8080}]
GPU = {"example.com/gpu": "1"}
IN_A: list[Object] = [{"on": "a", "labels": WEB}]
CASES = [
    Case("room on one", {"a": {"cpu": "1"}, "b": {}}, [], {"cpu": "3"}, {"b"}),
    Case("room taken", plain(), [{"on": "a", "cpu": "4"}], {"cpu": "2"}, {"b"}),
    Case("no room", plain(), [{"on": "a", "cpu": "4"}, {"on": "b", "cpu": "4"}], {"cpu": "2"}, "2 Insufficient cpu"),
    Case("the emptier one", plain(), [{"on": "a", "cpu": "3"}], {"cpu": "1"}, {"b"}),
    Case("extended", {"a": {}, "b": {"offers": GPU}}, [], {"asks": GPU}, {"b"}),
    Case("extended, taken", {"a": {}, "b": {"offers": GPU}}, [{"on": "b", "asks": GPU}], {"asks": GPU},
         "2 Insufficient example.com/gpu"),
    Case("init container", {"a": {"cpu": "2"}, "b": {}},
         [], {"cpu": "1", "inits": [{"name": "i", "image": "box", "resources": {"requests": {"cpu": "3"}}}]}, {"b"}),
    Case("init container, not added up", {"a": {"cpu": "2500m"}},
         [], {"cpu": "2", "inits": [{"name": "i", "image": "box", "resources": {"requests": {"cpu": "2"}}}]}, {"a"}),
    Case("sidecar, added up", {"a": {"cpu": "2500m"}, "b": {}}, [], {"cpu": "2", "inits": [
        {"name": "i", "image": "box", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}}]}, {"b"}),
    Case("selector", ZONES, [], {"nodeSelector": {"zone": "b"}}, {"b"}),
    Case("selector of nothing", ZONES, [], {"nodeSelector": {"zone": "z"}}, AFFINITY),
    Case("In", ZONES, [], {"affinity": on(asks("zone", "In", "a", "b"))}, {"a", "b"}),
    Case("NotIn", ZONES, [], {"affinity": on(asks("zone", "NotIn", "a", "b"))}, {"c"}),
    Case("Exists", {**plain(1), "b": {"labels": {"disk": "ssd"}}}, [], {"affinity": on(asks("disk", "Exists"))}, {"b"}),
    Case("DoesNotExist", {**plain(1), "b": {"labels": {"disk": "ssd"}}}, [], {"affinity": on(asks("disk", "DoesNotExist"))}, {"a"}),
    Case("Gt", {"a": {"labels": {"rank": "3"}}, "b": {"labels": {"rank": "30"}}}, [],
         {"affinity": on(asks("rank", "Gt", "10"))}, {"b"}),
    Case("Lt", {"a": {"labels": {"rank": "3"}}, "b": {"labels": {"rank": "30"}}}, [],
         {"affinity": on(asks("rank", "Lt", "10"))}, {"a"}),
    Case("one term of two", ZONES, [], {"affinity": on(asks("zone", "In", "z"), asks("zone", "In", "c"))}, {"c"}),
    Case("no term", ZONES, [], {"affinity": on(asks("zone", "In", "z"))}, AFFINITY),
    Case("preferred", ZONES, [], {"affinity": on(prefer=asks("zone", "In", "b"))}, {"b"}),
    Case("preferred, but full", ZONES, [{"on": "b", "cpu": "4"}],
         {"cpu": "1", "affinity": on(prefer=asks("zone", "In", "b"))}, {"a", "c"}),
    Case("taint", {"a": {"taints": taint("gpu")}, "b": {}}, [], {}, {"b"}),
    Case("taints everywhere", plain(taints=taint("gpu")), [], {}, TAINT),
    Case("tolerated by key", plain(taints=taint("gpu", "yes")), [], {"tolerations": [{"key": "gpu", "operator": "Exists"}]},
         {"a", "b"}),
    Case("tolerated by value", plain(taints=taint("gpu", "yes")), [], {"tolerations": [{"key": "gpu", "value": "yes"}]},
         {"a", "b"}),
    Case("another value", plain(taints=taint("gpu", "yes")), [], {"tolerations": [{"key": "gpu", "value": "no"}]}, TAINT),
    Case("another effect", plain(taints=taint("gpu", effect="NoExecute")), [],
         {"tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]}, TAINT),
    Case("rather not", {"a": {"taints": taint("old", effect="PreferNoSchedule")}, "b": {}}, [{"on": "b", "cpu": "3"}],
         {"cpu": "1"}, {"b"}),
    Case("if it must", {"a": {"taints": taint("old", effect="PreferNoSchedule")}}, [], {}, {"a"}),
    Case("cordoned", {"a": {"unschedulable": True}, "b": {}}, [], {}, {"b"}),
    Case("all cordoned", plain(unschedulable=True), [], {}, "node(s) were unschedulable"),
    Case("ports", plain(), [{"on": "a", "ports": PORT}], {"ports": PORT}, {"b"}),
    Case("ports, all taken", plain(1), [{"on": "a", "ports": PORT}], {"ports": PORT},
         "1 node(s) didn't have free ports for the requested pod ports"),
    Case("ports of another protocol", plain(1), [{"on": "a", "ports": PORT}], {"ports": [{**PORT[0], "protocol": "UDP"}]}, {"a"}),
    Case("ports of another address", plain(1), [{"on": "a", "ports": [{**PORT[0], "hostIP": "10.0.0.1"}]}],
         {"ports": [{**PORT[0], "hostIP": "10.0.0.2"}]}, {"a"}),
    Case("near", ZONES, IN_A, {"affinity": near()}, {"a"}),
    Case("near nobody", ZONES, IN_A, {"affinity": near(labels={"app": "none"})}, "node(s) didn't match pod affinity rules"),
    Case("the first of its kind", ZONES, [], {"labels": WEB, "affinity": near()}, {"a", "b", "c"}),
    Case("far", ZONES, [*IN_A, {"on": "b", "labels": WEB}], {"affinity": near(anti=True)}, {"c"}),
    Case("nowhere far enough", {"a": ZONES["a"]}, IN_A, {"affinity": near(anti=True)},
         "1 node(s) didn't match pod anti-affinity rules"),
    Case("another keeps off", ZONES, [{"on": "a", "affinity": near(anti=True)}], {"labels": WEB}, {"b", "c"}),
    Case("another keeps off everywhere", {"a": ZONES["a"]}, [{"on": "a", "affinity": near(anti=True)}], {"labels": WEB},
         "1 node(s) didn't satisfy existing pods anti-affinity rules"),
    Case("rather near", ZONES, IN_A, {"affinity": near(weight=100)}, {"a"}),
    Case("rather far", ZONES, [*IN_A, {"on": "b", "labels": WEB}], {"affinity": near(anti=True, weight=100)}, {"c"}),
    Case("of the same generation", ZONES,
         [{"on": "a", "labels": {**WEB, "hash": "1"}}, {"on": "b", "labels": {**WEB, "hash": "2"}}],
         {"labels": {**WEB, "hash": "2"}, "affinity": near(matchLabelKeys=["hash"])}, {"b"}),
    Case("even", ZONES, [*IN_A, {"on": "b", "labels": WEB}], {"labels": WEB, "topologySpreadConstraints": spread()}, {"c"}),
    Case("even enough", ZONES, [*IN_A, {"on": "b", "labels": WEB}], {"labels": WEB, "topologySpreadConstraints": spread(2)},
         {"a", "b", "c"}),
    Case("too uneven", {**{name: ZONES[name] for name in "ab"}, "c": {"cpu": "100m", "labels": {"zone": "c"}}},
         [*IN_A, {"on": "b", "labels": WEB}], {"cpu": "1", "labels": WEB, "topologySpreadConstraints": spread()}, SPREAD),
    Case("no such label", plain(1), [], {"labels": WEB, "topologySpreadConstraints": spread()},
         f"{SPREAD} (missing required label)"),
    Case("rather even", ZONES, [*IN_A, {"on": "b", "labels": WEB}],
         {"labels": WEB, "topologySpreadConstraints": spread(1, "ScheduleAnyway")}, {"c"}),
    Case("too few domains", {"a": ZONES["a"]}, IN_A, {"labels": WEB, "topologySpreadConstraints": spread(minDomains=2)}, SPREAD),
    Case("no claim", plain(1), [], {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "none"}}]},
         'persistentvolumeclaim "none" not found'),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_where(house: House, case: Case) -> None:
    for name, options in case.nodes.items():
        house.node(name, **options)
    for number, there in enumerate(case.there):
        house.pod(f"there-{number}", **there)
    house.pod("new", **case.pod)
    if isinstance(case.expected, str):
        assert case.expected in house.refusal("new")
    else:
        assert house.place("new") in case.expected


def test_the_refusal_is_counted_and_sorted(house: House) -> None:
    house.node("a", "1")
    house.node("b", taints=taint("gpu"))
    house.pod("new", "3")
    said = house.refusal("new")
    assert said.startswith("0/")
    assert "1 Insufficient cpu, " in said
    assert ". preemption: 0/" in said
    assert said.endswith("Preemption is not helpful for scheduling.")
    assert scheduled(house.ns.get("pods", "new"))["reason"] == "Unschedulable"


def events(house: House, reason: str) -> list[Object]:
    """The events of a reason, once there are any."""
    def found() -> list[Object]:
        items = house.ns.call("GET", "/events").json()["items"]
        return [each for each in items if each["reason"] == reason]
    return wait(found, f"an event {reason}")  # type: ignore[no-any-return]


def test_events_say_what_happened(house: House) -> None:
    house.node("a", "1")
    house.pod("small", "500m")
    house.pod("large", "3")
    said = events(house, "Scheduled")[0]
    assert said["message"] == f"Successfully assigned {house.ns.name}/small to {house.ns.name}-a"
    assert (said["type"], said["involvedObject"]["name"]) == ("Normal", "small")
    refused = events(house, "FailedScheduling")[0]
    assert (refused["type"], refused["involvedObject"]["name"]) == ("Warning", "large")
    assert "Insufficient cpu" in refused["message"]


def test_a_node_that_joins_wakes_a_pod(house: House) -> None:
    house.node("a", "1")
    house.pod("new", "3")
    house.refusal("new")
    house.node("b")
    assert house.place("new") == "b"


def test_a_pod_that_goes_wakes_one_that_waits_for_its_room(house: House) -> None:
    house.node("a")
    house.pod("there", "3", on="a")
    house.pod("new", "3")
    house.refusal("new")
    house.ns.call("DELETE", "/pods/there", {"gracePeriodSeconds": 0})
    assert house.place("new") == "a"


@pytest.mark.parametrize(("before", "patch", "pod"), [
    ({}, {"metadata": {"labels": {"disk": "ssd"}}}, {"nodeSelector": {"disk": "ssd"}}),
    ({"unschedulable": True}, {"spec": {"unschedulable": False}}, {}),
    ({"taints": taint("gpu")}, {"spec": {"taints": []}}, {}),
], ids=["label", "uncordon", "taint"])
def test_a_change_of_a_node_wakes_a_pod(house: House, before: Object, patch: Object, pod: Object) -> None:
    house.node("a", **before)
    house.pod("new", **pod)
    house.refusal("new")
    house.patch_node("a", patch)
    assert house.place("new") == "a"


def test_a_neighbor_that_comes_wakes_one_that_wants_to_be_near_it(house: House) -> None:
    house.node("a", labels={"zone": "a"})
    house.pod("new", affinity=near())
    house.refusal("new")
    house.pod("there", on="a", labels=WEB)
    assert house.place("new") == "a"


def test_a_neighbor_that_goes_wakes_one_that_can_not_stand_it(house: House) -> None:
    house.node("a", labels={"zone": "a"})
    house.pod("there", on="a", labels=WEB)
    house.pod("new", affinity=near(anti=True))
    house.refusal("new")
    house.ns.call("DELETE", "/pods/there", {"gracePeriodSeconds": 0})
    assert house.place("new") == "a"


def test_gates_hold_a_pod_until_they_are_taken_away(house: House) -> None:
    house.node("a")
    house.pod("gated", schedulingGates=[{"name": "example.com/one"}, {"name": "example.com/two"}])
    house.pod("free")
    assert house.place("free") == "a"
    gated = house.ns.get("pods", "gated")
    assert "nodeName" not in gated["spec"]
    assert scheduled(gated)["reason"] == "SchedulingGated"
    gated["spec"]["schedulingGates"] = [{"name": "example.com/two"}]
    assert house.ns.call("PUT", "/pods/gated", gated).status_code == 200
    house.pod("free-2")
    house.place("free-2")
    gated = house.ns.get("pods", "gated")
    assert "nodeName" not in gated["spec"], "one gate is still there"
    gated["spec"]["schedulingGates"] = []
    assert house.ns.call("PUT", "/pods/gated", gated).status_code == 200
    assert house.place("gated") == "a"


def test_pods_of_another_scheduler_are_left_alone(house: House) -> None:
    house.node("a")
    house.pod("theirs", schedulerName="somebody-else")
    house.pod("ours")
    house.place("ours")
    theirs = house.ns.get("pods", "theirs")
    assert "nodeName" not in theirs["spec"]
    assert not scheduled(theirs)


@pytest.fixture
def important(house: House) -> Iterator[str]:
    """A priority class."""
    name = f"{house.ns.name}-vip"
    path = "/apis/scheduling.k8s.io/v1/priorityclasses"
    made = house.ns.target.call("POST", path, {"metadata": {"name": name}, "value": 1000})
    assert made.status_code == 201, made.text
    yield name
    house.ns.target.call("DELETE", f"{path}/{name}")


def test_a_more_important_pod_throws_out_a_less_important_one(house: House, important: str) -> None:
    house.node("a")
    house.pod("there", "3", on="a")
    house.pod("vip", "3", priorityClassName=important)
    assert "preempting 1 victims" in house.refusal("vip")
    wait(lambda: house.ns.get("pods", "vip")["status"].get("nominatedNodeName") == f"{house.ns.name}-a", "a nomination")
    victim = wait(lambda: (found := house.ns.get("pods", "there"))["metadata"].get("deletionTimestamp") and found, "a victim")
    said = next(each for each in victim["status"]["conditions"] if each["type"] == "DisruptionTarget")
    assert (said["status"], said["reason"]) == ("True", "PreemptionByScheduler")
    assert events(house, "Preempted")[0]["involvedObject"]["name"] == "there"
    house.ns.call("DELETE", "/pods/there", {"gracePeriodSeconds": 0})
    assert house.place("vip") == "a"


def test_no_more_victims_than_needed_and_the_room_is_kept(house: House, important: str) -> None:
    house.node("a")
    for number in range(4):
        house.pod(f"there-{number}", "1", on="a")
    house.pod("vip", "2", priorityClassName=important)
    assert "preempting 2 victims" in house.refusal("vip")
    house.pod("late", "1")
    assert "Insufficient cpu" in house.refusal("late")

    def going() -> list[str]:
        return [each["metadata"]["name"] for each in house.ns.call("GET", "/pods").json()["items"]
                if each["metadata"].get("deletionTimestamp")]
    victims = wait(lambda: len(going()) == 2 and going(), "two victims")
    for name in victims:
        house.ns.call("DELETE", f"/pods/{name}", {"gracePeriodSeconds": 0})
    assert house.place("vip") == "a"
    assert "nodeName" not in house.ns.get("pods", "late")["spec"], "the room was for vip"


def test_equals_are_left_alone(house: House) -> None:
    house.node("a")
    house.pod("there", "3", on="a")
    house.pod("new", "3")
    assert "1 No preemption victims found for incoming pod" in house.refusal("new")
    assert not house.ns.get("pods", "there")["metadata"].get("deletionTimestamp")
