"""Listeners in this process: a connection comes in, a second one goes out, bytes are carried between the two.

Genuine counterpart: k8s.io/kubernetes/pkg/proxy/userspace, which needed root and iptables to bring connections here.
Ours needs neither where the addresses of Services are addresses of loopback, of which Linux has sixteen million.
"""

from __future__ import annotations

import asyncio
import contextlib

from tinykube.network.proxy import Choose
from tinykube.network.rules import Address

CHUNK, PATIENCE = 65536, 5.0                    # bytes at once; seconds to wait for a backend to take a connection

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Relay:
    """One listener, and the connections through it."""

    def __init__(self, choose: Choose) -> None:
        self.choose = choose
        self.server: asyncio.Server | None = None
        self.tasks: set[asyncio.Task[None]] = set()

    @classmethod
    async def listen(cls, address: Address, choose: Choose) -> Relay:
        """Listen at an address and port. Raises OSError where this machine does not let us."""
        relay = cls(choose)
        relay.server = await asyncio.start_server(relay.accept, *address, limit=CHUNK)
        return relay

    async def close(self) -> None:
        """Stop listening, and end every connection."""
        if self.server:
            self.server.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to a backend, until both sides have said all."""
        task = asyncio.current_task()
        assert task
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        client = writer.get_extra_info("peername")[0]
        try:
            if backend := await connect(self.choose(client)):
                await carry((reader, writer), backend)
        except asyncio.CancelledError:
            pass                                # we close: the stream is aborted below
        finally:
            writer.transport.abort()


async def connect(backends: list[Address]) -> Stream | None:
    """A connection to the first backend that takes one, or None: then the client's is closed, as if refused."""
    for address in backends:
        with contextlib.suppress(OSError, TimeoutError):
            return await asyncio.wait_for(asyncio.open_connection(*address, limit=CHUNK), PATIENCE)
    return None


async def carry(one: Stream, other: Stream) -> None:
    """Carry bytes both ways. When one side has said all, the other is told so and may still answer."""
    try:
        await asyncio.gather(pour(one[0], other[1]), pour(other[0], one[1]))
    except OSError:
        pass                                    # a side is gone: there is nobody to carry for
    finally:
        other[1].transport.abort()


async def pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Everything from one side to the other, no faster than it is taken, then the end."""
    while data := await source.read(CHUNK):
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()
