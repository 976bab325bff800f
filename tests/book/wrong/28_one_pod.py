"""Answers that people would give to the exercises of "One pod, told twice", and what they should be told."""

from __future__ import annotations

from bookkit.exercises import wrong

Step = tuple[str, str, str, int]


def part_of(target: str) -> str | None:
    return {"": "pod", "binding": "node", "status": "status"}.get(target.removeprefix("pods").removeprefix("/web").strip("/"))


@wrong("who_acted", says="A GET reads")
def counts_reading(steps: list[Step]) -> dict[str, str]:
    found: dict[str, str] = {}
    for who, _, target, status in steps:
        part = part_of(target)
        if part and status < 300:
            found.setdefault(part, who)
    return found


@wrong("who_acted", says="was refused")
def counts_what_was_refused(steps: list[Step]) -> dict[str, str]:
    found: dict[str, str] = {}
    for who, method, target, _ in steps:
        part = part_of(target)
        if part and method != "GET":
            found.setdefault(part, who)
    return found


@wrong("who_acted", says="The first one counts")
def takes_the_last(steps: list[Step]) -> dict[str, str]:
    found: dict[str, str] = {}
    for who, method, target, status in steps:
        part = part_of(target)
        if part and method != "GET" and status < 300:
            found[part] = who
    return found


@wrong("time_in_phase", says="their times add up")
def forgets_what_was(events: list[tuple[int, str]]) -> dict[str, int]:
    spent = {}
    for n, (start, phase) in enumerate(events[:-1]):
        spent[phase] = events[n + 1][0] - start
    return spent


@wrong("time_in_phase", says="take differences")
def takes_the_clock(events: list[tuple[int, str]]) -> dict[str, int]:
    return {phase: events[n + 1][0] for n, (_, phase) in enumerate(events[:-1])}


@wrong("time_in_phase", says="has no end")
def gives_the_last_one_nothing(events: list[tuple[int, str]]) -> dict[str, int]:
    spent: dict[str, int] = {}
    for n, (start, phase) in enumerate(events):
        end = events[n + 1][0] if n + 1 < len(events) else start
        spent[phase] = spent.get(phase, 0) + end - start
    return spent


Events = list[tuple[str, str, str]]


@wrong("events_until_running", says="no event is needed")
def forgets_the_list(listed: dict[str, str], events: Events, name: str) -> int | None:
    return next((n for n, (kind, whose, phase) in enumerate(events, 1)
                 if whose == name and kind != "DELETED" and phase == "Running"), None)


@wrong("events_until_running", says="about another pod")
def takes_any_pod(listed: dict[str, str], events: Events, name: str) -> int | None:
    if listed.get(name) == "Running":
        return 0
    return next((n for n, (kind, _, phase) in enumerate(events, 1) if kind != "DELETED" and phase == "Running"), None)


@wrong("events_until_running", says="runs no more")
def believes_the_dead(listed: dict[str, str], events: Events, name: str) -> int | None:
    if listed.get(name) == "Running":
        return 0
    return next((n for n, (_, whose, phase) in enumerate(events, 1) if whose == name and phase == "Running"), None)
