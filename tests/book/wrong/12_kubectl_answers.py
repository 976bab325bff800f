"""Answers that people would give to the exercises of "What does kubectl ask?", and what they should be told."""

from __future__ import annotations

from bookkit.exercises import wrong


@wrong("number_in", says="lowest seven bits")
def highest_first(data: bytes) -> int:
    number = 0
    for byte in data:
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return number


@wrong("number_in", says="is the last one of the number")
def reads_on(data: bytes) -> int:
    return sum((byte & 0x7F) << 7 * place for place, byte in enumerate(data))
