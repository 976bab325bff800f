"""The work queue: what client-go's promises, each promise alone, then all of them under random schedules."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random

import pytest
from tinykube.client.queue import Bucket, WorkQueue
from tinykube.machinery.clock import FakeClock


async def test_a_key_added_twice_is_handed_out_once() -> None:
    queue = WorkQueue(FakeClock())
    for key in ("a", "b", "a"):
        queue.add(key)
    assert (len(queue), await queue.get(), await queue.get(), len(queue)) == (2, "a", "b", 0)


async def test_a_key_added_while_it_is_worked_on_comes_again_and_not_before() -> None:
    queue = WorkQueue(FakeClock())
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0, "nobody else may have it"
    queue.done("a")
    assert await queue.get() == "a"
    queue.done("a")
    assert len(queue) == 0


async def test_get_waits_for_a_key() -> None:
    queue, clock = WorkQueue(FakeClock()), FakeClock()
    waiting = [asyncio.create_task(queue.get()) for _ in range(2)]
    await clock.settle()
    queue.add("a")
    await clock.settle()
    assert [task.done() for task in waiting].count(True) == 1, "one key, one worker"
    queue.add("b")
    assert sorted(filter(None, await asyncio.gather(*waiting))) == ["a", "b"]


async def test_add_after_keeps_the_earliest() -> None:
    clock = FakeClock()
    queue = WorkQueue(clock)
    queue.add_after("a", 10)
    queue.add_after("a", 5)
    queue.add_after("a", 20)
    queue.add_after("now", 0)
    assert await queue.get() == "now"
    await clock.advance(4.9)
    assert len(queue) == 0
    await clock.advance(0.2)
    assert await queue.get() == "a"
    queue.done("a")
    await clock.advance(60)
    assert len(queue) == 0, "the later ones are forgotten"


async def test_failures_of_one_key_double_its_delay_up_to_a_limit_and_forget_ends_it() -> None:
    clock = FakeClock()
    queue = WorkQueue(clock, first=1, longest=10)
    waited = []
    for _ in range(6):
        before = clock.monotonic()
        queue.add_rate_limited("a")
        while not len(queue):
            await clock.advance(0.5)
        waited.append(clock.monotonic() - before)
        queue.done(str(await queue.get()))
    assert waited == [1, 2, 4, 8, 10, 10]
    assert queue.requeues("a") == 6
    queue.forget("a")
    assert queue.requeues("a") == 0


async def test_all_keys_together_have_a_limit_too() -> None:
    clock = FakeClock()
    queue = WorkQueue(clock)
    for n in range(150):
        queue.add_rate_limited(f"key-{n}")
    await clock.advance(0.01)
    assert len(queue) == 100, "the burst"
    await clock.advance(1)
    assert len(queue) == 110, "then ten a second"
    await clock.advance(10)
    assert len(queue) == 150


async def test_a_bucket_fills_up_to_its_burst_and_no_further() -> None:
    clock = FakeClock()
    bucket = Bucket(clock, rate=2, burst=3)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    await clock.advance(1)
    assert [bucket.take() for _ in range(3)] == [True, True, False]
    await clock.advance(100)
    assert [bucket.reserve() for _ in range(5)] == [0, 0, 0, 0.5, 1.0]


async def test_shut_down_hands_out_what_is_queued_and_then_nothing() -> None:
    clock = FakeClock()
    queue = WorkQueue(clock)
    queue.add("a")
    queue.add_after("late", 5)
    queue.shut_down()
    queue.add("b")
    queue.add_after("c", 1)
    assert (await queue.get(), await queue.get()) == ("a", None)
    await clock.advance(10)
    assert await queue.get() is None


async def test_shut_down_wakes_those_who_wait() -> None:
    queue = WorkQueue(FakeClock())
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.shut_down()
    assert await waiting is None


async def test_drain_waits_for_the_last_hand() -> None:
    clock = FakeClock()
    queue = WorkQueue(clock)
    queue.add("a")
    queue.add("b")
    assert await queue.get() == "a"
    draining = asyncio.create_task(queue.drain())
    await clock.settle()
    queue.done("a")
    await clock.settle()
    assert not draining.done(), "b is still queued"
    assert await queue.get() == "b"
    queue.done("b")
    await asyncio.wait_for(draining, 5)


@pytest.mark.parametrize("seed", range(15))
async def test_any_schedule(seed: int) -> None:
    """Random adds and failures, three workers: never one key in two hands, and every add is followed by work on it."""
    random, clock = Random(seed), FakeClock()
    queue = WorkQueue(clock, first=0.1, longest=5)
    in_hand: set[str] = set()
    begun: Counter[str] = Counter()
    unseen: set[str] = set()           # added, and no work has begun on it since

    async def worker() -> None:
        while (key := await queue.get()) is not None:
            assert key not in in_hand, f"{key} is in two hands"
            in_hand.add(key)
            begun[key] += 1
            unseen.discard(key)
            await clock.sleep(random.random() * 2)
            in_hand.discard(key)
            if random.random() < 0.3:
                queue.add_rate_limited(key)
            else:
                queue.forget(key)
            queue.done(key)

    workers = [asyncio.create_task(worker()) for _ in range(3)]
    added: Counter[str] = Counter()
    for _ in range(200):
        key = random.choice("abcdef")
        added[key] += 1
        if random.random() < 0.7:
            queue.add(key)
            unseen.add(key)
        else:
            queue.add_after(key, random.random() * 3)
        await clock.advance(random.choice([0, 0, 0.1, 0.5]))
    await clock.advance(500)
    assert not unseen
    assert not in_hand
    assert not (queue.dirty | queue.processing | set(queue.later))
    assert all(begun[key] for key in added)
    queue.shut_down()
    await asyncio.gather(*workers)
