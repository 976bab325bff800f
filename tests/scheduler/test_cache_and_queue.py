"""The cache counts every pod once whatever order events come in; the queue wakes what a change helps, and only that."""

from __future__ import annotations

import asyncio

from tinykube.machinery.clock import FakeClock
from tinykube.machinery.objects import Object
from tinykube.scheduler.cache import Cache
from tinykube.scheduler.nodeinfo import PodInfo
from tinykube.scheduler.queue import SchedulingQueue, Waiting


def node(name: str) -> Object:
    return {"metadata": {"name": name}, "spec": {}, "status": {"allocatable": {"cpu": "2", "pods": "10"}}}


def pod(name: str, cpu: str = "1", priority: int = 0) -> PodInfo:
    return PodInfo.of({"metadata": {"name": name, "uid": name}, "spec": {
        "priority": priority, "containers": [{"resources": {"requests": {"cpu": cpu}}}]}})


def test_pods_known_before_their_node_count_when_it_joins() -> None:
    cache = Cache()
    cache.place(pod("early"), "ant")
    assert cache.set_node(node("ant")).requested == {"cpu": 1000}
    cache.drop_node(node("ant"))
    assert not cache.order
    assert cache.set_node(node("ant")).requested == {"cpu": 1000}


def test_assumed_then_confirmed_then_gone() -> None:
    cache = Cache()
    ant = cache.set_node(node("ant"))
    cache.assume(pod("web"), "ant")
    assert ant.requested["cpu"] == 1000
    cache.place(pod("web"), "ant")
    assert ant.requested["cpu"] == 1000
    assert not cache.assumed
    assert cache.forget(pod("web")) is None, "confirmed by the server: a late failure of ours changes nothing"
    gone = cache.remove("web")
    assert gone is not None
    assert gone.uid == "web"
    assert ant.requested["cpu"] == 0
    assert cache.remove("web") is None


def test_a_pod_that_turns_out_to_be_elsewhere_is_counted_there() -> None:
    cache = Cache()
    ant, bee = cache.set_node(node("ant")), cache.set_node(node("bee"))
    cache.assume(pod("web"), "ant")
    cache.place(pod("web"), "bee")
    assert (ant.requested["cpu"], bee.requested["cpu"]) == (0, 1000)


async def test_priority_first_then_arrival() -> None:
    queue = SchedulingQueue(FakeClock())
    for each in (pod("first"), pod("second"), pod("urgent", priority=9)):
        queue.add(each)
    queue.remove("first")
    assert [(await queue.pop()).info.uid for _ in range(2)] == ["urgent", "second"]


async def test_pop_waits_for_an_arrival() -> None:
    queue = SchedulingQueue(FakeClock())
    waiting = asyncio.create_task(queue.pop())
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.add(pod("web"))
    assert (await waiting).info.uid == "web"


async def test_wake_activates_those_that_could_run() -> None:
    queue = SchedulingQueue(FakeClock())
    for name, cpu in (("small", "1"), ("large", "9")):
        queue.park(Waiting(pod(name, cpu), 1, turned_away_by=("cpu",)))
    queue.wake("memory", lambda info: True)
    assert {waiting.place for waiting in queue.waiting.values()} == {"unschedulable"}
    queue.wake("cpu", lambda info: info.requests["cpu"] <= 2000)
    assert {uid: waiting.place for uid, waiting in queue.waiting.items()} == {"small": "backoff", "large": "unschedulable"}
    assert (await queue.pop()).attempts == 2


async def test_back_off_doubles_up_to_ten_seconds() -> None:
    clock = FakeClock()
    queue = SchedulingQueue(clock)
    for attempts, delay in ((1, 1), (2, 2), (4, 8), (5, 10), (50, 10)):
        queue.back_off(Waiting(pod("web"), attempts))
        next_one = asyncio.create_task(queue.pop())
        await clock.advance(delay - 0.1)
        assert not next_one.done()
        await clock.advance(0.2)
        assert (await next_one).attempts == attempts + 1


async def test_woken_too_soon_a_pod_lets_others_go_first_but_does_not_wait_for_nobody() -> None:
    clock = FakeClock()
    queue = SchedulingQueue(clock)
    queue.park(Waiting(pod("again", priority=9), 1, turned_away_by=("cpu",)))
    queue.wake("cpu", lambda info: True)
    queue.add(pod("fresh"))
    assert (await queue.pop()).info.uid == "fresh"
    assert (await queue.pop()).info.uid == "again", "nobody else is there, so its time of waiting is cut short"
    queue.park(Waiting(pod("later", priority=9), 1, turned_away_by=("cpu",)))
    await clock.advance(2)
    queue.wake("cpu", lambda info: True)
    queue.add(pod("fresh"))
    assert (await queue.pop()).info.uid == "later", "its time is over: its priority counts again"


async def test_after_five_minutes_a_pod_is_tried_whatever_the_hints_say() -> None:
    clock = FakeClock()
    queue = SchedulingQueue(clock)
    queue.park(Waiting(pod("web"), 1, turned_away_by=("cpu",)))
    await clock.advance(200)
    queue.wake_older(300)
    assert queue.waiting["web"].place == "unschedulable"
    await clock.advance(200)
    queue.wake_older(300)
    assert (await queue.pop()).info.uid == "web"


async def test_a_removed_pod_does_not_come_back() -> None:
    clock = FakeClock()
    queue = SchedulingQueue(clock)
    queue.back_off(Waiting(pod("web"), 1))
    queue.remove("web")
    next_one = asyncio.create_task(queue.pop())
    await clock.advance(60)
    assert not next_one.done()
    next_one.cancel()
