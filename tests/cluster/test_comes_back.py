"""A cluster in one process whose store has a directory comes back with its objects."""
from __future__ import annotations

from pathlib import Path

import pytest
from tinykube.client.http import HttpTransport
from tinykube.client.kubeconfig import load
from tinykube.cluster import Cluster
from tinykube.machinery.wire import request

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


async def test_keys_stay_good_where_the_store_has_a_directory(tmp_path: Path) -> None:
    async with Cluster(nodes=0, without=PART, data=tmp_path / "data") as c:
        kubeconfig, ca = c.kubeconfig.read_text(), c.identities.authority.certificate
    (tmp_path / "kubeconfig").write_text(kubeconfig)
    async with Cluster(nodes=0, without=PART, data=tmp_path / "data", port=c.port) as again:
        assert again.identities.authority.certificate == ca
        async with HttpTransport.from_access(load(tmp_path / "kubeconfig")) as transport:
            assert (await transport(request("GET", "/api/v1/namespaces"))).status == 200
    assert (tmp_path / "data" / "pki" / "ca.key").stat().st_mode & 0o77 == 0, "nobody else reads the key"
    async with Cluster(nodes=0, without=PART) as other:
        assert other.identities.authority.certificate != ca
