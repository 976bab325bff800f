"""TLS for our servers: a certificate to show, and a look at the certificates that clients show.

Genuine counterpart: kube-apiserver's --tls-cert-file, --tls-private-key-file and --client-ca-file.
"""
from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import ssl
import tempfile
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.x509.oid import NameOID

from tinykube.api.keys import Identity
from tinykube.api.tokens import CREDENTIAL
from tinykube.machinery.wire import User

HELLO = b"\x16"                          # the first byte of whoever speaks TLS
HANDSHAKE = 10.0                         # seconds that a handshake may take
DATES_LATER = 0x200000                   # OpenSSL's NO_CHECK_TIME: an expired certificate is told so, not hung up on
NOT_TLS = (b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")


def server_tls(mine: Identity, clients: bytes) -> ssl.SSLContext:
    """How a server speaks TLS: it shows its certificate, and accepts those of clients that an authority signed."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=clients.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= DATES_LATER
    with tempfile.NamedTemporaryFile() as pair:              # OpenSSL reads a certificate from files only
        pair.write(mine.certificate + mine.key)
        pair.flush()
        context.load_cert_chain(pair.name)
    return context


def connected_user(connection: ssl.SSLObject | None) -> User | None:
    """Who is at the other end, by their certificate; None if they showed none. Raises ValueError if it is out of date."""
    der = connection.getpeercert(binary_form=True) if connection else None
    if not der:
        return None
    user, begins, ends = certified(der)
    if not begins <= datetime.now(UTC) <= ends:
        raise ValueError("the certificate is out of date, or not good yet")
    return user


@lru_cache(maxsize=1024)
def certified(der: bytes) -> tuple[User | None, datetime, datetime]:
    """What a certificate says: the common name is the user, organizations are groups. And from when until when."""
    certificate = x509.load_der_x509_certificate(der)
    names, groups = (tuple(str(each.value) for each in certificate.subject.get_attributes_for_oid(oid))
                     for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME))
    proof = {CREDENTIAL: (f"X509SHA256={hashlib.sha256(der).hexdigest()}",)}
    user = User(names[0], groups, extra=proof) if names else None
    return user, certificate.not_valid_before_utc, certificate.not_valid_after_utc


class TlsSite(web.BaseSite):
    """Listens, looks at the first byte of each connection, and hands on those that speak TLS."""

    def __init__(self, runner: web.ServerRunner, host: str, port: int, tls: ssl.SSLContext) -> None:
        super().__init__(runner, ssl_context=tls)
        self.listening = socket.create_server((host, port), backlog=1024)
        self.listening.setblocking(False)
        self.port: int = self.listening.getsockname()[1]
        self.tasks: set[asyncio.Task[Any]] = set()

    @property
    def name(self) -> str:
        """What the runner calls it."""
        return f"https, port {self.port}"

    async def start(self) -> None:
        """Begin to accept."""
        await super().start()
        self.begin(self.accept())

    async def stop(self) -> None:
        """Accept no more; handshakes that go on end."""
        for task in self.tasks:
            task.cancel()
        self.listening.close()
        await super().stop()

    def begin(self, work: Any) -> None:
        """Run something until it is done, or we stop."""
        task = asyncio.create_task(work, name="tls")
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def accept(self) -> None:
        """Take connections for ever; when there are too many open files, a little later."""
        while True:
            try:
                connection, _ = await asyncio.get_running_loop().sock_accept(self.listening)
                self.begin(self.greet(connection))
            except OSError:
                await asyncio.sleep(0.1)

    async def greet(self, connection: socket.socket) -> None:
        """The handshake. Who speaks plain HTTP is told so."""
        loop, server = asyncio.get_running_loop(), self._runner.server
        connection.setblocking(False)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.callback(connection.close)
            async with asyncio.timeout(HANDSHAKE):
                if server and await first_byte(connection) == HELLO:
                    await loop.connect_accepted_socket(server, connection, ssl=self._ssl_context)
                    stack.pop_all()
                else:
                    await loop.sock_recv(connection, 1 << 16)
                    await loop.sock_sendall(connection, NOT_TLS)


async def first_byte(connection: socket.socket) -> bytes:
    """The first byte that comes, which stays where it is."""
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(connection, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(connection)
    return connection.recv(1, socket.MSG_PEEK)
