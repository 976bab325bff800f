"""Answers that people would give to the exercises of "Is it well, and what does it need?", and what they should be told."""

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


@wrong("ready_after", says="In a row")
def counts_all(answers: list[bool], success: int, failure: int) -> bool:
    return answers.count(True) >= success and answers.count(False) < failure


@wrong("ready_after", says="not three")
def believes_the_last(answers: list[bool], success: int, failure: int) -> bool:
    return bool(answers) and answers[-1]


@wrong("who_is_next", says="tried again")
def takes_an_end_for_a_success(inits: list[str], ended: dict[str, int]) -> str | None:
    return next((name for name in inits if name not in ended), None)


@wrong("who_is_next", says="not that of the alphabet")
def sorts(inits: list[str], ended: dict[str, int]) -> str | None:
    return next((name for name in sorted(inits) if ended.get(name) != 0), None)
