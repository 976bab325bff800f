"""Server and client transport, against each other over a real socket."""
from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator

import pytest
from tinykube.api.http import serve
from tinykube.client.http import HttpTransport
from tinykube.machinery import errors
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.wire import Request, Response, close, request


class Ticks:
    """A stream that gives what it is fed, and knows whether it was closed."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.closed = asyncio.Event()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        item = await self.queue.get()
        if item is None:
            raise StopAsyncIteration
        return item

    async def aclose(self) -> None:
        self.closed.set()


async def echo(req: Request) -> Response:
    return Response(200, {"method": req.method, "path": req.path, "query": [list(pair) for pair in req.query],
                          "type": req.headers.get("content-type", ""), "body": req.body.decode()})


async def test_a_request_arrives_as_it_was_sent() -> None:
    async with await serve(echo) as server, HttpTransport(server.url) as send:
        answer = await send(request("POST", "/a b/ü%2F?x=1&x=2%26&empty=&plus=a%2Bb+c", {"n": 1}))
        assert answer.status == 200
        assert answer.json() == {"method": "POST", "path": "/a b/ü%2F", "type": "application/json", "body": '{"n": 1}',
                                 "query": [["x", "1"], ["x", "2&"], ["empty", ""], ["plus", "a+b c"]]}


async def test_errors_become_status_objects() -> None:
    async def handler(req: Request) -> Response:
        if req.path == "/bug":
            raise KeyError("x")
        raise errors.not_found("pods", "web")
    log = EventLog()
    async with await serve(handler, log=log) as server, HttpTransport(server.url) as send:
        assert (await send(Request("GET", "/"))).json()["message"] == 'pods "web" not found'
        answer = await send(Request("GET", "/bug"))
        assert (answer.status, answer.json()["reason"]) == (500, "InternalError")
        assert [record["error"] for record in log.records] == ["KeyError('x')"]


async def test_a_stream_flows_and_ends() -> None:
    ticks = Ticks()

    async def handler(req: Request) -> Response:
        return Response(200, ticks)
    async with await serve(handler) as server, HttpTransport(server.url) as send:
        answer = await send(request("GET", "/x?watch=true"))
        stream = aiter(answer.body)  # type: ignore[arg-type]
        for line in (b"one\n", b"two\n"):
            ticks.queue.put_nowait(line)
            assert await asyncio.wait_for(anext(stream), 5) == line
        ticks.queue.put_nowait(None)
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(anext(stream), 5)
        await asyncio.wait_for(ticks.closed.wait(), 5)


async def test_a_client_that_leaves_ends_its_stream_at_once() -> None:
    ticks = Ticks()

    async def handler(req: Request) -> Response:
        return Response(200, ticks)
    async with await serve(handler) as server, HttpTransport(server.url) as send:
        answer = await send(request("GET", "/x?watch=1"))
        await close(answer)
        await asyncio.wait_for(ticks.closed.wait(), 5)
        assert not server._streams


async def test_stopping_ends_streams_in_good_order() -> None:
    ticks = Ticks()

    async def handler(req: Request) -> Response:
        return Response(200, ticks)
    server = await serve(handler)
    async with HttpTransport(server.url) as send:
        answer = await send(request("GET", "/x?watch=1"))
        ticks.queue.put_nowait(b"last\n")
        stream = aiter(answer.body)  # type: ignore[arg-type]
        assert await anext(stream) == b"last\n"
        await asyncio.wait_for(server.close(), 10)
        assert ticks.closed.is_set()
        with pytest.raises(StopAsyncIteration):     # an end, not a broken connection
            await anext(stream)


async def test_a_port_in_use_is_named() -> None:
    async with await serve(echo) as server:
        with pytest.raises(OSError, match=f"127.0.0.1:{server.port}: another program has this port") as caught:
            await serve(echo, port=server.port)
        assert caught.value.errno == errno.EADDRINUSE


async def test_only_this_machine_may_listen_in() -> None:
    with pytest.raises(ValueError, match="stays on this machine"):
        await serve(echo, host="0.0.0.0")


async def test_the_client_says_what_is_wrong() -> None:
    server = await serve(echo)
    await server.close()
    async with HttpTransport(server.url) as send:
        with pytest.raises(ConnectionRefusedError, match="is the server running"):
            await send(Request("GET", "/"))


async def test_a_server_that_hangs_up_is_told_apart() -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        writer.close()
    server = await asyncio.start_server(rude, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, HttpTransport(f"http://127.0.0.1:{port}") as send:
        with pytest.raises(ConnectionResetError, match="hung up in the middle"):
            await send(Request("GET", "/"))


async def test_a_silent_server_is_not_waited_for_forever() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, HttpTransport(f"http://127.0.0.1:{port}", timeout=0.2) as send:
        with pytest.raises(TimeoutError, match=r"did not answer GET / within 0\.2 seconds"):
            await send(Request("GET", "/"))
