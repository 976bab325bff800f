"""What a kubelet says of CPU and memory, and what follows from two such answers. No effects, no clock.

Genuine counterpart: pkg/scraper and pkg/storage of the metrics-server, https://github.com/kubernetes-sigs/metrics-server
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

LINE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)(?: (\d+))?")
LABEL = re.compile(r'(\w+)="([^"]*)"')
FRESH = 10.0                   # seconds that a container has to have run before its start counts as a measurement
Key = tuple[str, str, str]     # namespace, pod, container; ("", "", "") is the node


@dataclass(frozen=True)
class Point:
    """What something had used by a moment."""

    at: float = 0.0            # seconds since 1970
    cpu: float = 0.0           # seconds on one CPU, since it began
    memory: int = 0            # bytes
    since: float = 0.0         # when it began; 0 for a node


@dataclass(frozen=True)
class Usage:
    """What something uses, measured over a while."""

    at: float                  # when that while ended
    window: float              # how long it was, in seconds
    nano_cores: int
    memory: int


def points(text: str) -> dict[Key, Point]:
    """The points in a kubelet's answer to /metrics/resource, of the node and of each container."""
    found: dict[Key, dict[str, float]] = {}
    for line in text.splitlines():
        match = None if line.startswith("#") else LINE.fullmatch(line)
        what, _, metric = match[1].partition("_") if match else ("", "", "")
        if match and what in ("node", "container"):
            about = dict(LABEL.findall(match[2] or ""))
            facts = found.setdefault((about.get("namespace", ""), about.get("pod", ""), about.get("container", "")), {})
            facts |= {metric: float(match[3])} | ({"at": int(match[4]) / 1000} if match[4] else {})
    return {key: Point(facts["at"], facts["cpu_usage_seconds_total"], int(facts["memory_working_set_bytes"]),
                       facts.get("start_time_seconds", 0.0))
            for key, facts in found.items()
            if facts.keys() >= {"at", "cpu_usage_seconds_total", "memory_working_set_bytes"}}


@dataclass
class Memory:
    """The last two points of everything that was in the last answer: what has gone is forgotten."""

    resolution: float                                          # seconds between two answers
    last: dict[Key, Point] = field(default_factory=dict)
    before: dict[Key, Point] = field(default_factory=dict)

    def store(self, fresh: dict[Key, Point]) -> None:
        """Take in an answer. Of a container that started anew, nothing earlier counts."""
        before = {}
        for key, point in fresh.items():
            last = self.last.get(key)
            if FRESH <= point.at - point.since < self.resolution:
                before[key] = Point(point.since, 0.0, point.memory, point.since)
            elif last and point.since <= last.at < point.at:
                before[key] = last
            elif last and last.at == point.at and key in self.before:
                before[key] = self.before[key]
        self.last, self.before = fresh, before

    def usage(self, key: Key) -> Usage | None:
        """What something uses, if that is known."""
        last, before = self.last.get(key), self.before.get(key)
        if last is None or before is None or last.cpu < before.cpu:
            return None
        window = last.at - before.at
        return Usage(last.at, window, round((last.cpu - before.cpu) / window * 1e9), last.memory)

    def of_pod(self, namespace: str, pod: str) -> dict[str, Usage] | None:
        """What each container of a pod uses; None unless that is known of all of them."""
        keys = [key for key in self.last if key[:2] == (namespace, pod)]
        found = {key[2]: usage for key in keys if (usage := self.usage(key))}
        return found if keys and len(found) == len(keys) else None


def earliest(uses: Iterable[Usage]) -> Usage:
    """The one that was measured first: a pod's figures are as old as the oldest of them."""
    return min(uses, key=lambda each: each.at)
