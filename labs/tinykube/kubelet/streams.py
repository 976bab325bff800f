"""Commands and containers that somebody talks to: several streams over one WebSocket, told apart by their first byte.

Genuine counterpart: the protocols v4.channel.k8s.io and v5.channel.k8s.io of k8s.io/kubelet's remotecommand.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from tinykube.machinery.objects import Object
from tinykube.machinery.wire import Conversation, Socket
from tinykube.runtime.interface import CriError

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
LARGEST = 32 << 10                 # bytes in one message
Talk = Callable[["Channels"], Awaitable[int]]        # what is talked to; returns its exit code


class Channels:
    """The streams of one conversation, as a runtime wants them."""

    def __init__(self, socket: Socket, *, stdin: bool, tty: bool) -> None:
        self.socket, self.stdin, self.tty = socket, stdin, tty
        self.typed: asyncio.Queue[bytes] = asyncio.Queue(maxsize=8)
        self.sizes: asyncio.Queue[tuple[int, int]] = asyncio.Queue()

    async def listen(self) -> None:
        """Sort what comes in; returns when the other side is gone."""
        while (message := await self.socket.receive()) is not None:
            channel, data = message[:1], message[1:]
            if channel == bytes([STDIN]) and data:
                await self.typed.put(data)
            elif channel == bytes([CLOSE]) and data == bytes([STDIN]):
                await self.typed.put(b"")
            elif channel == bytes([RESIZE]):
                size = json.loads(data)
                self.sizes.put_nowait((int(size["Width"]), int(size["Height"])))

    async def read(self) -> bytes:
        """What is typed next; empty at its end."""
        return await self.typed.get()

    async def write(self, number: int, data: bytes) -> None:
        """Pass on what was said, in messages that are not too large."""
        for start in range(0, len(data), LARGEST):
            await self.socket.send(bytes([number]) + data[start:start + LARGEST])

    async def size(self) -> tuple[int, int]:
        """The next size of the terminal."""
        return await self.sizes.get()


def conversation(talk: Talk, *, stdin: bool, tty: bool) -> Conversation:
    """Let somebody talk to a command or a container; at its end they hear how it ended. Who leaves early ends it."""
    async def held(socket: Socket) -> None:
        channels = Channels(socket, stdin=stdin, tty=tty)
        listening, talking = asyncio.ensure_future(channels.listen()), asyncio.ensure_future(talk(channels))
        try:
            await asyncio.wait([listening, talking], return_when=asyncio.FIRST_COMPLETED)
            if talking.done():
                await channels.write(ERROR, json.dumps(outcome(talking)).encode())
        finally:
            for task in (listening, talking):
                task.cancel()
            await asyncio.gather(listening, talking, return_exceptions=True)
            await socket.close()
    return held


def outcome(talking: asyncio.Future[int]) -> Object:
    """How it ended, as a Status: the exit code of a command, or why there was none."""
    if (error := talking.exception()) is None:
        return exit_status(talking.result())
    if not isinstance(error, CriError | OSError):
        raise error
    message = f"error executing command in container: {error}"
    return {"metadata": {}, "status": "Failure", "message": f"Internal error occurred: {message}",
            "reason": "InternalError", "details": {"causes": [{"message": message}]}, "code": 500}


def exit_status(code: int) -> Object:
    """An exit code as a Status, from which clients make theirs."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {"metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": f"command terminated with non-zero exit code: exit status {code}",
            "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]}}


class Collected:
    """Streams of nobody: what a command says is kept, up to a limit. For probes and hooks."""

    stdin = tty = False

    def __init__(self, limit: int = 10 << 10) -> None:
        self.said, self.limit = b"", limit

    async def read(self) -> bytes:
        """Nobody types."""
        return b""

    async def write(self, number: int, data: bytes) -> None:
        """Keep what is said."""
        self.said = (self.said + data)[:self.limit]

    async def size(self) -> tuple[int, int]:
        """Nobody looks."""
        return 80, 24
