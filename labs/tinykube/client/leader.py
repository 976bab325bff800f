"""Leader election: of several copies of a program one works, the others wait for its lease to run out.

Genuine counterpart: client-go's `tools/leaderelection`, with its defaults.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from random import Random
from typing import Any, NamedTuple, TypeVar

from tinykube.client.rest import Client
from tinykube.machinery.clock import Clock
from tinykube.machinery.errors import ApiError
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.objects import Object, micro_timestamp

JITTER = 1.2                   # a candidate's pause between tries grows by up to this factor, so that they spread
T = TypeVar("T")


class Times(NamedTuple):
    """How long a lease is good for, how long its holder tries to renew it, how often anybody tries; in seconds."""

    lease: int = 15
    renew: float = 10.0
    retry: float = 2.0


DEFAULT = Times()

async def within(clock: Clock, seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns, or TimeoutError once `seconds` have passed on this clock."""
    task, timer = asyncio.ensure_future(work), asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise TimeoutError(f"no answer within {seconds:g} seconds")
        return task.result()
    finally:
        task.cancel()
        timer.cancel()
        await asyncio.gather(task, timer, return_exceptions=True)


class LeaderElector:
    """One candidate for a Lease. `run(work)` waits for it, does the work while we hold it, and ends when we don't."""

    def __init__(self, client: Client, name: str, identity: str, *, clock: Clock, random: Random, namespace: str,
                 times: Times = DEFAULT, log: EventLog | None = None) -> None:
        if not times.lease > times.renew > JITTER * times.retry > 0:
            raise ValueError(f"{times}: lease must be longer than renew, and renew longer than {JITTER} times retry")
        self.client, self.name, self.namespace, self.identity = client, name, namespace, identity
        self.clock, self.random, self.times, self.log = clock, random, times, log
        self.lease: Object = {"spec": {}}          # as we last saw it
        self.seen_at = 0.0                         # when, by our own clock, we saw it change
        self.renewed_at = 0.0                      # when we sent the last renewal that succeeded
        self.leads = False

    @property
    def holder(self) -> str:
        """Who held the lease when we last looked."""
        return self.lease["spec"].get("holderIdentity") or ""

    def is_leader(self) -> bool:
        """Whether we may act now: we hold the lease, and by our own clock it has not run out."""
        return self.leads and self.clock.monotonic() < self.renewed_at + self.times.lease

    async def run(self, work: Callable[[], Awaitable[Any]]) -> None:
        """Wait for the lease, then do `work()` until it ends or the lease is lost. Cancel it to step down."""
        await self.acquire()
        tasks = [asyncio.ensure_future(work()), asyncio.ensure_future(self.keep())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            await self.release()                   # only now: the work has ended
        if isinstance(ended[0], Exception):
            raise ended[0]

    async def acquire(self) -> None:
        """Try until the lease is ours, not in step with the other candidates."""
        while not await self.attempt():
            await self.clock.sleep(self.times.retry * (1 + self.random.random() * JITTER))
        self.leads = True
        self.note("leading")

    async def keep(self) -> None:
        """Renew the lease; return when it could not be renewed in time, or is somebody else's."""
        with contextlib.suppress(TimeoutError):
            while self.holder == self.identity:
                left = self.renewed_at + self.times.renew - self.clock.monotonic()
                await within(self.clock, left, self.renew())
        self.leads = False
        self.note("lost", holder=self.holder)

    async def renew(self) -> None:
        """Try until the lease is renewed, or known to be somebody else's."""
        await self.clock.sleep(self.times.retry)
        while not await self.attempt() and self.holder == self.identity:
            await self.clock.sleep(self.times.retry)

    async def attempt(self) -> bool:
        """One try to take or renew the lease; whether it is ours now. Whatever goes wrong on the way is a no."""
        try:
            return await within(self.clock, self.times.renew / 2, self.take_or_renew())
        except (ApiError, OSError) as error:
            self.note("failed", error=str(error))
            return False

    async def take_or_renew(self) -> bool:
        """Look at the lease, and write ourselves into it if it is ours, free, or has not changed for too long."""
        began = self.clock.monotonic()
        if self.leads:                             # most likely nobody has written but us: no need to look first
            with contextlib.suppress(ApiError):
                return await self.write(self.spec(), began)
        await self.look()
        seen, spec = self.lease["spec"], self.spec()
        if self.holder not in ("", self.identity) and began < self.seen_at + seen.get("leaseDurationSeconds", 0):
            return False
        if self.holder != self.identity:
            spec |= {"acquireTime": spec["renewTime"], "leaseTransitions": seen.get("leaseTransitions", -1) + 1}
        return await self.write(spec, began)

    async def look(self) -> None:
        """Read the lease. What counts is when we saw it change, by our own clock, and not its renewTime."""
        lease: Object = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                         "metadata": {"name": self.name, "namespace": self.namespace}}
        try:
            lease = await self.client.get("leases", self.name, self.namespace)
        except ApiError as error:
            if error.code != 404:
                raise
        if lease.setdefault("spec", {}) != self.lease["spec"]:
            self.seen_at = self.clock.monotonic()
        self.lease = lease

    async def write(self, spec: Object, began: float) -> bool:
        """Write into the lease as we saw it; 409 if somebody else did. It runs from before we asked: the careful side."""
        send = self.client.update if "uid" in self.lease["metadata"] else self.client.create
        self.lease = await send("leases", {**self.lease, "spec": {**self.lease["spec"], **spec}})
        self.seen_at, self.renewed_at = self.clock.monotonic(), began
        return True

    def spec(self) -> Object:
        """What every write of ours says: who, for how long, and when."""
        return {"holderIdentity": self.identity, "leaseDurationSeconds": self.times.lease,
                "renewTime": micro_timestamp(self.clock)}

    async def release(self) -> None:
        """Give the lease back if it is still ours, so that the next one need not wait for it to run out."""
        if self.is_leader():
            free = {**self.spec(), "holderIdentity": "", "leaseDurationSeconds": 1}
            with contextlib.suppress(ApiError, OSError):
                await within(self.clock, self.times.retry, self.write(free, self.renewed_at))
                self.note("released")
        self.leads = False

    def note(self, verb: str, **facts: Any) -> None:
        """Write down what happened to us, if there is a log."""
        if self.log:
            self.log.add("leader", verb, lease=self.name, identity=self.identity, **facts)
