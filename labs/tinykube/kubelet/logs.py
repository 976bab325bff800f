"""Reading container logs: lines as the runtime wrote them, cut to what was asked for, and followed.

Genuine counterpart: the kubelet's kuberuntime/logs.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from tinykube.machinery.clock import Clock
from tinykube.machinery.objects import parse_time

LOOK_AGAIN = 0.1        # seconds between two looks at a log that is followed


@dataclass(frozen=True)
class LogOptions:
    """What of a log is wanted."""

    follow: bool = False
    timestamps: bool = False
    tail: int | None = None            # so many last lines
    since: datetime | None = None
    limit: int | None = None           # so many bytes


def text_of(line: bytes, options: LogOptions) -> bytes:
    """One line as the client gets it; a line in part has no line end. Empty if it is older than wanted."""
    stamp, _, rest = line.partition(b" ")
    _stream, tag, text = rest.split(b" ", 2)
    if options.since and parse_time(f"{stamp.decode()[:26]}Z") < options.since:
        return b""
    return (stamp + b" " if options.timestamps else b"") + text.rstrip(b"\n") + (b"\n" if tag == b"F" else b"")


def last_lines(lines: list[bytes], count: int | None) -> list[bytes]:
    """The last so many lines of a log, where several parts make one line."""
    if count is None:
        return lines
    keep = len(lines)
    while keep and count:
        keep -= 1
        while keep and lines[keep - 1].split(b" ", 3)[2] == b"P":
            keep -= 1
        count -= 1
    return lines[keep:]


async def read_log(path: str | Path, options: LogOptions, running: Callable[[], Awaitable[bool]],
                   clock: Clock) -> AsyncIterator[bytes]:
    """The log in pieces. When following, ends once the container has ended and all it said has been passed on."""
    left = options.limit if options.limit is not None else float("inf")
    with opened(path) as file:
        first = True
        while left > 0:
            more = options.follow and await running()
            lines = whole_lines(file.read(), file.seek)
            for line in last_lines(lines, options.tail) if first else lines:
                text = text_of(line, options)[:None if left == float("inf") else int(left)]
                left -= len(text)
                if text:
                    yield text
            first = False
            if not more:
                return
            await clock.sleep(LOOK_AGAIN)


def opened(path: str | Path) -> BinaryIO:
    """The log file; an empty one in place of one that the runtime has not begun yet."""
    return open(path if Path(path).exists() else os.devnull, "rb")


def whole_lines(data: bytes, seek: Callable[[int, int], int]) -> list[bytes]:
    """The lines in what was read; a line that is still being written is left for the next time."""
    end = data.rfind(b"\n") + 1
    seek(end - len(data), 1)
    return data[:end].splitlines(keepends=True)
