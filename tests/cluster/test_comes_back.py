"""A cluster in one process whose store has a directory comes back with its objects."""
from __future__ import annotations

from pathlib import Path

import pytest
from tinykube.cluster import Cluster

PART = ("scheduler", "kubelet")


async def test_objects_survive_when_the_store_has_a_directory(tmp_path: Path) -> None:
    thing = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1"}}
    async with Cluster(0, without=PART, data=tmp_path / "store") as cluster:
        await cluster.apply(thing)
        before = await cluster.get("configmap/a")
        with pytest.raises(OSError, match="is the store of another process"):
            await Cluster(0, without=PART, data=tmp_path / "store").start()
    async with Cluster(0, without=PART, data=tmp_path / "store") as cluster:
        assert await cluster.get("configmap/a") == before
    async with Cluster(0, without=PART) as cluster:
        assert [each["metadata"]["name"] for each in await cluster.list("configmaps", namespace="default")] == []
