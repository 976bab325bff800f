"""Requests, responses and handlers: the one shape in which all seats of the cluster meet."""
from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode

Object = dict[str, Any]
Body = bytes | Object | AsyncIterator[bytes]


@dataclass(frozen=True)
class User:
    """Who asks: a name, the groups that count for it, and what else is known of it."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


NOBODY = User("system:anonymous", ("system:unauthenticated",))


@dataclass(frozen=True)
class Request:
    """One HTTP request as a core sees it: decoded path, query in order, lower-case header names."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    user: User | None = None                     # who asks, once somebody found out
    peer: str = ""                               # the address that the request came from, if it came over a network
    notes: dict[str, Any] = field(default_factory=dict, compare=False)      # what one filter leaves for another

    def param(self, name: str, default: str = "") -> str:
        """The first value of a query parameter, or `default`."""
        return next((value for key, value in self.query if key == name), default)

    def params(self, name: str) -> list[str]:
        """All values of a query parameter, in the order they were sent."""
        return [value for key, value in self.query if key == name]

    @property
    def target(self) -> str:
        """Path and query as they were asked for, to show in logs and traces."""
        return self.path + ("?" + urlencode(self.query) if self.query else "")


class Socket(Protocol):
    """A conversation: messages both ways, until one side ends it."""

    async def receive(self) -> bytes | None:
        """The next message; None when the other side has no more to say."""

    async def send(self, data: bytes) -> None:
        """Say something. Raises ConnectionError when nobody listens any more."""

    async def close(self) -> None:
        """End it; safe to call twice."""


Conversation = Callable[[Socket], Awaitable[None]]


@dataclass
class Response:
    """An answer: a status and a body of bytes, of one JSON document, or a stream that ends when it is closed.

    With status 101 it is no answer yet: `upgrade` is what the connection turns into, a conversation.
    """

    status: int
    body: Body = b""
    headers: dict[str, str] = field(default_factory=dict)
    upgrade: Conversation | None = None

    def json(self) -> Any:
        """The body as a JSON value. A stream has none: iterate over `body` instead."""
        if isinstance(self.body, bytes):
            return json.loads(self.body)
        if isinstance(self.body, dict):
            return self.body
        raise TypeError("this response is a stream: iterate over its body, then close it")


Handler = Callable[[Request], Awaitable[Response]]


def as_user(handler: Handler, user: User) -> Handler:
    """The same handler, for one who is known: each request through it is `user`'s. No network, no proof asked."""
    return lambda request: handler(replace(request, user=user))


def request(method: str, url: str, body: bytes | Object = b"", **headers: str) -> Request:
    """Build a request from a path with an optional `?query`; a dict becomes a JSON body."""
    path, _, query = url.partition("?")
    named = {name.lower().replace("_", "-"): value for name, value in headers.items()}
    if isinstance(body, dict):
        named.setdefault("content-type", "application/json")
        body = json.dumps(body).encode()
    return Request(method, path, tuple(parse_qsl(query, keep_blank_values=True)), named, body)


async def close(response: Response) -> None:
    """End a streaming response, so that its server can let go of what feeds it. Safe to call on any response."""
    end = getattr(response.body, "aclose", None)
    if end is not None:
        await end()
