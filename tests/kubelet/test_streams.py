"""Conversations with a kubelet, message by message, without a network; and who may have them."""
from __future__ import annotations

import asyncio
import json
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tinykube.client.rest import Client
from tinykube.kubelet.auth import Doorkeeper
from tinykube.kubelet.forward import TUNNEL, forwarding
from tinykube.kubelet.spdy import DICTIONARY, SYN_STREAM, Framer, control, data_frame
from tinykube.kubelet.streams import Channels, conversation
from tinykube.machinery.clock import FakeClock
from tinykube.machinery.sockets import choose, splice
from tinykube.machinery.wire import Request, Response, User
from tinykube.runtime.interface import CriError


class Wire:
    """Both ends of a conversation: what the server receives is what the test `says`, and it `heard` what is sent."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()
        self.closed = False

    async def receive(self) -> bytes | None:
        return await self.said.get()

    async def send(self, data: bytes) -> None:
        if self.closed:
            raise ConnectionResetError("nobody listens")
        await self.heard.put(data)

    async def close(self) -> None:
        self.closed = True

    async def hear(self) -> bytes:
        async with asyncio.timeout(30):
            return await self.heard.get()


@asynccontextmanager
async def held(wire: Wire, talk: Callable[[Channels], Awaitable[int]], **options: bool) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.ensure_future(conversation(talk, **{"stdin": True, "tty": False, **options})(wire))
    yield task
    async with asyncio.timeout(30):
        await task
    assert wire.closed


async def test_streams_are_told_apart_and_the_end_is_a_status() -> None:
    async def talk(channels: Channels) -> int:
        await channels.write(1, b"out")
        await channels.write(2, b"err")
        return 3
    wire = Wire()
    async with held(wire, talk):
        assert [await wire.hear(), await wire.hear()] == [b"\x01out", b"\x02err"]
        last = await wire.hear()
    assert last[0] == 3
    status = json.loads(last[1:])
    assert (status["status"], status["reason"]) == ("Failure", "NonZeroExitCode")
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]


async def test_what_is_typed_arrives_in_order_and_has_an_end() -> None:
    async def talk(channels: Channels) -> int:
        while data := await channels.read():
            await channels.write(1, data)
        return 0
    wire = Wire()
    async with held(wire, talk):
        for message in (b"\x00one", b"\x00", b"\x00two", b"\xff\x00"):      # an empty message is no end
            wire.said.put_nowait(message)
        assert [await wire.hear(), await wire.hear()] == [b"\x01one", b"\x01two"]
        assert json.loads((await wire.hear())[1:]) == {"metadata": {}, "status": "Success"}


async def test_large_output_goes_in_pieces_and_sizes_come_as_they_change() -> None:
    async def talk(channels: Channels) -> int:
        columns, rows = await channels.size()
        await channels.write(1, b"x" * (columns * rows))
        return 0
    wire = Wire()
    async with held(wire, talk, tty=True):
        wire.said.put_nowait(b'\x04{"Width": 1000, "Height": 100}')
        pieces = [await wire.hear() for _ in range(4)]
        await wire.hear()
    assert max(map(len, pieces)) == 32 * 1024 + 1
    assert sum(len(piece) - 1 for piece in pieces) == 100_000


async def test_who_leaves_early_ends_it() -> None:
    ended = asyncio.Event()

    async def talk(channels: Channels) -> int:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return 0
    wire = Wire()
    async with held(wire, talk):
        await asyncio.sleep(0)
        wire.said.put_nowait(None)
    assert ended.is_set()


async def test_what_could_not_be_started_is_told() -> None:
    async def talk(channels: Channels) -> int:
        raise CriError("no such command")
    wire = Wire()
    async with held(wire, talk):
        status = json.loads((await wire.hear())[1:])
    assert status["code"] == 500
    assert status["message"].endswith("error executing command in container: no such command")


@pytest.mark.parametrize(("offer", "chosen"), [
    ("v5.channel.k8s.io,v4.channel.k8s.io", "v5"), ("v1, v4", "v4"), ("v9", ""), ("", "")])
def test_the_first_protocol_that_both_know(offer: str, chosen: str) -> None:
    offer, known = offer.replace(".channel.k8s.io", ""), ("v5", "v4")
    assert choose(Request("GET", "/", headers={"upgrade": "websocket", "sec-websocket-protocol": offer}), known) == chosen
    assert choose(Request("GET", "/", headers={"sec-websocket-protocol": offer}), known) == ""


async def test_a_splice_ends_when_one_side_does() -> None:
    one, other = Wire(), Wire()
    task = asyncio.ensure_future(splice(one, other))
    one.said.put_nowait(b"a")
    other.said.put_nowait(b"b")
    assert (await other.hear(), await one.hear()) == (b"a", b"b")
    other.said.put_nowait(None)
    async with asyncio.timeout(30):
        await task
    assert one.closed
    assert other.closed


class SpdyClient:
    """The other end of a tunnel."""

    def __init__(self) -> None:
        self.deflate, self.framer, self.wire = zlib.compressobj(zdict=DICTIONARY), Framer(), Wire()
        self.data: dict[int, bytes] = {}
        self.over: set[int] = set()

    def open(self, stream: int, **headers: str) -> None:
        words = [word.encode() for pair in headers.items() for word in pair]
        block = struct.pack(">I", len(headers)) + b"".join(struct.pack(">I", len(word)) + word for word in words)
        block = self.deflate.compress(block) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
        self.wire.said.put_nowait(control(SYN_STREAM, struct.pack(">IIH", stream, 0, 0) + block))

    def connect(self, number: int, port: int) -> int:
        """Two streams, as kubectl opens them; the number of the one for data."""
        asked = {"port": str(port), "requestID": str(number)}
        self.open(4 * number + 1, streamType="error", **asked)
        self.wire.said.put_nowait(data_frame(4 * number + 1, b"", last=True))
        self.open(4 * number + 3, streamType="data", **asked)
        return 4 * number + 3

    async def until(self, met: Callable[[], bool]) -> None:
        while not met():
            message = await self.wire.hear()
            if message[0] >> 7:
                continue
            stream, sizes = struct.unpack(">II", message[:8])
            self.data[stream] = self.data.get(stream, b"") + message[8:]
            self.over |= {stream} if sizes >> 24 else set()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data.upper())
        await writer.drain()
    writer.write(b" bye")
    writer.close()


@asynccontextmanager
async def tunnel(protocol: str = TUNNEL) -> AsyncIterator[tuple[SpdyClient, int, asyncio.Task[Any]]]:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port, client = server.sockets[0].getsockname()[1], SpdyClient()
    talk = forwarding(protocol, [port], lambda number: asyncio.open_connection("127.0.0.1", number), "p")
    task: asyncio.Task[Any] = asyncio.ensure_future(talk(client.wire))
    yield client, port, task
    client.wire.said.put_nowait(None)
    async with asyncio.timeout(30):
        await task
    server.close()


async def test_a_tunnel_carries_connections_side_by_side_and_their_ends() -> None:
    async with tunnel() as (client, port, _):
        streams = [client.connect(number, port) for number in range(3)]
        for stream in streams:
            client.wire.said.put_nowait(data_frame(stream, b"hello " * 10000))
            client.wire.said.put_nowait(data_frame(stream, str(stream).encode(), last=True))
        await client.until(lambda: client.over >= set(streams))
        for stream in streams:
            assert client.data[stream] == b"HELLO " * 10000 + str(stream).encode() + b" bye"


async def test_a_port_where_nobody_listens_is_an_error_of_that_connection_only() -> None:
    async with tunnel() as (client, port, task):
        closed = client.connect(0, 1)
        await client.until(lambda: closed in client.over)
        assert b"error forwarding port 1 to pod p" in client.data[1]
        stream = client.connect(1, port)
        client.wire.said.put_nowait(data_frame(stream, b"still", last=True))
        await client.until(lambda: stream in client.over)
        assert client.data[stream] == b"STILL bye"
        assert not task.done()


async def test_a_client_that_goes_takes_its_connections_along() -> None:
    async with tunnel() as (client, port, task):
        stream = client.connect(0, port)
        client.wire.said.put_nowait(data_frame(stream, b"a"))
        await client.until(lambda: client.data.get(stream) == b"A")
        client.wire.said.put_nowait(None)
        async with asyncio.timeout(30):
            await task
        assert not [each for each in asyncio.all_tasks() if "forward" in repr(each.get_coro())]


async def test_frames_that_arrive_in_pieces_are_read_all_the_same() -> None:
    client = SpdyClient()
    client.open(1, streamType="data", port="80")
    whole = client.wire.said.get_nowait()
    assert whole
    framer = Framer()
    frames = [frame for byte in whole for frame in framer.feed(bytes([byte]))]
    assert [(frame.type, frame.stream, frame.headers) for frame in frames] == [
        (SYN_STREAM, 1, {"streamType": "data", "port": "80"})]


async def test_channels_say_their_port_first() -> None:
    async with tunnel("v4.channel.k8s.io") as (client, port, _):
        first = [await client.wire.hear(), await client.wire.hear()]
        assert first == [b"\x00" + struct.pack("<H", port), b"\x01" + struct.pack("<H", port)]
        client.wire.said.put_nowait(b"\x00abc")
        assert await client.wire.hear() == b"\x00ABC"


class Judge:
    """An api-server that knows who may what."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def __call__(self, request: Request) -> Response:
        spec = json.loads(request.body)["spec"]
        self.asked.append(spec)
        if request.path.endswith("tokenreviews"):
            known = spec["token"] == "good"
            user = {"user": {"username": "robot", "groups": ["robots"]}} if known else {}
            return Response(201, {"status": {"authenticated": known, **user}})
        about = spec["resourceAttributes"]
        return Response(201, {"status": {"allowed": spec["user"] == "robot" and about["subresource"] == "proxy"}})


@pytest.fixture
def door() -> tuple[Doorkeeper, Judge, FakeClock]:
    async def inside(request: Request) -> Response:
        assert request.user
        return Response(200, request.user.name.encode())
    judge, clock = Judge(), FakeClock()
    return Doorkeeper(inside, Client(judge), "ant", clock), judge, clock


@pytest.mark.parametrize(("user", "token", "status"), [
    (None, "", 401), (None, "bad", 401), (None, "good", 200), (User("robot"), "", 200), (User("somebody"), "", 403)])
async def test_who_may(door: tuple[Doorkeeper, Judge, FakeClock], user: User | None, token: str, status: int) -> None:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    answer = await door[0].handle(Request("GET", "/exec/a/b/c", headers=headers, user=user))
    assert answer.status == status
    if status == 403:
        assert b"Forbidden (user=somebody, verb=get, resource=nodes" in answer.body  # type: ignore[operator]


async def test_a_part_of_the_node_or_all_of_it_and_an_answer_is_good_for_a_while(
        door: tuple[Doorkeeper, Judge, FakeClock]) -> None:
    keeper, judge, clock = door
    for _ in range(3):
        assert (await keeper.handle(Request("GET", "/pods", user=User("robot")))).status == 200
    assert [each["resourceAttributes"]["subresource"] for each in judge.asked] == ["pods", "proxy"]
    await clock.advance(31)                        # a no is forgotten sooner than a yes
    await keeper.handle(Request("GET", "/pods", user=User("robot")))
    assert [each["resourceAttributes"]["subresource"] for each in judge.asked] == ["pods", "proxy", "pods"]
