"""Our store in etcd's seat: a genuine kube-apiserver on it; and a genuine etcd in the seat of our store."""
from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from bookkit.tiers import missing
from genuine import ControlPlane, control_plane
from genuine.find import need
from tinykube.api import new_server
from tinykube.client.rest import Client
from tinykube.machinery.clock import SystemClock
from tinykube.machinery.eventlog import EventLog
from tinykube.store.wire.client import EtcdStorage

pytestmark = [pytest.mark.skipif(bool(missing("genuine")), reason="; ".join(missing("genuine"))),
              pytest.mark.timeout(300), pytest.mark.xdist_group("genuine-etcd")]
KUBECTL = str(Path(sys.executable).with_name("kubectl"))
MAPS = "/api/v1/namespaces/default/configmaps"


@contextmanager
def tiny_store() -> Iterator[str]:
    """`tinykube store` as a process; gives its address."""
    command = [sys.executable, "-m", "tinykube.cluster.cli", "store", "--listen=127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()
            assert process.wait(20) == 0


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    with tiny_store() as address:
        yield address


@pytest.fixture(scope="module")
def plane(store: str) -> Iterator[ControlPlane]:
    """A genuine kube-apiserver that keeps its objects in our store, as JSON."""
    flags = {"apiserver": ["--storage-media-type=application/json"]}
    with control_plane(["apiserver"], etcd_url=f"http://{store}", audit=False, flags=flags) as plane:
        yield plane


def etcdctl(address: str, *words: str) -> str:
    command = [need("etcdctl")["etcdctl"], f"--endpoints={address}", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


def kubectl(plane: ControlPlane, *words: str) -> str:
    done = subprocess.run([KUBECTL, "--kubeconfig", str(plane.kubeconfig), *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_kubectl_create_get_and_delete(plane: ControlPlane, store: str) -> None:
    assert plane.request("GET", "/readyz/etcd")[0] == 200
    kubectl(plane, "create", "configmap", "one", "--from-literal=a=1")
    assert kubectl(plane, "get", "configmap", "one", "-o", "jsonpath={.data.a}") == "1"
    assert etcdctl(store, "get", "--prefix", "/registry/configmaps/default/", "--keys-only").split() == [
        "/registry/configmaps/default/one"]
    kubectl(plane, "create", "namespace", "elsewhere")
    assert "elsewhere" in kubectl(plane, "get", "namespaces", "-o", "name")
    stale = plane.request("GET", f"{MAPS}/one")[1]
    kubectl(plane, "patch", "configmap", "one", "--type=merge", "-p", '{"data":{"a":"2"}}')
    code, status = plane.request("PUT", f"{MAPS}/one", stale)
    assert (code, status["reason"]) == (409, "Conflict")
    kubectl(plane, "delete", "configmap", "one")
    assert plane.request("GET", f"{MAPS}/one")[0] == 404


def test_lists_in_pages_of_one_snapshot(plane: ControlPlane) -> None:
    for number in range(7):
        assert plane.request("POST", MAPS, {"metadata": {"name": f"page-{number}", "labels": {"of": "pages"}}})[0] == 201
    page = plane.request("GET", f"{MAPS}?limit=3")[1]
    plane.request("POST", MAPS, {"metadata": {"name": "page-late"}})
    names, token = [each["metadata"]["name"] for each in page["items"]], page["metadata"]["continue"]
    while token:
        page = plane.request("GET", f"{MAPS}?limit=3&continue={token}")[1]
        names += [each["metadata"]["name"] for each in page["items"]]
        token = page["metadata"].get("continue")
    assert [name for name in names if name.startswith("page-")] == [f"page-{number}" for number in range(7)]


def test_watching_with_bookmarks(plane: ControlPlane) -> None:
    """A streaming list ends in a bookmark, for which the api-server asks our store how far all is told."""
    wanted = {"watch": "true", "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan",
              "allowWatchBookmarks": "true", "timeoutSeconds": "20"}
    plane.request("POST", MAPS, {"metadata": {"name": "watched"}})
    with plane.session() as session, session.get(plane.url + MAPS, params=wanted, stream=True, timeout=30) as answer:
        assert answer.status_code == 200, answer.text
        seen: list[Any] = []
        made = threading.Event()
        for line in answer.iter_lines():
            seen.append(json.loads(line))
            if seen[-1]["type"] == "BOOKMARK" and not made.is_set():
                made.set()
                plane.request("POST", MAPS, {"metadata": {"name": "afterwards"}})
            if seen[-1]["object"]["metadata"].get("name") == "afterwards":
                break
    assert {"watched", "afterwards"} <= {each["object"]["metadata"].get("name") for each in seen}
    assert made.is_set()


def test_events_hang_on_leases(plane: ControlPlane, store: str) -> None:
    event = {"metadata": {"name": "news"}, "involvedObject": {"namespace": "default"}, "reason": "Seen", "message": "m"}
    assert plane.request("POST", "/api/v1/namespaces/default/events", event)[0] == 201
    [kv] = json.loads(etcdctl(store, "get", "/registry/events/default/news", "-w", "json"))["kvs"]
    life = json.loads(etcdctl(store, "lease", "timetolive", f"{kv['lease']:x}", "--keys", "-w", "json"))
    assert 3500 < life["ttl"] <= life["granted-ttl"] <= 3720


async def test_what_a_genuine_api_server_wrote_is_read_by_ours(plane: ControlPlane, store: str) -> None:
    plane.request("POST", MAPS, {"metadata": {"name": "theirs"}, "data": {"from": "genuine"}})
    storage = EtcdStorage(store)
    server = new_server(storage, clock=SystemClock(), random=Random(1), log=EventLog())
    await server.start()
    try:
        client = Client(server.handle, "test")
        assert (await client.get("configmaps", "theirs", "default"))["data"] == {"from": "genuine"}
        await client.create("configmaps", {"metadata": {"name": "ours"}, "data": {"from": "tiny"}}, "default")
        code, read = plane.request("GET", f"{MAPS}/ours")
        assert (code, read["data"]) == (200, {"from": "tiny"})
    finally:
        await server.stop()
        await storage.aclose()


def test_a_store_that_cannot_listen_says_so() -> None:
    with tiny_store() as address:
        command = [sys.executable, "-m", "tinykube.cluster.cli", "store", f"--listen={address}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stderr) == (1, f"tinykube: cannot listen at {address}: is the port taken?\n")
