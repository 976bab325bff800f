"""Static pods: read from files, shown in the api-server, as a genuine 1.37 kubelet was seen to do with the same files."""
# ruff: noqa: ASYNC240 (the files are few and small)
from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tinykube.cluster import Cluster
from tinykube.kubelet.static import mirror_of, sent, static_pod
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object

NOW = "2030-01-01T00:00:00Z"
WEB = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: default, labels: {app: web}, annotations: {a: b}}
spec:
  terminationGracePeriodSeconds: 3
  containers:
  - {name: main, image: "kubernetes-by-hand/box:1", command: [sleep, "100000"], env: [{name: X, value: "1"}]}
"""


def test_a_mirror_looks_like_a_genuine_one() -> None:
    pod = static_pod(WEB, "/m/web.yaml", "ant", NOW)
    mirror = mirror_of(pod, {"metadata": {"name": "ant", "uid": "node-uid"}})
    told = pod["metadata"]["uid"]
    assert len(told) == 32
    assert mirror["metadata"] == {
        "name": "web-ant", "namespace": "default", "labels": {"app": "web"}, "annotations": {
            "a": "b", "kubernetes.io/config.hash": told, "kubernetes.io/config.mirror": told,
            "kubernetes.io/config.seen": NOW, "kubernetes.io/config.source": "file"},
        "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "ant", "uid": "node-uid", "controller": True}]}
    assert mirror["spec"]["nodeName"] == "ant"
    assert mirror["spec"]["tolerations"] == [{"operator": "Exists", "effect": "NoExecute"}]


def test_the_uid_is_made_of_content_file_and_node() -> None:
    def uid_of(text: str = WEB, path: str = "/m/web.yaml", node: str = "ant") -> str:
        return str(static_pod(text, path, node, NOW)["metadata"]["uid"])
    assert uid_of() == uid_of(WEB + "\n# the same\n")
    assert len({uid_of(), uid_of(WEB.replace('"1"', '"2"')), uid_of(path="/m/x.yaml"), uid_of(node="bee")}) == 4


POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: a, image: x%s}]%s}"


@pytest.mark.parametrize(("text", "said"), [
    ("{", "/m/x: couldn't parse as pod(while parsing"), ("", "/m/x: couldn't parse as pod(kind is nothing)"),
    ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}", "/m/x: couldn't parse as pod(kind is ConfigMap)"),
    ("apiVersion: v1\nkind: Pod\nmetadata: {name: bad}\nspec: {containers: [{name: a}]}",
     "invalid pod: [spec.containers[0].image: Required value]"),
    ("apiVersion: v1\nkind: Pod\nmetadata: {}\nspec: {}",
     "invalid pod: [metadata.name: Required value, spec.containers: Required value]"),
    (POD % (", envFrom: [{secretRef: {name: q}}]", ""), "static pods may not reference secrets"),
    (POD % ("", ", volumes: [{name: v, configMap: {name: q}}]"), "static pods may not reference configmaps"),
    (POD % ("", ", serviceAccountName: robot"), "static pods may not reference serviceaccounts"),
    (POD % ("", ", volumes: [{name: v, persistentVolumeClaim: {claimName: q}}]"),
     "static pods may not reference persistentvolumeclaims")])
def test_what_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(said)):
        static_pod(text, "/m/x", "ant", NOW)


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    found = tmp_path / "nodes" / "ant" / "manifests"
    found.mkdir(parents=True)
    return found


def running(pod: Any) -> bool:
    return bool(pod) and pod["status"].get("phase") == "Running"


def container(pod: Object) -> str:
    return str(pod["status"]["containerStatuses"][0]["containerID"])


async def until(c: Cluster, met: Callable[[Object], bool]) -> Object:
    found: Object = await c.wait("pod/web-ant", lambda pod: bool(pod) and met(pod), timeout=60)
    return found


async def test_a_file_is_a_pod(manifests: Path, tmp_path: Path) -> None:
    (manifests / "web.yaml").write_text(WEB)
    (manifests / "broken.yaml").write_text("{")
    (manifests / ".hidden.yaml").write_text("{")
    async with Cluster(["ant"], directory=tmp_path, without=["scheduler", "controller-manager", "proxy"]) as c:
        first = await until(c, running)
        assert (first["status"]["startTime"] > "2", first["metadata"]["ownerReferences"][0]["kind"]) == (True, "Node")
        assert [each["type"] for each in first["status"]["conditions"]][-1] == "PodScheduled"
        refused = [each for each in c.log.records if each["verb"] == "manifest-refused"]
        assert len(refused) == 1
        assert refused[0]["error"].startswith(f'can\'t process config file "{manifests}/broken.yaml": {manifests}/broken.yaml: ')

        # the mirror only shows: who deletes it gets another one, and the container runs on
        await c.delete("pod/web-ant")
        second = await until(c, lambda pod: running(pod) and pod["metadata"]["uid"] != first["metadata"]["uid"])
        assert container(second) == container(first)

        # a new content is a new pod, of the same name
        (manifests / "web.yaml").write_text(WEB.replace('"1"', '"22"'))
        third = await until(c, lambda pod: running(pod) and container(pod) != container(first))
        hashes = [each["metadata"]["annotations"]["kubernetes.io/config.hash"] for each in (first, second, third)]
        assert (hashes[0] == hashes[1], hashes[1] == hashes[2]) == (True, False)
        assert third["spec"]["containers"][0]["env"] == [{"name": "X", "value": "22"}]

        # another file of the same name changes nothing; a restart of the kubelet neither
        (manifests / "zzz.yaml").write_text(WEB)
        await c.stop_component("kubelet/ant")
        await c.start_component("kubelet/ant")
        await c.log.wait_for(lambda each: each["verb"] == "started" and each["pods"] == 1)
        assert container(await until(c, running)) == container(third)
        (manifests / "zzz.yaml").unlink()

        (manifests / "web.yaml").unlink()
        await c.wait("pod/web-ant deleted", timeout=60)
        assert await c.nodes["ant"].runtime.list_pod_sandbox() == []
        assert c.kubelets["ant"].workers == {}


async def test_it_runs_before_there_is_anybody_to_ask(manifests: Path, tmp_path: Path) -> None:
    (manifests / "web.yaml").write_text(WEB)
    async with Cluster(["ant"], directory=tmp_path, without=["scheduler", "controller-manager", "proxy", "kubelet"]) as c:
        await c.stop_component("api")
        starting = asyncio.create_task(c.start_component("kubelet/ant"))
        started = await c.log.wait_for(lambda each: each.get("reason") == "Started")
        assert (started["pod"], starting.done()) == ("default/web-ant", False)
        await c.start_component("api")
        await starting
        await until(c, running)


async def test_mirrors_of_nobody_are_removed(manifests: Path, tmp_path: Path) -> None:
    (manifests / "web.yaml").write_text(WEB)
    async with Cluster(["ant"], directory=tmp_path, without=["scheduler", "controller-manager", "proxy"]) as c:
        await until(c, running)
        await c.stop_component("kubelet/ant")
        (manifests / "web.yaml").unlink()
        manifests.rename(tmp_path / "elsewhere")
        await c.start_component("kubelet/ant")
        await c.wait("pod/web-ant deleted", timeout=60)
        with pytest.raises(ApiError):
            await c.get("pod/web-ant")


async def answered(code: int) -> Object:
    raise ApiError(code, "pods \"web-ant\" not found", "")


async def test_who_comes_too_late_to_delete_a_mirror_goes_on() -> None:
    await sent(answered(404), 404, 409)
    with pytest.raises(ApiError):
        await sent(answered(404), 409)                 # whoever creates hears that its namespace is not there
