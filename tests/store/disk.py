"""A disk in memory, which can be cut, flipped, filled up, and lose its power at any call."""
from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from tinykube.machinery.clock import FakeClock
from tinykube.store.directory import RESERVE
from tinykube.store.durable import DurableStorage
from tinykube.store.log import Log


class PowerCut(OSError):
    """The machine is off: this call fails, and all after it."""


class MemoryDisk:
    """A Disk. `calls_left` calls succeed, then the power goes; `space` bytes fit on it."""

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.files: dict[str, bytes] = dict(files or {})
        self.synced: dict[str, int] = {name: len(data) for name, data in self.files.items()}
        self.calls_left, self.space = 10**9, 10**12
        self.syncs = self.held = 0

    def names(self) -> list[str]:
        return list(self.files)

    def read(self, name: str) -> bytes:
        return self.files[name]

    def append(self, name: str, data: bytes, *, sync: bool = True) -> None:
        self.call()
        fits = self.space - self.held - sum(map(len, self.files.values()))
        self.files[name] = self.files.get(name, b"") + data[:max(fits, 0)]
        if len(data) > fits:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.call()
        if sync:
            self.syncs += 1
            self.synced[name] = len(self.files[name])

    def cut(self, name: str, size: int) -> None:
        self.call()
        self.files[name] = self.files[name][:size]
        self.synced[name] = min(size, self.synced.get(name, 0))

    def replace(self, name: str, parts: Iterable[bytes]) -> None:
        self.call()
        data = b"".join(parts)
        if self.held + sum(map(len, self.files.values())) + len(data) > self.space:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.files[name] = data
        self.synced[name] = len(data)
        self.call()

    def remove(self, name: str) -> None:
        self.call()
        del self.files[name]

    def hold(self) -> None:
        self.call()
        if sum(map(len, self.files.values())) + RESERVE > self.space:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.held = RESERVE

    def release(self) -> None:
        self.held = 0

    def close(self) -> None:
        pass

    def call(self) -> None:
        if self.calls_left <= 0:
            raise PowerCut
        self.calls_left -= 1


async def at_once(function: Callable[..., None], *arguments: Any) -> None:
    """Instead of a thread."""
    function(*arguments)


def storage_on(disk: MemoryDisk, clock: FakeClock | None = None, note: Callable[..., object] = print,
               blocking: Callable[..., Awaitable[None]] = at_once) -> DurableStorage:
    """The storage on a disk."""
    return DurableStorage(Log(disk, note), clock or FakeClock(), blocking)
