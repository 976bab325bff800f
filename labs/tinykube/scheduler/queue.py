"""The pods that wait for a node: those to try now, those that failed lately, those that only a change can help.

Genuine counterpart: kube-scheduler's PriorityQueue with activeQ, backoffQ and unschedulablePods.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass

from tinykube.machinery.clock import Clock
from tinykube.scheduler.nodeinfo import PodInfo

FIRST_BACKOFF = 1.0           # seconds, as the genuine defaults
LONGEST_BACKOFF = 10.0


@dataclass
class Waiting:
    """A pod in the queue, how often it was tried, and where in the queue it stands."""

    info: PodInfo
    attempts: int = 0
    place: str = "active"          # active, backoff, unschedulable


class SchedulingQueue:
    """Hands out the pod to try next: highest priority first, then first come, first served."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.waiting: dict[str, Waiting] = {}                  # by uid
        self.active: list[tuple[int, int, str]] = []           # heap of (-priority, arrival, uid)
        self.timers: dict[str, asyncio.Task[None]] = {}        # by uid, of those that back off
        self.arrivals = 0
        self.changed = asyncio.Event()

    def add(self, info: PodInfo) -> None:
        """A new pod, or a new version of one that waits: try it."""
        known = self.waiting.setdefault(info.uid, Waiting(info))
        known.info = info
        self.activate(known)

    def activate(self, waiting: Waiting) -> None:
        """Put a pod among those to try now."""
        self.drop_timer(waiting.info.uid)
        waiting.place = "active"
        self.arrivals += 1
        heapq.heappush(self.active, (-waiting.info.priority, self.arrivals, waiting.info.uid))
        self.changed.set()

    async def pop(self) -> Waiting:
        """The next pod to try; waits, without looking again and again, until there is one."""
        while True:
            while self.active:
                waiting = self.waiting.get(heapq.heappop(self.active)[2])
                if waiting and waiting.place == "active":
                    del self.waiting[waiting.info.uid]
                    waiting.attempts += 1
                    return waiting
            self.changed.clear()
            await self.changed.wait()

    def park(self, waiting: Waiting) -> None:
        """Nowhere to run: keep the pod until `wake` finds that something changed for it."""
        waiting.place = "unschedulable"
        self.waiting[waiting.info.uid] = waiting

    def back_off(self, waiting: Waiting) -> None:
        """Something went wrong on the way: try again in a while, longer after each failure."""
        waiting.place = "backoff"
        self.waiting[waiting.info.uid] = waiting
        delay = min(FIRST_BACKOFF * 2 ** (waiting.attempts - 1), LONGEST_BACKOFF)
        self.timers[waiting.info.uid] = asyncio.create_task(self.later(waiting, delay))

    async def later(self, waiting: Waiting, delay: float) -> None:
        """Activate a pod after its time of waiting."""
        await self.clock.sleep(delay)
        self.timers.pop(waiting.info.uid, None)
        self.activate(waiting)

    def wake(self, could_run: Callable[[PodInfo], bool]) -> None:
        """Something changed: activate the unschedulable pods that could run now. Like the genuine queueing hints."""
        for waiting in self.waiting.values():
            if waiting.place == "unschedulable" and could_run(waiting.info):
                self.activate(waiting)

    def remove(self, uid: str) -> None:
        """The pod is gone or has its node: nothing to do for it any more."""
        self.drop_timer(uid)
        self.waiting.pop(uid, None)

    def drop_timer(self, uid: str) -> None:
        """End a pod's time of waiting."""
        timer = self.timers.pop(uid, None)
        if timer:
            timer.cancel()

    def close(self) -> None:
        """End all timers."""
        for uid in list(self.timers):
            self.drop_timer(uid)
