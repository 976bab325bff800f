"""Answers that people would give to the exercises of "What does a node decide by itself?", and what they should be told."""

from __future__ import annotations

from bookkit.exercises import wrong

Digests = dict[str, str]


@wrong("end_and_start", says="before the new one starts")
def starts_at_once(files: Digests, running: Digests) -> tuple[list[str], list[str]]:
    end = [name for name, digest in running.items() if files.get(name) != digest]
    return sorted(end), sorted(name for name, digest in files.items() if running.get(name) != digest)


@wrong("end_and_start", says="before the new one starts")
def looks_at_names_only(files: Digests, running: Digests) -> tuple[list[str], list[str]]:
    return sorted(running.keys() - files.keys()), sorted(files.keys() - running.keys())


@wrong("end_and_start", says="Both lists are sorted")
def does_not_sort(files: Digests, running: Digests) -> tuple[list[str], list[str]]:
    return [name for name, digest in running.items() if files.get(name) != digest], [name for name in files if name not in running]
