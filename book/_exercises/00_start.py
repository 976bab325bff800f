"""Checks for the exercises of "Start"."""

from __future__ import annotations

from bookkit.exercises import Answer, exercise


@exercise
def in_bytes(answer: Answer) -> None:
    answer("1Ki").gives(1024, hint="Ki counts in steps of 1024, k in steps of 1000.")
    answer("512Mi").gives(512 * 1024**2, hint="Mi is 1024 times Ki.")
    answer("2G").gives(2_000_000_000, hint="Without the i, a suffix counts in steps of 1000.")
    answer("300").gives(300, hint="A number without a suffix is the amount itself.")


@exercise
def room_for(answer: Answer) -> None:
    answer(1000, 300).gives(3, hint="How many whole pods fit side by side?")
    answer(900, 300).gives(3, hint="A pod that fills what is left to the last byte does fit.")
    answer(200, 300).gives(0, hint="A node that is too small holds none.")
    answer(0, 300).gives(0, hint="A full node holds none.")
