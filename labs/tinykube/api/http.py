"""Puts any handler behind a port. HTTP itself is aiohttp's work; what is ours is limits, streams and errors."""
from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import socket
from collections.abc import AsyncIterator
from ssl import SSLContext
from typing import Any, cast
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from tinykube.api.tls import TlsSite, connected_user
from tinykube.machinery import errors
from tinykube.machinery.errors import ApiError
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.sockets import WebSocket
from tinykube.machinery.wire import Conversation, Handler, Request, Response, close

BODY_LIMIT = 3 << 20              # bytes in one request, the genuine api-server's limit
IDLE = 90.0                       # seconds that a connection may wait for a complete request head
STALL = 30.0                      # seconds without progress, sending or receiving, after which a client is cut off
SEND_BUFFER = 128 << 10           # bytes that the system holds for one client that does not read
HEAD_LIMIT = (1 << 20) + 4096     # bytes in the head of a request, Go's limit
HEAD_TOO_LARGE = (b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain; charset=utf-8\r\n"
                  b"Connection: close\r\n\r\n431 Request Header Fields Too Large")
ACT_AS = ("impersonate-", "x-remote-")      # the headers that may come more than once, and are then kept apart
GRACE = 2.0                       # seconds that running requests get when the server stops


async def serve(handler: Handler, *, host: str = "127.0.0.1", port: int = 0, log: EventLog | None = None,
                body_limit: int = BODY_LIMIT, idle: float = IDLE, stall: float = STALL,
                tls: SSLContext | None = None) -> Server:
    """Listen, and answer each request by `handler`. Port 0 takes a free one. The caller closes the server.

    Raises OSError, in words, when the port is taken, and ValueError for an address that others could reach,
    unless there is encryption (`tls`), and with it a way to know who asks.
    """
    if not tls and not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"cannot listen on {host}: plain HTTP stays on this machine, use 127.0.0.1")
    server = Server(handler, log, body_limit, stall, "https" if tls else "http")
    listener = _Listener(server.answer, handler_cancellation=True, keepalive_timeout=idle, access_log=None,
                         logger=_silent(), lingering_time=stall, auto_decompress=False,
                         max_line_size=2 * HEAD_LIMIT, max_field_size=2 * HEAD_LIMIT, max_headers=HEAD_LIMIT)
    server.runner = web.ServerRunner(listener, handle_signals=False, shutdown_timeout=GRACE)
    await server.runner.setup()
    try:
        site = TlsSite(server.runner, host, port, tls) if tls else web.TCPSite(server.runner, host, port, backlog=1024)
        await site.start()
    except OSError as error:
        await server.runner.cleanup()
        if error.errno == errno.EADDRINUSE:
            raise OSError(errno.EADDRINUSE, f"cannot listen on {host}:{port}: another program has this port; "
                          "stop it, or choose port 0 for any that is free") from None
        raise
    server.host, server.port = host, site.port
    return server


class Server:
    """A handler that listens. Use it as `async with await serve(...) as server`, or close it yourself."""

    runner: web.ServerRunner
    host: str
    port: int

    def __init__(self, handler: Handler, log: EventLog | None, body_limit: int, stall: float,
                 scheme: str = "http") -> None:
        self.handler, self.log, self.body_limit, self.stall, self.scheme = handler, log, body_limit, stall, scheme
        self.closing = False
        self._streams: set[asyncio.Task[Any]] = set()

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"{self.scheme}://{self.host}:{self.port}"

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop listening, end the streams in good order, and let running requests finish within the grace."""
        self.closing = True
        for site in list(self.runner.sites):
            await site.stop()
        for stream in list(self._streams):
            stream.cancel()
        await self.runner.cleanup()

    async def answer(self, incoming: web.BaseRequest) -> web.StreamResponse:
        """One request, from the bytes that came to the bytes that go."""
        try:
            response = await self.handler(await self._read(incoming))
        except ApiError as error:
            response = Response(error.code, error.status())
        except Exception as error:
            self._record("failed", path=incoming.path, error=repr(error))
            response = Response(500, errors.internal(str(error) or repr(error)).status())
        if response.upgrade:
            return await self._converse(incoming, response, response.upgrade)
        if isinstance(response.body, bytes | dict):
            return _whole(response)
        return await self._stream(incoming, response, response.body)

    async def _read(self, incoming: web.BaseRequest) -> Request:
        headers = {name.lower(): value for name, value in incoming.headers.items()}
        headers |= {name: "\n".join(incoming.headers.getall(name)) for name in headers if name.startswith(ACT_AS)}
        try:
            async with asyncio.timeout(self.stall):
                body = await self._read_body(incoming, headers) if incoming.body_exists else b""
        except TimeoutError:
            raise ApiError(408, f"the body did not arrive within {self.stall:g} seconds", "Timeout") from None
        except (web.RequestPayloadError, ValueError) as error:
            raise errors.bad_request(f"the body of the request is malformed: {error}") from None
        query = parse_qsl(incoming.rel_url.raw_query_string, keep_blank_values=True)
        connection = incoming.transport.get_extra_info("ssl_object") if incoming.transport else None
        user, notes = None, dict[str, Any]()
        try:
            user = connected_user(connection)
        except ValueError as error:
            notes["unproven"] = str(error)
        return Request(incoming.method, incoming.path, tuple(query), headers, body, user, incoming.remote or "", notes)

    async def _read_body(self, incoming: web.BaseRequest, headers: dict[str, str]) -> bytes:
        if (incoming.content_length or 0) > self.body_limit:
            raise errors.too_large(self.body_limit)
        if headers.get("expect", "").lower() == "100-continue":
            await incoming.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            incoming.writer.output_size = 0
        chunks, size = [], 0
        async for chunk in incoming.content.iter_any():
            chunks.append(chunk)
            size += len(chunk)
            if size > self.body_limit:
                raise errors.too_large(self.body_limit)
        return b"".join(chunks)

    async def _stream(self, incoming: web.BaseRequest, response: Response,
                      body: AsyncIterator[bytes]) -> web.StreamResponse:
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._streams.add(task)
        reply = web.StreamResponse(status=response.status, headers=_headers(response))
        try:
            await reply.prepare(incoming)
            async for chunk in body:
                await self._send(incoming, reply, chunk)
        except asyncio.CancelledError:
            if not self.closing:
                raise
            task.uncancel()
        except (ConnectionError, TimeoutError):
            self._record("cut off", path=incoming.path, reason="the client reads too slowly, or is gone")
            return reply
        except Exception as error:
            self._record("failed", path=incoming.path, error=repr(error))
            _abort(incoming)
            return reply
        finally:
            self._streams.discard(task)
            await close(response)
        await reply.write_eof()
        return reply

    async def _converse(self, incoming: web.BaseRequest, response: Response,
                        conversation: Conversation) -> web.StreamResponse:
        """Turn the connection into a WebSocket. It ends with the conversation, or with the client, or with us."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        protocol = response.headers.get("sec-websocket-protocol", "")
        reply = web.WebSocketResponse(protocols=(protocol,) if protocol else (), max_msg_size=0, compress=False)
        self._streams.add(task)
        try:
            await reply.prepare(incoming)
            await conversation(WebSocket(reply))
        except asyncio.CancelledError:
            if not self.closing:
                raise
            task.uncancel()
        except ConnectionError:
            self._record("cut off", path=incoming.path, reason="the client is gone")
        finally:
            self._streams.discard(task)
        await reply.close()
        return reply

    async def _send(self, incoming: web.BaseRequest, reply: web.StreamResponse, chunk: bytes) -> None:
        try:
            async with asyncio.timeout(self.stall):
                await reply.write(chunk)
        except TimeoutError:
            _abort(incoming)
            raise

    def _record(self, verb: str, **facts: Any) -> None:
        if self.log:
            self.log.add("http", verb, **facts)


def _whole(response: Response) -> web.Response:
    body = response.body if isinstance(response.body, bytes) else orjson.dumps(response.body, option=orjson.OPT_APPEND_NEWLINE)
    return web.Response(status=response.status, body=body, headers=_headers(response))


def _headers(response: Response) -> dict[str, str]:
    if any(name.lower() == "content-type" for name in response.headers):
        return response.headers
    return {"Content-Type": "application/json", **response.headers}


def _abort(incoming: web.BaseRequest) -> None:
    transport = incoming.transport
    if isinstance(transport, asyncio.Transport):
        transport.abort()


class _Listener(web.Server):
    """Gives each connection our way to tell errors."""

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(web.RequestHandler):
    """A connection. What is not HTTP is answered as everything else is: by a Status."""

    __slots__ = ("head",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bound what the system keeps for a client that does not read: a thousand of them are no memory leak."""
        super().connection_made(transport)
        self.head = 0
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    def data_received(self, data: bytes) -> None:
        """Count what comes while no request is complete: a head has an end, or the connection has."""
        refused = self.head > HEAD_LIMIT
        self.head = self.head + len(data) if self._waiter is not None and not self._waiter.done() else 0
        if self.head <= HEAD_LIMIT:
            super().data_received(data)
        elif not refused and isinstance(self.transport, asyncio.Transport):
            self.transport.write(HEAD_TOO_LARGE)
            self._loop.call_later(GRACE, self.transport.close)     # at once, and what still comes would undo the answer

    def handle_error(self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None,
                     message: str | None = None) -> web.StreamResponse:
        """The answer to what could not be parsed as a request."""
        why = (message or str(exc or "")).strip().splitlines() or ["it could not be parsed"]
        error = errors.bad_request(f"malformed HTTP request: {why[0]}") if status < 500 else errors.internal(why[0])
        reply = _whole(Response(error.code, error.status()))
        reply.force_close()
        return reply


def _silent() -> logging.Logger:
    logger = logging.getLogger("tinykube.http")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger
