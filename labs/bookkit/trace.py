"""Traces: who asked whom for what, and what became of an object. From a cluster's log, an audit log, or a watch.

    trace = Trace.from_log(cluster.log)                    # our cluster
    trace = Trace.from_audit(Path("audit.log").open())     # a genuine api-server's audit log (JSON lines)
    trace.about("pods/web").writes().sequence()            # a sequence diagram
    trace.about("pods/web").stepper()                      # the same, step by step (works without a kernel)

    history = Trace.from_watch(events)                     # what a watch delivered: {"type": ..., "object": ...}
    history.timeline()                                     # the object's phase, conditions and containers
    compare({"tiny": history, "genuine": other})           # two runs, one above the other
    side_by_side({"tiny": trace, "genuine": other})        # two sequences, equal requests in one row

Everything is drawn by order, not by time, unless asked (`times=True`): the same run gives the same picture.
Requests of independent components may interleave differently in two runs; `about(...)` and `writes()` leave
what has one order, because each write waits for the one before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import ipywidgets  # type: ignore[import-untyped]

from bookkit.figures import Drawing, arrow, box, line, shorten, svg, text, text_table, text_width
from bookkit.widgets import player

Object = dict[str, Any]
NOISE = frozenset({"leases", "", "events"})
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
METHODS = WRITES | {"GET", "HEAD", "OPTIONS"}
ORDER = ("you", "kubectl", "client", "kube-apiserver", "api-server", "controller-manager", "kube-controller-manager",
         "deployment-controller", "replicaset-controller", "scheduler", "kube-scheduler", "kubelet")
API_VERBS = {"get": "GET", "list": "GET", "watch": "GET", "create": "POST", "update": "PUT", "patch": "PATCH",
             "delete": "DELETE", "deletecollection": "DELETE"}


@dataclass(frozen=True)
class Step:
    """One request: who asked whom, for what, and what the answer was. `at` and `seconds` are in seconds."""

    who: str
    to: str
    method: str
    path: str
    status: int
    at: float = 0.0
    seconds: float = 0.0
    size: int = 0
    stream: bool = False
    query: str = ""

    @property
    def target(self) -> Target:
        """What the path names."""
        return Target.of(self.path)

    @property
    def label(self) -> str:
        """The request in a few words: `POST pods/web/binding`, `WATCH pods`."""
        method = "WATCH" if self.watch else self.method
        return f"{method} {self.target or self.path}"

    @property
    def watch(self) -> bool:
        """Whether the request is a watch."""
        return dict(parse_qsl(self.query)).get("watch", "") in ("1", "true")


@dataclass(frozen=True)
class Target:
    """What a path of the Kubernetes API names: a resource, maybe an object, maybe a subresource."""

    resource: str = ""
    name: str = ""
    subresource: str = ""
    namespace: str = ""

    @classmethod
    def of(cls, path: str) -> Target:
        """Read a path; a Target with no resource when it is none of the API's (such as /healthz)."""
        found = re.match(r"/(?:api/[^/]+|apis/[^/]+/[^/]+)/(.+)", path)
        if not found:
            return cls()
        parts, namespace = found[1].strip("/").split("/"), ""
        if parts[0] == "namespaces" and len(parts) > 2 and parts[2] not in ("status", "finalize"):
            namespace, parts = parts[1], parts[2:]
        resource, name, *rest = [*parts, "", ""][:max(len(parts), 2)]
        return cls(resource, name, "/".join(rest).strip("/"), namespace)

    def __str__(self) -> str:
        return "/".join(p for p in (self.resource, self.name, self.subresource) if p)


@dataclass(frozen=True)
class Seen:
    """One watch event: what kind, the object, and when it came (seconds since the first)."""

    kind: str
    object: Object
    at: float = 0.0


@dataclass(frozen=True)
class Trace:
    """Steps and watch events in their order. Every filter returns a new Trace."""

    steps: tuple[Step, ...] = ()
    seen: tuple[Seen, ...] = ()
    source: str = ""

    # Where traces come from

    @classmethod
    def from_log(cls, log: Any, source: str = "tiny") -> Trace:
        """From a cluster's event log (or its records): the api-server's records, one a request."""
        records = list(getattr(log, "records", log))
        requests = [r for r in records if r.get("component") == "api" and "path" in r and "status" in r]
        steps = []
        for record in requests:
            url = urlsplit(str(record.get("path", "")))
            query = record.get("query") or url.query
            query = query if isinstance(query, str) else "&".join(f"{k}={v}" for k, v in query)
            steps.append(Step(component_of(str(record.get("user_agent") or record.get("who") or "client")),
                              "api-server", str(record.get("method") or record["verb"]), url.path,
                              int(record.get("status") or 0),
                              _seconds(record.get("at")), float(record.get("seconds") or record.get("duration") or 0),
                              int(record.get("bytes") or 0), bool(record.get("stream")), query))
        return cls(_from_zero(steps), source=source)

    @classmethod
    def from_audit(cls, lines: Iterable[str | Object], source: str = "genuine") -> Trace:
        """From a genuine audit log: JSON lines of audit.k8s.io/v1 Events, in the order in which requests arrived."""
        steps = []
        for raw in lines:
            if isinstance(raw, str) and not raw.strip():
                continue
            event: Object = json.loads(raw) if isinstance(raw, str) else raw
            watch = event.get("verb") == "watch"
            if event.get("stage") != ("ResponseStarted" if watch else "ResponseComplete"):
                continue
            url = urlsplit(event.get("requestURI", ""))
            start, end = _seconds(event.get("requestReceivedTimestamp")), _seconds(event.get("stageTimestamp"))
            steps.append(Step(component_of(event.get("userAgent", "")), "kube-apiserver",
                              API_VERBS.get(event.get("verb", ""), str(event.get("verb", "")).upper()), url.path,
                              int(event.get("responseStatus", {}).get("code", 0)), start, end - start, 0, watch,
                              url.query))
        return cls(_from_zero(sorted(steps, key=lambda s: s.at)), source=source)

    @classmethod
    def from_watch(cls, events: Iterable[Any], source: str = "") -> Trace:
        """From watch events: dicts (`type`, `object`, maybe `at`) or pairs (seconds, dict). For events of the
        official client the raw object is taken (`raw_object`)."""
        seen = []
        for n, item in enumerate(events):
            at, event = item if isinstance(item, tuple) else (None, item)
            at = event.get("at", n) if at is None else at
            obj = event.get("raw_object") or event["object"]
            seen.append(Seen(str(event["type"]), obj, _seconds(at)))
        first = min((s.at for s in seen), default=0.0)
        return cls(seen=tuple(replace(s, at=s.at - first) for s in seen), source=source)

    # Filters

    def only(self, wanted: Callable[[Step], bool]) -> Trace:
        """The steps for which `wanted(step)` holds."""
        return replace(self, steps=tuple(s for s in self.steps if wanted(s)))

    def about(self, key: str) -> Trace:
        """The requests on one object (`pods/web`, its subresources included, and its creation) or resource (`pods`)."""
        resource, _, name = key.partition("/")

        def concerns(step: Step) -> bool:
            target = step.target
            created = step.method == "POST" and not target.name
            return target.resource == resource and (not name or target.name == name or created)
        objects = tuple(s for s in self.seen if not name or s.object.get("metadata", {}).get("name") == name)
        return replace(self.only(concerns), seen=objects)

    def writes(self) -> Trace:
        """The requests that may change something."""
        return self.only(lambda s: s.method in WRITES)

    def by(self, *who: str) -> Trace:
        """The requests of these components."""
        return self.only(lambda s: s.who in who)

    def quiet(self) -> Trace:
        """Without what goes on all the time: leases, events, health checks, discovery."""
        return self.only(lambda s: s.target.resource not in NOISE)

    def __len__(self) -> int:
        return len(self.steps) + len(self.seen)

    # Pictures

    def rows(self, times: bool = False) -> list[tuple[str, ...]]:
        """The steps as a table, head first."""
        head: tuple[str, ...] = ("step", "from", "to", "request", "answer") + (("at ms",) if times else ())
        return [head, *(tuple([str(n), s.who, s.to, s.label, str(s.status or "open")]
                              + ([f"{s.at * 1000:.0f}"] if times else [])) for n, s in enumerate(self.steps, 1))]

    def sequence(self, title: str = "", *, times: bool = False, caption: str = "", mark: int = 0) -> Drawing:
        """A sequence diagram: a column a component, an arrow a request. `mark` is the number of a step to point at."""
        title = title or f"Requests{f' ({self.source})' if self.source else ''}"
        rows = self.rows(times)
        if not self.steps:
            return Drawing(svg(320, 50, [text(16, 30, "no requests")], title, "No requests."), "no requests", title,
                           caption)
        actors = sorted({s.who for s in self.steps} | {s.to for s in self.steps}, key=_rank)
        left = 66.0 if times else 40.0
        centers = _columns(actors, self.steps, left)
        height = 70 + 40 * len(self.steps) + 16
        width = centers[actors[-1]] + text_width(actors[-1], 13) / 2 + 30
        body = []
        for actor in actors:
            wide = text_width(actor) + 22
            body += [line(centers[actor], 40, centers[actor], height - 8, "dash"),
                     box(centers[actor] - wide / 2, 10, wide, 30), text(centers[actor], 30, actor, "m h")]
        for n, step in enumerate(self.steps, 1):
            body += _message(n, step, centers, 62 + 40 * n - 26, times, left, mark, width)
        return Drawing(svg(width, height, body, title, "; ".join(
            f"{n}. {s.who} to {s.to}: {s.label}, {s.status or 'open'}" for n, s in enumerate(self.steps, 1))),
            text_table(rows), title, caption, tuple(rows))

    def stepper(self, title: str = "") -> ipywidgets.VBox:
        """The sequence, one request at a time, with Play and a slider. Works on a page without a kernel."""
        frames = [replace(replace(self, steps=self.steps[:n]).sequence(title, mark=n), rows=())
                  for n in range(1, len(self.steps) + 1)]
        labels = [f"{s.who} → {s.to}: {s.label}, answer {s.status or 'still open'}" for s in self.steps]
        return player(frames or [self.sequence(title)], labels or ["no requests"])

    def timeline(self, title: str = "", *, times: bool = False, caption: str = "") -> Drawing:
        """What became of the watched object: a lane for the phase, each condition, each container."""
        return compare({self.source or "watch": self}, title or "What the watch saw", times=times, caption=caption)


def component_of(user_agent: str) -> str:
    """The component behind a user agent: `kube-scheduler/v1.37.2 (linux/amd64) ...` is kube-scheduler."""
    name = re.split(r"[/ ]", user_agent.strip(), maxsplit=1)[0].removeprefix("tinykube-") or "client"
    return {"python-requests": "you", "OpenAPI-Generator": "you", "curl": "you"}.get(name, name)


def lanes_of(obj: Object) -> dict[str, str]:
    """The state of a pod or node in lanes: its phase, node, conditions and containers, each as a short word."""
    status, spec = obj.get("status", {}), obj.get("spec", {})
    lanes: dict[str, str] = {}
    if status.get("phase"):
        lanes["phase"] = status["phase"]
    if spec.get("nodeName"):
        lanes["node"] = spec["nodeName"]
    for condition in status.get("conditions", []):
        value = condition["status"]
        reason = condition.get("reason")
        lanes[condition["type"]] = value if value == "True" or not reason else f"{value}: {reason}"
    for container in status.get("containerStatuses", []):
        state: dict[str, Object | None] = container.get("state", {})
        kind = next((k for k, v in state.items() if v is not None), "waiting")
        facts = state.get(kind) or {}
        word = facts.get("reason") or kind
        word = "running" if kind == "running" else f"{word} ({facts['exitCode']})" if "exitCode" in facts else word
        again = f", restart {container['restartCount']}" if container.get("restartCount") else ""
        lanes[f"container {container['name']}"] = word + again
    if obj.get("metadata", {}).get("deletionTimestamp"):
        lanes["deletion"] = "asked for"
    return lanes


def compare(runs: Mapping[str, Trace], title: str = "Runs, one above the other", *, times: bool = False,
            caption: str = "") -> Drawing:
    """Timelines of several runs, one above the other; columns are the watch events (with `times`, milliseconds)."""
    column, left, body, said, y = 118.0, 170.0, [], [], 10.0
    table: list[tuple[str, ...]] = [("run", "event", "changed")]
    longest = max((len(t.seen) for t in runs.values()), default=1)
    width = left + max(longest, 1) * column + 20
    for run, trace in runs.items():
        states: list[dict[str, str]] = [{} if s.kind == "DELETED" else lanes_of(s.object) for s in trace.seen]
        names = list(dict.fromkeys(name for state in states for name in state))
        body.append(text(12, y + 18, run, "h"))
        before: dict[str, str] = {}
        for n, event in enumerate(trace.seen):
            head = f"{n + 1} {event.kind}" + (f" {event.at * 1000:.0f} ms" if times else "")
            body.append(text(left + n * column + 4, y + 18, head, "s"))
            body.append(line(left + n * column, y + 24, left + n * column, y + 28 + 26 * len(names), "dash"))
            changed = ", ".join(f"{k}={v}" for k, v in states[n].items() if before.get(k) != v)
            table.append((run, f"{n + 1} {event.kind}" + (f" {event.at * 1000:.0f} ms" if times else ""),
                          changed or ("gone" if event.kind == "DELETED" else "nothing of this")))
            before = states[n]
        y += 28
        for m, name in enumerate(names):
            if m % 2 == 0:
                body.append(box(4, y, width - 8, 26, "band", 0))
            body.append(text(12, y + 17, shorten(name, 24), "s"))
            body += _lane([state.get(name, "") for state in states], left, y, column)
            y += 26
        y += 18
    text_form = text_table(table)
    said = [" ".join(r) for r in table[1:]]
    return Drawing(svg(width, y, body, title, "; ".join(said)), text_form, title, caption, tuple(table))


def aligned(one: Sequence[Step], other: Sequence[Step]) -> list[tuple[Step | None, Step | None]]:
    """Two sequences in rows: equal requests (by sender, label and answer) share one, others have one for themselves."""
    def keys(steps: Sequence[Step]) -> list[tuple[str, str, int]]:
        return [(step.who, step.label, step.status) for step in steps]
    rows: list[tuple[Step | None, Step | None]] = []
    for what, a, b, c, d in SequenceMatcher(None, keys(one), keys(other), autojunk=False).get_opcodes():
        if what == "equal":
            rows += zip(one[a:b], other[c:d], strict=True)
        else:
            rows += [(step, None) for step in one[a:b]] + [(None, step) for step in other[c:d]]
    return rows


def side_by_side(runs: Mapping[str, Trace], title: str = "Two runs, side by side", *, caption: str = "") -> Drawing:
    """The sequences of two runs, side by side: a row a request, with a gap where only the other run has it."""
    (left, one), (right, other) = runs.items()
    rows = aligned(one.steps, other.steps)
    actors = sorted({name for step in (*one.steps, *other.steps) for name in (step.who, step.to)}, key=_rank)
    lane, high, head = 54.0, 34.0, 84.0
    span = lane * len(actors) + 16
    body, height = [], head + high * len(rows) + 10
    for at, run in enumerate((left, right)):
        body += _ladder(run, actors, 30 + at * (span + 14), lane, height)
    for n, pair in enumerate(rows, 1):
        y = head + high * (n - 1)
        if n % 2:
            body.insert(0, box(2, y, 2 * span + 48, high, "band", 0))
        body.append(text(6, y + 21, n, "s"))
        for at, step in enumerate(pair):
            if step:
                body += _rung(step, actors, 30 + at * (span + 14), lane, y)
    table: list[tuple[str, ...]] = [("row", "from", "request", left, right)]
    for n, (a, b) in enumerate(rows, 1):
        step = a or b
        assert step
        table.append((str(n), step.who, step.label, *(str(each.status or "open") if each else "-" for each in (a, b))))
    said = "; ".join(" ".join(row) for row in table[1:])
    return Drawing(svg(2 * span + 52, height, body, title, said), text_table(table), title, caption, tuple(table))


def _ladder(run: str, actors: Sequence[str], x: float, lane: float, height: float) -> list[str]:
    """The head of one run's half, and a line for each component; heads stand on two levels, to have room."""
    body = [text(x, 16, run, "h")]
    for n, actor in enumerate(actors):
        center = x + lane * (n + 0.5)
        first, dash, rest = actor.rpartition("-")
        words = [first + dash, rest] if dash else [rest]
        top = 32 + 26 * (n % 2)
        body += [text(center, top + 12 * k, word, "m s") for k, word in enumerate(words)]
        body.append(line(center, top + 12 * len(words) - 6, center, height - 6, "dash"))
    return body


def _rung(step: Step, actors: Sequence[str], x: float, lane: float, y: float) -> list[str]:
    """One request: its words, and below them an arrow from who asks to who is asked."""
    start, end = (x + lane * (actors.index(name) + 0.5) for name in (step.who, step.to))
    color = "d" if step.status >= 400 else "e" if step.watch else "b" if step.method in WRITES else "a"
    drawn = [arrow(start, y + 26, end, y + 26, color)] if start != end else [box(start - 5, y + 21, 10, 10, f"paper {color}", 5)]
    return [text(x + 2, y + 15, f"{shorten(step.label, 46)} → {step.status or 'open'}", f"s t{color} halo"), *drawn]


def _lane(values: Sequence[str], left: float, y: float, column: float) -> list[str]:
    out, start = [], 0
    for n in range(1, len(values) + 1):
        if n < len(values) and values[n] == values[start]:
            continue
        if values[start]:
            wide = (n - start) * column - 3
            room = max(int(wide / 7), 3)
            x, color = left + start * column, _color(values[start])
            out += [box(x, y + 3, wide, 20, f"paper {color}", 4),
                    text(x + 7, y + 17, shorten(values[start], room), f"s t{color}")]
        start = n
    return out


def _color(value: str) -> str:
    if value in ("True", "Running", "running", "Succeeded"):
        return "b"
    if value.startswith(("Failed", "Error", "CrashLoop", "ErrImage", "ImagePull", "OOM", "Out")):
        return "d"
    if value.startswith(("Pending", "False", "Unknown", "ContainerCreating", "waiting", "asked")):
        return "c"
    return "a"


def _rank(name: str) -> tuple[int, str]:
    return (ORDER.index(name) if name in ORDER else 2 if name.startswith("kubectl") else len(ORDER), name)


def _columns(actors: Sequence[str], steps: Sequence[Step], left: float) -> dict[str, float]:
    """Where each component's line stands: far enough apart for what is written between them."""
    index = {a: n for n, a in enumerate(actors)}
    gaps = [max(110.0, (text_width(a) + text_width(b)) / 2 + 40) for a, b in pairwise(actors)]
    for step in steps:
        low, high = sorted((index[step.who], index[step.to]))
        if low == high:
            continue
        needed = text_width(_words(step), 12.5) + 64
        room = sum(gaps[low:high])
        if needed > room:
            gaps[low] += needed - room
    at = left + text_width(actors[0]) / 2
    places = {actors[0]: at}
    for actor, gap in zip(actors[1:], gaps, strict=True):
        at += gap
        places[actor] = at
    return places


def _words(step: Step) -> str:
    return f"{shorten(step.label, 44)} → {step.status or 'open'}"


def _message(n: int, step: Step, centers: Mapping[str, float], y: float, times: bool, left: float, mark: int,
             width: float) -> list[str]:
    x1, x2 = centers[step.who], centers[step.to]
    color = "d" if step.status >= 400 else "e" if step.watch else "b" if step.method in WRITES else "a"
    shown = [box(2, y - 15, width - 4, 36, "band", 4)] if n == mark else []
    shown += [text(8, y + 16, f"{step.at * 1000:.0f} ms" if times else str(n), "s")]
    if x1 == x2:
        return [*shown, text(x1 + 8, y + 6, _words(step), f"t{color} halo")]
    shown += [text((x1 + x2) / 2, y + 4, _words(step), f"m code t{color} halo"), arrow(x1, y + 12, x2, y + 12, color)]
    return shown


def _seconds(value: Any) -> float:
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, datetime):
        return value.timestamp()
    return datetime.fromisoformat(str(value).replace("Z", "+00:00")).timestamp() if value else 0.0


def _from_zero(steps: Sequence[Step]) -> tuple[Step, ...]:
    first = min((s.at for s in steps), default=0.0)
    return tuple(replace(s, at=s.at - first) for s in steps)
