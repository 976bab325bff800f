"""Wrong answers to the exercises of the chapter on etcd's own words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bookkit.exercises import wrong

Ask = Callable[[bytes, bytes, int, int], tuple[list[bytes], int, int]]


@wrong("fields", says="is not the last one of its number")
def numbers_of_one_byte(data: bytes) -> list[tuple[int, Any]]:
    found: list[tuple[int, Any]] = []
    while data:
        number, kind, size = data[0] >> 3, data[0] & 7, data[1]
        found.append((number, data[2:2 + size] if kind == 2 else size))
        data = data[2 + size:] if kind == 2 else data[2:]
    return found


@wrong("fields", says="The same field may come again")
def a_dictionary(data: bytes) -> list[tuple[int, Any]]:
    found: dict[int, Any] = {}

    def number() -> int:
        nonlocal data
        value = shift = 0
        while True:
            byte, data = data[0], data[1:]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
    while data:
        tag, size = number(), number()
        found[tag >> 3] = size
        if tag & 7 == 2:
            found[tag >> 3], data = data[:size], data[size:]
    return list(found.items())


@wrong("everything", says="each page has to be of the same revision")
def pages_of_different_times(ask: Ask, prefix: bytes, end: bytes, limit: int) -> list[bytes]:
    keys, count, _ = ask(prefix, end, limit, 0)
    found = list(keys)
    while len(keys) < count:
        keys, count, _ = ask(found[-1] + b"\0", end, limit, 0)
        found += keys
    return found


@wrong("everything", says="the key itself and a zero byte")
def skips_the_neighbor(ask: Ask, prefix: bytes, end: bytes, limit: int) -> list[bytes]:
    keys, count, revision = ask(prefix, end, limit, 0)
    found = list(keys)
    while len(keys) < count:
        keys, count, _ = ask(found[-1] + b"\x01", end, limit, revision)
        found += keys
    return found


@wrong("everything", says="ask was called 20 times")
def asks_for_the_last_key_again(ask: Ask, prefix: bytes, end: bytes, limit: int) -> list[bytes]:
    found: dict[bytes, None] = {}
    keys, _, revision = ask(prefix, end, limit, 0)
    while keys:
        found |= dict.fromkeys(keys)
        keys, _, _ = ask(keys[-1], end, limit, revision)
    return list(found)


@wrong("resume", says="events count")
def believes_the_header(start: int, answers: list[tuple[int, list[int]]]) -> int:
    return max([start, *(header + 1 for header, _ in answers)])


@wrong("resume", says="up to here, that was all")
def forgets_progress(start: int, answers: list[tuple[int, list[int]]]) -> int:
    return max([start, *(events[-1] + 1 for _, events in answers if events)])
