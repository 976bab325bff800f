"""Proofs that change while a client runs: tokens in files, programs that hand them out, pods."""
from __future__ import annotations

import asyncio
import base64
import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from bookkit import kubectl
from tinykube.client.credentials import Plugin, TokenFile
from tinykube.client.http import HttpTransport
from tinykube.client.kubeconfig import Access, in_cluster, load
from tinykube.client.rest import Client
from tinykube.cluster import Cluster
from tinykube.cluster.identities import Identities
from tinykube.machinery.clock import FakeClock
from tinykube.machinery.errors import ApiError

V1 = "client.authentication.k8s.io/v1"


async def test_a_token_file_is_read_again_and_outlives_a_moment_without_it(tmp_path: Path) -> None:
    file, clock = tmp_path / "token", FakeClock()
    source = TokenFile(file, clock)
    with pytest.raises(FileNotFoundError):
        await source.proof()
    file.write_text("first\n")
    assert (await source.proof()).token == "first"
    file.write_text("second")
    assert (await source.proof()).token == "first"
    await clock.advance(60)
    assert (await source.proof()).token == "second"
    file.unlink()
    await clock.advance(60)
    assert (await source.proof()).token == "second"
    file.write_text("third")
    source.refused()
    assert (await source.proof()).token == "third"


def program(directory: Path, *lines: str) -> str:
    """A program of these lines of Python; beside it stands what it was asked, a line for each time."""
    path = directory / "plugin"
    asked = f"open({str(directory / 'asked')!r}, 'a').write(os.environ['KUBERNETES_EXEC_INFO'] + chr(10))"
    path.write_text("\n".join([f"#!{sys.executable}", "import json, os, sys", asked, *lines]) + "\n")
    path.chmod(stat.S_IRWXU)
    return str(path)


def says(**status: Any) -> str:
    return f"print({json.dumps(json.dumps({'apiVersion': V1, 'kind': 'ExecCredential', 'status': status}))})"


async def test_a_program_is_run_when_its_proof_is_over_or_refused_and_no_more(tmp_path: Path) -> None:
    clock = FakeClock()
    ends = "2030-01-01T00:10:00Z"
    plugin = Plugin({"apiVersion": V1, "command": program(tmp_path, says(token="t", expirationTimestamp=ends))}, clock)
    times = lambda: len((tmp_path / "asked").read_text().splitlines())  # noqa: E731
    assert {each.token for each in await asyncio.gather(*(plugin.proof() for _ in range(5)))} == {"t"}
    await clock.advance(599)
    await plugin.proof()
    assert times() == 1
    await clock.advance(1)
    await plugin.proof()
    assert times() == 2
    plugin.refused()
    await plugin.proof()
    assert times() == 3


@pytest.mark.parametrize(("said", "lines", "error"), [
    ({"apiVersion": "v1"}, [], "invalid apiVersion 'v1'"), ({}, ["sys.exit(3)"], "plugin failed with exit code 3"),
    ({}, ["print('{}')"], "no ExecCredential"), ({}, ["print('hello')"], "no ExecCredential"),
    ({}, [says()], "didn't return a token or cert/key pair"), ({}, [says(clientCertificateData="x")], "cert/key pair"),
    ({"command": "/nowhere/at/all", "installHint": "Get it there."}, [], r"No such file(.|\n)*Get it there\.")])
async def test_what_goes_wrong_is_said(tmp_path: Path, said: dict[str, str], lines: list[str], error: str) -> None:
    with pytest.raises((ConnectionError, ValueError), match=error):
        await Plugin({"apiVersion": V1, "command": program(tmp_path, *lines)} | said, FakeClock()).proof()


async def test_a_pod_finds_its_server_and_takes_its_new_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="this is no pod"):
        in_cluster(tmp_path)
    async with Cluster(nodes=0) as cluster:
        host, _, port = cluster.url.removeprefix("https://").rpartition(":")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
        await cluster.client.create("serviceaccounts", {"metadata": {"name": "robot"}}, "default")
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        made = await cluster.client.create("serviceaccounts", asked, "default", name="robot", subresource="token")
        (tmp_path / "token").write_text("wrong")
        (tmp_path / "ca.crt").write_bytes(cluster.identities.authority.certificate)
        (tmp_path / "namespace").write_text("default")
        access = in_cluster(tmp_path)
        assert (access.url, access.namespace) == (cluster.url, "default")
        async with HttpTransport.from_access(access) as transport:
            client = Client(transport)
            with pytest.raises(ApiError) as error:
                await client.list("pods", "default")
            assert error.value.code == 401
            (tmp_path / "token").write_text(made["status"]["token"])         # as the kubelet does, in time
            with pytest.raises(ApiError, match="system:serviceaccount:default:robot"):
                await client.list("pods", "default")


async def test_a_certificate_that_a_program_hands_out_and_then_another(tmp_path: Path) -> None:
    async with Cluster(nodes=0) as cluster:
        first, second = (cluster.identities.authority.client(name, ()) for name in ("first", "second"))
        for name, identity in (("a", first), ("b", second)):
            status = {"clientCertificateData": identity.certificate.decode(), "clientKeyData": identity.key.decode()}
            (tmp_path / name).write_text(json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": status}))
        chosen = tmp_path / "chosen"
        chosen.write_text("a")
        command = program(tmp_path, f"print(open({str(tmp_path)!r} + '/' + open({str(chosen)!r}).read()).read())")
        access = Access(cluster.url, ca=cluster.identities.authority.certificate, plugin={"apiVersion": V1, "command": command})
        async with HttpTransport.from_access(access) as transport:
            for name, which in (("first", "a"), ("second", "b")):
                chosen.write_text(which)
                assert transport.credentials
                transport.credentials.refused()
                with pytest.raises(ApiError, match=f'User "{name}" cannot list'):
                    await Client(transport).list("pods", "default")


def test_the_program_is_asked_as_the_real_kubectl_asks_it(tmp_path: Path) -> None:
    """A kubeconfig with `exec`, whose command begins where the file is: read by ours and by the real one."""
    identities = Identities()
    mine = identities.authority.client("somebody", ())
    program(tmp_path, says(clientCertificateData=mine.certificate.decode(), clientKeyData=mine.key.decode()))
    ca = base64.b64encode(identities.authority.certificate).decode()
    config = {"apiVersion": "v1", "kind": "Config", "current-context": "x",
              "clusters": [{"name": "x", "cluster": {"server": "https://127.0.0.1:1", "certificate-authority-data": ca}}],
              "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
              "users": [{"name": "x", "user": {"exec": {
                  "apiVersion": V1, "command": "./plugin", "interactiveMode": "Never", "env": [{"name": "A", "value": "b"}]}}}]}
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    assert "refused" in kubectl("get pods", cluster=file, quiet=True).stderr
    theirs = (tmp_path / "asked").read_text().splitlines()[0]
    (tmp_path / "asked").unlink()

    async def ours() -> None:
        async with HttpTransport.from_access(load(file)) as transport:
            with pytest.raises(ConnectionRefusedError):
                await Client(transport).list("pods", "default")
    asyncio.run(ours())
    assert json.loads((tmp_path / "asked").read_text()) == json.loads(theirs)


def test_nobody_is_who_shows_nothing() -> None:
    access = Access("https://x", token_file=Path("t"), plugin={"apiVersion": V1, "command": "x"}).anonymous()
    assert (access.credentials(FakeClock()), access.token) == (None, None)
