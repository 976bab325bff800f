"""A disk without space, as a client of the API sees it."""
from __future__ import annotations

from random import Random

from tinykube.api import new_server
from tinykube.machinery.clock import FakeClock
from tinykube.machinery.eventlog import EventLog

from tests.api.conftest import Api
from tests.store.disk import MemoryDisk, storage_on

MAPS = "/api/v1/namespaces/default/configmaps"


async def test_writes_are_refused_with_the_stores_words_and_reads_go_on() -> None:
    clock, disk = FakeClock(), MemoryDisk()
    storage = storage_on(disk, clock)
    server = new_server(storage, clock=clock, random=Random(1), log=EventLog(clock))
    await server.start()
    api = Api(server, clock)
    assert (await api("POST", MAPS, {"metadata": {"name": "a"}}))[0] == 201
    disk.space = 0
    # Seen from a genuine kube-apiserver 1.37.2 whose etcd had reached its quota.
    assert await api("POST", MAPS, {"metadata": {"name": "b"}}) == (500, {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "etcdserver: mvcc: database space exceeded", "code": 500})
    assert (await api("GET", f"{MAPS}/a"))[0] == 200
    assert (await api("GET", f"{MAPS}/b"))[0] == 404
    disk.space = 10**9
    assert (await api("POST", MAPS, {"metadata": {"name": "b"}}))[0] == 201
    await server.stop()
    await storage.aclose()
