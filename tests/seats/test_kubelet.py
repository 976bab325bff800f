"""Our kubelet in the genuine one's seat: a genuine api-server, TLS verified, a node's own identity and rights."""

# ruff: noqa: ASYNC110 (what is waited for here are processes and files, which tell nobody)
from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from bookkit.tiers import missing
from genuine import ControlPlane, control_plane
from tinykube.api.http import serve
from tinykube.api.keys import Authority
from tinykube.api.tls import server_tls
from tinykube.client.http import HttpTransport
from tinykube.client.kubeconfig import load
from tinykube.client.rest import Client
from tinykube.cluster.waiting import wait_for
from tinykube.kubelet.auth import Doorkeeper
from tinykube.kubelet.kubelet import Kubelet
from tinykube.kubelet.server import KubeletServer
from tinykube.machinery.clock import SystemClock
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.objects import Object
from tinykube.machinery.wire import Request, Response
from tinykube.runtime.interface import remove_everything
from tinykube.runtime.process import ProcessRuntime

from tests.behaviour.target import KUBECTL

pytestmark = [pytest.mark.skipif(bool(missing("genuine")), reason="; ".join(missing("genuine"))),
              pytest.mark.timeout(300), pytest.mark.xdist_group("genuine-kubelet")]

CLOCK = SystemClock()


@pytest.fixture(scope="module")
def genuine() -> Iterator[ControlPlane]:
    with control_plane(["apiserver"]) as plane:
        yield plane


@asynccontextmanager
async def client_of(plane: ControlPlane, user: str) -> AsyncIterator[Client]:
    async with HttpTransport.from_access(load(plane.kubeconfig_for(user))) as transport:
        yield Client(transport, f"test-{user}")


@asynccontextmanager
async def node(plane: ControlPlane, name: str, directory: Path, manifests: Path | None = None) -> AsyncIterator[EventLog]:
    """A node of ours, with the rights of that node and no others."""
    log, runtime = EventLog(), ProcessRuntime(directory / "run")
    async with client_of(plane, f"node:{name}") as client:
        kubelet = Kubelet(client, name, runtime, capacity={"cpu": "2", "memory": "1Gi", "pods": "10"}, clock=CLOCK,
                          random=Random(1), log=log, directory=directory, manifests=manifests)
        await kubelet.start()
        try:
            yield log
        finally:
            await kubelet.stop()
            await remove_everything(runtime)
            await runtime.close()
    assert list((directory / "run").iterdir()) == []


def pod(name: str, on: str, script: str, policy: str = "Always", **container: Any) -> Object:
    main = {"name": "main", "image": "kubernetes-by-hand/box:1", "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", script], **container}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
            "spec": {"nodeName": on, "restartPolicy": policy, "containers": [main]}}


def reason(obj: Object) -> str:
    states = [each["state"] for each in obj["status"].get("containerStatuses") or []]
    return (states[0].get("waiting") or states[0].get("terminated") or {}).get("reason", "") if states else ""


async def until(admin: Client, name: str, what: Any) -> Object:
    state, predicate = (what, None) if isinstance(what, str) else ("", what)
    found: Object = await wait_for(admin, CLOCK, f"pod/{name} {state}".strip(), predicate, "default", 60)
    return found


async def test_it_registers_runs_a_pod_reports_and_ends_it(genuine: ControlPlane, tmp_path: Path) -> None:
    async with client_of(genuine, "admin") as admin, node(genuine, "ant", tmp_path) as log:
        registered = await admin.get("nodes", "ant")
        assert [each["type"] for each in registered["status"]["conditions"]][-1] == "Ready"
        lease = await until_lease(admin, "ant")
        assert lease["spec"]["leaseDurationSeconds"] == 40
        assert lease["metadata"]["ownerReferences"][0]["uid"] == registered["metadata"]["uid"]

        await admin.create("pods", pod("web", "ant", "trap 'exit 0' TERM; while :; do sleep 0.2; done"))
        running = await until(admin, "web", "Ready")
        assert running["status"]["phase"] == "Running"
        assert running["status"]["containerStatuses"][0]["containerID"].startswith("process://")
        assert running["status"]["podIPs"] == [{"ip": running["status"]["podIP"]}]
        await admin.delete("pods", "web", "default", grace_seconds=30)
        assert await until(admin, "web", "deleted") is None
        failures = [record for record in log.records if "fail" in record["verb"] or record["verb"] == "event-lost"]
        assert failures == []


async def until_lease(admin: Client, name: str) -> Object:
    async with asyncio.timeout(60):
        while True:
            found = (await admin.list("leases", "kube-node-lease", fieldSelector=f"metadata.name={name}"))["items"]
            if found:
                return found[0]
            await asyncio.sleep(0.1)


async def test_failures_are_reported_as_the_genuine_one_reports_them(genuine: ControlPlane, tmp_path: Path) -> None:
    async with client_of(genuine, "admin") as admin, node(genuine, "bee", tmp_path):
        for each in (pod("crash", "bee", "exit 3"), pod("once", "bee", "exit 3", "Never"), pod("done", "bee", "exit 0", "Never"),
                     pod("image", "bee", "", image="registry.invalid/nothing:1"),
                     pod("command", "bee", "", "Never", command=["no-such-command"]),
                     pod("hungry", "bee", "", resources={"requests": {"memory": "64Ti"}})):
            await admin.create("pods", each)
        crash = await until(admin, "crash", lambda obj: reason(obj) == "CrashLoopBackOff")
        assert crash["status"]["phase"] == "Running"
        assert crash["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 3
        once = await until(admin, "once", "Failed")
        assert (reason(once), once["status"]["conditions"][2]["reason"]) == ("Error", "PodFailed")
        assert reason(await until(admin, "done", "Succeeded")) == "Completed"
        assert reason(await until(admin, "image", lambda obj: reason(obj) == "ImagePullBackOff"))
        assert reason(await until(admin, "command", "Failed")) == "StartError"
        assert (await until(admin, "hungry", "Failed"))["status"]["reason"] == "OutOfmemory"
        for name in ("crash", "once", "done", "image", "command", "hungry"):
            await admin.delete("pods", name, "default", grace_seconds=2)
            await until(admin, name, "deleted")


async def test_it_goes_on_after_its_own_restart(genuine: ControlPlane, tmp_path: Path) -> None:
    async with client_of(genuine, "admin") as admin, client_of(genuine, "node:cat") as mine:
        runtime = ProcessRuntime(tmp_path / "run", keep=True)

        def kubelet() -> Kubelet:
            return Kubelet(mine, "cat", runtime, capacity={"cpu": "2", "memory": "1Gi", "pods": "10"}, clock=CLOCK,
                           random=Random(1), log=EventLog(), directory=tmp_path)

        first = kubelet()
        await first.start()
        for name in ("stays", "goes"):
            await admin.create("pods", pod(name, "cat", "trap 'exit 0' TERM; while :; do sleep 0.2; done"))
            await until(admin, name, "Ready")
        before = (await admin.get("pods", "stays", "default"))["status"]
        await first.stop()
        await runtime.close()
        await admin.delete("pods", "goes", "default", grace_seconds=0)      # gone while nobody looks
        runtime = ProcessRuntime(tmp_path / "run", keep=True)
        second = kubelet()
        await second.start()
        async with asyncio.timeout(60):
            while len(await runtime.list_pod_sandbox()) > 1:
                await asyncio.sleep(0.1)
        after = (await admin.get("pods", "stays", "default"))["status"]
        assert after["containerStatuses"] == before["containerStatuses"]
        await admin.delete("pods", "stays", "default", grace_seconds=2)
        await until(admin, "stays", "deleted")
        async with asyncio.timeout(60):
            while await runtime.list_pod_sandbox():     # the object goes first, its sandbox a moment later
                await asyncio.sleep(0.1)
        await second.stop()
        assert await remove_everything(runtime) == 0
        await runtime.close()


async def test_genuine_hands_conversations_on_to_us(tmp_path: Path) -> None:
    """exec, logs and port-forward of the real kubectl, through a genuine api-server that shows us who it is, over TLS."""
    authority = Authority()
    mine, files = authority.client("genuine-api", ("system:masters",)), [tmp_path / "crt", tmp_path / "key"]
    for path, text in zip(files, (mine.certificate, mine.key), strict=True):
        path.write_bytes(text)
    flags = ["--kubelet-preferred-address-types=InternalIP", f"--kubelet-client-certificate={files[0]}",
             f"--kubelet-client-key={files[1]}"]
    asked: list[tuple[str, str]] = []

    async def handle(request: Request) -> Response:
        asked.append((request.path.split("/")[1], request.headers.get("sec-websocket-protocol", "")))
        return await doorkeeper.handle(request)
    runtime = ProcessRuntime(tmp_path / "run", random=Random(str(tmp_path)))
    with control_plane(["apiserver"], flags={"apiserver": flags}) as plane:
        async with (client_of(plane, "admin") as admin, client_of(plane, "node:dog") as client,
                    await serve(handle, tls=server_tls(authority.server("dog"), authority.certificate)) as server):
            kubelet = Kubelet(client, "dog", runtime, capacity={"cpu": "2", "memory": "1Gi", "pods": "10"}, clock=CLOCK,
                              random=Random(1), log=EventLog(), directory=tmp_path, port=server.port)
            doorkeeper = Doorkeeper(KubeletServer(kubelet).handle, client, "dog", CLOCK)
            await kubelet.start()
            await admin.create("pods", pod("web", "dog", "", image="kubernetes-by-hand/web:1", command=["web"]))
            await until(admin, "web", "Ready")
            start = [KUBECTL, "--kubeconfig", str(plane.kubeconfig)]
            assert await kubectl(start, "exec", "-i", "web", "--", "sh", "-c", "cat; exit 3", stdin=b"hi") == (3, b"hi")
            assert await kubectl(start, "logs", "web") == (0, b"web 1 serving on port 8080\n")
            forward = await asyncio.create_subprocess_exec(*start, "port-forward", "web", ":8080", stdout=-1, stderr=-1)
            assert forward.stdout
            port = int((await forward.stdout.readline()).split(b"127.0.0.1:")[1].split()[0])
            async with HttpTransport(f"http://127.0.0.1:{port}") as page:
                assert (await page(Request("GET", "/"))).body == b"web 1 on web\n"
            forward.terminate()
            await forward.communicate()
            async with HttpTransport(f"https://127.0.0.1:{server.port}", tls=ssl.create_default_context(
                    cadata=authority.certificate.decode())) as stranger:
                assert (await stranger(Request("GET", "/pods"))).status == 401
            assert asked[:3] == [("exec", "v5.channel.k8s.io"), ("containerLogs", ""),
                                 ("portForward", "SPDY/3.1+portforward.k8s.io")]
            await kubelet.stop()
            await remove_everything(runtime)
            await runtime.close()


async def kubectl(start: list[str], *words: str, stdin: bytes = b"") -> tuple[int | None, bytes]:
    """The real kubectl: its exit code and what it printed."""
    client = await asyncio.create_subprocess_exec(*start, *words, stdin=-1, stdout=-1, stderr=-1)
    said, _ = await asyncio.wait_for(client.communicate(stdin), 60)
    return client.returncode, said


async def test_it_shows_static_pods_as_mirrors(genuine: ControlPlane, tmp_path: Path) -> None:
    """With the rights of its node alone, on a server that lets nodes create mirrors and nothing else."""
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    text = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: main, image: 'box:1'%s}]}\n"
    (manifests / "web.yaml").write_text((text % ", command: [sleep, '1000']").replace("box", "kubernetes-by-hand/box"))
    async with client_of(genuine, "admin") as admin, node(genuine, "eel", tmp_path, manifests) as log:
        first = await until(admin, "web-eel", "Ready")
        assert first["metadata"]["ownerReferences"] == [{"apiVersion": "v1", "kind": "Node", "name": "eel", "controller": True,
                                                         "uid": (await admin.get("nodes", "eel"))["metadata"]["uid"]}]
        assert {each.removeprefix("kubernetes.io/config.") for each in first["metadata"]["annotations"]} == {
            "hash", "mirror", "seen", "source"}
        await admin.delete("pods", "web-eel", "default", grace_seconds=30)
        second = await until(admin, "web-eel", lambda obj: obj and obj["metadata"]["uid"] != first["metadata"]["uid"]
                             and obj["status"].get("containerStatuses"))
        assert second["status"]["containerStatuses"] == first["status"]["containerStatuses"]
        (manifests / "web.yaml").unlink()
        await until(admin, "web-eel", "deleted")
        assert [record for record in log.records if "fail" in record["verb"]] == []
