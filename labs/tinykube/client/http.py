"""Sends requests over HTTP: a Handler whose other end is a server somewhere else."""
from __future__ import annotations

import asyncio
from collections.abc import Mapping
from ssl import SSLContext
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from tinykube.client.credentials import Credentials, Proof, show
from tinykube.client.kubeconfig import Access
from tinykube.machinery.clock import SystemClock
from tinykube.machinery.sockets import WebSocket, offered, splice
from tinykube.machinery.wire import Request, Response

TIMEOUT = 60.0                    # seconds for a whole answer; a stream may last, only its beginning may not
ENDLESS = {"watch", "follow"}     # query parameters that ask for a stream


class HttpTransport:
    """A pool of connections to one server. Call it with a request, as any Handler; close it at the end.

    Raises ConnectionError, in words, when the server can't be reached or hangs up, TimeoutError when it is silent.
    """

    def __init__(self, url: str, *, headers: Mapping[str, str] | None = None, tls: SSLContext | None = None,
                 credentials: Credentials | None = None, timeout: float = TIMEOUT, name: str = "") -> None:
        self.name = name or None                              # what the server's certificate says, if not the URL's host
        self.url, self.headers, self.tls, self.timeout = url.rstrip("/"), dict(headers or {}), tls, timeout
        self.credentials, self.shown = credentials, Proof()
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_access(cls, access: Access) -> HttpTransport:
        """A transport to the server of a kubeconfig, with its trust and its identity."""
        headers = {"authorization": f"Bearer {access.token}"} if access.token else {}
        return cls(access.url, headers=headers, tls=access.tls(), credentials=access.credentials(SystemClock()))

    async def __aenter__(self) -> HttpTransport:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; streams that are still open end."""
        if self._session:
            session, self._session = self._session, None
            await session.close()

    async def __call__(self, request: Request) -> Response:
        return await self.send(request)

    async def send(self, request: Request) -> Response:
        """The answer: complete, unless the request asks to watch or to follow; then its body is a stream.

        A request for a WebSocket that is granted becomes a conversation.
        """
        if protocols := offered(request):
            return await self._upgrade(request, protocols)
        try:
            async with asyncio.timeout(self.timeout):
                if self.credentials:
                    await self._prove(await self.credentials.proof())
                answer = await self._connections().request(
                    request.method, self._address(request), data=request.body or None,
                    headers=lines(self.headers | dict(request.headers)), allow_redirects=False, server_hostname=self.name)
                headers = {name.lower(): value for name, value in answer.headers.items()}
                if answer.status == 401 and self.credentials:
                    self.credentials.refused()            # the next request asks anew
                if answer.status < 300 and wants_stream(request):
                    return Response(answer.status, HttpStream(answer, self.url), headers)
                return Response(answer.status, await answer.read(), headers)
        except TimeoutError:
            raise TimeoutError(f"{self.url} did not answer {request.method} {request.path} "
                               f"within {self.timeout:g} seconds") from None
        except aiohttp.ClientError as error:
            raise unreachable(self.url, error) from None

    async def _upgrade(self, request: Request, protocols: list[str]) -> Response:
        """A WebSocket to the server, to be spliced with one of ours; or its refusal."""
        headers = {name: value for name, value in request.headers.items() if not name.startswith("sec-websocket")}
        try:
            async with asyncio.timeout(self.timeout):
                socket = WebSocket(await self._connections().ws_connect(
                    self._address(request), method=request.method, protocols=[each for each in protocols if each],
                    max_msg_size=0, headers=lines(self.headers | headers), server_hostname=self.name))
        except Refused as refusal:
            return refusal.response
        except aiohttp.ClientError as error:
            raise unreachable(self.url, error) from None
        return Response(101, b"", {"sec-websocket-protocol": socket.raw.protocol or ""},
                        lambda other: splice(other, socket))

    async def _prove(self, proof: Proof) -> None:
        if proof.token:
            self.headers["authorization"] = f"Bearer {proof.token}"
        if proof.certificate and self.tls and proof != self.shown:
            show(proof.certificate, proof.key, self.tls)
            await self.close()                            # who we are is said when a connection begins
        self.shown = proof

    def _address(self, request: Request) -> URL:
        query = f"?{urlencode(request.query)}" if request.query else ""
        return URL(self.url + quote(request.path, safe="/:@!$&'()*+,;=~") + query, encoded=True)

    def _connections(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=self.tls or True),
                middlewares=(hear_refusal,), cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=None),
                skip_auto_headers=["Accept-Encoding", "Content-Type", "User-Agent"])
        return self._session


def lines(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Headers as they are sent: one that has several values, each in a line of its own, is sent as often."""
    return [(name, value) for name, text in headers.items() for value in text.split("\n")]


class Refused(Exception):
    """A server that would not upgrade; `response` is what it said instead."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"refused with {response.status}")
        self.response = response


async def hear_refusal(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Read what a server says that refuses to upgrade, which would be thrown away."""
    answer = await send(request)
    if "upgrade" in request.headers and answer.status != 101:
        raise Refused(Response(answer.status, await answer.read(), {"content-type": answer.content_type}))
    return answer


class HttpStream:
    """The body of an answer that goes on. Iterate over it; closing it tells the server that nobody listens."""

    def __init__(self, answer: aiohttp.ClientResponse, url: str) -> None:
        self._answer, self._url = answer, url

    def __aiter__(self) -> HttpStream:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._answer.content.readany()
        except aiohttp.ClientError as error:
            raise unreachable(self._url, error) from None
        if not chunk:
            self._answer.release()
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """Hang up."""
        self._answer.close()


def wants_stream(request: Request) -> bool:
    """Whether the answer to a request goes on until somebody ends it."""
    return any(name in ENDLESS and value.lower() in ("1", "t", "true") for name, value in request.query)


def unreachable(url: str, error: aiohttp.ClientError) -> ConnectionError:
    """What went wrong between us and the server, as a sentence."""
    cause = getattr(error, "os_error", None) or error.__cause__ or error
    if isinstance(cause, ConnectionRefusedError):
        return ConnectionRefusedError(f"nothing listens at {url}: is the server running?")
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return ConnectionError(f"{url} is not to be trusted: {cause}")
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError | aiohttp.ClientOSError):
        return ConnectionResetError(f"{url} hung up in the middle of an answer")
    return ConnectionError(f"cannot talk to {url}: {cause}")
