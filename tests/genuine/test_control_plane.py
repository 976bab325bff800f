"""A genuine control plane: identities, rights, its log of requests, and components that come and go."""

from __future__ import annotations

import contextlib
import json
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from genuine import PartFailed, control_plane
from genuine.controlplane import ControlPlane
from genuine.etcd_members import etcd, etcd_cluster
from genuine.find import find, tier_problems

pytestmark = pytest.mark.skipif(bool(tier_problems("genuine")), reason="; ".join(tier_problems("genuine")))


def kubectl(kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(find("kubectl").path), f"--kubeconfig={kubeconfig}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def eventually(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.1)


def test_all_components_work_together(genuine_control_plane: ControlPlane) -> None:
    plane = genuine_control_plane
    node = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "ant"}}
    assert plane.request("POST", "/api/v1/nodes", node)[0] == 201
    status = {"status": {"allocatable": {"pods": "9", "memory": "1Gi", "cpu": "1"}, "conditions": [
        {"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]}}  # fmt: skip
    address = f"{plane.url}/api/v1/nodes/ant"
    kind = {"Content-Type": "application/merge-patch+json"}
    with plane.session() as session:
        assert session.patch(f"{address}/status", json.dumps(status), headers=kind).status_code == 200
        assert session.patch(address, json.dumps({"spec": {"taints": None}}), headers=kind).status_code == 200
    pod = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "one"}, "spec": {
        "tolerations": [{"operator": "Exists"}], "containers": [{"name": "one", "image": "one"}]}}  # fmt: skip
    assert plane.request("POST", "/api/v1/namespaces/default/pods", pod)[0] == 201

    def bound() -> bool:
        return plane.request("GET", "/api/v1/namespaces/default/pods/one")[1]["spec"].get("nodeName") == "ant"

    eventually(bound, "the scheduler")
    delete = {"gracePeriodSeconds": 0}
    assert plane.request("DELETE", "/api/v1/namespaces/default/pods/one", delete)[0] == 200
    assert plane.request("DELETE", "/api/v1/nodes/ant")[0] == 200


def test_everybody_is_who_the_certificate_says(genuine_control_plane: ControlPlane) -> None:
    plane = genuine_control_plane
    for user, name in {
        "admin": "kubernetes-admin", "scheduler": "system:kube-scheduler", "node:ant": "system:node:ant", "eve": "eve",
    }.items():  # fmt: skip
        told = kubectl(plane.kubeconfig_for(user), "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
        assert told.stdout == name, told.stderr
    denied = kubectl(plane.kubeconfig_for("eve"), "get", "pods")
    assert 'pods is forbidden: User "eve" cannot list resource "pods"' in denied.stderr
    for question, answer in {"pods --subresource=binding": "yes", "secrets": "no"}.items():
        told = kubectl(plane.kubeconfig_for("scheduler"), "auth", "can-i", "create", *question.split())
        assert told.stdout.strip() == answer, told.stderr


def test_tokens_and_nobody(genuine_control_plane: ControlPlane) -> None:
    plane = genuine_control_plane
    assert plane.request("GET", "/api/v1/pods", token=plane.token)[0] == 200
    assert plane.request("GET", "/api/v1/pods", token="")[0] == 403
    assert plane.request("GET", "/api/v1/pods", token="wrong")[0] == 401
    assert plane.request("GET", "/version", token="")[0] == 200


def test_who_does_not_know_the_authority_is_refused(genuine_control_plane: ControlPlane) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(genuine_control_plane.url + "/version", timeout=10)


def test_its_etcd_lets_nobody_in_without_a_certificate(genuine_control_plane: ControlPlane) -> None:
    trusting = ssl._create_unverified_context()
    with pytest.raises(OSError, match=r"certificate required|handshake"):
        urllib.request.urlopen(f"{genuine_control_plane.etcd.url}/version", timeout=10, context=trusting)
    assert "/registry/namespaces/default" in genuine_control_plane.etcd.etcdctl("get", "--prefix", "--keys-only", "/registry/")


def test_the_audit_log_tells_who_asked_what(genuine_control_plane: ControlPlane) -> None:
    plane = genuine_control_plane
    start = len(plane.audit())
    plane.request("GET", "/api/v1/namespaces/default/configmaps/nothing-here")

    def found() -> bool:
        return any(
            event["requestURI"].endswith("/nothing-here") and event["verb"] == "get"
            and event["user"]["username"] == "kubernetes-admin" and event["responseStatus"]["code"] == 404
            for event in plane.audit(start)
        )  # fmt: skip

    eventually(found, "the event")


def test_a_component_stops_and_starts_again() -> None:
    with control_plane(["apiserver"]) as plane:
        url, directory = plane.url, plane.directory
        body = {"metadata": {"name": "kept"}, "data": {"a": "1"}}
        assert plane.request("POST", "/api/v1/namespaces/default/configmaps", body)[0] == 201
        plane.stop_component("apiserver", kill=True)
        with pytest.raises(OSError, match="refused"):
            plane.request("GET", "/version")
        plane.start_component("apiserver")
        assert plane.url == url
        assert plane.request("GET", "/api/v1/namespaces/default/configmaps/kept")[0] == 200
        pod = {"metadata": {"name": "one"}, "spec": {"containers": [{"name": "one", "image": "one"}]}}
        assert plane.request("POST", "/api/v1/namespaces/default/pods", pod)[0] == 201  # no service account is asked for
    assert not directory.exists()


def test_a_wrong_flag_is_told_with_the_last_log_lines() -> None:
    with pytest.raises(PartFailed, match=r"kube-apiserver ended with exit code 1(.|\n)*unknown flag: --no-such-flag"):
        control_plane(["apiserver"], flags={"apiserver": ["--no-such-flag"]}).start()


def test_wrong_names() -> None:
    with pytest.raises(ValueError, match="no component is called shceduler; there are apiserver"):
        control_plane(["apiserver", "shceduler"])
    with pytest.raises(ValueError, match='needs its "apiserver"'):
        control_plane(["scheduler"])


def test_an_etcd_alone_answers_in_plain_http() -> None:
    with etcd(fsync=False) as one:
        put = requests.post(f"{one.url}/v3/kv/put", json={"key": "YQ==", "value": "Yg=="}, timeout=10)
        assert put.json()["header"]["revision"] == "2"
        assert one.etcdctl("get", "a", "--print-value-only").strip() == "b"
        with pytest.raises(PartFailed, match="unknown command"):
            one.etcdctl("no-such-thing")


def test_three_members_outlive_one() -> None:
    with etcd_cluster(3, fsync=False) as cluster:
        cluster.etcdctl("put", "color", "blue")
        cluster.stop_member("etcd-1", kill=True)

        def writes() -> bool:
            with contextlib.suppress(PartFailed):  # while the others elect, a write may fail
                return "OK" in cluster.etcdctl("put", "color", "red", endpoints=cluster.endpoints[:1])
            return False

        eventually(writes, "two of three to write")
        cluster.start_member("etcd-1")

        def caught_up() -> bool:
            with contextlib.suppress(PartFailed):
                told = cluster.etcdctl("get", "color", "--consistency=s", "--print-value-only", endpoints=cluster.endpoints[1:2])
                return told.strip() == "red"
            return False

        eventually(caught_up, "the third to catch up")
        with pytest.raises(ValueError, match="no member is called 'etcd-7'"):
            cluster.stop_member("etcd-7")
