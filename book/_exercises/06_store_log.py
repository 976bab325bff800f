"""Checks for the exercises of the chapter on the log."""

from __future__ import annotations

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
