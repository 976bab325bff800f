"""Records: what is to be remembered, as bytes and back. A record is a line that can be read, and checked.

Genuine counterpart: etcd's wal package, whose records are protobuf.
"""
from __future__ import annotations

import json
import re
from typing import Any
from zlib import crc32

from tinykube.store.model import Alarm, Compact, Compare, Delete, Grant, KeyValue, Put, Range, Revoke, Txn

KINDS: dict[str, Any] = {kind.__name__: kind for kind in (Alarm, Compact, Delete, Grant, KeyValue, Put, Range, Revoke,
                                                        Txn)}
HEAD = re.compile(rb"[0-9a-f]{8} [0-9a-f]{8} ")           # length and checksum
_encoder = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


class Damaged(Exception):
    """What is on the disk is not what was written there, and going on would lose acknowledged writes."""


def encode(*items: Any) -> bytes:
    """Numbers, bytes, commands and lists of them as JSON, one character a byte."""
    return _encoder.encode(plain(items)).encode("latin-1")


def decode(body: bytes) -> Any:
    """What `encode` was given; lists come back as tuples."""
    return restored(json.loads(body.decode("latin-1")))


def plain(item: Any) -> Any:
    """A value as JSON can hold it: bytes as text, a command as a list that begins with its name."""
    if isinstance(item, bytes):
        return item.decode("latin-1")
    if isinstance(item, tuple | list):
        return [plain(each) for each in item]
    if item is None or isinstance(item, int | str):
        return item
    return [type(item).__name__, *(plain(getattr(item, name)) for name in item.__match_args__)]


def restored(item: Any) -> Any:
    """What `plain` was given."""
    if isinstance(item, str):
        return item.encode("latin-1")
    if not isinstance(item, list):
        return item
    match item:
        case ["Compare", key, target, op, value, range_end]:
            return Compare(restored(key), target, op, restored(value), restored(range_end))
        case [str(kind), *fields] if kind in KINDS:
            return KINDS[kind](*map(restored, fields))
    return tuple(map(restored, item))


def frame(body: bytes) -> bytes:
    """A record: length and checksum in front, and an end of line, of which there is none inside."""
    return b"%08x %08x %b\n" % (len(body), crc32(body), body)


def unframe(data: bytes, at: int) -> bytes | None:
    """The body of the record that begins at `at`, or None if there is no whole one."""
    if not HEAD.match(data, at):
        return None
    length = int(data[at:at + 8], 16)
    body = data[at + 18:at + 18 + length]
    return body if data[at:at + 19 + length] == frame(body) else None


def read_records(data: bytes, name: str) -> tuple[list[bytes], int]:
    """The bodies in a file, and where they end: there, the last write was cut short, or nothing is left.

    Raises Damaged if good records follow: a record is written after the one before it is on the disk.
    """
    bodies, at = [], 0
    while (body := unframe(data, at)) is not None:
        bodies.append(body)
        at += len(body) + 19
    if any(unframe(data, later.start()) is not None for later in HEAD.finditer(data, at + 1)):
        raise Damaged(f"{name} is damaged at byte {at}: the record there does not match its checksum, and good ones "
                      "follow, so it was acknowledged. Restore this directory from a copy.")
    return bodies, at
