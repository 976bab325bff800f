"""Fixtures for tests that need genuine parts: one of each for a whole run, skipped with the reason where it is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from genuine.find import CONTROL_PLANE, MissingPart, tier_problems

if TYPE_CHECKING:
    from genuine.controlplane import ControlPlane
    from genuine.etcd_members import Etcd
    from genuine.kind import KindCluster

__all__ = ["genuine_control_plane", "genuine_etcd", "genuine_kind", "need_tier"]


def need_tier(tier: str) -> None:
    """Skip the test, with what is missing, when this machine cannot run `tier`."""
    if problems := tier_problems(tier):
        pytest.skip(f"tier {tier} is missing: {'; '.join(problems)}")


@pytest.fixture(scope="session")
def genuine_control_plane() -> Iterator[ControlPlane]:
    """A genuine control plane with all its components, shared by the tests of this process."""
    from genuine.controlplane import control_plane

    need_tier("genuine")
    with control_plane() as plane:
        yield plane


@pytest.fixture(scope="session")
def genuine_etcd() -> Iterator[Etcd]:
    """A genuine etcd, plain HTTP, shared by the tests of this process."""
    from genuine.etcd_members import etcd

    try:
        started = etcd().start()
    except MissingPart as missing:
        pytest.skip(f"{CONTROL_PLANE[0]} is missing: {missing}")
    yield started
    started.stop()


@pytest.fixture(scope="session")
def genuine_kind() -> Iterator[KindCluster]:
    """The run's kind cluster, shared with other processes."""
    from genuine.kind import kind_cluster

    need_tier("kind")
    with kind_cluster() as cluster:
        yield cluster
