"""Wrong answers to the exercises of the chapter on the log."""

from __future__ import annotations

from bookkit.exercises import wrong


@wrong("over", says="finds no lease to renew")
def any_renewal_counts(renewals: list[float], ttl: float, now: float) -> bool:
    return now >= renewals[-1] + ttl


@wrong("over", says="it lasts until 18")
def first_only(renewals: list[float], ttl: float, now: float) -> bool:
    return now >= renewals[0] + ttl
