"""Wrong answers to the exercises of the chapter on the store."""

from __future__ import annotations

from bookkit.exercises import wrong

Versions = list[tuple[int, str | None]]


@wrong("at", says="Nothing happened to this key at 4")
def only_then(versions: Versions, revision: int) -> str | None:
    return dict(versions).get(revision)


@wrong("at", says="hides those before it")
def past_the_tombstone(versions: Versions, revision: int) -> str | None:
    found = [value for changed, value in versions if changed <= revision and value is not None]
    return found[-1] if found else None


@wrong("compacted", says="the last version before stays")
def cuts_at_the_number(versions: Versions, revision: int) -> Versions:
    return [version for version in versions if version[0] >= revision]


@wrong("compacted", says="the same as none at all")
def keeps_tombstones(versions: Versions, revision: int) -> Versions:
    old = [version for version in versions if version[0] <= revision]
    return old[-1:] + [version for version in versions if version[0] > revision]


Batches = list[tuple[int, list[str]]]


@wrong("missed", says="No gap may go unnoticed")
def does_not_look_for_gaps(changes: list[tuple[int, str]], compacted: int, seen: int) -> Batches | None:
    batches: dict[int, list[str]] = {}
    for revision, key in changes:
        if revision > seen:
            batches.setdefault(revision, []).append(key)
    return list(batches.items())


@wrong("missed", says="half of a transaction")
def a_batch_for_each_change(changes: list[tuple[int, str]], compacted: int, seen: int) -> Batches | None:
    if seen + 1 < compacted:
        return None
    return [(revision, [key]) for revision, key in changes if revision > seen]


@wrong("missed", says="nothing is told twice")
def begins_with_what_was_seen(changes: list[tuple[int, str]], compacted: int, seen: int) -> Batches | None:
    if seen < compacted:
        return None
    batches: dict[int, list[str]] = {}
    for revision, key in changes:
        if revision >= seen:
            batches.setdefault(revision, []).append(key)
    return list(batches.items())


@wrong("missed", says="It knows 3, and 4 is still there")
def wants_the_revision_itself(changes: list[tuple[int, str]], compacted: int, seen: int) -> Batches | None:
    if seen < compacted:
        return None
    batches: dict[int, list[str]] = {}
    for revision, key in changes:
        if revision > seen:
            batches.setdefault(revision, []).append(key)
    return list(batches.items())
