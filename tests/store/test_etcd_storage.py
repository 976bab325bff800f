"""The storage of an api-server, three times: right there, our store over gRPC, a genuine etcd. It is the same to who asks."""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from genuine import etcd, tier_problems
from tinykube.api import new_server
from tinykube.client.rest import Client
from tinykube.machinery.clock import SystemClock
from tinykube.machinery.errors import ApiError
from tinykube.machinery.eventlog import EventLog
from tinykube.store import Compacted, Compare, Delete, FutureRevision, LocalStorage, Put, Range, StoreError, Txn
from tinykube.store.wire.client import EtcdStorage, NoAnswer
from tinykube.store.wire.server import EtcdServer

pytestmark = pytest.mark.xdist_group("etcd-wire")
PODS = (b"/pods/", b"/pods0")


class Here:
    """A storage, and how to make its etcd go away and come back."""

    def __init__(self, storage: Any, cut: Callable[[], Any] | None = None, back: Callable[[], Any] | None = None) -> None:
        self.storage, self.cut, self.back = storage, cut, back


@asynccontextmanager
async def over_grpc() -> AsyncIterator[Here]:
    local = LocalStorage()
    servers = [await EtcdServer(local).start()]
    address = servers[0].address

    async def cut() -> None:
        await servers.pop().stop()

    async def back() -> None:
        servers.append(await EtcdServer(local).start(address))
    storage = EtcdStorage(address)
    yield Here(storage, cut, back)
    await storage.aclose()
    for server in servers:
        await server.stop()


@asynccontextmanager
async def genuine() -> AsyncIterator[Here]:
    if problems := tier_problems("genuine"):
        pytest.skip(f"tier genuine: {problems[0]}")
    with etcd(fsync=False) as member:
        async def cut() -> None:
            await asyncio.to_thread(member.stop_member, "etcd")

        async def back() -> None:
            await asyncio.to_thread(member.start_member, "etcd")
        storage = EtcdStorage(member.url.removeprefix("http://"))
        yield Here(storage, cut, back)
        await storage.aclose()


@pytest.fixture(params=["local", "grpc", "genuine"])
async def here(request: pytest.FixtureRequest) -> AsyncIterator[Here]:
    if request.param == "local":
        yield Here(LocalStorage())
        return
    async with over_grpc() if request.param == "grpc" else genuine() as found:
        yield found


async def first(watch: Any, count: int) -> list[tuple[str, bytes, int]]:
    """The first events of a watch."""
    events: list[Any] = []
    async with asyncio.timeout(15):
        async for batch in watch:
            events += [(event.type, event.kv.key, event.kv.mod_revision) for event in batch.events]
            if len(events) >= count:
                break
    return events


async def test_what_is_written_is_read(here: Here) -> None:
    storage = here.storage
    made = await storage.txn([Compare(b"/pods/a", "mod", "==", 0)], [Put(b"/pods/a", b"1")], [Range(b"/pods/a")])
    assert (made.succeeded, made.revision) == (True, 2)
    again = await storage.txn([Compare(b"/pods/a", "mod", "==", 0)], [Put(b"/pods/a", b"2")], [Range(b"/pods/a")])
    assert not again.succeeded
    assert again.responses[0].kvs[0].value == b"1"
    nested = await storage.txn((), [Put(b"/pods/b", b"2", prev_kv=True), Txn((), (Put(b"/pods/a", b"3", prev_kv=True),))])
    assert nested.responses[0].prev_kv is None
    assert nested.responses[1].responses[0].prev_kv.value == b"1"
    page = await storage.range(*PODS, limit=1)
    assert ([kv.key for kv in page.kvs], page.count, page.more, page.revision) == ([b"/pods/a"], 2, True, 3)
    assert (await storage.range(*PODS, count_only=True)).count == 2
    assert [kv.value for kv in (await storage.range(*PODS, keys_only=True)).kvs] == [b"", b""]
    assert [kv.value for kv in (await storage.range(*PODS, revision=2)).kvs] == [b"1"]
    gone = await storage.txn([Compare(b"/pods/a", "value", "==", b"3")], [Delete(*PODS, prev_kv=True)])
    assert [kv.value for kv in gone.responses[0].prev_kvs] == [b"3", b"2"]
    await storage.compact(4)
    for revision, error in ((2, Compacted), (99, FutureRevision)):
        with pytest.raises(error, match="required revision"):
            await storage.range(*PODS, revision=revision)
    with pytest.raises(StoreError, match="etcdserver: key is not provided"):
        await storage.txn((), [Put(b"", b"")])


async def test_watching(here: Here) -> None:
    storage = here.storage
    for name in (b"a", b"b", b"a"):
        await storage.txn((), [Put(b"/pods/" + name, b"x")])
    past = storage.watch(*PODS, start_revision=3, prev_kv=True)
    assert await first(past, 2) == [("PUT", b"/pods/b", 3), ("PUT", b"/pods/a", 4)]
    past.request_progress()
    async with asyncio.timeout(10):
        batch = await past.__anext__()
        assert (batch.events, batch.revision) == ((), 4)
    waiting = asyncio.ensure_future(first(past, 1))
    await storage.txn((), [Delete(b"/pods/a")])
    assert await waiting == [("DELETE", b"/pods/a", 5)]
    await past.aclose()
    with pytest.raises(StopAsyncIteration):
        await past.__anext__()
    await storage.compact(5)
    with pytest.raises(Compacted):
        await first(storage.watch(*PODS, start_revision=2), 1)


async def test_a_watch_that_is_closed_while_somebody_waits(here: Here) -> None:
    watch = here.storage.watch(*PODS)
    waiting = asyncio.ensure_future(first(watch, 1))
    await asyncio.sleep(0.2)
    await watch.aclose()
    assert await asyncio.wait_for(waiting, 5) == []


async def test_leases(here: Here) -> None:
    storage = here.storage
    made = await storage.grant(30, 7)
    assert (made.id, made.ttl) == (7, 30)
    await storage.txn((), [Put(b"/l", b"1", lease=7)])
    assert await storage.keep_alive(7) == 30
    assert await storage.keep_alive(8) == 0
    life = await storage.time_to_live(7)
    assert (life.granted, life.keys) == (30, (b"/l",))
    assert (await storage.time_to_live(8)).remaining == -1
    assert await storage.leases() == [7]
    assert await storage.revoke(7) == 3
    with pytest.raises(StoreError, match="requested lease not found"):
        await storage.revoke(7)
    assert not (await storage.range(b"/l")).kvs


async def test_an_etcd_that_goes_away_and_comes_back(here: Here) -> None:
    if here.cut is None or here.back is None:
        pytest.skip("what is right here does not go away")
    storage = here.storage
    await storage.txn((), [Put(b"/pods/a", b"1")])
    watch = storage.watch(*PODS, start_revision=2)
    assert await first(watch, 1) == [("PUT", b"/pods/a", 2)]
    waiting = asyncio.ensure_future(first(watch, 2))
    await here.cut()
    reading = asyncio.ensure_future(storage.range(b"/pods/a"))
    await here.back()
    assert (await asyncio.wait_for(reading, 15)).kvs[0].value == b"1"
    for name in (b"b", b"c"):
        await storage.txn((), [Put(b"/pods/" + name, b"2")])
    assert await waiting == [("PUT", b"/pods/b", 3), ("PUT", b"/pods/c", 4)]
    await watch.aclose()


async def test_an_etcd_that_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinykube.store.wire.client.PATIENCE", 0.5)
    storage = EtcdStorage("127.0.0.1:1")
    with pytest.raises(NoAnswer, match=r"no answer from the store at 127\.0\.0\.1:1"):
        await storage.range(b"/a")
    await storage.aclose()


async def test_an_api_server_does_not_notice_where_its_storage_is(here: Here) -> None:
    server = new_server(here.storage, clock=SystemClock(), random=Random(1), log=EventLog())
    await server.start()
    client = Client(server.handle, "test")
    try:
        made = [await client.create("configmaps", {"metadata": {"name": f"c{n}"}, "data": {"n": str(n)}}, "default")
                for n in range(7)]
        assert len({each["metadata"]["resourceVersion"] for each in made}) == 7
        with pytest.raises(ApiError, match="already exists"):
            await client.create("configmaps", {"metadata": {"name": "c1"}}, "default")
        stale = {**made[0], "data": {"n": "stale"}}
        await client.patch("configmaps", "c0", {"data": {"n": "new"}}, "default", type="merge")
        with pytest.raises(ApiError, match="the object has been modified"):
            await client.update("configmaps", stale, "default")
        await client.delete("configmaps", "c6", "default")
        page = await client.list("configmaps", "default", limit=4)
        assert [each["metadata"]["name"] for each in page["items"]] == ["c0", "c1", "c2", "c3"]
        rest = await client.list("configmaps", "default", limit=4, **{"continue": page["metadata"]["continue"]})
        assert [each["metadata"]["name"] for each in rest["items"]] == ["c4", "c5"]
        if here.cut and here.back:
            await here.cut()
            await here.back()
        await client.create("configmaps", {"metadata": {"name": "later"}}, "default")
        names = [each["metadata"]["name"] for each in (await client.list("configmaps", "default"))["items"]]
        assert names == ["c0", "c1", "c2", "c3", "c4", "c5", "later"]
    finally:
        await server.stop()
