"""An event loop whose time is a number: when nothing is ready to run, it is the time of the next timer."""

from __future__ import annotations

import asyncio
import contextvars
import selectors
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar

from tinykube.machinery.clock import EPOCH

T = TypeVar("T")


class Stuck(Exception):
    """Nothing is ready and nobody waits for a time: the program would wait for ever."""


class NoFiles(selectors.BaseSelector):
    """A selector for a loop that has no files. Where another would wait, time passes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.keys: dict[int, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = selectors.SelectorKey(fileobj, fileobj if isinstance(fileobj, int) else fileobj.fileno(), events, data)
        self.keys[key.fd] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self.keys.pop(fileobj if isinstance(fileobj, int) else fileobj.fileno())

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stuck(f"at second {self.now:g} everybody waits for somebody else")
        self.now += max(0.0, timeout)
        return []

    def get_map(self) -> dict[int, selectors.SelectorKey]:  # type: ignore[override]
        return self.keys


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Runs what is ready, then jumps to the next timer. Work for threads is done at once, in this one."""

    def __init__(self) -> None:
        self.selector = NoFiles()
        super().__init__(self.selector)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self.selector.now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        done: asyncio.Future[Any] = self.create_future()
        try:
            done.set_result(contextvars.copy_context().run(func, *args))
        except Exception as error:
            done.set_exception(error)
        return done


class LoopClock:
    """The clock of a loop, simulated or not: seconds since it began, and a day that began at EPOCH."""

    def __init__(self, loop: asyncio.AbstractEventLoop, start: datetime = EPOCH) -> None:
        self.loop, self.start = loop, start

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.loop.time())

    def monotonic(self) -> float:
        return self.loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def simulate(main: Callable[[LoopClock], Coroutine[Any, Any, T]]) -> T:
    """Run a program in a simulated loop of its own, and return what it returns."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(main(LoopClock(runner.get_loop())))
