"""Forgetting on time, also when the storage was away in between."""
from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tinykube.api.compaction import keep_compact
from tinykube.machinery.clock import FakeClock
from tinykube.store import Compacted, LocalStorage, Put, RangeResult, StoreError


class Shaky(LocalStorage):
    """A storage that can be away."""

    away = False

    async def range(self, *words: Any, **options: Any) -> RangeResult:
        if self.away:
            raise StoreError("no answer")
        return await super().range(*words, **options)


async def test_what_is_five_minutes_old_is_forgotten_and_a_storage_that_was_away_ends_nothing() -> None:
    storage, clock = Shaky(), FakeClock()
    await storage.txn((), [Put(b"/registry/a", b"1")])
    storage.away = True
    task = asyncio.create_task(keep_compact(storage, clock, every=300))
    await clock.advance(1)
    storage.away = False
    await clock.advance(300)                          # asked again, and answered: revision 2
    await storage.txn((), [Put(b"/registry/a", b"2")])
    storage.away = True
    await clock.advance(300)
    storage.away = False
    await clock.advance(300)
    assert storage.store.compacted == 2
    with pytest.raises(Compacted):
        await storage.range(b"/registry/a", revision=1)
    task.cancel()
