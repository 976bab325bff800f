"""Leases by a clock that stands still until the test moves it."""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tinykube.machinery.clock import FakeClock
from tinykube.store import LeaseLife, LeaseNotFound, LocalStorage, Put, StoreError, Txn
from tinykube.store.model import Command, Result


@pytest.fixture
async def storage() -> AsyncIterator[LocalStorage]:
    storage = LocalStorage(clock=FakeClock())
    yield storage
    await storage.aclose()


def clock_of(storage: LocalStorage) -> FakeClock:
    clock = storage.lessor._clock
    assert isinstance(clock, FakeClock)
    return clock


async def test_a_lease_that_nobody_renews_takes_its_keys_along(storage: LocalStorage) -> None:
    clock = clock_of(storage)
    lease = await storage.grant(10)
    assert (lease.id, lease.ttl) == (1, 10)
    await storage.txn((), [Put(b"/a", b"", lease=lease.id), Put(b"/b", b"", lease=lease.id), Put(b"/c", b"")])
    cursor = storage.store.watch(b"/", b"0")
    await clock.advance(9.5)
    assert await storage.time_to_live(1) == LeaseLife(10, 0, (b"/a", b"/b"))
    assert cursor.take() is None
    await clock.advance(0.5)
    batch = cursor.take()
    assert batch is not None
    assert [(event.type, event.kv.key) for event in batch.events] == [("DELETE", b"/a"), ("DELETE", b"/b")]
    assert await storage.leases() == []
    assert await storage.time_to_live(1) == LeaseLife(0, -1)
    assert await storage.keep_alive(1) == 0
    with pytest.raises(LeaseNotFound):
        await storage.revoke(1)


async def test_a_lease_that_is_renewed_lives(storage: LocalStorage) -> None:
    clock = clock_of(storage)
    await storage.grant(10, 5)
    for _ in range(20):
        await clock.advance(9)
        assert await storage.keep_alive(5) == 10
    await clock.advance(3)
    assert (await storage.time_to_live(5)).remaining == 7
    await clock.advance(7)
    assert await storage.leases() == []


async def test_leases_end_in_the_order_of_their_deadlines(storage: LocalStorage) -> None:
    clock = clock_of(storage)
    for id, ttl in ((1, 100), (2, 5), (3, 50)):
        await storage.grant(ttl, id)
    seen = []
    for _ in range(11):
        await clock.advance(10)
        seen.append(await storage.leases())
    assert seen == [[1, 3]] * 4 + [[1]] * 5 + [[], []]


async def test_an_id_is_granted_again_with_another_time(storage: LocalStorage) -> None:
    clock = clock_of(storage)
    await storage.grant(10, 5)
    await storage.revoke(5)
    await storage.grant(100, 5)
    await clock.advance(50)
    assert (await storage.time_to_live(5)).remaining == 50
    await storage.revoke(5)
    await storage.grant(3, 5)
    await clock.advance(3)
    assert await storage.leases() == []


async def test_a_store_that_is_opened_lets_its_leases_begin_anew() -> None:
    clock = FakeClock()
    first = LocalStorage(clock=clock)
    await first.grant(10)
    await clock.advance(8)
    await first.aclose()
    await clock.advance(100)
    second = LocalStorage(first.store, clock)
    second.lessor.begin(*second.store.leases.ttls)
    assert (await second.time_to_live(1)).remaining == 10
    await clock.advance(10)
    assert await second.leases() == []
    await second.aclose()


async def test_a_lease_that_cannot_be_ended_is_ended_later() -> None:
    class Full(LocalStorage):
        full = False

        async def apply(self, command: Command) -> Result | None:
            if self.full:
                raise StoreError("etcdserver: mvcc: database space exceeded")
            return await super().apply(command)

    clock = FakeClock()
    storage = Full(clock=clock)
    await storage.grant(10)
    storage.full = True
    await clock.advance(60)
    assert await storage.leases() == [1]
    assert await storage.keep_alive(1) in (0, 10)
    storage.full = False
    await clock.advance(20)
    assert await storage.leases() == []
    await storage.aclose()


async def test_nothing_is_left_when_the_storage_closes(storage: LocalStorage) -> None:
    before = asyncio.all_tasks()
    await storage.grant(10)
    assert asyncio.all_tasks() != before
    await storage.aclose()
    await clock_of(storage).settle()
    assert asyncio.all_tasks() == before


async def test_put_in_a_transaction_that_is_refused_changes_nothing(storage: LocalStorage) -> None:
    with pytest.raises(LeaseNotFound):
        await storage.apply(Txn((), (Put(b"/a", b""), Put(b"/b", b"", lease=3))))
    assert storage.store.revision == 1
