"""Claims in pods, from the scheduler's choice to a file; and the variables that say where Services are."""
from __future__ import annotations

import itertools
import shutil
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.behaviour.target import Namespace, Object, wait
from tests.behaviour.test_kubelet import box, log, phase, start, until
from tests.behaviour.test_nodes_and_budgets import told
from tests.behaviour.test_scheduling import House, asks

MERGE = "application/merge-patch+json"
CLASSES, VOLUMES = "/apis/storage.k8s.io/v1/storageclasses", "/api/v1/persistentvolumes"


@pytest.fixture
def kubelet(need: Callable[[str], None]) -> None:
    need("kubelet")
    need("scheduler")
    need("controller-manager")


@pytest.fixture
def house(ns: Namespace, need: Callable[[str], None]) -> Iterator[House]:
    need("scheduler")
    need("controller-manager")
    opened = House(ns)
    yield opened
    for each in ns.call("GET", "/pods").json()["items"]:
        ns.call("DELETE", f"/pods/{each['metadata']['name']}", {"gracePeriodSeconds": 0})
    opened.close()


class Shelf:
    """A storage class of a test's own, and its volumes."""

    def __init__(self, ns: Namespace) -> None:
        self.ns, self.name, self.volumes = ns, f"shelf-{uuid.uuid4().hex[:8]}", list[str]()

    def open(self, mode: str) -> None:
        """Make the class."""
        self.ns.target.call("POST", CLASSES, {"metadata": {"name": self.name}, "provisioner": "kubernetes.io/no-provisioner",
                                              "volumeBindingMode": mode}).raise_for_status()

    def volume(self, host: str, source: Object | None = None) -> str:
        """A volume on one node; a directory unless another source is given."""
        name = f"{self.name}-{len(self.volumes)}"
        self.volumes.append(name)
        self.ns.target.call("POST", VOLUMES, {"metadata": {"name": name}, "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": self.name,
            **(source or {"hostPath": {"path": f"/tmp/{name}", "type": "DirectoryOrCreate"}}),
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                asks("kubernetes.io/hostname", "In", host)]}]}}}}).raise_for_status()
        return name

    def claim(self, name: str = "data") -> None:
        """A claim of the class."""
        self.ns.make("persistentvolumeclaims", {"metadata": {"name": name}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}, "storageClassName": self.name}})

    def bound(self, name: str = "data") -> str:
        """The volume that a claim got, once both sides say so."""
        claim: Object = wait(lambda: (found := self.ns.get("persistentvolumeclaims", name))["status"]["phase"] == "Bound" and found,
                             f"{name} to be bound")
        volume = self.ns.target.call("GET", f"{VOLUMES}/{claim['spec']['volumeName']}").json()
        assert volume["spec"]["claimRef"]["uid"] == claim["metadata"]["uid"]
        return str(volume["metadata"]["name"])

    def close(self) -> None:
        """Remove all of it."""
        for name in self.volumes:
            self.ns.target.call("DELETE", f"{VOLUMES}/{name}")
            shutil.rmtree(f"/tmp/{name}", ignore_errors=True)          # where the node is this machine
        self.ns.target.call("DELETE", f"{CLASSES}/{self.name}")


@pytest.fixture
def shelf(ns: Namespace) -> Iterator[Shelf]:
    made = Shelf(ns)
    yield made
    made.close()


def using(claimed: str = "data") -> Object:
    return {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": claimed}}]}


# ---- the scheduler's part, and the binder's

def test_the_first_pod_brings_node_and_volume_together(house: House, shelf: Shelf) -> None:
    shelf.open("WaitForFirstConsumer")
    for name in ("a", "b"):
        house.node(name)
    there = shelf.volume(f"{house.ns.name}-b")
    shelf.claim()
    assert told(house.ns, "WaitForFirstConsumer")[0]["message"] == "waiting for first consumer to be created before binding"
    assert house.ns.get("persistentvolumeclaims", "data")["status"]["phase"] == "Pending"
    house.pod("new", **using())
    assert house.place("new") == "b"
    assert shelf.bound() == there
    house.pod("second", **using())                 # the claim has a volume now, and the volume a node
    assert house.place("second") == "b"


def test_no_volume_where_the_pod_may_go(house: House, shelf: Shelf) -> None:
    shelf.open("WaitForFirstConsumer")
    house.node("a")
    shelf.volume("another-node")
    shelf.claim()
    house.pod("new", **using())
    assert "1 node(s) didn't find available persistent volumes to bind" in house.refusal("new")
    assert house.ns.get("persistentvolumeclaims", "data")["status"]["phase"] == "Pending"


def test_a_claim_that_must_be_bound_first(house: House, shelf: Shelf) -> None:
    shelf.open("Immediate")
    house.node("a")
    shelf.claim()
    house.pod("new", **using())
    assert "pod has unbound immediate PersistentVolumeClaims" in house.refusal("new")
    there = shelf.volume(f"{house.ns.name}-a")      # somebody brings a volume, and the pod need not be made anew
    assert house.place("new") == "a"
    assert shelf.bound() == there


def test_a_claim_whose_volume_is_elsewhere(house: House, shelf: Shelf) -> None:
    shelf.open("Immediate")
    house.node("a")
    shelf.volume("another-node")
    shelf.claim()
    shelf.bound()
    house.pod("new", **using())
    assert "1 node(s) didn't match PersistentVolume's node affinity" in house.refusal("new")


# ---- the kubelet's part

MOUNT: Object = {"volumeMounts": [{"name": "d", "mountPath": "/d"}]}


def node_of(ns: Namespace) -> Object:
    found: Object = ns.target.call("GET", "/api/v1/nodes").json()["items"][0]["metadata"]
    return found


def hostname(ns: Namespace) -> str:
    return str(node_of(ns)["labels"]["kubernetes.io/hostname"])


@pytest.mark.usefixtures("kubelet")
def test_what_is_written_stays(ns: Namespace, shelf: Shelf) -> None:
    shelf.open("WaitForFirstConsumer")
    there = shelf.volume(hostname(ns))
    shelf.claim()
    start(ns, "writer", box("main", "echo kept > d/file", **MOUNT), restartPolicy="Never", **using())
    until(ns, "writer", phase("Succeeded"), "to have written")
    assert shelf.bound() == there
    ns.call("DELETE", "/pods/writer", {"gracePeriodSeconds": 0})
    start(ns, "reader", box("main", "cat d/file; rm d/file", **MOUNT), restartPolicy="Never", **using())
    until(ns, "reader", phase("Succeeded"), "to have read")
    assert log(ns, "reader") == "kept\n"


def failed_mount(ns: Namespace, claimed: str = "data") -> str:
    """What the kubelet says of a pod that did not come through a scheduler."""
    start(ns, "web", box("main", "sleep 1000", **MOUNT), **using(claimed), nodeName=node_of(ns)["name"])

    def look() -> Any:
        events = ns.call("GET", "/events", fieldSelector="involvedObject.name=web").json()["items"]
        return next((each["message"] for each in events if each["reason"] == "FailedMount"
                     and "kube-api-access" not in each["message"]), None)
    message = wait(look, "a failed mount", 60)
    assert ns.get("pods", "web")["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "ContainerCreating"
    return str(message)


UNMOUNTED = "Unable to attach or mount volumes: unmounted volumes=[d], unattached volumes=[], failed to process volumes=[d]: "


@pytest.mark.usefixtures("kubelet")
def test_a_claim_that_is_not_bound_yet(ns: Namespace, shelf: Shelf) -> None:
    shelf.open("Immediate")
    shelf.claim()
    assert failed_mount(ns) == f"{UNMOUNTED}error processing PVC {ns.name}/data: PVC is not bound"
    shelf.volume(hostname(ns))
    until(ns, "web", phase("Running"), "to run after all", 150)


@pytest.mark.usefixtures("kubelet")
def test_a_claim_that_is_not_there(ns: Namespace) -> None:
    assert failed_mount(ns, "nothing") == (f"{UNMOUNTED}error processing PVC {ns.name}/nothing: failed to fetch PVC from API "
                                           'server: persistentvolumeclaims "nothing" not found')


@pytest.mark.usefixtures("kubelet")
def test_a_claim_that_is_about_to_go(ns: Namespace, shelf: Shelf) -> None:
    shelf.open("Immediate")
    shelf.volume(hostname(ns))
    shelf.claim()
    shelf.bound()
    keep: Object = {"metadata": {"finalizers": ["example.com/wait"]}}
    ns.call("PATCH", "/persistentvolumeclaims/data", keep, kind=MERGE).raise_for_status()
    ns.call("DELETE", "/persistentvolumeclaims/data").raise_for_status()
    try:
        assert failed_mount(ns) == f"{UNMOUNTED}error processing PVC {ns.name}/data: PVC is being deleted"
    finally:
        ns.call("PATCH", "/persistentvolumeclaims/data", {"metadata": {"finalizers": None}}, kind=MERGE)


@pytest.mark.usefixtures("kubelet")
@pytest.mark.parametrize(("source", "message"), [
    ({"local": {"path": "/no/such"}},
     'MountVolume.NewMounter initialization failed for volume "{}" : path "/no/such" does not exist'),
    ({"hostPath": {"path": "/no/such", "type": "Directory"}},
     'MountVolume.SetUp failed for volume "{}" : hostPath type check failed, /no/such is not a directory, unable to determine its '
     'type: path "/no/such" does not exist'),
    ({"hostPath": {"path": "/etc", "type": "Socket"}},
     'MountVolume.SetUp failed for volume "{}" : hostPath type check failed: /etc is not a socket file, it\'s a Directory')])
def test_a_volume_that_is_not_there(ns: Namespace, shelf: Shelf, source: Object, message: str) -> None:
    shelf.open("Immediate")
    there = shelf.volume(hostname(ns), source)
    shelf.claim()
    shelf.bound()
    assert failed_mount(ns) == message.format(there)


# ---- Services, as variables

def variables(text: str) -> dict[str, str]:
    """Those that have to do with Services."""
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {key: value for key, value in found.items() if "_SERVICE_" in key or "_PORT" in key or key == "REF"}


@pytest.mark.usefixtures("kubelet")
def test_variables_say_where_services_are(ns: Namespace) -> None:
    ports = [{"name": "http", "port": 80}, {"name": "dns-udp", "port": 53, "protocol": "UDP"}]
    chosen: Object = {"selector": {"a": "b"}, "ports": ports}
    host = ns.make("services", {"metadata": {"name": "my-web"}, "spec": chosen})["spec"]["clusterIP"]
    ns.make("services", {"metadata": {"name": "none"}, "spec": {**chosen, "clusterIP": "None"}})
    ns.make("services", {"metadata": {"name": "far"}, "spec": {"type": "ExternalName", "externalName": "example.com"}})
    mine = [{"name": "MY_WEB_PORT", "value": "mine"}, {"name": "REF", "value": "$(MY_WEB_SERVICE_HOST)"}]
    numbers = itertools.count()

    def seen(**spec: Any) -> dict[str, str]:
        name = f"asks-{next(numbers)}"
        start(ns, name, box("main", "env", env=mine), restartPolicy="Never", **spec)
        until(ns, name, phase("Succeeded"), "to have said it")
        return variables(log(ns, name))
    # a kubelet hears of a Service by a watch, perhaps a moment after it heard of the pod
    found: dict[str, str] = wait(lambda: (told := seen()).get("REF") == host and told, "a pod that was told of the Service", 90)
    own = {key: value for key, value in found.items() if key.startswith("KUBERNETES_")}
    assert sorted(own) == sorted(f"KUBERNETES_{each}" for each in (
        "SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTPS", "PORT", "PORT_443_TCP", "PORT_443_TCP_ADDR", "PORT_443_TCP_PORT",
        "PORT_443_TCP_PROTO"))
    assert {key: value for key, value in found.items() if key not in own} == {
        "MY_WEB_SERVICE_HOST": host, "MY_WEB_SERVICE_PORT": "80", "MY_WEB_SERVICE_PORT_HTTP": "80",
        "MY_WEB_SERVICE_PORT_DNS_UDP": "53", "MY_WEB_PORT": "mine", "REF": host,
        "MY_WEB_PORT_80_TCP": f"tcp://{host}:80", "MY_WEB_PORT_80_TCP_PROTO": "tcp", "MY_WEB_PORT_80_TCP_PORT": "80",
        "MY_WEB_PORT_80_TCP_ADDR": host, "MY_WEB_PORT_53_UDP": f"udp://{host}:53", "MY_WEB_PORT_53_UDP_PROTO": "udp",
        "MY_WEB_PORT_53_UDP_PORT": "53", "MY_WEB_PORT_53_UDP_ADDR": host}
    assert seen(enableServiceLinks=False) == own | {"MY_WEB_PORT": "mine", "REF": "$(MY_WEB_SERVICE_HOST)"}
