"""One number for all that a store remembers: two stores with the same past have the same one.

Genuine counterpart: etcd's HashKV, by which its members find out whether one of them is damaged.
"""
from __future__ import annotations

from collections.abc import Iterable

from tinykube.store.model import KeyValue
from tinykube.store.wire.convert import kv_message
from tinykube.store.wire.messages import pb

CASTAGNOLI = 0x82F63B78               # the polynomial of CRC-32C, lowest bit first
NAME = b"key"                         # of the table in etcd's file that this is about


def steps() -> Iterable[int]:
    """For each value of a byte, what it does to the sum."""
    for step in range(256):
        for _ in range(8):
            step = step >> 1 ^ (CASTAGNOLI if step & 1 else 0)
        yield step


STEPS = tuple(steps())


def crc32c(data: bytes, sum: int = 0) -> int:
    """The checksum CRC-32C of some bytes, or going on from that of bytes before them."""
    sum ^= 0xFFFFFFFF
    for byte in data:
        sum = STEPS[(sum ^ byte) & 0xFF] ^ sum >> 8
    return sum ^ 0xFFFFFFFF


def hash_of(past: Iterable[tuple[int, int, KeyValue]], compacted: int) -> int:
    """The hash of what `Store.past` tells, each version under the key that it has in etcd's file."""
    total = crc32c(NAME)
    for revision, place, kv in past:
        if kv.version:
            total = crc32c(row_key(revision, place) + kv_message(kv).SerializeToString(), total)
        elif revision != compacted:
            total = crc32c(row_key(revision, place) + b"t" + pb.KeyValue(key=kv.key).SerializeToString(), total)
    return total


def row_key(revision: int, place: int) -> bytes:
    """A revision, and the place in it, as etcd has them in its file."""
    return revision.to_bytes(8, "big") + b"_" + place.to_bytes(8, "big")
