"""Answers that people would give to the exercises of "One apply, traced", and what they should be told."""

from __future__ import annotations

from bookkit.exercises import wrong


@wrong("count_requests", says="share an auditID")
def lines(events: list[dict[str, str]]) -> int:
    return len(events)


@wrong("count_requests", says="not answered yet")
def answered(events: list[dict[str, str]]) -> int:
    return len({event["auditID"] for event in events if event["stage"] == "ResponseComplete"})


@wrong("missing", says="Pending is a report")
def any_report(writes: list[tuple[str, str]]) -> str | None:
    hands = ["deployment-controller", "replicaset-controller", "scheduler", "kubelet"]
    return hands[len(writes) - 1] if len(writes) <= len(hands) else None


@wrong("missing", says="has no pod")
def the_deployment_makes_pods(writes: list[tuple[str, str]]) -> str | None:
    seen = [news for _, news in writes]
    if ("pods", "created") not in writes:
        return "deployment-controller"
    return "scheduler" if "bound" not in seen else None if "Running" in seen else "kubelet"


@wrong("answers", says="A patch raises the version")
def only_updates_count(version: int, requests: list[tuple[str, int | None]]) -> list[int]:
    codes = []
    for verb, read in requests:
        ok = verb == "patch" or read == version
        version += ok and verb == "update"
        codes.append(200 if ok else 409)
    return codes


@wrong("answers", says="changes nothing")
def refused_count(version: int, requests: list[tuple[str, int | None]]) -> list[int]:
    codes = []
    for verb, read in requests:
        codes.append(200 if verb == "patch" or read == version else 409)
        version += 1
    return codes
