"""Our kubectl beside the real one: the same command, the same words, the same exit status; tiny, and tier genuine."""
from __future__ import annotations

import contextlib
import io
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bookkit import kubectl
from tinykube.cluster import Cluster, background
from tinykube.kubectl.cli import main

from tests.kubectl.conftest import a_plane, a_tiny
from tests.kubectl.test_beside import CONFIG, EVENT, NODE, POD, SANITIZE, re

BOOLS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: bools, labels: {"y": "n", "on": "off"}}
data: {"y": "N", "n": "yes", "Y": "no", "x": "true", "1": "1", "o": "0x1", "e": "1e3", "t": "2001-01-01", "s": "a: b", "z": "~",
       "v": "null", "k": "", "m": "two\nlines", "u": "ü", "h": "# no comment", "d": "- a", "w": " blank", "q": "'", "Q": '"'}
"""
COMMANDS: list[tuple[str, str]] = [
    ("create -f -", CONFIG), ("create -f -", CONFIG), ("get cm colors", ""), ("get configmaps colors -o yaml", ""),
    ("get cm/colors -o json", ""), ("get cm colors -o jsonpath={.data.sky}", ""), ("get cm colors -o name", ""),
    ("label cm colors a=b", ""), ("get cm -l a=b", ""), ("get cm -l a=c", ""), ("get cm -l a=b -o name", ""),
    ("label cm colors a-", ""), ("create -f -", NODE), ("create -f -", POD), ("get pods", ""), ("get po -o wide", ""),
    ("get pods -A", ""), ("get pod web -o yaml", ""), ("get pod web -o jsonpath={.spec.containers[*].image}", ""),
    ("get pods -o jsonpath={.items[*].metadata.name}", ""), ("get pods -o yaml", ""), ("get nodes", ""), ("get nodes -o wide", ""),
    ("create -f -", EVENT), ("get events", ""), ("get pod nobody", ""), ("get unicorns", ""), ("get pods -n nowhere", ""),
    ("get nodes -l no=where", ""), ("logs web -c web", ""), ("logs nobody", ""), ("delete event web.1", ""),
    ("create -f -", BOOLS), ("get cm bools -o yaml", ""), ("get cm bools -o json", ""), ("delete cm bools", ""),
    ("delete cm colors", ""), ("delete cm colors", ""), ("delete -f -", NODE), ("get cm colors -o yaml", ""),
]


def ours(command: str, text: str, kubeconfig: Path) -> str:
    """What our kubectl says."""
    out, err, stdin = io.StringIO(), io.StringIO(), sys.stdin
    sys.stdin = io.StringIO(text)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main([*command.split(), "-k", str(kubeconfig)])
    finally:
        sys.stdin = stdin
    return sanitized(f"{out.getvalue()}\n{err.getvalue()}exit status {status}")


def theirs(command: str, text: str, kubeconfig: Path) -> str:
    """What the real one says."""
    result = kubectl(command, cluster=kubeconfig, input=text or None, quiet=True)
    return sanitized(f"{result}\n{result.stderr}exit status {result.status}")


def sanitized(words: str) -> str:
    """Without what differs from run to run."""
    for pattern, mark in SANITIZE:
        words = re.sub(pattern, mark, words)
    return re.sub(r"\n+", "\n", words).strip()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A server of these tests' own: they list whole kinds, and must not meet what others have made."""
    yield from a_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def plane() -> Iterator[Any]:
    """The same, of the genuine one."""
    yield from a_plane()


def compare(kubeconfig: Path) -> list[str]:
    """Each command first to theirs or ours; what changes something is undone and done again by the other."""
    different = []
    undo = {"create": "delete", "delete": "create"}
    for command, text in COMMANDS:
        verb = command.split()[0]
        mine = ours(command, text, kubeconfig)
        if verb == "create" and "created" in mine:
            kubectl("delete --force --grace-period=0 -f -", cluster=kubeconfig, input=text, quiet=True)
        elif verb == "delete" and "deleted" in mine:
            again = text or {"event": EVENT, "colors": CONFIG, "web.1": EVENT, "bools": BOOLS}[command.split()[2]]
            kubectl(f"{undo[verb]} -f -", cluster=kubeconfig, input=again, quiet=True, check=True)
        elif verb == "label":
            before = "label cm colors a=b" if command.endswith("a-") else "label cm colors a-"
            kubectl(before, cluster=kubeconfig, quiet=True)
        told = theirs(command, text, kubeconfig)
        if mine != told:
            different.append(f"$ {command}\n--- ours\n{mine}\n--- theirs\n{told}")
    kubectl("delete pod web --force --grace-period=0", cluster=kubeconfig, quiet=True)
    return different


def test_same_words_from_tiny(tiny: Path) -> None:
    assert not (found := compare(tiny)), "\n\n".join(found)


@pytest.mark.timeout(300)
def test_same_words_from_genuine(plane: Any) -> None:
    assert not (found := compare(plane.kubeconfig)), "\n\n".join(found)


def test_apply_lets_the_server_merge(plane: Any) -> None:
    at = plane.kubeconfig
    assert "serverside-applied" in ours("apply -f -", CONFIG, at)
    assert "serverside-applied" in ours("apply -f -", CONFIG.replace("blue", "grey"), at)
    assert ours("get cm colors -o jsonpath={.data.sky}", "", at).startswith("grey")
    real = kubectl("apply --server-side -f -", cluster=at, input=CONFIG.replace("blue", "grey"), quiet=True)
    assert sanitized(f"{real}\nexit status 0") == ours("apply -f -", CONFIG.replace("blue", "grey"), at)
    assert "deleted" in ours("delete -f -", CONFIG, at)


def test_describe_shows_fields_and_events(tiny: Path) -> None:
    ours("create -f -", CONFIG, tiny)
    told = ours("describe cm colors", "", tiny)
    assert "Kind: ConfigMap" in told
    assert "Sky: blue" in told
    assert "Events: <none>" in told
    ours("delete cm colors", "", tiny)


def test_forbidden_in_the_servers_words(plane: Any) -> None:
    nobody = plane.kubeconfig_for("nobody")
    assert ours("get pods", "", nobody) == theirs("get pods", "", nobody)


class Reading:
    """The console script `tinykubectl`, started, and what it prints, line by line."""

    def __init__(self, *words: str) -> None:
        command = [str(Path(sys.executable).with_name("tinykubectl")), *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.lines: queue.Queue[str] = queue.Queue()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self) -> None:
        """Queue what is printed."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.put(line.rstrip())

    def line(self) -> str:
        """The next line."""
        return self.lines.get(timeout=30)

    def end(self) -> int:
        """Interrupt it as Ctrl-C does; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


def test_the_console_script_watches_and_follows(tmp_path: Path) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "clock"}, "spec": {"containers": [{
        "name": "main", "image": "kubernetes-by-hand/box:1",
        "command": ["sh", "-c", "n=0; while true; do n=$((n+1)); echo tick $n; sleep 0.2; done"]}]}}
    with background(Cluster(nodes=1, directory=tmp_path)) as cluster:
        options = ["-k", str(cluster.kubeconfig)]
        cluster.apply(pod)
        cluster.wait("pod/clock Running")
        watching = Reading("get", "pods", "-w", *options)
        assert watching.line().split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
        assert watching.line().split()[:3] == ["clock", "1/1", "Running"]
        following = Reading("logs", "-f", "clock", *options)
        ticks = [following.line() for _ in range(3)]
        assert ticks == ["tick 1", "tick 2", "tick 3"]
        cluster.delete("pod/clock", grace_seconds=0)
        assert watching.line().split()[0] == "clock"
        assert watching.end() == 130
        assert following.process.wait(30) == 0
    nobody = subprocess.run([str(Path(sys.executable).with_name("tinykubectl")), "get", "pods", *options], capture_output=True,
                            text=True, timeout=60)
    assert nobody.returncode == 1


def test_nobody_there(tmp_path: Path) -> None:
    from tinykube.client.kubeconfig import write
    config = write(tmp_path / "config", "http://127.0.0.1:1")
    told = ours("get pods", "", config)
    assert told == "The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?\nexit status 1"
    assert told.splitlines()[-2:] == theirs("get pods", "", config).splitlines()[-2:]
