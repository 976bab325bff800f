"""Time as a thing that is handed in: the real clock for clusters, one that stands still for tests."""
from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

EPOCH = datetime(2030, 1, 1, tzinfo=UTC)
T = TypeVar("T")


class Clock(Protocol):
    """What a component may know about time. The genuine counterpart is k8s.io/utils/clock."""

    def now(self) -> datetime:
        """The time of day in UTC, for what people and other machines read."""

    def monotonic(self) -> float:
        """Seconds that never jump, for measuring how long something took."""

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds`; cancelling the task ends the wait."""


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class FakeClock:
    """A clock that moves when a test says so, and wakes its sleepers in the order they are due."""

    def __init__(self, start: datetime = EPOCH) -> None:
        self.start, self.elapsed, self.asleep = start, 0.0, 0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        return self.elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            return await asyncio.sleep(0)
        self.asleep += 1
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.elapsed + seconds, self.asleep, wake))
        return await wake

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass. Each sleeper runs at its own moment, and may sleep again within the time."""
        until = self.elapsed + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            due, _, wake = heapq.heappop(self._sleepers)
            self.elapsed = max(self.elapsed, due)
            if not wake.done():
                wake.set_result(None)
                await self.settle()
        self.elapsed = until
        await self.settle()

    async def settle(self, rounds: int = 20) -> None:
        """Give the tasks that were just woken turns enough to reach their next wait."""
        for _ in range(rounds):
            await asyncio.sleep(0)


async def within(clock: Clock, seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns, if it does so within some seconds by a clock. Else it is canceled, and TimeoutError raised."""
    task, limit = asyncio.ensure_future(work), asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait((task, limit), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise TimeoutError(f"not done within {seconds:g} s")
        return task.result()
    finally:
        task.cancel()
        limit.cancel()
        await asyncio.gather(task, limit, return_exceptions=True)
