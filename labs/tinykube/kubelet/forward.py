"""Port forwarding: connections to a pod's ports, carried inside one connection of the client's.

Genuine counterpart: k8s.io/kubelet's portforward, and the tunnel that kubectl makes for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Callable
from typing import Protocol

from tinykube.kubelet.spdy import (
    DATA,
    FIN,
    GOAWAY,
    PING,
    RST_STREAM,
    SYN_STREAM,
    Frame,
    Framer,
    control,
    data_frame,
)
from tinykube.kubelet.streams import LARGEST, PROTOCOLS
from tinykube.machinery.wire import Conversation, Socket

TUNNEL = "SPDY/3.1+portforward.k8s.io"
FORWARDS = (TUNNEL, *PROTOCOLS)
Dial = Callable[[int], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]       # to a port of the pod


class Lane(Protocol):
    """One forwarded connection, as the client sees it: its data, and a place for an error."""

    async def read(self) -> bytes:
        """What the client sends next; empty at its end."""

    async def write(self, data: bytes) -> None:
        """Pass on what the pod sends."""

    async def finish(self, error: str) -> None:
        """No more will come; with an error, because of that."""


async def forward(lane: Lane, port: int, dial: Dial, pod: str) -> None:
    """Connect to a port of the pod, and pass on everything between it and the client."""
    try:
        reader, writer = await dial(port)
    except OSError as error:
        return await lane.finish(f"error forwarding port {port} to pod {pod}: {error}")
    sending = asyncio.create_task(send_all(lane, writer))
    try:
        while data := await reader.read(LARGEST):
            await lane.write(data)
    except OSError:
        pass                                       # the pod hung up: an end as good as any
    finally:
        sending.cancel()
        writer.close()
    await lane.finish("")


async def send_all(lane: Lane, writer: asyncio.StreamWriter) -> None:
    """What the client sends goes to the pod, and its end, too."""
    with contextlib.suppress(OSError):
        while data := await lane.read():
            writer.write(data)
            await writer.drain()
        writer.write_eof()


class Tunnel:
    """A SPDY connection in a WebSocket, as kubectl makes it: two streams for each forwarded connection."""

    def __init__(self, socket: Socket, dial: Dial, pod: str) -> None:
        self.socket, self.dial, self.pod, self.framer = socket, dial, pod, Framer()
        self.asked: dict[str, dict[str, int]] = {}             # request -> its streams, by type
        self.lanes: dict[int, StreamLane] = {}                 # by data stream

    async def run(self) -> None:
        """Serve until the client goes; then all its connections end."""
        try:
            while (message := await self.socket.receive()) is not None:
                for frame in self.framer.feed(message):
                    if frame.type == GOAWAY:
                        return
                    await self.take(frame)
        finally:
            tasks = [lane.task for lane in self.lanes.values() if lane.task]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.socket.close()

    async def take(self, frame: Frame) -> None:
        """One frame of the client's."""
        if frame.type == PING:
            await self.socket.send(control(PING, struct.pack(">I", frame.stream)))
        elif frame.type == SYN_STREAM:
            await self.open(frame)
        elif frame.type == DATA and (lane := self.lanes.get(frame.stream)):
            for data in (frame.data, b"") if frame.flags & FIN and frame.data else (frame.data,):
                await lane.sent.put(data)
        elif frame.type == RST_STREAM and (lane := self.lanes.pop(frame.stream, None)) and lane.task:
            lane.task.cancel()

    async def open(self, frame: Frame) -> None:
        """A stream was opened; with the second one of its request, a connection can be made."""
        headers = {name.lower(): value for name, value in frame.headers.items()}
        await self.socket.send(self.framer.reply(frame.stream))
        streams = self.asked.setdefault(headers.get("requestid", ""), {})
        streams[headers.get("streamtype", "")] = frame.stream
        if streams.keys() >= {"data", "error"}:
            lane = self.lanes[streams["data"]] = StreamLane(self, streams["data"], streams["error"])
            lane.task = asyncio.create_task(forward(lane, int(headers["port"]), self.dial, self.pod))


class StreamLane:
    """A forwarded connection in a tunnel."""

    def __init__(self, tunnel: Tunnel, data: int, error: int) -> None:
        self.tunnel, self.data, self.error = tunnel, data, error
        self.sent: asyncio.Queue[bytes] = asyncio.Queue(maxsize=64)
        self.task: asyncio.Task[None] | None = None

    async def read(self) -> bytes:
        """What the client sends next."""
        return await self.sent.get()

    async def write(self, data: bytes) -> None:
        """Pass on what the pod sends."""
        await self.tunnel.socket.send(data_frame(self.data, data))

    async def finish(self, error: str) -> None:
        """The last frames of both streams."""
        await self.tunnel.socket.send(data_frame(self.error, error.encode(), last=True))
        await self.tunnel.socket.send(data_frame(self.data, b"", last=True))
        self.tunnel.lanes.pop(self.data, None)


class ChannelLane:
    """A forwarded connection on two channels of a WebSocket, as other clients than kubectl want it."""

    def __init__(self, socket: Socket, number: int, port: int) -> None:
        self.socket, self.number, self.port = socket, number, port
        self.sent: asyncio.Queue[bytes] = asyncio.Queue(maxsize=64)

    async def read(self) -> bytes:
        """What the client sends next."""
        return await self.sent.get()

    async def write(self, data: bytes) -> None:
        """Pass on what the pod sends."""
        await self.socket.send(bytes([2 * self.number]) + data)

    async def finish(self, error: str) -> None:
        """Say what went wrong, if anything did. A channel has no end of its own."""
        if error:
            await self.socket.send(bytes([2 * self.number + 1]) + error.encode())


async def serve_channels(socket: Socket, ports: list[int], dial: Dial, pod: str) -> None:
    """Forward to ports that were named beforehand, one connection each, until all have ended or the client goes."""
    lanes = [ChannelLane(socket, number, port) for number, port in enumerate(ports)]
    for lane in lanes:                             # the first message on each channel says which port it is for
        for channel in (2 * lane.number, 2 * lane.number + 1):
            await socket.send(bytes([channel]) + struct.pack("<H", lane.port))

    async def listen() -> None:
        while (message := await socket.receive()) is not None:
            if message and message[0] % 2 == 0 and message[0] // 2 < len(lanes) and message[1:]:
                await lanes[message[0] // 2].sent.put(message[1:])

    async def work() -> None:
        await asyncio.gather(*(forward(lane, lane.port, dial, pod) for lane in lanes))
    tasks = [asyncio.create_task(listen()), asyncio.create_task(work())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await socket.close()


def forwarding(protocol: str, ports: list[int], dial: Dial, pod: str) -> Conversation:
    """The conversation that a client means, by the protocol that it speaks."""
    if protocol == TUNNEL:
        return lambda socket: Tunnel(socket, dial, pod).run()
    return lambda socket: serve_channels(socket, ports, dial, pod)
