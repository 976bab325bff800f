"""The pods that wait for a node: those to try now, those that failed lately, those that only a change can help.

Genuine counterpart: kube-scheduler's PriorityQueue with activeQ, backoffQ and unschedulablePods.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from tinykube.client.leader import within
from tinykube.machinery.clock import Clock
from tinykube.scheduler.nodeinfo import PodInfo

FIRST_BACKOFF = 1.0           # seconds, as the genuine defaults
LONGEST_BACKOFF = 10.0
Entry = tuple[float, int, int, str]       # when it may be tried, -priority, arrival, uid


@dataclass(eq=False)
class Waiting:
    """A pod in the queue, how often it was tried, and where in the queue it stands."""

    info: PodInfo
    attempts: int = 0
    place: str = "active"                      # active, backoff, error, unschedulable
    turned_away_by: tuple[Hashable, ...] = ()  # the rules that left it no node
    again_at: float = 0.0                      # not before this, by the clock's seconds


class SchedulingQueue:
    """Hands out the pod to try next: highest priority first, then first come, first served."""

    def __init__(self, clock: Clock, first: float = FIRST_BACKOFF, longest: float = LONGEST_BACKOFF) -> None:
        self.clock, self.first, self.longest = clock, first, longest
        self.waiting: dict[str, Waiting] = {}                  # by uid
        self.heaps: dict[str, list[Entry]] = {"active": [], "backoff": [], "error": []}
        self.parked: defaultdict[Hashable, dict[str, Waiting]] = defaultdict(dict)    # by the rule that turned it away
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
        early = waiting.again_at > self.clock.monotonic()
        self.push("backoff" if early else "active", waiting, waiting.again_at if early else 0.0)

    def push(self, place: str, waiting: Waiting, when: float) -> None:
        """Put a pod in line, here or there."""
        waiting.place, self.waiting[waiting.info.uid] = place, waiting
        self.arrivals += 1
        heapq.heappush(self.heaps[place], (when, -waiting.info.priority, self.arrivals, waiting.info.uid))
        self.changed.set()

    def first_of(self, place: str, until: float) -> Waiting | None:
        """Take the first pod out of a line, if there is one whose time has come."""
        heap = self.heaps[place]
        while heap and heap[0][0] <= until:
            waiting = self.waiting.get(heapq.heappop(heap)[3])
            if waiting and waiting.place == place:
                return waiting
        return None

    async def pop(self) -> Waiting:
        """The next pod to try; waits, without looking again and again, until there is one."""
        while True:
            for place in ("error", "backoff"):
                while waiting := self.first_of(place, self.clock.monotonic()):
                    self.push("active", waiting, 0.0)
            if waiting := self.first_of("active", 0.0) or self.first_of("backoff", float("inf")):
                del self.waiting[waiting.info.uid]
                waiting.attempts += 1
                return waiting
            self.changed.clear()
            failed = self.heaps["error"]
            with contextlib.suppress(TimeoutError):
                await (within(self.clock, failed[0][0] - self.clock.monotonic(), self.changed.wait()) if failed
                       else self.changed.wait())

    def pause(self, waiting: Waiting) -> float:
        """Until when to leave a pod alone after a failure: longer after each."""
        return self.clock.monotonic() + min(self.first * 2.0 ** min(waiting.attempts - 1, 64), self.longest)

    def back_off(self, waiting: Waiting) -> None:
        """Something went wrong on the way: try again in a while, longer after each failure."""
        self.push("error", waiting, self.pause(waiting))

    def park(self, waiting: Waiting) -> None:
        """Nowhere to run: keep the pod until `wake` finds that something changed for it."""
        waiting.place, waiting.again_at = "unschedulable", self.pause(waiting)
        self.waiting[waiting.info.uid] = waiting
        for rule in waiting.turned_away_by:
            self.parked[rule][waiting.info.uid] = waiting

    def unpark(self, waiting: Waiting) -> None:
        """The pod no longer waits for a change."""
        for rule in waiting.turned_away_by:
            self.parked[rule].pop(waiting.info.uid, None)

    def wake(self, rule: Hashable, could_run: Callable[[PodInfo], bool]) -> None:
        """Something changed: activate those whom a rule turned away and who could run now. Like the queueing hints."""
        for waiting in [each for each in self.parked[rule].values() if could_run(each.info)]:
            self.activate(waiting)

    def wake_older(self, age: float) -> None:
        """Activate pods that nothing has woken for so long: the last net under what the rules know of changes."""
        limit = self.clock.monotonic() - age
        for waiting in [each for each in self.waiting.values() if each.place == "unschedulable" and each.again_at < limit]:
            self.activate(waiting)

    def info(self, uid: str) -> PodInfo | None:
        """A pod that waits."""
        return self.waiting[uid].info if uid in self.waiting else None

    def remove(self, uid: str) -> None:
        """The pod is gone or has its node: nothing to do for it any more."""
        if waiting := self.waiting.pop(uid, None):
            self.unpark(waiting)
