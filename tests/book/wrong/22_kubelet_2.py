"""Answers that people would give to the exercises of "How do I look inside?", and what they should be told."""

from __future__ import annotations

from typing import Any

from bookkit.exercises import wrong


@wrong("sorted_out", says="belongs together")
def keeps_the_last(messages: list[bytes]) -> dict[int, bytes]:
    return {message[0]: message[1:] for message in messages if message[1:]}


@wrong("sorted_out", says="says nothing")
def keeps_the_empty(messages: list[bytes]) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for message in messages:
        found[message[0]] = found.get(message[0], b"") + message[1:]
    return found


@wrong("exit_code", says="as a number")
def gives_text(status: dict[str, Any]) -> Any:
    return 0 if status["status"] == "Success" else status.get("details", {"causes": [{"message": 1}]})["causes"][0]["message"]


@wrong("exit_code", says="other causes before it")
def looks_at_the_first(status: dict[str, Any]) -> int:
    if status["status"] == "Success":
        return 0
    cause = (status.get("details", {}).get("causes") or [{}])[0]
    return int(cause["message"]) if cause.get("reason") == "ExitCode" else 1


@wrong("read_frames", says="not complete")
def takes_what_there_is(data: bytes) -> list[tuple[int, bytes, bool]]:
    found = []
    while len(data) >= 8:
        size = int.from_bytes(data[5:8], "big")
        found.append((int.from_bytes(data[:4], "big"), data[8:8 + size], bool(data[4] & 1)))
        data = data[8 + size:]
    return found


@wrong("read_frames", says="three bytes")
def reads_one_byte_of_length(data: bytes) -> list[tuple[int, bytes, bool]]:
    found = []
    while len(data) >= 8 and len(data) >= 8 + data[7]:
        found.append((int.from_bytes(data[:4], "big"), data[8:8 + data[7]], bool(data[4] & 1)))
        data = data[8 + data[7]:]
    return found
