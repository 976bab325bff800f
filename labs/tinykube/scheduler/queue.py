"""The pods that wait for a node: those to try now, those that failed lately, those that only a change can help.

Genuine counterpart: kube-scheduler's PriorityQueue with activeQ, backoffQ and unschedulablePods.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from tinykube.machinery.clock import Clock
from tinykube.scheduler.nodeinfo import PodInfo

FIRST_BACKOFF = 1.0           # seconds, as the genuine defaults
LONGEST_BACKOFF = 10.0


@dataclass(eq=False)
class Waiting:
    """A pod in the queue, how often it was tried, and where in the queue it stands."""

    info: PodInfo
    attempts: int = 0
    place: str = "active"                      # active, backoff, error, unschedulable
    turned_away_by: tuple[Hashable, ...] = ()  # the rules that left it no node
    again_at: float = 0.0                      # not before this, by the clock's seconds, unless nobody else waits


class SchedulingQueue:
    """Hands out the pod to try next: highest priority first, then first come, first served."""

    def __init__(self, clock: Clock, first: float = FIRST_BACKOFF, longest: float = LONGEST_BACKOFF) -> None:
        self.clock, self.first, self.longest = clock, first, longest
        self.waiting: dict[str, Waiting] = {}                  # by uid
        self.active: list[tuple[int, int, str]] = []           # heap of (-priority, arrival, uid)
        self.backing_off: list[tuple[float, int, int, str]] = []       # heap of the same, by when its time is over
        self.parked: defaultdict[Hashable, dict[str, Waiting]] = defaultdict(dict)    # by the rule that turned it away
        self.timers: dict[str, asyncio.Task[None]] = {}        # by uid, of those that back off after an error
        self.arrivals = 0
        self.changed = asyncio.Event()

    def add(self, info: PodInfo) -> None:
        """A new pod, or a new version of one that waits: try it."""
        known = self.waiting.setdefault(info.uid, Waiting(info))
        known.info = info
        self.activate(known)

    def activate(self, waiting: Waiting) -> None:
        """Put a pod among those to try now, or soon if it failed a moment ago."""
        self.unpark(waiting)
        self.waiting[waiting.info.uid] = waiting
        self.arrivals += 1
        entry = -waiting.info.priority, self.arrivals, waiting.info.uid
        if waiting.again_at > self.clock.monotonic():
            waiting.place = "backoff"
            heapq.heappush(self.backing_off, (waiting.again_at, *entry))
        else:
            waiting.place = "active"
            heapq.heappush(self.active, entry)
        self.changed.set()

    async def pop(self) -> Waiting:
        """The next pod to try; waits, without looking again and again, until there is one."""
        while True:
            while self.backing_off and (self.backing_off[0][0] <= self.clock.monotonic() or not self.active):
                uid = heapq.heappop(self.backing_off)[3]
                if uid in self.waiting and self.waiting[uid].place == "backoff":
                    self.waiting[uid].again_at = 0.0
                    self.activate(self.waiting[uid])
            while self.active:
                waiting = self.waiting.get(heapq.heappop(self.active)[2])
                if waiting and waiting.place == "active":
                    del self.waiting[waiting.info.uid]
                    waiting.attempts += 1
                    return waiting
            self.changed.clear()
            await self.changed.wait()

    def delay(self, waiting: Waiting) -> float:
        """How long to leave a pod alone after a failure: longer after each."""
        return min(self.first * 2.0 ** min(waiting.attempts - 1, 64), self.longest)

    def park(self, waiting: Waiting) -> None:
        """Nowhere to run: keep the pod until `wake` finds that something changed for it."""
        waiting.place, waiting.again_at = "unschedulable", self.clock.monotonic() + self.delay(waiting)
        self.waiting[waiting.info.uid] = waiting
        for rule in waiting.turned_away_by:
            self.parked[rule][waiting.info.uid] = waiting

    def unpark(self, waiting: Waiting) -> None:
        """The pod no longer waits for a change, nor for a timer."""
        for rule in waiting.turned_away_by:
            self.parked[rule].pop(waiting.info.uid, None)
        self.drop_timer(waiting.info.uid)

    def wake(self, rule: Hashable, could_run: Callable[[PodInfo], bool]) -> None:
        """Something changed: activate those whom a rule turned away and who could run now. Like the queueing hints."""
        for waiting in [each for each in self.parked[rule].values() if could_run(each.info)]:
            self.activate(waiting)

    def wake_one(self, uid: str) -> None:
        """Activate one pod, if it waits at all."""
        if uid in self.waiting:
            self.activate(self.waiting[uid])

    def wake_older(self, age: float) -> None:
        """Activate pods that nothing has woken for so long: the last net under what the rules know of changes."""
        limit = self.clock.monotonic() - age
        for waiting in list(self.waiting.values()):
            if waiting.place == "unschedulable" and waiting.again_at < limit:
                self.activate(waiting)

    def back_off(self, waiting: Waiting) -> None:
        """Something went wrong on the way: try again in a while, longer after each failure."""
        waiting.place = "error"
        self.waiting[waiting.info.uid] = waiting
        self.timers[waiting.info.uid] = asyncio.create_task(self.later(waiting, self.delay(waiting)))

    async def later(self, waiting: Waiting, delay: float) -> None:
        """Activate a pod after its time of waiting."""
        await self.clock.sleep(delay)
        self.timers.pop(waiting.info.uid, None)
        self.activate(waiting)

    def remove(self, uid: str) -> None:
        """The pod is gone or has its node: nothing to do for it any more."""
        waiting = self.waiting.pop(uid, None)
        if waiting:
            self.unpark(waiting)

    def drop_timer(self, uid: str) -> None:
        """End a pod's time of waiting."""
        timer = self.timers.pop(uid, None)
        if timer:
            timer.cancel()

    def close(self) -> None:
        """End all timers."""
        for uid in list(self.timers):
            self.drop_timer(uid)
