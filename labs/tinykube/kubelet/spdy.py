"""SPDY/3.1, as much of it as port forwarding needs: many streams over one connection, in frames.

HTTP/2 grew out of it and replaced it everywhere else; `kubectl port-forward` still speaks it, inside a WebSocket.
Genuine counterpart: github.com/moby/spdystream.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY = 1, 2, 3, 6, 7
DATA, FIN = 0, 1                   # what we call a frame of data, which has no type; the flag of a stream's last frame
CONTROL = 0x8003 << 16             # the first bit says that it is no data; then the version, then the type
WORDS = [b"options", b"head", b"post", b"put", b"delete", b"trace", b"accept", b"accept-charset", b"accept-encoding",
         b"accept-language", b"accept-ranges", b"age", b"allow", b"authorization", b"cache-control", b"connection",
         b"content-base", b"content-encoding", b"content-language", b"content-length", b"content-location",
         b"content-md5", b"content-range", b"content-type", b"date", b"etag", b"expect", b"expires", b"from", b"host",
         b"if-match", b"if-modified-since", b"if-none-match", b"if-range", b"if-unmodified-since", b"last-modified",
         b"location", b"max-forwards", b"pragma", b"proxy-authenticate", b"proxy-authorization", b"range", b"referer",
         b"retry-after", b"server", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"user-agent", b"vary", b"via",
         b"warning", b"www-authenticate", b"method", b"get", b"status", b"200 OK", b"version", b"HTTP/1.1", b"url",
         b"public", b"set-cookie", b"keep-alive", b"origin"]
CODES = (b"100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
         b"203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
         b"403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
         b"Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
         b"chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
         b"text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.")
DICTIONARY = b"".join(struct.pack(">I", len(word)) + word for word in WORDS) + CODES


@dataclass(frozen=True)
class Frame:
    """One frame: its type, the stream that it is about, and what it says."""

    type: int
    stream: int
    flags: int = 0
    data: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Framer:
    """Bytes to frames and frames to bytes. Headers are compressed with all that came before as context."""

    def __init__(self) -> None:
        self.unread = b""
        self.inflate = zlib.decompressobj(zdict=DICTIONARY)
        self.deflate = zlib.compressobj(zdict=DICTIONARY)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete by now."""
        self.unread += data
        while len(self.unread) >= 8:
            first, second = struct.unpack(">II", self.unread[:8])
            end = 8 + (second & 0xFFFFFF)
            if len(self.unread) < end:
                return
            payload, self.unread = self.unread[8:end], self.unread[end:]
            yield self.frame(first, second >> 24, payload)

    def frame(self, first: int, flags: int, payload: bytes) -> Frame:
        """One frame, read."""
        if not first >> 31:
            return Frame(DATA, first, flags, payload)
        kind, stream = first & 0xFFFF, struct.unpack(">I", payload[:4])[0] if len(payload) >= 4 else 0
        if kind == SYN_STREAM:
            return Frame(kind, stream & 0x7FFFFFFF, flags, headers=self.read_headers(payload[10:]))
        return Frame(kind, stream, flags, payload[4:])

    def read_headers(self, block: bytes) -> dict[str, str]:
        """A block of headers: how many, then each name and value with its length before it."""
        plain, words, at = self.inflate.decompress(block), [], 4
        for _ in range(2 * struct.unpack(">I", plain[:4])[0]):
            size = struct.unpack(">I", plain[at:at + 4])[0]
            words.append(plain[at + 4:at + 4 + size].decode())
            at += 4 + size
        return dict(zip(words[::2], words[1::2], strict=True))

    def reply(self, stream: int) -> bytes:
        """Accept a stream that the other side has opened; we have no headers to add."""
        block = self.deflate.compress(struct.pack(">I", 0)) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
        return control(SYN_REPLY, struct.pack(">I", stream) + block)


def control(kind: int, payload: bytes) -> bytes:
    """A control frame."""
    return struct.pack(">II", CONTROL | kind, len(payload)) + payload


def data_frame(stream: int, data: bytes, *, last: bool = False) -> bytes:
    """Data of a stream; `last`: there will be no more of it from us."""
    return struct.pack(">II", stream, (FIN if last else 0) << 24 | len(data)) + data
