"""What badly behaved clients do to the server's transport: nothing that others would notice."""
from __future__ import annotations

import asyncio
import gc
import json
import socket

import pytest
from tinykube.api.http import HEAD_TOO_LARGE, Server, serve
from tinykube.client.http import HttpTransport
from tinykube.machinery.wire import Request, Response
from tinykube.store import Put, Store, prefix_end
from tinykube.store.storage import LocalWatch


async def length(request: Request) -> Response:
    return Response(200, {"length": len(request.body)})


async def raw(server: Server, data: bytes, *, half_close: bool = False) -> bytes:
    """Send bytes, return all that comes until the server closes."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(data)
    if half_close:
        writer.write_eof()
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


def status_in(answer: bytes) -> dict[str, object]:
    return json.loads(answer.split(b"\r\n\r\n", 1)[1])  # type: ignore[no-any-return]


@pytest.mark.parametrize("nonsense", [
    b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
])
async def test_what_is_not_http_gets_a_status(nonsense: bytes) -> None:
    async with await serve(length) as server:
        answer = await raw(server, nonsense)
        assert answer.startswith(b"HTTP/1.1 400 ") or answer.startswith(b"HTTP/1.0 400 ")
        status = status_in(answer)
        assert status["kind"] == "Status"
        assert status["reason"] == "BadRequest"
        assert str(status["message"]).startswith("malformed HTTP request: ")


@pytest.mark.parametrize("head", [
    b"X: " + b"y" * 2_000_000, b"".join(b"X-%d: y\r\n" % number for number in range(200_000)), b"X: y\r\n" * 400_000])
async def test_a_head_without_end_is_refused(head: bytes) -> None:
    async with await serve(length) as server:
        answer = await raw(server, b"GET / HTTP/1.1\r\nHost: x\r\n" + head, half_close=False)
        assert answer == HEAD_TOO_LARGE


async def test_a_long_head_is_read_and_bodies_do_not_count() -> None:
    async with await serve(length) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        for size in (3 << 20, 5, 3 << 20):                      # on one connection, with a body larger than any head
            writer.write(b"POST /%s HTTP/1.1\r\nHost: x\r\nX: %s\r\nContent-Length: %d\r\n\r\n%s" % (
                b"p" * 100_000, b"y" * 500_000, size, b"a" * size))
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
            assert head.startswith(b"HTTP/1.1 200 ")
            assert json.loads(await reader.readuntil(b"\n")) == {"length": size}
        writer.close()


async def test_a_broken_chunk_gets_a_status() -> None:
    async with await serve(length) as server:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert b" 400 " in (await raw(server, head + b"zz\r\nhello\r\n")).split(b"\r\n")[0]


@pytest.mark.parametrize("chunked", [False, True])
async def test_ten_megabytes_are_refused_in_words(chunked: bool) -> None:
    body = b"a" * 10_000_000
    async with await serve(length) as server:
        if chunked:
            head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            answer = await raw(server, head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
            assert answer.startswith(b"HTTP/1.1 413 ")
            status = status_in(answer)
        else:
            async with HttpTransport(server.url) as send:
                reply = await send(Request("POST", "/", body=body))
                assert reply.status == 413
                status = reply.json()
        assert status["message"] == "Request entity too large: limit is 3145728"


async def test_the_limit_itself_fits() -> None:
    async with await serve(length) as server, HttpTransport(server.url) as send:
        assert (await send(Request("POST", "/", body=b"a" * (3 << 20)))).json() == {"length": 3 << 20}


async def test_expect_continue_is_answered() -> None:
    async with await serve(length) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"{}")
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 200 OK")
        writer.close()


async def test_half_a_request_is_not_waited_for_forever() -> None:
    async with await serve(length, idle=0.2, stall=0.2) as server:
        assert await raw(server, b"GET / HTT") == b""
        answer = await raw(server, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        assert answer.startswith(b"HTTP/1.1 408 ")


async def test_half_closed_connections_leave_nothing() -> None:
    async with await serve(length) as server:
        for data in (b"", b"GET / HTT", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"):
            await raw(server, data, half_close=True)
        async with HttpTransport(server.url) as send:
            assert (await send(Request("GET", "/"))).status == 200
        await asyncio.sleep(0.05)
        assert len(server.runner.server.connections) == 0  # type: ignore[union-attr]


async def lines(watch: LocalWatch) -> object:
    try:
        async for batch in watch:
            yield b"".join(event.kv.value for event in batch.events)
    finally:
        await watch.aclose()


async def test_a_thousand_watchers_that_do_not_read_hold_up_nobody() -> None:
    store = Store()

    async def handler(request: Request) -> Response:
        return Response(200, lines(LocalWatch(store.watch(b"/", prefix_end(b"/")))))  # type: ignore[arg-type]
    async with await serve(handler, stall=1.0) as server:
        writers = []
        for _ in range(1000):
            small = socket.socket()
            small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            small.setblocking(False)
            await asyncio.get_running_loop().sock_connect(small, (server.host, server.port))
            _, writer = await asyncio.open_connection(sock=small, limit=1024)
            writer.write(b"GET /?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n")
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writers.append(writer)
        async with asyncio.timeout(20):
            while len(store._watchers) < 1000:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        value = b"x" * 50_000
        for _ in range(20):
            store.apply(Put(b"/k", value))
            await asyncio.sleep(0)
        assert store.revision == 21
        async with asyncio.timeout(60):           # all are cut off, and let go of what they held
            while len(store._watchers):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        for writer in writers:
            writer.close()
    gc.collect()
    assert not server._streams
