"""What is found, and what is said where something is not."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from genuine import find


@pytest.fixture
def empty_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine where nothing is installed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBEBUILDER_ASSETS", "XDG_DATA_HOME", "DOCKER_HOST"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory with a name that is short enough for a socket's."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def program(folder: Path, name: str, says: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def test_assets_come_before_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program(tmp_path / "path", "etcd", "etcd Version: 3.4.0")
    mine = program(tmp_path / "assets", "etcd", "etcd Version: 3.6.1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    assert find.find("etcd").path == mine
    assert find.find("etcd").version == "3.6.1"


def test_newest_of_envtests_folders(empty_machine: None, tmp_path: Path) -> None:
    for version in ("1.9.0", "1.31.0", "1.4.0"):
        folder = tmp_path / f".local/share/kubebuilder-envtest/k8s/{version}-linux-amd64"
        program(folder, "kube-apiserver", f"Kubernetes v{version}")
    assert find.find("kube-apiserver").version == "1.31.0"


def test_what_is_missing_is_named_with_the_way_to_get_it(empty_machine: None) -> None:
    with pytest.raises(find.MissingPart) as told:
        find.need("kube-apiserver", "kind")
    assert "kube-apiserver (the genuine api-server) was not found" in str(told.value)
    assert "setup-envtest" in str(told.value)
    assert "kind.sigs.k8s.io" in str(told.value)


def test_each_tier_says_what_it_lacks(empty_machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "docker_host", lambda: "")
    assert find.tier_problems("anywhere") == []
    assert len(find.tier_problems("genuine")) == 4
    assert any("no Docker daemon" in problem for problem in find.tier_problems("kind"))
    with pytest.raises(ValueError, match="no tier is called 'dokcer'"):
        find.tier_problems("dokcer")


def test_a_socket_without_a_daemon(monkeypatch: pytest.MonkeyPatch, short: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(short / "docker.sock"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{short}/docker.sock")
    assert "no Docker daemon answers" in find.docker_problem()
    assert "start it" in find.docker_problem()


def test_importing_costs_nothing() -> None:
    heavy = "docker, requests, cryptography, aiohttp, kubernetes"
    code = f"import genuine, genuine.find, sys; print([m for m in '{heavy}'.split(', ') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
