"""Finds, starts and stops the genuine parts: control-plane binaries, etcd, Docker, kind; builds the lab images.

    from genuine import control_plane, etcd, kind_cluster, docker_client, find, images

Importing it is cheap: each name brings its module in when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genuine import find as find
    from genuine import images as images
    from genuine.controlplane import ControlPlane as ControlPlane
    from genuine.controlplane import control_plane as control_plane
    from genuine.docker import DockerProblem as DockerProblem
    from genuine.docker import DockerRun as DockerRun
    from genuine.docker import docker_client as docker_client
    from genuine.etcd_members import etcd as etcd
    from genuine.etcd_members import etcd_cluster as etcd_cluster
    from genuine.find import MissingPart as MissingPart
    from genuine.find import Part as Part
    from genuine.find import parts as parts
    from genuine.find import tier_problems as tier_problems
    from genuine.kind import KindCluster as KindCluster
    from genuine.kind import kind_cluster as kind_cluster
    from genuine.leaks import leftovers as leftovers
    from genuine.processes import GuardedProcesses as GuardedProcesses
    from genuine.processes import PartFailed as PartFailed

_HOMES = {
    "control_plane": "controlplane", "ControlPlane": "controlplane", "docker_client": "docker", "DockerProblem": "docker",
    "DockerRun": "docker", "etcd": "etcd_members", "etcd_cluster": "etcd_members", "Etcd": "etcd_members",
    "MissingPart": "find", "Part": "find", "parts": "find", "tier_problems": "find", "KindCluster": "kind",
    "kind_cluster": "kind", "leftovers": "leaks", "GuardedProcesses": "processes", "PartFailed": "processes",
}  # fmt: skip
_MODULES = ("find", "images", "kind")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"genuine.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"genuine.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'genuine' has no attribute {name!r}")
