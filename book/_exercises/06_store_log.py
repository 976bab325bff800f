"""Checks for the exercises of the chapter on the log."""

from __future__ import annotations

from zlib import crc32

from bookkit.exercises import Answer, exercise


@exercise
def over(answer: Answer) -> None:
    """Whether a lease is over."""
    answer([0], 10, 9).gives(False, hint="Granted at 0 for 10 seconds, it is there at 9.")
    answer([0], 10, 10).gives(True, hint="After its ten seconds it is over: at 10, not some time later.")
    answer([0, 8], 10, 15).gives(False, hint="Renewed at 8, it lasts until 18.")
    answer([0, 8], 10, 18).gives(True, hint="The last renewal was at 8; ten seconds later it is over.")
    answer([0, 8, 30], 10, 35).gives(True, hint="It was over at 18. A renewal at 30 finds no lease to renew.")
    answer([0, 8, 30], 10, 12).gives(False, hint="What comes later does not matter yet: at 12 the lease lasts until 18.")


def signed(*bodies: bytes) -> list[tuple[bytes, int]]:
    """Records with the right checksums."""
    return [(body, crc32(body)) for body in bodies]


@exercise
def good(answer: Answer) -> None:
    """How many records at the beginning of a log can be trusted."""
    answer(signed(b"a", b"b", b"c")).gives(3, hint="All three match their checksums.")
    answer([*signed(b"a"), (b"x", crc32(b"b")), *signed(b"c")]).gives(
        1, hint="After the first bad record nothing counts: commands can't be done with one of them left out.")
    answer([(b"x", 0), *signed(b"a")]).gives(0, hint="The first one is bad already.")
    answer([]).gives(0, hint="An empty log has no good records, and no bad ones.")


@exercise
def batches(answer: Answer) -> None:
    """How often the disk is waited for."""
    answer([0, 1, 2], 0.5).gives(3, hint="Each write comes when the disk is free again: one wait for each.")
    answer([0, 0.1, 0.2, 0.3], 1).gives(2, hint="The first begins at once; the other three come meanwhile and share the next.")
    answer([0, 0, 0], 1).gives(1, hint="Three that come at the same time share one wait.")
    answer([0, 0.5, 1.2], 1).gives(
        3, hint="At 1 the second wait begins, for what had come by then: the write at 1.2 is too late for it.")
    answer([0.5, 0.9, 1.6], 1).gives(
        3, hint="The first wait begins with the first write, at 0.5, and ends at 1.5; the write at 1.6 misses the second.")
    answer([], 1).gives(0, hint="Nobody writes, nobody waits.")
