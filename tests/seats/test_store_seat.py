"""The seat of etcd, with TLS and with a disk: ours and a genuine one, each with clients of both kinds."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bookkit.tiers import missing
from genuine import control_plane, etcd, etcd_cluster
from genuine.etcd_members import Etcd
from genuine.find import need
from genuine.pki import Authority
from tinykube.cluster.storeseat import CLIENT_FILES, etcd_storage
from tinykube.store import Put, StoreError

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("genuine-etcd")]
genuine = pytest.mark.skipif(bool(missing("genuine")), reason="; ".join(missing("genuine")))
TINYKUBE, KUBECTL = (str(Path(sys.executable).with_name(name)) for name in ("tinykube", "kubectl"))
MAPS = "/api/v1/namespaces/default/configmaps"


class StoreProcess:
    """`tinykube store` in a directory, with TLS, which can be killed and started again at the same address."""

    def __init__(self, directory: Path) -> None:
        authority = Authority(directory)
        server = authority.identity("server", "etcd", names=["127.0.0.1"])
        mine = authority.identity("client", "client-of-etcd")
        self.files = {"cafile": str(authority.file), "certfile": str(mine.certificate), "keyfile": str(mine.key)}
        self.options = [f"--data-dir={directory / 'data'}", f"--cert-file={server.certificate}", f"--key-file={server.key}",
                        f"--trusted-ca-file={authority.file}"]
        self.address = "127.0.0.1:0"

    def start(self) -> None:
        command = [TINYKUBE, "store", f"--listen={self.address}", *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.address = self.process.stdout.readline().split()[-1]

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        assert self.process.stdout
        self.process.stdout.close()
        return self.process.wait(30)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoreProcess]:
    store = StoreProcess(tmp_path)
    store.start()
    yield store
    if store.process.poll() is None:
        assert store.end(signal.SIGTERM) == 0


async def test_what_was_acknowledged_outlives_a_kill(store: StoreProcess) -> None:
    storage = etcd_storage(f"https://{store.address}", **store.files)
    for number in range(20):
        await storage.txn((), [Put(b"/k/%d" % number, b"x")])
    await storage.grant(600, 7)
    assert store.end(signal.SIGKILL) == -signal.SIGKILL
    store.start()
    found = await storage.range(b"/k/", b"/k0")
    assert (found.count, found.revision, await storage.leases()) == (20, 21, [7])
    await storage.aclose()


async def test_who_shows_no_certificate_is_not_let_in(store: StoreProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinykube.store.wire.client.PATIENCE", 3.0)
    for url, files in ((f"http://{store.address}", {}), (f"https://{store.address}", {}),
                       (f"https://{store.address}", {"cafile": store.files["cafile"]})):
        storage = etcd_storage(url, **files)
        with pytest.raises(StoreError, match="no answer from the store"):
            await storage.range(b"/k")
        await storage.aclose()


@genuine
def test_etcdctl_by_certificate(store: StoreProcess) -> None:
    command = [need("etcdctl")["etcdctl"], f"--endpoints=https://{store.address}", f"--cacert={store.files['cafile']}"]
    mine = [f"--cert={store.files['certfile']}", f"--key={store.files['keyfile']}"]
    for words, said in ((["put", "/k", "v"], "OK\n"), (["get", "/k"], "/k\nv\n"),
                        (["member", "list"], f"https://{store.address}")):
        done = subprocess.run([*command, *mine, *words], capture_output=True, text=True, timeout=30)
        assert said in done.stdout, done.stderr
    refused = subprocess.run([*command, "--command-timeout=3s", "get", "/k"], capture_output=True, text=True, timeout=30)
    assert refused.returncode == 1


@genuine
def test_a_genuine_api_server_by_certificate_and_over_a_kill(store: StoreProcess) -> None:
    flags = {"apiserver": [f"--etcd-{name}={path}" for name, path in store.files.items()]}
    with control_plane(["apiserver"], etcd_url=f"https://{store.address}", audit=False, flags=flags) as plane:
        assert plane.request("POST", MAPS, {"metadata": {"name": "before"}})[0] == 201
        store.end(signal.SIGKILL)
        store.start()
        assert plane.request("GET", f"{MAPS}/before")[0] == 200
        assert plane.request("POST", MAPS, {"metadata": {"name": "after"}})[0] == 201


@genuine
async def test_our_client_and_a_genuine_etcd_of_three_by_certificate() -> None:
    with etcd_cluster(3, tls=True, fsync=False) as members:
        storage = etcd_storage(",".join(members.endpoints), **files_of(members))
        await storage.txn((), [Put(b"/k", b"v")])
        members.stop_member(members.names[0])
        found = await storage.range(b"/k")
        assert found.kvs[0].value == b"v"
        await storage.aclose()


def files_of(member: Etcd) -> dict[str, str]:
    """The files by which a genuine etcd lets one in."""
    return dict(each.removeprefix("--etcd-").split("=", 1) for each in member.client_arguments("--etcd-"))


def tinykube(*words: str) -> str:
    done = subprocess.run([TINYKUBE, *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def kubectl(directory: Path, *words: str) -> str:
    done = subprocess.run([KUBECTL, "--kubeconfig", str(directory / "kubeconfig"), *words], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def cluster(directory: Path, *options: str) -> Iterator[str]:
    """`tinykube up` without nodes; always taken down."""
    where = f"--directory={directory}"
    try:
        tinykube("up", where, "--nodes=0", *options)
        yield where
    finally:
        tinykube("down", where)


def pid_of_api(where: str) -> int:
    status = subprocess.run([TINYKUBE, "status", where], capture_output=True, text=True, timeout=60).stdout
    return int(status.splitlines()[0].split()[-1])


def test_a_cluster_whose_api_server_is_killed(tmp_path: Path) -> None:
    """What was created is there after kill -9; `up` starts what is missing, on the same port, and no more."""
    with cluster(tmp_path) as where:
        kubectl(tmp_path, "create", "configmap", "kept", "--from-literal=a=1")
        os.kill(pid_of_api(where), signal.SIGKILL)
        assert tinykube("up", where) == "started again: api\n"
        assert kubectl(tmp_path, "get", "configmap", "kept", "-o", "jsonpath={.data.a}") == "1"
        tinykube("stop", where)
        tinykube("up", where)
        assert kubectl(tmp_path, "get", "configmap", "kept", "-o", "jsonpath={.data.a}") == "1"
        again = subprocess.run([TINYKUBE, "up", where], capture_output=True, text=True, timeout=60)
        assert "a cluster is up already" in again.stderr


@genuine
def test_a_cluster_on_a_genuine_etcd(tmp_path: Path) -> None:
    """Its objects are etcd's: they outlive `down`, which takes away only what is the cluster's own."""
    with etcd(tls=True, fsync=False) as member:
        options = [f"--etcd-servers={member.url}", *member.client_arguments("--etcd-")]
        with cluster(tmp_path / "one", *options):
            kubectl(tmp_path / "one", "create", "configmap", "kept", "--from-literal=a=1")
            keys = member.etcdctl("get", "--prefix", "/registry/configmaps/", "--keys-only").split()
            assert "/registry/configmaps/default/kept" in keys
            tinykube("stop", f"--directory={tmp_path / 'one'}")
            tinykube("up", f"--directory={tmp_path / 'one'}")
            assert not (tmp_path / "one" / "store").exists()
        with cluster(tmp_path / "two", *options):
            assert kubectl(tmp_path / "two", "get", "configmap", "kept", "-o", "jsonpath={.data.a}") == "1"


@pytest.mark.parametrize(("options", "said"), [
    (["--etcd-cafile=x"], "need --etcd-servers"), (["--etcd-servers=127.0.0.1:2379"], "write http://HOST:PORT"),
    (["--etcd-servers=http://127.0.0.1:1"], "no answer from the store at 127.0.0.1:1"),
    (["--etcd-servers=https://127.0.0.1:1", "--etcd-cafile=/nowhere"], "No such file or directory: '/nowhere'")])
def test_an_etcd_that_cannot_be_had_is_named(tmp_path: Path, options: list[str], said: str) -> None:
    done = subprocess.run([TINYKUBE, "up", f"--directory={tmp_path}", "--nodes=0", *options], capture_output=True, text=True,
                          timeout=90)
    assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    assert done.stderr.count("\n") <= 2
    assert not (tmp_path / "cluster.json").exists()


@pytest.mark.parametrize(("options", "said"), [
    (["--cert-file=x"], "belong together"), (["--trusted-ca-file=x"], "needs both"),
    (["--cert-file=/nowhere", "--key-file=/nowhere"], "No such file")])
def test_a_store_that_cannot_be_served_is_named(options: list[str], said: str) -> None:
    done = subprocess.run([TINYKUBE, "store", "--listen=127.0.0.1:0", *options], capture_output=True, text=True, timeout=60)
    assert (done.returncode, said in done.stderr, done.stderr.count("\n")) == (1, True, 1), done.stderr


def test_two_stores_in_one_directory(store: StoreProcess) -> None:
    done = subprocess.run([TINYKUBE, "store", "--listen=127.0.0.1:0", *store.options], capture_output=True, text=True, timeout=60)
    assert (done.returncode, "is the store of another process that runs" in done.stderr) == (1, True)


def test_the_settings_of_a_cluster_name_its_etcd(tmp_path: Path) -> None:
    assert set(CLIENT_FILES) == {"cafile", "certfile", "keyfile"}
    with cluster(tmp_path):
        assert json.loads((tmp_path / "cluster.json").read_text())["etcd"] is None
