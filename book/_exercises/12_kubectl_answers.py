"""Checks for the exercises of "What does kubectl ask?"."""

from __future__ import annotations

from bookkit.exercises import Answer, exercise


@exercise
def number_in(answer: Answer) -> None:
    answer(b"\x05").gives(5, hint="Below 128 the byte is the number.")
    answer(b"\xac\x02").gives(300, hint="Take off the top bits; the first byte holds the lowest seven bits.")
    answer(b"\x96\x01").gives(150, hint="Each further byte counts 128 times as much as the one before.")
    answer(b"\x05\x07").gives(5, hint="A byte whose top bit is not set is the last one of the number.")
    answer(b"\x80\x80\x01").gives(16384, hint="A number can take more than two bytes.")
