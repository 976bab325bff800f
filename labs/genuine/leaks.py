"""What of the book is still there: processes, directories, containers, networks, volumes, tmux servers."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import psutil

from genuine.docker import LABEL, docker_client
from genuine.find import docker_problem
from genuine.processes import PREFIX

__all__ = ["leftovers"]

OURS = re.compile(re.escape(f"/{PREFIX}") + r"[a-z0-9_]{8}\b|(?:^| )-L ?kbh-|-m tinykube|/tinykube/\S+\.py")


def leftovers() -> list[str]:
    """One line for each thing of the book that exists now; the same thing always has the same line."""
    return sorted([*_processes(), *_directories(), *(_in_docker() if not docker_problem() else [])])


def _processes() -> list[str]:
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or [])
        if OURS.search(line) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(f"process {process.info['pid']}: {line[:120]}")
    return found


def _directories() -> list[str]:
    return [f"directory {path}" for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*")]


def _in_docker() -> list[str]:
    client = docker_client()
    chosen: dict[str, str | list[str] | bool] = {"label": LABEL}
    found = [f"container {one.name}" for one in client.containers.list(all=True, filters=chosen)]
    kind = client.containers.list(all=True, filters={"label": "io.x-k8s.kind.cluster"})
    found += [f"kind node {one.name}" for one in kind if one.labels["io.x-k8s.kind.cluster"].startswith(LABEL)]
    found += [f"network {one.name}" for one in client.networks.list(filters=chosen)]
    found += [f"volume {one.name}" for one in client.volumes.list(filters=chosen)]
    return found
