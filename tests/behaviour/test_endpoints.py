"""Who is behind a Service: Endpoints and EndpointSlices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.behaviour.target import Namespace, Object, Target, pod, wait

MERGE = "application/merge-patch+json"


HOME = "endpoints-home"          # a node that nobody stands behind: a pod without a node is no endpoint


@pytest.fixture(autouse=True)
def controllers(need: Callable[[str], None], target: Target) -> None:
    """All of this is done by controllers."""
    need("controller-manager")
    target.call("POST", "/api/v1/nodes", {"metadata": {"name": HOME}})


def serving(ns: Namespace, name: str, ip: str, *, ready: bool = True, phase: str = "Running", ports: list[Object] | None = None,
            app: str = "web", **spec: Any) -> Object:
    """A pod that says that it runs, as a kubelet would say it."""
    made = pod(name, nodeName=HOME, **spec)
    made["metadata"]["labels"] = {"app": app}
    made["spec"]["containers"][0]["ports"] = ports or [{"name": "http", "containerPort": 8080}]
    ns.make("pods", made)
    status = {"phase": phase, "podIP": ip, "podIPs": [{"ip": ip}],
              "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    assert ns.call("PATCH", f"/pods/{name}/status", {"status": status}, kind=MERGE).status_code == 200
    return made


def service(ns: Namespace, name: str = "web", *ports: Object, labels: dict[str, str] | None = None, **spec: Any) -> Object:
    """A Service for the pods of the app."""
    given = list(ports) or [{"name": "http", "port": 80, "targetPort": "http"}]
    return ns.make("services", {"metadata": {"name": name, "labels": labels or {}},
                                "spec": {"selector": {"app": "web"}, "ports": given} | spec})


def subsets(ns: Namespace, name: str = "web") -> Any:
    """The subsets of the Endpoints, in short: ready addresses, others, ports."""
    found = ns.call("GET", f"/endpoints/{name}")
    if found.status_code != 200:
        return None
    return [(sorted(each["ip"] for each in part.get("addresses", [])),
             sorted(each["ip"] for each in part.get("notReadyAddresses", [])),
             sorted((each.get("name", ""), each["port"]) for each in part.get("ports", [])))
            for part in found.json().get("subsets") or []]


def slices(ns: Namespace, name: str = "web") -> list[Object]:
    """The EndpointSlices of a Service."""
    path = f"/apis/discovery.k8s.io/v1/namespaces/{ns.name}/endpointslices"
    return ns.target.call("GET", path, labelSelector=f"kubernetes.io/service-name={name}").json()["items"]  # type: ignore[no-any-return]


def endpoints(ns: Namespace, name: str = "web") -> dict[str, Object]:
    """All endpoints of a Service's slices, by address."""
    return {each["addresses"][0]: each for part in slices(ns, name) for each in part.get("endpoints") or []}


def settle(ns: Namespace, *addresses: str, name: str = "web") -> dict[str, Object]:
    """Wait until exactly these addresses are behind the Service."""
    return wait(lambda: set(found := endpoints(ns, name)) == set(addresses) and len(found) == len(addresses) and (found or True),
                f"{addresses} behind {name}")  # type: ignore[no-any-return]


def test_a_service_of_nobody(ns: Namespace) -> None:
    service(ns)
    wait(lambda: subsets(ns) == [], "Endpoints without addresses")
    only = wait(lambda: slices(ns), "a slice")
    assert [(each.get("endpoints"), each.get("ports"), each["addressType"]) for each in only] == [(None, None, "IPv4")]


def test_pods_that_are_ready_and_pods_that_are_not(ns: Namespace) -> None:
    serving(ns, "a", "10.1.0.1")
    serving(ns, "b", "10.1.0.2", ready=False)
    service(ns)
    wait(lambda: subsets(ns) == [(["10.1.0.1"], ["10.1.0.2"], [("http", 8080)])], "both, apart")
    found = settle(ns, "10.1.0.1", "10.1.0.2")
    assert found["10.1.0.1"]["conditions"] == {"ready": True, "serving": True, "terminating": False}
    assert found["10.1.0.2"]["conditions"] == {"ready": False, "serving": False, "terminating": False}
    assert found["10.1.0.1"]["nodeName"] == HOME
    assert found["10.1.0.1"]["targetRef"] == {"kind": "Pod", "namespace": ns.name, "name": "a",
                                              "uid": ns.get("pods", "a")["metadata"]["uid"]}


def test_a_pod_that_becomes_ready(ns: Namespace) -> None:
    serving(ns, "a", "10.1.0.1", ready=False)
    service(ns)
    wait(lambda: subsets(ns) == [([], ["10.1.0.1"], [("http", 8080)])], "it to be there")
    ns.call("PATCH", "/pods/a/status", {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, kind=MERGE)
    wait(lambda: subsets(ns) == [(["10.1.0.1"], [], [("http", 8080)])], "it to be ready")
    wait(lambda: endpoints(ns)["10.1.0.1"]["conditions"]["ready"], "its endpoint to be ready")


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_serves_nobody(ns: Namespace, phase: str) -> None:
    serving(ns, "a", "10.1.0.1", phase=phase)
    serving(ns, "b", "10.1.0.2")
    service(ns)
    settle(ns, "10.1.0.2")
    wait(lambda: subsets(ns) == [(["10.1.0.2"], [], [("http", 8080)])], "the other one alone")


def test_a_pod_without_an_address(ns: Namespace) -> None:
    made = pod("a")
    made["metadata"]["labels"] = {"app": "web"}
    ns.make("pods", made)
    serving(ns, "b", "10.1.0.2")
    service(ns)
    settle(ns, "10.1.0.2")


def test_a_pod_without_a_node(ns: Namespace) -> None:
    made = pod("a")
    made["metadata"]["labels"] = {"app": "web"}
    ns.make("pods", made)
    status = {"phase": "Running", "podIP": "10.1.0.1", "conditions": [{"type": "Ready", "status": "True"}]}
    ns.call("PATCH", "/pods/a/status", {"status": status}, kind=MERGE)
    serving(ns, "b", "10.1.0.2")
    service(ns)
    settle(ns, "10.1.0.2")


def test_a_pod_that_changes_its_labels(ns: Namespace) -> None:
    serving(ns, "a", "10.1.0.1")
    serving(ns, "b", "10.1.0.2")
    service(ns)
    settle(ns, "10.1.0.1", "10.1.0.2")
    ns.call("PATCH", "/pods/a", {"metadata": {"labels": {"app": "other"}}}, kind=MERGE)
    settle(ns, "10.1.0.2")
    wait(lambda: subsets(ns) == [(["10.1.0.2"], [], [("http", 8080)])], "the other one alone")


def test_a_pod_that_goes(ns: Namespace) -> None:
    serving(ns, "a", "10.1.0.1")
    serving(ns, "b", "10.1.0.2")
    service(ns)
    settle(ns, "10.1.0.1", "10.1.0.2")
    ns.call("DELETE", "/pods/a", {"gracePeriodSeconds": 0})
    settle(ns, "10.1.0.2")


def test_a_pod_on_its_way_out_serves_and_gets_nobody_new(ns: Namespace) -> None:
    serving(ns, "a", "10.1.0.1")
    service(ns)
    settle(ns, "10.1.0.1")
    ns.call("PATCH", "/pods/a", {"metadata": {"finalizers": ["example.com/hold"]}}, kind=MERGE)
    ns.call("DELETE", "/pods/a")
    told = {"ready": False, "serving": True, "terminating": True}
    wait(lambda: endpoints(ns)["10.1.0.1"]["conditions"] == told, "its endpoint to say that it goes")
    wait(lambda: subsets(ns) == [], "it to be no address any more")
    ns.call("PATCH", "/pods/a", {"metadata": {"finalizers": None}}, kind=MERGE)


@pytest.mark.parametrize(("port", "expected"), [
    ({"port": 80}, ("", 80)),
    ({"port": 80, "targetPort": 8081}, ("", 8081)),
    ({"name": "x", "port": 80, "targetPort": "http"}, ("x", 8080)),
    ({"name": "x", "port": 80, "targetPort": "http", "appProtocol": "kubernetes.io/h2c"}, ("x", 8080)),
])
def test_which_port_of_the_pod(ns: Namespace, port: Object, expected: tuple[str, int]) -> None:
    serving(ns, "a", "10.1.0.1")
    service(ns, "web", port)
    wait(lambda: subsets(ns) == [(["10.1.0.1"], [], [expected])], "its port")
    wait(lambda: slices(ns), "a slice")
    wait(lambda: [(each["name"], each["port"], each.get("appProtocol")) for part in slices(ns) for each in part["ports"] or []]
         == [(*expected, port.get("appProtocol"))], "its port in a slice")


def test_a_name_that_the_pod_does_not_know(ns: Namespace) -> None:
    serving(ns, "a", "10.1.0.1")
    service(ns, "web", {"name": "x", "port": 80, "targetPort": "nowhere"})
    wait(lambda: subsets(ns) == [], "no address at all")


def test_one_name_two_numbers(ns: Namespace) -> None:
    serving(ns, "a", "10.1.0.1", ports=[{"name": "http", "containerPort": 8080}])
    serving(ns, "b", "10.1.0.2", ports=[{"name": "http", "containerPort": 9090}])
    service(ns)
    wait(lambda: sorted(subsets(ns) or []) == [(["10.1.0.1"], [], [("http", 8080)]), (["10.1.0.2"], [], [("http", 9090)])],
         "a subset for each number")
    wait(lambda: sorted((part["ports"][0]["port"], part["endpoints"][0]["addresses"][0]) for part in slices(ns)
                        if part.get("ports")) == [(8080, "10.1.0.1"), (9090, "10.1.0.2")], "a slice for each number")


def test_two_ports(ns: Namespace) -> None:
    serving(ns, "a", "10.1.0.1")
    service(ns, "web", {"name": "http", "port": 80, "targetPort": "http"}, {"name": "more", "port": 81, "targetPort": 81})
    wait(lambda: subsets(ns) == [(["10.1.0.1"], [], [("http", 8080), ("more", 81)])], "both")


def test_of_tcp_and_udp_the_right_one(ns: Namespace) -> None:
    serving(ns, "a", "10.1.0.1", ports=[{"name": "dns", "containerPort": 53, "protocol": "UDP"},
                                        {"name": "dns-tcp", "containerPort": 54}])
    service(ns, "web", {"name": "dns", "port": 53, "targetPort": "dns", "protocol": "UDP"})
    wait(lambda: subsets(ns) == [(["10.1.0.1"], [], [("dns", 53)])], "its port")


def test_all_that_have_an_address_if_the_service_says_so(ns: Namespace) -> None:
    serving(ns, "a", "10.1.0.1", ready=False)
    service(ns, publishNotReadyAddresses=True)
    wait(lambda: subsets(ns) == [(["10.1.0.1"], [], [("http", 8080)])], "it to count as ready")
    assert settle(ns, "10.1.0.1")["10.1.0.1"]["conditions"] == {"ready": True, "serving": False, "terminating": False}


def test_a_headless_service_says_so(ns: Namespace) -> None:
    serving(ns, "a", "10.1.0.1", hostname="a", subdomain="web")
    service(ns, "web", {"port": 80}, labels={"mine": "1"}, clusterIP="None")
    found = settle(ns, "10.1.0.1")
    assert found["10.1.0.1"]["hostname"] == "a"
    assert slices(ns)[0]["metadata"]["labels"] == {
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io", "kubernetes.io/service-name": "web",
        "mine": "1", "service.kubernetes.io/headless": ""}
    wait(lambda: ns.call("GET", "/endpoints/web").json().get("metadata", {}).get("labels") == {
        "endpoints.kubernetes.io/managed-by": "endpoint-controller", "mine": "1", "service.kubernetes.io/headless": ""}, "labels")


def test_a_slice_belongs_to_its_service(ns: Namespace) -> None:
    made = service(ns)
    found = wait(lambda: slices(ns), "a slice")[0]["metadata"]
    assert found["generateName"] == "web-"
    assert found["ownerReferences"] == [{"apiVersion": "v1", "kind": "Service", "name": "web", "uid": made["metadata"]["uid"],
                                         "controller": True, "blockOwnerDeletion": True}]
    ns.call("DELETE", "/services/web")
    wait(lambda: not slices(ns), "the slice to go with it")
    wait(lambda: ns.call("GET", "/endpoints/web").status_code == 404, "the Endpoints to go with it")


def test_a_slice_that_somebody_deletes_comes_back(ns: Namespace) -> None:
    serving(ns, "a", "10.1.0.1")
    service(ns)
    settle(ns, "10.1.0.1")
    before = slices(ns)[0]["metadata"]
    ns.target.call("DELETE", f"/apis/discovery.k8s.io/v1/namespaces/{ns.name}/endpointslices/{before['name']}")
    wait(lambda: [each for each in slices(ns) if each["metadata"]["uid"] != before["uid"]], "another slice")
    settle(ns, "10.1.0.1")


def test_endpoints_that_somebody_deletes_come_back(ns: Namespace) -> None:
    serving(ns, "a", "10.1.0.1")
    service(ns)
    right = [(["10.1.0.1"], [], [("http", 8080)])]
    wait(lambda: subsets(ns) == right, "its address")
    before = ns.get("endpoints", "web")["metadata"]["uid"]
    ns.call("DELETE", "/endpoints/web")
    wait(lambda: subsets(ns) == right and ns.get("endpoints", "web")["metadata"]["uid"] != before, "another one")


def test_a_service_without_a_selector_is_left_alone(ns: Namespace) -> None:
    ns.make("services", {"metadata": {"name": "bare"}, "spec": {"ports": [{"port": 80}]}})
    service(ns)
    wait(lambda: slices(ns), "the slice of the other one")
    assert subsets(ns, "bare") is None


def test_labels_of_a_service_reach_its_slices(ns: Namespace) -> None:
    service(ns)
    wait(lambda: slices(ns), "a slice")
    ns.call("PATCH", "/services/web", {"metadata": {"labels": {"tier": "front"}}}, kind=MERGE)
    wait(lambda: slices(ns)[0]["metadata"]["labels"].get("tier") == "front", "the label")


def test_another_selector_other_pods(ns: Namespace) -> None:
    serving(ns, "a", "10.1.0.1")
    serving(ns, "b", "10.1.0.2", app="other")
    service(ns)
    settle(ns, "10.1.0.1")
    ns.call("PATCH", "/services/web", {"spec": {"selector": {"app": "other"}}}, kind=MERGE)
    settle(ns, "10.1.0.2")


def test_a_hundred_endpoints_a_slice(ns: Namespace) -> None:
    for number in range(101):
        serving(ns, f"p{number}", f"10.1.1.{number}")
    service(ns)
    settle(ns, *(f"10.1.1.{number}" for number in range(101)))
    assert max(len(part["endpoints"]) for part in slices(ns)) <= 100
