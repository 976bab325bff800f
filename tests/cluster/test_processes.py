"""`tinykube up`, `status`, `down`: one process a seat, and nothing left whatever happened in between."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tinykube.client.http import HttpTransport
from tinykube.client.kubeconfig import load
from tinykube.client.rest import Client
from tinykube.cluster.cli import main, seats_of
from tinykube.cluster.waiting import wait_for
from tinykube.machinery.clock import SystemClock

from tests.behaviour.target import wait

from .test_cluster import pod, processes_below

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "cluster"
    main(["down", "-d", str(tmp_path / "cluster")])
    assert not processes_below(tmp_path)


def until(home: Path, what: str) -> object:
    return asyncio.run(create_and_wait(home, what))


async def create_and_wait(home: Path, what: str) -> object:
    async with HttpTransport.from_access(load(home / "kubeconfig")) as transport:
        client = Client(transport, "test")
        if what.startswith("pod/"):
            await client.create("pods", pod(what.partition("/")[2].split()[0]), "default")
        return await wait_for(client, SystemClock(), what, None, "default", 30)


def test_up_run_status_down(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "-d", str(home), "-n", "2"]) == 0
    assert f"2 nodes ready.  export KUBECONFIG={home}/kubeconfig" in capsys.readouterr().out
    assert main(["status", "-d", str(home)]) == 0
    assert capsys.readouterr().out.count("running, pid") == 5
    until(home, "pod/web Running")
    assert main(["up", "-d", str(home)]) == 1
    assert "is up already" in capsys.readouterr().err
    assert main(["down", "-d", str(home)]) == 0
    assert capsys.readouterr().out.count(": stopped") == 5
    assert not processes_below(home)
    assert [path.name for path in home.iterdir()] == ["logs"]
    assert main(["status", "-d", str(home)]) == 1
    assert main(["down", "-d", str(home)]) == 0
    assert "No cluster in" in capsys.readouterr().out


def test_down_after_crashes_ends_the_pods_too(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "-d", str(home)]) == 0
    until(home, "pod/web Running")
    for seat in seats_of(home):
        if seat.name != "scheduler":
            os.kill(seat.pid() or 0, signal.SIGKILL)
            assert seat.ends(0, 10)
    assert processes_below(home / "nodes"), "the pod lives on without its kubelet"
    assert main(["status", "-d", str(home)]) == 1
    capsys.readouterr()
    main(["down", "-d", str(home)])
    out = capsys.readouterr().out
    assert "scheduler: stopped" in out
    assert out.count("was gone already") == 3
    assert not processes_below(home)


def test_a_port_in_use_is_a_sentence(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert main(["up", "-d", str(home), "-p", str(other.getsockname()[1])]) == 1
    told = capsys.readouterr().err
    assert "cannot be had" in told
    assert "choose another with --port" in told
    assert not (home / "cluster.json").exists()


def test_a_pid_that_is_somebody_elses_now_is_let_alone(home: Path) -> None:
    assert main(["up", "-d", str(home), "-n", "0"]) == 0
    api = seats_of(home)[0]
    os.kill(api.pid() or 0, signal.SIGKILL)
    assert api.ends(0, 10)
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    api.pid_file.write_text(str(bystander.pid))
    assert main(["down", "-d", str(home)]) == 0
    assert bystander.poll() is None
    bystander.communicate(b"\n")


def test_an_interrupted_up_leaves_nothing(home: Path) -> None:
    up = subprocess.Popen([sys.executable, "-m", "tinykube.cluster.cli", "up", "-d", str(home)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not (home / "run" / "api.pid").exists():
        assert up.poll() is None
    up.send_signal(signal.SIGINT)
    up.communicate(timeout=60)
    assert up.returncode != 0
    assert not processes_below(home)
    assert not (home / "cluster.json").exists()


def test_bad_arguments(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "-d", str(home), "-n", "-1"]) == 1
    assert "0 nodes or more" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["sideways"])


def test_seats_know_the_server_by_the_kubeconfig_alone(home: Path) -> None:
    assert main(["up", "-d", str(home), "-n", "0"]) == 0
    config = yaml.safe_load((home / "kubeconfig").read_text())
    assert config["clusters"][0]["cluster"]["server"].startswith("https://127.0.0.1:")
    secret = [home / "kubeconfig", *(home / "pki").iterdir()]
    assert {path.stat().st_mode & 0o777 for path in secret} == {0o600}
    trail = home / "logs" / "audit.jsonl"
    seats = {"system:kube-scheduler", "system:kube-controller-manager"}
    wait(lambda: all(seat in trail.read_text() for seat in seats), "a request of each seat")
    who = {json.loads(line)["user"]["username"] for line in trail.read_text().splitlines() if line.endswith("}")}
    others = {each for each in who - seats if not each.startswith("system:serviceaccount:kube-system:")}
    assert not others, "each seat is itself, and so is each controller"
    for seat in seats_of(home):
        command = Path(f"/proc/{seat.pid()}/cmdline")
        if command.exists():
            assert b"http" not in command.read_bytes()
