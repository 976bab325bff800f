"""Checks for the exercises of "How do I look inside?"."""

from __future__ import annotations

from bookkit.exercises import Answer, exercise


@exercise
def sorted_out(answer: Answer) -> None:
    answer([]).gives({}, hint="Nothing was said.")
    answer([b"\x01out"]).gives({1: b"out"}, hint="The first byte is the stream, the rest is what was said.")
    answer([b"\x01a", b"\x02x", b"\x01b"]).gives({1: b"ab", 2: b"x"}, hint="What a stream says in several messages belongs together.")
    answer([b"\x01", b"\x02x"]).gives({2: b"x"}, hint="A message with nothing after its first byte says nothing.")
    answer([b"\x01\x02\x03"]).gives({1: b"\x02\x03"}, hint="Only the first byte names a stream; the others are data, whatever they are.")


@exercise
def exit_code(answer: Answer) -> None:
    failed = {"status": "Failure", "reason": "NonZeroExitCode"}
    answer({"metadata": {}, "status": "Success"}).gives(0, hint="Success is 0.")
    answer({**failed, "details": {"causes": [{"reason": "ExitCode", "message": "3"}]}}).gives(
        3, hint="The code is the message of the cause ExitCode, as a number.")
    answer({**failed, "details": {"causes": [{"reason": "Other", "message": "x"}, {"reason": "ExitCode", "message": "137"}]}}).gives(
        137, hint="There may be other causes before it.")
    answer({"status": "Failure", "reason": "InternalError", "details": {"causes": [{"message": "no such command"}]}}).gives(
        1, hint="It could not be started, so it has no exit code: 1.")
    answer({"status": "Failure"}).gives(1, hint="A failure without details is still a failure.")


@exercise
def read_frames(answer: Answer) -> None:
    one, last = b"\0\0\0\x03\0\0\0\x02hi", b"\0\0\0\x05\x01\0\0\0"
    answer(b"").gives([], hint="No bytes, no frames.")
    answer(one).gives([(3, b"hi", False)], hint="Stream 3, two bytes, not the last.")
    answer(one + last).gives([(3, b"hi", False), (5, b"", True)], hint="A last frame may be empty.")
    answer(one[:-1]).gives([], hint="Its head says two bytes and one is here: the frame is not complete.")
    answer(one + one[:4]).gives([(3, b"hi", False)], hint="Half a head is no frame yet.")
    answer(b"\0\0\0\x03\0\0\x01\x01" + b"x" * 257).gives([(3, b"x" * 257, False)], hint="The length has three bytes.")
