"""Checks for the exercises of "Is it well, and what does it need?"."""

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
def ready_after(answer: Answer) -> None:
    answer([], 1, 3).gives(False, hint="Before the first answer it is not ready.")
    answer([True], 1, 3).gives(True, hint="One good answer is enough here.")
    answer([True, False, False], 1, 3).gives(True, hint="Two bad ones in a row are not three.")
    answer([True, False, False, False], 1, 3).gives(False, hint="Three bad ones in a row are enough.")
    answer([True, False, False, True, False], 1, 3).gives(True, hint="In a row: a good answer in between begins the count anew.")
    answer([True, True, False, True, True], 3, 1).gives(False, hint="Good answers are counted in a row, too.")
    answer([True, True, True, False, True], 3, 2).gives(True, hint="One bad answer changed nothing: it was ready, and still is.")


@exercise
def who_is_next(answer: Answer) -> None:
    answer([], {}).gives(None, hint="Nothing comes first, so the others may start.")
    answer(["a", "b"], {}).gives("a", hint="The first of the list, as nothing has run yet.")
    answer(["a", "b"], {"a": 0}).gives("b", hint="a has ended well, so b is next.")
    answer(["a", "b"], {"a": 3}).gives("a", hint="a failed: it is tried again before anything else.")
    answer(["a", "b"], {"a": 0, "b": 0}).gives(None, hint="Both have ended well.")
    answer(["b", "a"], {}).gives("b", hint="The order is that of the list, not that of the alphabet.")
