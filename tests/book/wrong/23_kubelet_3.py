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


@wrong("cpus_used", says="nothing to divide by")
def divides_by_nothing(before: tuple[float, float], after: tuple[float, float]) -> float:
    passed = after[0] - before[0]
    return (after[1] - before[1]) / passed if passed else 0.0


@wrong("cpus_used", says="another start")
def takes_a_fall_for_work(before: tuple[float, float], after: tuple[float, float]) -> float | None:
    passed = after[0] - before[0]
    return (after[1] - before[1]) / passed if passed else None


@wrong("first_to_go", says="although it uses more")
def by_use(pods: list[dict[str, int]]) -> int:
    return max(pods, key=lambda pod: pod["used"])["name"]


@wrong("first_to_go", says="whatever their priorities")
def by_priority_first(pods: list[dict[str, int]]) -> int:
    return min(pods, key=lambda pod: (pod["priority"], pod["asked"] - pod["used"]))["name"]


@wrong("first_to_go", says="the lower priority goes first")
def without_priority(pods: list[dict[str, int]]) -> int:
    return max(pods, key=lambda pod: pod["used"] - pod["asked"])["name"]
