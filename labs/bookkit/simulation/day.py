"""One simulated day: a cluster, a seed, hours full of failures, and after each the question whether all is well again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bookkit.simulation.checks import problems
from bookkit.simulation.faults import trouble
from bookkit.simulation.history import History, clock_time
from bookkit.simulation.loop import LoopClock, simulate
from bookkit.simulation.workloads import BIG_HOUR, DAY, HOUR, QUARTER, SMALL_DAY, everything
from bookkit.simulation.world import BEGINNING, World

SIZES = {"quarter": QUARTER, "hour": HOUR, "small-day": SMALL_DAY, "big-hour": BIG_HOUR, "day": DAY}
CPU_SECONDS = {"quarter": 120, "hour": 600, "small-day": 7200, "big-hour": 7200, "day": 40_000}
PATIENCE = 1800.0             # simulated seconds in which a cluster has to be well again
LONGEST = 7200.0              # simulated seconds that a trouble may take
STEP = 2.0                    # from look to look
STEADY = 20.0                 # for so long it has to stay well


class Unwell(AssertionError):
    """A cluster that is not as it should be, with all that is needed to see it again."""


@dataclass(frozen=True)
class Outcome:
    """What came of a day."""

    seed: int
    digest: str
    lines: int
    requests: int
    told: list[str]
    recovery: list[float]           # seconds from the end of each trouble until all was well


class Day:
    """A day as it passes."""

    def __init__(self, seed: int, size: str, world: World) -> None:
        self.seed, self.name, self.size, self.world = seed, size, SIZES[size], world
        self.recovery: list[float] = []

    async def begin(self) -> None:
        """Everything is started, and made, and well. So far all days are the same."""
        await self.world.start()
        for kind, obj in everything(self.size):
            await self.world.insist(lambda kind=kind, obj=obj: self.world.admin.create(kind, obj))  # type: ignore[misc]
        await self.recover("the beginning")

    async def pass_(self, seed: int) -> Outcome:
        """All the rest, as a seed will have it. Raises Unwell."""
        self.seed, world, clock = seed, self.world, self.world.clock
        world.sow(seed)
        random, end, pause = world.random("troubles"), self.size.hours * 3600, self.size.hours * 3600 / self.size.faults
        for number in range(self.size.faults):
            await clock.sleep(max(0.0, min(random.uniform(0, pause), number * pause - clock.monotonic())))
            try:
                async with asyncio.timeout(LONGEST):
                    await trouble(world, random)
            except TimeoutError:
                raise self.unwell(f"a trouble that has not ended after {LONGEST:.0f} s", problems(world)) from None
            await self.recover(world.history.told[-1])
            while world.later:
                await world.later.pop()()
                world.history.tell("… and is back")
                await self.recover("a machine was back")
        if clock.monotonic() < end and self.size.hours > 1:
            await clock.sleep(end - clock.monotonic())
            await self.recover("the end")
        return Outcome(seed, world.history.digest, world.history.count, world.network.requests, world.history.told, self.recovery)

    async def recover(self, why: str) -> None:
        """Wait until all is well, and stays so. Raises Unwell.

        As long as a watch of the control plane waits before its next try, as a genuine one does for up to a minute, or somebody
        listens to one that fell silent, nobody asks: what looks well then may be what nobody has noticed.
        """
        clock, began = self.world.clock, self.world.clock.monotonic()
        well_since = None
        while clock.monotonic() < began + PATIENCE and (
                clock.monotonic() < self.world.notes.pause_ends or self.world.network.silence()):
            await clock.sleep(STEP)
        while True:
            found = self.wrong()
            if found and clock.monotonic() > began + PATIENCE:
                raise self.unwell(f"not well {PATIENCE:.0f} s after {why}", found)
            if not found and well_since is None:
                well_since = clock.monotonic()
                self.recovery.append(round(well_since - began, 3))
            elif found and well_since is not None:
                raise self.unwell(f"well again after {why}, and then not any more", found)
            if well_since is not None and clock.monotonic() >= well_since + STEADY:
                self.world.history.tell(f"all is well, {self.recovery[-1]:.0f} s later")
                return
            await clock.sleep(STEP)

    def wrong(self) -> list[str]:
        """What is not as it should be. Raises Unwell at once for what must never be."""
        faults = [each for machine in self.world.machines.values() for each in machine.runtime.faults]
        if never := self.world.wrong + faults:
            raise self.unwell("this must never happen", never)
        return problems(self.world)

    def unwell(self, what: str, found: list[str]) -> Unwell:
        """The error that says what is wrong, and how to see it again."""
        told, log = "\n  ".join(self.world.history.told[-8:]), "\n  ".join(map(str, self.world.log.records[-3:]))
        listed = "\n  ".join(found[:10])
        return Unwell(f"seed {self.seed}, at {clock_time(self.world.clock.monotonic())}: {what}\n  {listed}\n"
                      f"what was done:\n  {told}\nthe log ends:\n  {log}\n"
                      f"see it again: python -m bookkit.simulation --size {self.name} --seed {self.seed}")


@contextlib.asynccontextmanager
async def begun(clock: LoopClock, seed: int, size: str, file: IO[str] | None = None) -> AsyncIterator[Day]:
    """A day that has begun well; at its end everything is stopped, and its files are gone."""
    with tempfile.TemporaryDirectory(prefix=f"day-{os.getpid()}-") as directory:
        day = Day(seed, size, World(clock, SIZES[size], Path(directory), History(clock, file)))
        try:
            await day.begin()
            yield day
        finally:
            await day.world.stop()


def run_day(seed: int, size: str = "quarter", file: IO[str] | None = None) -> Outcome:
    """Let a day pass, and say what came of it. Raises Unwell."""
    async def main(clock: LoopClock) -> Outcome:
        async with begun(clock, seed, size, file) as day:
            return await day.pass_(seed)
    return simulate(main)


def judge_days(seeds: Iterable[int], size: str = "quarter") -> list[tuple[int, bool, str]]:
    """Seed, whether its day went well, and what there is to say. All days have one beginning: a child takes it from there."""
    async def main(clock: LoopClock) -> list[tuple[int, bool, str]]:
        async with begun(clock, BEGINNING, size) as day:
            return [(seed, *(await in_a_child(day, seed))) for seed in seeds]
    return simulate(main)


async def in_a_child(day: Day, seed: int) -> tuple[bool, str]:
    """Let a day pass in a copy of this process, to which nothing happens."""
    reader, writer = os.pipe()
    if child := os.fork():
        os.close(writer)
        with os.fdopen(reader, encoding="utf-8") as said:
            text = said.read()
        text = text or f"seed {seed}: its process was ended, perhaps after too many seconds of a processor: {day.name}"
        return os.waitpid(child, 0)[1] == 0, text                  # noqa: ASYNC222 - simulated time can wait
    status, text = 1, f"seed {seed}: the process of this day has ended"
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS[day.name], CPU_SECONDS[day.name]))       # a loop without end ends
    try:
        asyncio._set_running_loop(day.world.clock.loop)             # which does not run in a child, by itself
        began = time.process_time()
        outcome = await day.pass_(seed)
        status, text = 0, (f"seed {seed}: {outcome.requests} requests, {time.process_time() - began:.1f} s of a processor, well "
                           f"again after {max(outcome.recovery):.0f} s at the most, history {outcome.digest}")
    except BaseException as error:
        text = str(error) if isinstance(error, Unwell) else f"seed {seed}: {type(error).__name__}: {error}"
    finally:
        os.write(writer, text.encode()[:60_000])
        os._exit(status)
