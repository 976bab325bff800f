"""The work queue between an informer and a controller: keys, each once, never in two hands, slower after failures.

Genuine counterpart: client-go's `util/workqueue`.
"""

from __future__ import annotations

import asyncio
from collections import deque

from tinykube.machinery.clock import Clock

FIRST_DELAY, LONGEST_DELAY = 0.005, 1000.0      # seconds, per key
RATE, BURST = 10.0, 100                         # retries a second, for all keys together


class Bucket:
    """Tokens that come back at a steady rate: a burst at once, then so many a second. Like x/time/rate."""

    def __init__(self, clock: Clock, rate: float, burst: float) -> None:
        self.clock, self.rate, self.burst = clock, rate, burst
        self.tokens, self.at = float(burst), clock.monotonic()

    def refill(self) -> float:
        """Add what has come back since the last look; how many tokens are there."""
        now = self.clock.monotonic()
        self.tokens, self.at = min(self.burst, self.tokens + (now - self.at) * self.rate), now
        return self.tokens

    def take(self) -> bool:
        """Take a token if one is there."""
        taken = self.refill() >= 1
        self.tokens -= taken
        return taken

    def reserve(self) -> float:
        """Take a token, also one that is still to come: how many seconds to wait for it."""
        self.tokens = self.refill() - 1
        return max(0.0, -self.tokens / self.rate)


class WorkQueue:
    """Hands out keys that need work. Adding a key twice is adding it once; nobody gets a key that another works on."""

    def __init__(self, clock: Clock, *, first: float = FIRST_DELAY, longest: float = LONGEST_DELAY,
                 rate: float = RATE, burst: float = BURST) -> None:
        self.clock, self.first, self.longest = clock, first, longest
        self.bucket = Bucket(clock, rate, burst)
        self.queue: deque[str] = deque()
        self.dirty: set[str] = set()               # needs work
        self.processing: set[str] = set()          # is being worked on
        self.failures: dict[str, int] = {}
        self.later: dict[str, tuple[float, asyncio.Task[None]]] = {}
        self.shutting_down = False
        self.changed = asyncio.Event()

    def __len__(self) -> int:
        """How many keys can be handed out now."""
        return len(self.queue)

    def add(self, key: str) -> None:
        """This key needs work. One that is being worked on comes again when it is done."""
        if self.shutting_down or key in self.dirty:
            return
        self.dirty.add(key)
        if key not in self.processing:
            self.queue.append(key)
            self.changed.set()

    async def get(self) -> str | None:
        """The next key, as soon as there is one; say `done` afterwards. None: shut down, and no more will come."""
        while not self.queue:
            if self.shutting_down:
                return None
            self.changed.clear()
            await self.changed.wait()
        key = self.queue.popleft()
        self.dirty.discard(key)
        self.processing.add(key)
        return key

    def done(self, key: str) -> None:
        """The work on a key has ended, well or badly. If it was added meanwhile, its turn comes again."""
        self.processing.discard(key)
        if key in self.dirty:
            self.queue.append(key)
        self.changed.set()

    def add_after(self, key: str, seconds: float) -> None:
        """Add a key when `seconds` have passed. Of several times for one key the earliest counts."""
        due, timer = self.clock.monotonic() + seconds, self.later.get(key)
        if self.shutting_down or (timer and timer[0] <= due):
            return None
        if seconds <= 0:
            return self.add(key)
        if timer:
            timer[1].cancel()
        self.later[key] = due, asyncio.create_task(self.wake(key, seconds), name=f"later {key}")
        return None

    async def wake(self, key: str, seconds: float) -> None:
        """Add a key after its time of waiting."""
        await self.clock.sleep(seconds)
        del self.later[key]
        self.add(key)

    def add_rate_limited(self, key: str) -> None:
        """Try a key again after a failure: later each time, and never faster than all keys together may."""
        failures = self.failures.get(key, 0)
        self.failures[key] = failures + 1
        self.add_after(key, max(min(self.first * 2.0 ** min(failures, 64), self.longest), self.bucket.reserve()))

    def forget(self, key: str) -> None:
        """The key came out well: its next failure is a first one again."""
        self.failures.pop(key, None)

    def requeues(self, key: str) -> int:
        """How often the key has failed in a row."""
        return self.failures.get(key, 0)

    def shut_down(self) -> None:
        """Take nothing more; what is queued is still handed out, then `get` returns None."""
        self.shutting_down = True
        for _, timer in self.later.values():
            timer.cancel()
        self.later.clear()
        self.changed.set()

    async def drain(self) -> None:
        """Shut down, and return when every key that was handed out, or still is, is done."""
        self.shut_down()
        while self.processing or self.queue:
            self.changed.clear()
            await self.changed.wait()
