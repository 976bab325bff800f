"""Creates, gets, lists and watches a second, over TLS, each with an identity of its own: tiny beside genuine."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from collections.abc import Awaitable
from pathlib import Path
from urllib.parse import urlsplit

from tinykube.client.kubeconfig import load

CONNECTIONS, SECONDS, WATCHERS, WRITES = 8, 3.0, 1_000, 20
MAPS = "/api/v1/namespaces/default/configmaps"

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Rates:
    """Requests a second over some kept-open connections. The client does as little as it can: bytes out, bytes in."""

    def __init__(self, url: str, tls: ssl.SSLContext | None) -> None:
        self.host, self.port, self.tls = urlsplit(url).hostname or "", urlsplit(url).port or 0, tls

    @classmethod
    def of(cls, kubeconfig: str | Path) -> Rates:
        """To the server of a kubeconfig, trusting whom it says, as whom it says: tiny and genuine alike."""
        access = load(kubeconfig)
        return cls(access.url, access.tls())

    def measure(self, method: str) -> float:
        """Requests a second that were answered as they should: POST, GET of one object."""
        return asyncio.run(self._measure(method))

    def fill(self, count: int) -> None:
        """Create so many objects."""
        async def work(worker: int) -> None:
            connection = await self._connect()
            for number in range(worker, count, CONNECTIONS):
                await self._ask(connection, "POST", MAPS, self._body(f"fill-{number}"))
            connection[1].close()
        asyncio.run(gather(*(work(worker) for worker in range(CONNECTIONS))))

    def list_seconds(self) -> float:
        """How long a list of all of them takes."""
        async def once() -> float:
            connection = await self._connect()
            begin = time.perf_counter()
            await self._ask(connection, "GET", MAPS)
            connection[1].close()
            return time.perf_counter() - begin
        return asyncio.run(once())

    def fan_out(self) -> float:
        """Events a second that reach watchers: one object is written, all who watch hear of it, then the next."""
        return asyncio.run(self._fan_out())

    async def _measure(self, method: str) -> float:
        begin = time.perf_counter()
        counts = await asyncio.gather(*(self._work(method, n, begin + SECONDS) for n in range(CONNECTIONS)))
        return sum(counts) / (time.perf_counter() - begin)

    async def _work(self, method: str, worker: int, end: float) -> int:
        connection = await self._connect()
        mine, count = f"bench-{worker}-{time.monotonic_ns()}", 0
        await self._ask(connection, "POST", MAPS, self._body(mine))
        while time.perf_counter() < end:
            if method == "GET":
                await self._ask(connection, "GET", f"{MAPS}/{mine}")
            else:
                await self._ask(connection, "POST", MAPS, self._body(f"{mine}-{count}"))
            count += 1
        connection[1].close()
        return count

    async def _fan_out(self) -> float:
        writing, heard = await self._connect(), asyncio.Semaphore(0)
        name = f"fan-{time.monotonic_ns()}"
        path = f"{MAPS}?watch=true&fieldSelector=metadata.name%3D{name}"
        watching = [await self._connect() for _ in range(WATCHERS)]
        for reader, writer in watching:
            writer.write(self._request("GET", path))
            await self._head(reader, "watch")
        tasks = [asyncio.create_task(hear(reader, heard)) for reader, _ in watching]
        begin = 0.0
        for number in range(WRITES + 1):
            if number == 1:
                begin = time.perf_counter()          # the first one was to warm up
            body = json.dumps({"metadata": {"name": name}, "data": {"text": "x" * 600, "number": str(number)}}).encode()
            await self._ask(writing, "PUT" if number else "POST", f"{MAPS}/{name}" if number else MAPS, body)
            for _ in range(WATCHERS):
                await heard.acquire()
        took = time.perf_counter() - begin
        for task in tasks:
            task.cancel()
        for _, writer in (writing, *watching):
            writer.close()
        return WRITES * WATCHERS / took

    async def _connect(self) -> Connection:
        return await asyncio.open_connection(self.host, self.port, ssl=self.tls)

    def _request(self, method: str, path: str, body: bytes = b"") -> bytes:
        return (f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode() + body

    async def _head(self, reader: asyncio.StreamReader, what: str) -> bytes:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if head.split(b" ", 2)[1] not in (b"200", b"201"):
            raise RuntimeError(f"{what} was answered with {head[:60]!r}")
        return head

    async def _ask(self, connection: Connection, method: str, path: str, body: bytes = b"") -> None:
        reader, writer = connection
        writer.write(self._request(method, path, body))
        length = re.search(rb"content-length: (\d+)", await self._head(reader, method))
        if length:
            await reader.readexactly(int(length[1]))
        else:
            while (size := int(await reader.readline(), 16)) or await reader.readline() != b"\r\n":
                await reader.readexactly(size + 2)

    @staticmethod
    def _body(name: str) -> bytes:
        return json.dumps({"metadata": {"name": name}, "data": {"text": "x" * 600}}).encode()


async def gather(*work: Awaitable[None]) -> None:
    """Wait for all of them."""
    await asyncio.gather(*work)


async def hear(reader: asyncio.StreamReader, heard: asyncio.Semaphore) -> None:
    """Count the events of a watch: an event is a line that ends where its chunk ends."""
    while line := await reader.readline():
        if line.startswith(b"{"):
            heard.release()
