"""Answers to the exercises of "Start" that people would write."""

from __future__ import annotations

from bookkit.exercises import wrong


@wrong("in_bytes", says="steps of 1024")
def all_thousands(text: str) -> int:
    for suffix, size in {"Ki": 1000, "Mi": 1000**2, "Gi": 1000**3, "k": 1000, "M": 1000**2, "G": 1000**3}.items():
        if text.endswith(suffix):
            return int(text.removesuffix(suffix)) * size
    return int(text)


@wrong("in_bytes", says="without a suffix")
def no_plain_number(text: str) -> int | None:
    for suffix, size in {"Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "k": 1000, "M": 1000**2, "G": 1000**3}.items():
        if text.endswith(suffix):
            return int(text.removesuffix(suffix)) * size
    return None


@wrong("room_for", says="side by side")
def rounds_up(free: int, wanted: int) -> int:
    return -(-free // wanted)


@wrong("room_for", says="to the last byte")
def stops_one_early(free: int, wanted: int) -> int:
    count = 0
    while free > wanted:
        free, count = free - wanted, count + 1
    return count
