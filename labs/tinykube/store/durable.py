"""A storage that survives: each command is on the disk before it is done, and many share one wait for the disk.

Genuine counterpart: an etcd with one member.
"""
from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable

from tinykube.machinery.clock import Clock
from tinykube.store.log import Log
from tinykube.store.model import Command, Compact, NoSpace, Range, Result, StoreError, Txn, grows
from tinykube.store.storage import LocalStorage

Blocking = Callable[..., Awaitable[None]]             # calls a function that blocks, and waits elsewhere
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


Waiting = list[tuple[Command, "asyncio.Future[Result | None]"]]


class DurableStorage(LocalStorage):
    """A store whose commands go through a log. What it has answered is on the disk; so is what it lets others read."""

    def __init__(self, log: Log, clock: Clock | None = None, blocking: Blocking = asyncio.to_thread) -> None:
        super().__init__(log.recover(), clock)
        self._log, self._blocking = log, blocking
        self._waiting: Waiting = []
        self._tight = False                           # what took space was refused lately
        self._writer: asyncio.Task[None] | None = None
        self.lessor.begin(*self.store.leases.ttls)

    async def apply(self, command: Command) -> Result | None:
        if only_reads(command):
            return self.store.apply(command)
        done: asyncio.Future[Result | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.ensure_future(self._write())
        return await done

    async def aclose(self) -> None:
        """Finish what was begun, and let go of the disk."""
        await super().aclose()
        if self._writer:
            await self._writer
        self._log.disk.close()

    async def _write(self) -> None:
        while self._waiting:
            await asyncio.sleep(0)                    # whoever is about to write as well comes along
            batch, self._waiting = self._waiting, []
            batch = await self._logged(batch)
            for command, done in batch:
                try:
                    settle(done, self.store.apply(command))
                except StoreError as error:
                    settle(done, error)
            if self._log.due or (self._tight and any(isinstance(command, Compact) for command, _ in batch)):
                await self._blocking(self._log.save, self.store)

    async def _logged(self, batch: Waiting) -> Waiting:
        """Put a batch on the disk. What is not returned has been refused; on a full disk, that is what takes space."""
        if self._log.full and await self._failure(self._log.reclaim):
            batch, self._tight = without_growth(batch), True
        error = await self._failure(self._log.append, [command for command, _ in batch])
        if error and error.errno in FULL and self._log.give_way():
            batch, self._tight = without_growth(batch), True
            error = await self._failure(self._log.append, [command for command, _ in batch])
        if error is None:
            self._tight = self._tight and not any(grows(command) for command, _ in batch)
            return batch
        for _, done in batch:
            settle(done, refused(error))
        return []

    async def _failure(self, function: Callable[..., None], *arguments: object) -> OSError | None:
        try:
            await self._blocking(function, *arguments)
        except OSError as error:
            return error
        return None


def without_growth(batch: Waiting) -> Waiting:
    """What takes no space. To who waits for the rest it is said that there is none."""
    for command, done in batch:
        if grows(command):
            settle(done, NoSpace())
    return [(command, done) for command, done in batch if not grows(command)]


def only_reads(command: Command) -> bool:
    """Whether a command can change nothing, so that no log needs it."""
    def reads(operation: object) -> bool:
        return isinstance(operation, Range) or (isinstance(operation, Txn) and only_reads(operation))
    return isinstance(command, Txn) and all(map(reads, (*command.success, *command.failure)))


def refused(error: OSError) -> StoreError:
    """What a client hears when the disk refuses."""
    return NoSpace() if error.errno in FULL else StoreError(f"etcdserver: the log cannot be written: {error}")


def settle(done: asyncio.Future[Result | None], result: Result | StoreError | None) -> None:
    """Tell whoever waits, unless nobody does any more."""
    if done.done():
        return
    if isinstance(result, StoreError):
        done.set_exception(result)
    else:
        done.set_result(result)
