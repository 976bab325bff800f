"""A kind cluster is created once, shared by processes, and gone when the last of them is, however it went."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from genuine import PartFailed, kind, kind_cluster
from genuine.find import tier_problems

pytestmark = [
    pytest.mark.skipif(bool(tier_problems("kind")), reason="; ".join(tier_problems("kind"))),
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("kind"),
]
NAME = "kubernetes-by-hand-test"
OTHER = f"""
import time
from genuine import kind_cluster
cluster = kind_cluster({NAME!r}, keep=False).start()
print(cluster.created, flush=True)
time.sleep(1200)
"""


@pytest.fixture(autouse=True)
def no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this module creates belongs to it alone, not to the run around it."""
    monkeypatch.delenv(kind.SESSION, raising=False)
    monkeypatch.delenv("KIND_KEEP", raising=False)


def test_created_once_shared_and_deleted_with_the_last() -> None:
    other = subprocess.Popen([sys.executable, "-c", OTHER], stdout=subprocess.PIPE, text=True)
    assert other.stdout
    try:
        assert other.stdout.readline().strip() == "True"
        with kind_cluster(NAME, keep=False) as mine:
            assert not mine.created
            (node,) = mine.nodes()
            assert mine.kubeconfig.stat().st_mode & 0o077 == 0
            assert "kubernetes-by-hand/web:2" in mine.exec(node, "ctr", "-n", "k8s.io", "images", "list", "-q")
            assert "etcd" in mine.containers(node)
            assert mine.journal(node, lines=1)
            assert "/registry/namespaces/default" in mine.etcdctl("get", "--prefix", "--keys-only", "/registry/namespaces")
            assert f"process {other.pid}" in kind.status(NAME)
            with pytest.raises(ValueError, match=f"no node is called 'ant'; there are {node}"):
                mine.exec("ant", "true")
            with pytest.raises(PartFailed, match="in use with another configuration"):
                kind_cluster(NAME, nodes=2).start()
            with pytest.raises(PartFailed, match=r"`kubectl get nothing` ended with exit code 1(.|\n)*doesn't have"):
                mine.kubectl("get", "nothing")
        assert NAME in kind.created()  # the other one still has it
        other.kill()
        deadline = time.monotonic() + 120
        while f"{NAME}: not there" != kind.status(NAME):
            assert time.monotonic() < deadline, kind.status(NAME)
            time.sleep(0.5)
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
        kind.delete(NAME)
    assert not (kind.STATE / f"{NAME}.kubeconfig").exists()


def test_a_cluster_that_is_not_ours_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "kubernetes-by-hand-not-ours"
    monkeypatch.setattr(kind, "_clusters", lambda: [name])
    with pytest.raises(PartFailed, match=f"a kind cluster called {name} is here that this book did not create"):
        kind_cluster(name).start()
    with pytest.raises(PartFailed, match="was not created by this book"):
        kind.delete(name)
    kind._state_file(name).unlink(missing_ok=True)


def test_a_node_image_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "kubernetes-by-hand-no-image"
    monkeypatch.setenv("KIND_NODE_IMAGE", "registry.invalid/nothing:1")
    with pytest.raises(PartFailed, match=r"`kind create cluster (.|\n)*exit code 1(.|\n)*registry.invalid/nothing:1"):
        kind_cluster(name).start()
    assert kind.status(name) == f"{name}: not there"
