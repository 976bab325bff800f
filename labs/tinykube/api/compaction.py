"""Forgetting on time: every five minutes, what was already past five minutes ago.

Genuine counterpart: the compactor of k8s.io/apiserver/pkg/storage/etcd3, `--etcd-compaction-interval`.
"""
from __future__ import annotations

import contextlib

from tinykube.machinery.clock import Clock
from tinykube.store import Compacted, Storage, StoreError

EVERY = 300.0                            # seconds


async def keep_compact(storage: Storage, clock: Clock, every: float = EVERY) -> None:
    """Let the storage forget, for ever. Whoever lists or watches has `every` seconds, at least, to come back."""
    past = 0
    while True:
        with contextlib.suppress(StoreError):       # the storage is away: the next time, then
            past = await compact(storage, past)
        await clock.sleep(every)


async def compact(storage: Storage, past: int) -> int:
    """Forget what is older than revision `past`; the revision of now, with which to come again."""
    now = await storage.range(b"/registry/", limit=1, keys_only=True)
    if past:
        with contextlib.suppress(Compacted):        # another api-server on the same storage was faster
            await storage.compact(past)
    return now.revision
