"""Everything that the store ever did, line by line, and one number for all of it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import IO, Any

from tinykube.machinery.clock import Clock
from tinykube.machinery.objects import Object
from tinykube.store import END, Event, LocalStorage, RangeResult, prefix_end
from tinykube.store.model import Command, Result

OTHERS_FIRST = 0.3              # the share of the store's calls that let others pass


class History:
    """Lines of text, each with its time. `digest` covers all of them; a file gets them if one is given."""

    def __init__(self, clock: Clock, file: IO[str] | None = None) -> None:
        self.clock, self.file, self.hash, self.count = clock, file, hashlib.sha256(), 0
        self.told: list[str] = []                # the lines that are not about the store: what was done to the cluster

    def add(self, text: str) -> None:
        """One more line."""
        line = f"{self.clock.monotonic():.6f} {text}\n"
        self.hash.update(line.encode())
        self.count += 1
        if self.file:
            self.file.write(line)

    def tell(self, text: str) -> None:
        """A line about what was done to the cluster, or found out about it."""
        self.told.append(f"{clock_time(self.clock.monotonic())}  {text}")
        self.add(f"# {text}")

    @property
    def digest(self) -> str:
        """The same for two histories that are the same."""
        return self.hash.hexdigest()[:32]


def clock_time(seconds: float) -> str:
    """Seconds of a day as people write them."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest:02}"


class RecordingStorage(LocalStorage):
    """A store that writes its history, and shows each change to those who watch over it."""

    def __init__(self, clock: Clock, history: History, random: Random) -> None:
        super().__init__(clock=clock)
        self.history, self.seen = history, self.store.watch(b"\x00", END)
        self.guards: list[Callable[[Event], None]] = []
        self.decoded: dict[bytes, tuple[int, Object]] = {}
        self.random = random

    async def apply(self, command: Command) -> Result | None:
        await self.take_turns()
        result = await super().apply(command)
        while batch := self.seen.take():
            for event in batch.events:
                digest = hashlib.sha256(event.kv.value).hexdigest()[:16] if event.type == "PUT" else "-"
                self.history.add(f"{event.kv.mod_revision} {event.type} {event.kv.key.decode()} {digest}")
                for guard in self.guards:
                    guard(event)
        return result

    async def range(self, key: bytes, range_end: bytes | None = None, **options: Any) -> RangeResult:
        await self.take_turns()
        return await super().range(key, range_end, **options)

    async def take_turns(self) -> None:
        """Let others come first, now and then: between a read and the write that builds on it anything may happen."""
        if self.random.random() < OTHERS_FIRST:
            await asyncio.sleep(0)

    def objects(self, prefix: str) -> Iterator[Object]:
        """The objects below a prefix, as they are in the store now: no api-server is asked."""
        start = prefix.encode()
        for kv in self.store.range(start, prefix_end(start)).kvs:
            known = self.decoded.get(kv.key)
            if known is None or known[0] != kv.mod_revision:
                known = self.decoded[kv.key] = kv.mod_revision, json.loads(kv.value)
            yield known[1]
