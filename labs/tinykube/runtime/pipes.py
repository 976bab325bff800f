"""Bytes between file descriptors and whoever awaits them: the two ends of a command that somebody talks to."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import termios
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from tinykube.runtime.interface import Streams

NAMES = ("stdin", "stdout", "stderr")


async def ready(fd: int, *, to_write: bool = False) -> None:
    """Return when a file descriptor has something for us, or room for something."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    watch, forget = (loop.add_writer, loop.remove_writer) if to_write else (loop.add_reader, loop.remove_reader)
    watch(fd, event.set)
    try:
        await event.wait()
    finally:
        forget(fd)


async def copy_out(fd: int, number: int, streams: Streams) -> None:
    """Pass on what comes out of a file descriptor, to its end."""
    while True:
        try:
            data = os.read(fd, 1 << 16)
        except BlockingIOError:
            await ready(fd)
            continue
        except OSError:                            # how a terminal says that nobody is there any more
            return
        if not data:
            return
        await streams.write(number, data)


async def copy_in(fd: int, streams: Streams) -> None:
    """Pass on what is typed, to its end or until nobody reads it."""
    while data := await streams.read():
        while data:
            try:
                data = data[os.write(fd, data):]
            except BlockingIOError:
                await ready(fd, to_write=True)
            except OSError:
                return


async def follow_size(fd: int, streams: Streams) -> None:
    """Give a terminal the size that its user sees."""
    while True:
        columns, rows = await streams.size()
        with suppress(OSError):
            fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


async def talk(streams: Streams, outputs: Mapping[int, int], typed: int, end: Callable[[], None], terminal: int) -> None:
    """Pass on everything between two sides, until all `outputs` (descriptor -> 1 or 2) have ended.

    What is typed goes to the descriptor `typed`, and `end` is called at its end; sizes go to the one called `terminal`.
    """
    async def type_in() -> None:
        await copy_in(typed, streams)
        end()
    more = [asyncio.create_task(type_in())] if streams.stdin and typed >= 0 else []
    more += [asyncio.create_task(follow_size(terminal, streams))] if terminal >= 0 else []
    tasks = [asyncio.create_task(copy_out(fd, number, streams)) for fd, number in outputs.items()]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in (*tasks, *more):
            task.cancel()
        await asyncio.gather(*tasks, *more, return_exceptions=True)


class Ends:
    """Three FIFOs in a directory, or a terminal: `files` is what the other side opens, the rest are our ends."""

    def __init__(self, directory: Path, *, tty: bool) -> None:
        directory.mkdir()
        self.terminal = self.theirs = -1
        if tty:
            self.terminal, self.theirs = os.openpty()
            os.set_blocking(self.terminal, False)
            self.files = [os.ttyname(self.theirs)] * 3
            self.typed, self.outputs = self.terminal, {self.terminal: 1}
            return
        self.files = [str(directory / name) for name in NAMES]
        for file in self.files:
            os.mkfifo(file, 0o600)
        self.typed = os.open(self.files[0], os.O_RDWR | os.O_NONBLOCK)
        self.outputs = {os.open(self.files[number], os.O_RDONLY | os.O_NONBLOCK): number for number in (1, 2)}

    def opened(self) -> None:
        """The other side has opened its ends; from now on we see when it closes them."""
        if self.theirs >= 0:
            os.close(self.theirs)
            self.theirs = -1

    def end_input(self) -> None:
        """No more input: the end of a pipe; at a terminal, Ctrl-D."""
        if self.terminal >= 0:
            os.write(self.terminal, b"\x04")
        elif self.typed >= 0:
            os.close(self.typed)
            self.typed = -1

    def close(self) -> None:
        """Let go of all."""
        self.opened()
        for fd in {self.typed, *self.outputs} - {-1}:
            os.close(fd)
