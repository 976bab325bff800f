"""Wrong answers to the exercises of the chapter on the log."""

from __future__ import annotations

from zlib import crc32

from bookkit.exercises import wrong


@wrong("over", says="finds no lease to renew")
def any_renewal_counts(renewals: list[float], ttl: float, now: float) -> bool:
    return now >= renewals[-1] + ttl


@wrong("over", says="it lasts until 18")
def first_only(renewals: list[float], ttl: float, now: float) -> bool:
    return now >= renewals[0] + ttl


@wrong("good", says="nothing counts")
def counts_all_good_ones(records: list[tuple[bytes, int]]) -> int:
    return sum(crc32(body) == checksum for body, checksum in records)


@wrong("good", says="All three")
def leaves_out_the_last(records: list[tuple[bytes, int]]) -> int:
    return next((n for n, (body, checksum) in enumerate(records) if crc32(body) != checksum), len(records) - 1)


@wrong("batches", says="share the next")
def one_wait_each(arrivals: list[float], sync: float) -> int:
    return len(arrivals)


@wrong("batches", says="begins with the first write")
def by_the_clock(arrivals: list[float], sync: float) -> int:
    return len({-(-at // sync) for at in arrivals})
