"""Answers that people would give to the exercises of "What does kubectl ask?", and what they should be told."""

from __future__ import annotations

from typing import Any

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


@wrong("resolve", says="first in the server's order")
def the_last_wins(lists: list[dict[str, Any]], word: str) -> tuple[str, str] | None:
    found = None
    for each in lists:
        for resource in each["resources"]:
            names = {resource["name"], resource["singularName"], *resource.get("shortNames", [])}
            if "/" not in resource["name"] and word.lower() in names:
                found = each["groupVersion"], resource["name"]
    return found


@wrong("resolve", says="subresource is not meant")
def takes_parts_for_wholes(lists: list[dict[str, Any]], word: str) -> tuple[str, str] | None:
    for each in lists:
        for resource in each["resources"]:
            if word.lower() in (resource["name"], resource["singularName"], *resource.get("shortNames", [])):
                return each["groupVersion"], resource["name"]
    return None


@wrong("text_field", says="counts bytes, not letters")
def counts_letters(number: int, text: str) -> bytes:
    return bytes([number << 3 | 2, len(text)]) + text.encode()


@wrong("text_field", says="the tag takes two bytes")
def tag_of_one_byte(number: int, text: str) -> bytes:
    data = text.encode()
    return bytes([(number << 3 | 2) & 0xFF, len(data) & 0xFF]) + data
