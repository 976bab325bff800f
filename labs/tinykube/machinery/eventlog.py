"""The log of a cluster: one structured record per fact. Components write here and print nothing."""
from __future__ import annotations

import asyncio
import json
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from tinykube.machinery.clock import Clock, SystemClock

Record = dict[str, Any]


class EventLog:
    """Keeps the last `limit` records in memory, and all of the last megabytes in a file if one is named."""

    def __init__(self, clock: Clock | None = None, *, path: str | Path | None = None, limit: int = 20_000,
                 file_limit: int = 16 << 20) -> None:
        self.clock = clock or SystemClock()
        self.path, self.file_limit = Path(path) if path else None, file_limit
        self.added = 0
        self._records: deque[Record] = deque(maxlen=limit)
        self._waiters: dict[asyncio.Future[Record], Callable[[Record], bool]] = {}
        self._file: TextIO | None = None

    @property
    def records(self) -> list[Record]:
        """The records that are still in memory, oldest first."""
        return list(self._records)

    def add(self, component: str, verb: str, /, **facts: Any) -> Record:
        """Write down that `component` did `verb`, with facts that JSON can hold."""
        at = self.clock.now().isoformat(timespec="microseconds").replace("+00:00", "Z")
        record = {"at": at, "component": component, "verb": verb, **facts}
        self._records.append(record)
        self.added += 1
        if self.path:
            self._write(json.dumps(record, default=str))
        for waiter, wanted in list(self._waiters.items()):
            if wanted(record):
                self._waiters.pop(waiter, None)
                waiter.get_loop().call_soon_threadsafe(_resolve, waiter, record)
        return record

    async def wait_for(self, predicate: Callable[[Record], bool], timeout: float = 30.0) -> Record:  # noqa: ASYNC109
        """The first record, already written or still to come, that satisfies `predicate`.

        Raises TimeoutError, with the last records in its text, when `timeout` seconds pass without one.
        """
        for record in self._records:
            if predicate(record):
                return record
        waiter: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = predicate
        try:
            async with asyncio.timeout(timeout):
                return await waiter
        except TimeoutError:
            tail = "\n".join(json.dumps(record, default=str) for record in self.records[-5:])
            raise TimeoutError(f"no such record within {timeout:g} s; the last ones are:\n{tail}") from None
        finally:
            self._waiters.pop(waiter, None)

    def close(self) -> None:
        """Close the file. Records that come later still reach memory, and reopen it."""
        if self._file:
            self._file.close()
            self._file = None

    def _write(self, line: str) -> None:
        assert self.path is not None
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a", buffering=1)
        self._file.write(line + "\n")
        if self._file.tell() > self.file_limit:
            self.close()
            os.replace(self.path, self.path.with_suffix(self.path.suffix + ".1"))


def _resolve(waiter: asyncio.Future[Record], record: Record) -> None:
    if not waiter.done():
        waiter.set_result(record)
