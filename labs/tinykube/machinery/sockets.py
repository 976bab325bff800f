"""Conversations over what was a request: WebSockets as all seats see them, and how one is passed on.

Genuine counterpart: k8s.io/apimachinery/pkg/util/proxy, which hands an upgraded connection to a backend.
"""
from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from tinykube.machinery.wire import Request, Socket


class WebSocket:
    """A WebSocket of the transport's library, of either side, as a Socket."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    async def receive(self) -> bytes | None:
        """The next message, text or not, as bytes."""
        message = await self.raw.receive()
        if message.type.name == "TEXT":
            return bytes(message.data, "utf-8")
        return bytes(message.data) if message.type.name == "BINARY" else None

    async def send(self, data: bytes) -> None:
        """Send one binary message, and wait while the other side is slow."""
        await self.raw.send_bytes(data)

    async def close(self) -> None:
        """Say good-bye."""
        await self.raw.close()


def offered(request: Request) -> list[str]:
    """The protocols that a client would speak over a WebSocket, in its order; none if it asks for no WebSocket."""
    if request.headers.get("upgrade", "").lower() != "websocket":
        return []
    return [each.strip() for each in request.headers.get("sec-websocket-protocol", "").split(",")]


def choose(request: Request, known: Sequence[str]) -> str:
    """The first of the client's protocols that we know, or nothing."""
    return next((each for each in offered(request) if each in known), "")


async def pump(source: Socket, target: Socket) -> None:
    """Pass on what one side says until it has no more to say, or the other no longer listens."""
    with contextlib.suppress(ConnectionError):
        while (message := await source.receive()) is not None:
            await target.send(message)


async def splice(one: Socket, other: Socket) -> None:
    """Let two sides talk through us. The end of one is the end of both."""
    pumps = [asyncio.create_task(pump(one, other)), asyncio.create_task(pump(other, one))]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in pumps:
            each.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        await asyncio.gather(one.close(), other.close(), return_exceptions=True)
