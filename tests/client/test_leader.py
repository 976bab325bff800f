"""Leader election under a simulated clock: three candidates, a network that fails them, processes that freeze.

What is promised and tested: by the lease's own rules (each candidate acts only while `is_leader()` on its own clock)
no two lead at one moment, whatever requests, answers and processes are delayed or lost, as long as clocks run at one
rate. What is not: that a leader which froze notices before its next look at the clock, or that a write which it sent
in time arrives in time. The first is why `is_leader()` is asked before acting; against the second only the server's
own compare-and-swap helps.
"""

from __future__ import annotations

import asyncio
import json
from random import Random
from typing import Any

import pytest
from tinykube.client.leader import LeaderElector, Times
from tinykube.client.rest import Client
from tinykube.machinery.clock import EPOCH, FakeClock
from tinykube.machinery.errors import ApiError, already_exists, conflict, not_found
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.objects import Object
from tinykube.machinery.wire import Request, Response


class Leases:
    """A server that has one lease, and compares before it swaps."""

    def __init__(self) -> None:
        self.lease: Object | None = None
        self.revision = 0
        self.writes: list[Object] = []

    def answer(self, request: Request) -> Response:
        try:
            return Response(200, json.loads(json.dumps(self.act(request))))
        except ApiError as error:
            return Response(error.code, error.status())

    def act(self, request: Request) -> Object:
        if request.method == "GET":
            if self.lease is None:
                raise not_found("leases", "turn", "coordination.k8s.io")
            return self.lease
        lease = json.loads(request.body)
        if request.method == "POST" and self.lease is not None:
            raise already_exists("leases", "turn", "coordination.k8s.io")
        if request.method == "PUT":
            if self.lease is None:
                raise not_found("leases", "turn", "coordination.k8s.io")
            if lease["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
                raise conflict("leases", "turn", group="coordination.k8s.io")
        self.revision += 1
        lease["metadata"] |= {"resourceVersion": str(self.revision), "uid": "u"}
        self.lease = lease
        self.writes.append(lease["spec"])
        return lease


class SkewedClock:
    """A candidate's own clock: it keeps the world's rate, its time of day is wrong, and it can be frozen."""

    def __init__(self, world: FakeClock, skew: float) -> None:
        self.world, self.skew = world, skew
        self.running = asyncio.Event()
        self.running.set()

    def now(self) -> Any:
        return EPOCH.fromtimestamp(self.world.now().timestamp() + self.skew, EPOCH.tzinfo)

    def monotonic(self) -> float:
        return self.world.monotonic() + 1000 + self.skew

    async def sleep(self, seconds: float) -> None:
        await self.world.sleep(seconds)
        await self.running.wait()          # a process that is stopped wakes from no sleep


class Candidate:
    """A process that wants to lead, with a network of its own between it and the server."""

    def __init__(self, name: str, server: Leases, world: FakeClock, random: Random, log: EventLog) -> None:
        self.server, self.world, self.random, self.name = server, world, random, name
        self.clock = SkewedClock(world, random.uniform(-500, 500))
        self.partitioned = False
        self.late = 0.0
        self.working = False
        self.elector = LeaderElector(Client(self.send), "turn", name, clock=self.clock, random=random,
                                     namespace="kube-system", log=log)
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.task = asyncio.create_task(self.live(), name=self.name)

    async def live(self) -> None:
        while True:
            await self.elector.run(self.work)

    async def work(self) -> None:
        self.working = True
        try:
            await asyncio.Event().wait()
        finally:
            self.working = False

    async def stop(self) -> None:
        if self.task:
            self.task.cancel()
            self.clock.running.set()
            await asyncio.gather(self.task, return_exceptions=True)

    async def send(self, request: Request) -> Response:
        """Requests and answers are late or lost; a request that was given up may still arrive."""
        if self.partitioned:
            await self.world.sleep(self.random.choice([0, 30]))
            raise ConnectionResetError("partitioned")
        arriving = asyncio.create_task(self.arrive(request))
        answer = await asyncio.shield(arriving)
        await self.world.sleep(self.random.uniform(0, self.late))
        await self.clock.running.wait()
        if self.partitioned:
            raise ConnectionResetError("the answer was lost")
        return answer

    async def arrive(self, request: Request) -> Response:
        await self.world.sleep(self.random.uniform(0, self.late))
        return self.server.answer(request)


class World:
    """Three candidates, one lease, and a check at every moment that at most one may act."""

    def __init__(self, seed: int) -> None:
        self.random, self.clock, self.server = Random(seed), FakeClock(), Leases()
        self.log = EventLog(self.clock)
        self.candidates = [Candidate(name, self.server, self.clock, Random(f"{seed}/{name}"), self.log) for name in "abc"]

    def leaders(self) -> list[str]:
        return [each.name for each in self.candidates if each.elector.is_leader()]

    async def pass_time(self, seconds: float, step: float = 0.5) -> None:
        until = self.clock.monotonic() + seconds
        while self.clock.monotonic() < until:
            await self.clock.advance(step)
            assert len(self.leaders()) <= 1, f"two leaders at {self.clock.monotonic()}: {self.leaders()}"

    async def end(self, candidate: Candidate) -> None:
        """Stop a process; that takes time when its network is slow."""
        ending = asyncio.create_task(candidate.stop())
        while not ending.done():
            await self.pass_time(0.25)

    async def stop(self) -> None:
        for each in self.candidates:
            await self.end(each)


@pytest.fixture
async def world():  # type: ignore[no-untyped-def]
    it = World(1)
    yield it
    await it.stop()


def the(world: World, name: str) -> Candidate:
    return next(each for each in world.candidates if each.name == name)


async def lead(world: World, seconds: float = 10) -> Candidate:
    await world.pass_time(seconds)
    assert len(world.leaders()) == 1
    return the(world, world.leaders()[0])


async def test_one_leads_and_renews_every_two_seconds(world: World) -> None:
    for each in world.candidates:
        each.start()
    leader = await lead(world)
    assert [each.working for each in world.candidates].count(True) == 1
    writes = len(world.server.writes)
    await world.pass_time(60)
    assert len(world.server.writes) - writes == 30
    assert world.leaders() == [leader.name], "nobody takes what is renewed"
    last = world.server.writes[-1]
    assert (last["holderIdentity"], last["leaseDurationSeconds"], last["leaseTransitions"]) == (leader.name, 15, 0)


async def test_release_hands_over_at_once(world: World) -> None:
    for each in world.candidates:
        each.start()
    leader = await lead(world)
    await world.end(leader)
    released = world.server.lease
    assert released is not None
    assert (released["spec"]["holderIdentity"], released["spec"]["leaseDurationSeconds"]) == ("", 1)
    successor = await lead(world, 4.5)       # one pause between tries
    assert successor is not leader
    assert world.server.writes[-1]["leaseTransitions"] == 1


async def test_a_dead_leader_is_succeeded_when_its_lease_has_run_out_and_not_before(world: World) -> None:
    for each in world.candidates:
        each.start()
    leader = await lead(world)
    leader.clock.running.clear()             # kill -STOP
    await world.pass_time(12)
    assert world.leaders() in ([], [leader.name])
    assert world.server.lease
    assert world.server.lease["spec"]["holderIdentity"] == leader.name
    successor = await lead(world, 9)         # 15 s from the last renewal that was seen, and a pause between tries
    assert successor is not leader
    assert leader.working, "a frozen process does not know"
    assert not leader.elector.is_leader(), "its clock knows"
    leader.clock.running.set()
    await world.pass_time(1)
    assert not leader.working
    assert world.leaders() == [successor.name]


async def test_a_leader_that_is_cut_off_stops_before_another_begins(world: World) -> None:
    for each in world.candidates:
        each.start()
    leader = await lead(world)
    leader.partitioned, since = True, world.clock.monotonic()
    while leader.working:
        await world.pass_time(0.5)
        assert world.clock.monotonic() - since < 13
    assert world.clock.monotonic() - since > 7
    assert world.server.lease
    assert world.server.lease["spec"]["holderIdentity"] == leader.name, "it has stopped, and nobody has begun"
    assert (await lead(world, 12)) is not leader


async def test_the_time_of_day_does_not_matter(world: World) -> None:
    """A lease with a renewTime in the far future or past is waited for as long as any other, and no longer."""
    for stamp in ("2000-01-01T00:00:00.000000Z", "2099-01-01T00:00:00.000000Z"):
        world.server.revision += 1
        world.server.lease = {"metadata": {"name": "turn", "namespace": "kube-system", "uid": "u",
                                           "resourceVersion": str(world.server.revision)},
                              "spec": {"holderIdentity": "ghost", "leaseDurationSeconds": 15, "renewTime": stamp}}
        a = Candidate("a", world.server, world.clock, Random(1), world.log)
        a.start()
        await world.clock.advance(14)
        assert not a.elector.is_leader()
        await world.clock.advance(6)
        assert a.elector.is_leader()
        await a.stop()


async def test_work_that_ends_or_fails_gives_the_lease_back(world: World) -> None:
    elector = the(world, "a").elector

    async def fails() -> None:
        raise ZeroDivisionError("at work")
    with pytest.raises(ZeroDivisionError):
        await elector.run(fails)
    assert world.server.writes[-1]["holderIdentity"] == ""


def test_times_that_cannot_be_safe_are_refused() -> None:
    with pytest.raises(ValueError, match="lease must be longer than renew"):
        LeaderElector(Client(Leases().answer), "turn", "a", clock=FakeClock(), random=Random(0), namespace="x",  # type: ignore[arg-type]
                      times=Times(10, 10, 2))


async def history(seed: int) -> list[tuple[str, str, float]]:
    """Two hours' worth of trouble in ten minutes: who became leader, and when."""
    world = World(seed)
    random = world.random
    try:
        for each in world.candidates:
            each.late = random.choice([0, 0.5, 3, 12])
            each.start()
        for _ in range(40):
            each = random.choice(world.candidates)
            act = random.random()
            if act < 0.3:
                each.partitioned = not each.partitioned
            elif act < 0.6:
                (each.clock.running.clear if each.clock.running.is_set() else each.clock.running.set)()
            elif act < 0.7:
                await world.end(each)
                each.start()
            elif act < 0.8:
                each.late = random.choice([0, 0.5, 3, 12])
            await world.pass_time(random.choice([1, 5, 12, 25]))
        for each in world.candidates:
            each.partitioned, each.late = False, 0.0
            each.clock.running.set()
        await world.pass_time(60)
        assert len(world.leaders()) == 1, "once the trouble is over, somebody leads"
        return [(r["identity"], r["verb"], round(world.clock.monotonic(), 3)) for r in world.log.records]
    finally:
        await world.stop()


@pytest.mark.parametrize("seed", range(6))
async def test_never_two_leaders(seed: int) -> None:
    await history(seed)


async def test_a_seed_replays() -> None:
    assert await history(3) == await history(3) != await history(4)
