"""A cluster in one event loop: from nothing to Running, every part stopped and started, nothing left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from tinykube.cluster import Background, Cluster, background
from tinykube.cluster.capacity import node_capacities
from tinykube.cluster.manifests import documents
from tinykube.cluster.waiting import holds, parse_reference
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object

LOOP = "trap 'exit 0' TERM; while true; do sleep 1 & wait; done"


def pod(name: str, memory: str = "64Mi", command: str = LOOP, **spec: Any) -> Object:
    container = {"name": "main", "image": "kubernetes-by-hand/box:1", "imagePullPolicy": "IfNotPresent",
                 "command": ["sh", "-c", command], "resources": {"requests": {"memory": memory}}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 1, **spec}}


def processes_below(directory: Path) -> list[str]:
    """Command lines that name the directory."""
    listed = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if str(directory) in line and "ps -ww" not in line]


async def test_a_pod_runs_and_nothing_is_left() -> None:
    async with Cluster() as c:
        await c.apply(pod("web"))
        assert (await c.wait("pod/web Running"))["spec"]["nodeName"] == "node-1"
        directory = c.directory
        assert processes_below(directory)
        assert yaml.safe_load(c.kubeconfig.read_text())["clusters"][0]["cluster"]["server"] == c.url
    assert not directory.exists()
    assert not processes_below(directory)
    await c.stop()


def test_a_cluster_that_is_never_started_writes_nothing() -> None:
    assert not Cluster().directory.exists()


async def test_two_runs_of_one_seed_make_the_same_decisions() -> None:
    def decisions(c: Cluster) -> list[tuple[str, str]]:
        return [(record["pod"], record["node"]) for record in c.log.records if record["verb"] == "decided"]

    async def run(seed: int) -> list[tuple[str, str]]:
        async with Cluster(3, seed=seed, without={"kubelet"}) as c:
            for n in range(3):
                offers = {"cpu": "4", "memory": "4Gi", "pods": "9"}
                await c.client.create("nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"n{n}"},
                                                "status": {"allocatable": offers, "capacity": offers}})
            for n in range(6):
                await c.apply(pod(f"p{n}"))
                await c.wait(f"pod/p{n} bound")
            return decisions(c)
    assert await run(7) == await run(7)


async def test_parts_come_and_go() -> None:
    async with Cluster(1) as c:
        await c.apply(pod("one"))
        await c.wait("pod/one Running")
        await c.stop_component("scheduler")
        await c.apply(pod("two"))
        with pytest.raises(TimeoutError, match=r"waited 0.3 s for pod/two Running: default/two is Pending"):
            await c.wait("pod/two Running", timeout=0.3)
        await c.start_component("scheduler")
        await c.wait("pod/two Running")
        await c.stop_component("kubelet/node-1")
        await c.apply(pod("three"))
        await c.wait("pod/three bound")
        await c.start_component("kubelet/node-1")
        await c.wait("pod/three Running")
        assert (await c.get("pod/one"))["status"]["containerStatuses"][0]["restartCount"] == 0
        url = c.url
        await c.stop_component("api")
        await c.start_component("api")
        assert c.url == url
        await c.apply(pod("four"))
        await c.wait("pod/four Running")


async def test_wrong_names_are_told() -> None:
    with pytest.raises(ValueError, match="unknown part etcd; there are api, scheduler, controller-manager, proxy, kubelet"):
        Cluster(without={"etcd"})
    async with Cluster(without={"kubelet", "scheduler"}) as c:
        with pytest.raises(ValueError, match=r"no component 'dns'; there are api, .*, proxy, metrics-server, kubelet/node-1"):
            await c.start_component("dns")
        with pytest.raises(ValueError, match="api runs already"):
            await c.start_component("api")
        with pytest.raises(ValueError, match="scheduler does not run; running are api"):
            await c.stop_component("scheduler")
        with pytest.raises(ValueError, match="names a kind and no object"):
            await c.get("pods")
        with pytest.raises(ValueError, match="which state of which object"):
            await c.wait("pods")
        with pytest.raises(TimeoutError, match="there is no such object"):
            await c.wait("pod/none Running", timeout=0.1)
        with pytest.raises(ApiError, match='pods "none" not found'):
            await c.get("pod/none")
        await c.delete("pod/none")
        with pytest.raises(RuntimeError, match="no scheduler is running"):
            _ = c.scheduler


async def test_a_failed_start_leaves_nothing(tmp_path: Path) -> None:
    async with Cluster(without={"kubelet", "scheduler"}) as first:
        second = Cluster(port=first.port)
        with pytest.raises(OSError, match="another program has this port"):
            await second.start()
        assert not second.directory.exists()
        assert not second.running


async def test_wait_hears_it_from_a_watch_and_asks_once() -> None:
    async with Cluster(without={"kubelet", "scheduler"}) as c:
        await c.apply(pod("web"))
        waiting = asyncio.create_task(c.wait("pod/web deleted"))
        await c.log.wait_for(lambda record: record.get("action") == "watch" and "metadata.name%3Dweb" in record["path"])
        before = len([record for record in c.log.records if record.get("who") == "tinykube-cluster"])
        await asyncio.sleep(0.3)
        assert len([record for record in c.log.records if record.get("who") == "tinykube-cluster"]) == before
        await c.delete("pod/web", grace_seconds=0)
        assert await asyncio.wait_for(waiting, 10) is None


async def test_a_wait_survives_a_restart_of_the_api_server() -> None:
    async with Cluster(without={"kubelet", "scheduler"}) as c:
        waiting = asyncio.create_task(c.wait("pod/web created"))
        await c.log.wait_for(lambda record: record.get("action") == "watch" and "web" in record["path"])
        await c.stop_component("api")
        await asyncio.sleep(0.2)
        await c.start_component("api")
        await c.apply(pod("web"))
        assert (await asyncio.wait_for(waiting, 10))["metadata"]["name"] == "web"


def test_in_the_background_blocking_calls_reach_it() -> None:
    before = set(threading.enumerate())
    with background(Cluster()) as c:
        c.apply(pod("web"))
        c.wait("pod/web Running")
        assert [each["metadata"]["name"] for each in c.list("pods")] == ["web"]
        with pytest.raises(RuntimeError, match="runs already"):
            c.start()
        directory = c.cluster.directory
    assert not directory.exists()
    mine = [thread for thread in set(threading.enumerate()) - before if thread.name == "tinykube"]
    for thread in mine:
        thread.join(10)    # it may be a moment behind
    assert not any(thread.is_alive() for thread in mine)
    c.stop()
    with pytest.raises(RuntimeError, match="not running"):
        c.list("pods")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_interrupt_ends_the_wait_and_not_the_cluster() -> None:
    with background(Cluster(without={"kubelet", "scheduler"})) as c:
        threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            c.wait("pod/none Running", timeout=60)
        c.apply(pod("web"))
        assert c.get("pod/web")["status"]["phase"] == "Pending"


@pytest.mark.parametrize("end", ["sys.exit(3)", "os.kill(os.getpid(), 9)", "os.kill(os.getpid(), 15)"])
def test_however_its_python_ends_the_pods_end_too(end: str, tmp_path: Path) -> None:
    program = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_cluster import pod
from tinykube.cluster import Cluster, background
c = background(Cluster(directory={str(tmp_path)!r}))
c.apply(pod("web"))
c.wait("pod/web Running")
print("running", flush=True)
{end}
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout == "running\n", done.stderr
    for _ in range(200):
        if not processes_below(tmp_path):
            break
        threading.Event().wait(0.05)
    assert not processes_below(tmp_path)


def test_nodes_by_number_name_or_capacity() -> None:
    assert list(node_capacities(2)) == ["node-1", "node-2"]
    assert node_capacities(["ant"])["ant"]["memory"] == "8Gi"
    assert node_capacities({"ant": "1Gi", "bee": {"cpu": "1"}})["ant"]["memory"] == "1Gi"
    assert node_capacities({"bee": {"cpu": "1"}})["bee"] == {**node_capacities(1)["node-1"], "cpu": "1"}


def test_manifests_in_all_forms(tmp_path: Path) -> None:
    text = "kind: A\n---\n---\nkind: List\nitems: [{kind: B}, {kind: C}]\n"
    file = tmp_path / "x.yaml"
    file.write_text(text)
    for form in (text, file, str(file), [{"kind": "A"}, "kind: B\n", [{"kind": "C"}]]):
        assert [obj["kind"] for obj in documents(form)] == ["A", "B", "C"]
    with pytest.raises(ValueError, match="not YAML"):
        documents("a: [\n")
    with pytest.raises(ValueError, match="expected objects"):
        documents("only text\n")
    with pytest.raises(TypeError, match="not int"):
        documents(5)  # type: ignore[arg-type]


def test_references_and_states() -> None:
    assert parse_reference("pod/web") == ("pods", "web")
    assert parse_reference("po/web") == ("pods", "web")
    assert parse_reference("nodes") == ("nodes", None)
    for text in ("", "/web", "pod/"):
        with pytest.raises(ValueError, match="names nothing"):
            parse_reference(text)
    web = {"spec": {"nodeName": "ant"}, "status": {"phase": "Running", "conditions": [
        {"type": "Ready", "status": "True"}, {"type": "Initialized", "status": "False"}]}}
    assert all(holds(web, state) for state in ("Running", "Ready", "Ready=True", "Initialized=False", "bound", "exists"))
    assert not any(holds(web, state) for state in ("Pending", "Ready=False", "Initialized", "deleted", "Odd"))
    assert holds(None, "deleted")
    assert not holds(None, "exists")


def test_background_is_a_function_and_stays_one() -> None:
    import tinykube.cluster as package
    assert callable(package.background)
    assert package.Background is Background
