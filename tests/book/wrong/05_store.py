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
