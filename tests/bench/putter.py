"""Puts over gRPC, with as little work for each as can be: bytes out, bytes in. It is the same for every etcd.

    python -m tests.bench.putter HOST:PORT SECONDS CALLERS

A library for gRPC takes more time for a call than an etcd does; then one would measure the library. Here each caller is
one stream of HTTP/2 on one connection, its frames are put together once, and of an answer it is looked at only whether it
has a message and an end.
"""

from __future__ import annotations

import socket
import struct
import sys
import time

from tinykube.store.wire.messages import pb

DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
FIRST_WINDOW = 65_535                    # bytes that may be sent before the server takes more


def frame(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
    """A frame of HTTP/2."""
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body


def text(value: str) -> bytes:
    """A text in a header: its length and itself."""
    return bytes([len(value)]) + value.encode()


def head(address: str) -> bytes:
    """The headers of a Put: POST, http, path, authority, content-type, te. None of them is remembered by the server."""
    return (b"\x83\x86\x04" + text("/etcdserverpb.KV/Put") + b"\x01" + text(address)
            + b"\x0f\x10" + text("application/grpc") + b"\x00" + text("te") + text("trailers"))


class Connection:
    """One connection, on which many callers put."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0)
                            + frame(WINDOW, 0, 0, (2**30).to_bytes(4, "big")))
        body = pb.PutRequest(key=b"/bench/key", value=b"x" * 600).SerializeToString()
        self.message = b"\0" + len(body).to_bytes(4, "big") + body
        self.head, self.rest, self.next, self.window = head(address), b"", 1, FIRST_WINDOW
        self.answered: set[int] = set()                  # streams of which a message has come

    def begin(self, calls: int) -> None:
        """Begin so many calls."""
        out = []
        for _ in range(calls):
            out += [frame(HEADERS, END_HEADERS, self.next, self.head), frame(DATA, END_STREAM, self.next, self.message)]
            self.next += 2
            self.window -= len(self.message)
        self.socket.sendall(b"".join(out))

    def read(self) -> int:
        """Wait for frames; how many calls have ended well. Raises RuntimeError if one did not."""
        self.rest += self.socket.recv(1 << 18)
        at = ended = 0
        while len(self.rest) - at >= 9 and len(self.rest) - at >= 9 + (size := int.from_bytes(self.rest[at:at + 3], "big")):
            kind, flags, stream = struct.unpack(">BBI", self.rest[at + 3:at + 9])
            body = self.rest[at + 9:at + 9 + size]
            at += 9 + size
            if kind == DATA and size:
                self.answered.add(stream)
            elif kind == WINDOW and stream == 0:
                self.window += int.from_bytes(body, "big")
            elif kind in (SETTINGS, PING) and not flags & ACK:
                self.socket.sendall(frame(kind, ACK, 0, body if kind == PING else b""))
            elif kind in (RESET, GOAWAY):
                raise RuntimeError(f"the server ended it: {body!r}")
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                if stream not in self.answered:
                    raise RuntimeError(f"a put was refused: {body!r}")
                self.answered.discard(stream)
                ended += 1
        self.rest = self.rest[at:]
        return ended


def rate(address: str, seconds: float, callers: int) -> float:
    """Puts a second."""
    connection = Connection(address)
    waiting, done, begin = callers, 0, time.perf_counter()
    while True:
        room = min(waiting, connection.window // len(connection.message))
        if room:
            connection.begin(room)
            waiting -= room
        ended = connection.read()
        waiting, done = waiting + ended, done + ended
        if (took := time.perf_counter() - begin) > seconds:
            return done / took


if __name__ == "__main__":
    print(rate(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
