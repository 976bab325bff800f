"""Tables: what `kubectl get` prints is decided here, on the server, one row an object."""
from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinykube.machinery.objects import dig, name
from tinykube.machinery.wire import Object, Request

if TYPE_CHECKING:
    from tinykube.api.resources import Resource
    from tinykube.api.server import ApiServer

COLUMNS: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "columns.json").read_text())
NAME_AND_AGE = [
    {"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0},
    {"name": "Age", "type": "date", "format": "", "description": "", "priority": 0},
]
SCALE = [NAME_AND_AGE[0], *({"name": word, "type": "integer", "format": "", "description": "", "priority": 0}
                            for word in ("Desired", "Available")), NAME_AND_AGE[1]]


def install(server: ApiServer) -> None:
    """Let a server print: an answer becomes a Table where the client asks for one."""
    def shaper(request: Request, resource: Resource) -> Callable[[Object], Object] | None:
        if request.method != "GET" or not wants_table(request.headers.get("accept", "")):
            return None
        headings = [True]                         # in a watch, the first Table alone carries the columns

        def shape(answer: Object) -> Object:
            include = request.param("includeObject", "Metadata")
            return table(resource.plural, answer, server.clock.now(), include, bool(headings and headings.pop()))
        return shape
    server.shapers.append(shaper)


def wants_table(accept: str) -> bool:
    """Whether an Accept header asks, before anything else that we can write, for a Table."""
    for choice in accept.split(","):
        media, *parameters = (part.strip() for part in choice.split(";"))
        chosen = dict(p.split("=", 1) for p in parameters if "=" in p)
        if chosen.get("as") == "Table":
            return chosen.get("v") == "v1" and chosen.get("g") == "meta.k8s.io"
        if media in ("application/json", "*/*", "application/*"):
            return False
    return False


def table(plural: str, answer: Object, now: datetime, include: str = "Metadata", headings: bool = True) -> Object:
    """`answer` (an object or a list) as a Table. `include` is None, Metadata or Object: what comes with each row.

    Genuine counterpart: the Table of meta.k8s.io/v1, https://kubernetes.io/docs/reference/using-api/api-concepts/
    """
    items = answer["items"] if str(answer.get("kind", "")).endswith("List") and "items" in answer else [answer]
    keys = ("resourceVersion", "continue", "remainingItemCount")
    plural = "scales" if answer.get("kind") == "Scale" else plural
    about = {key: answer["metadata"][key] for key in keys if key in answer.get("metadata", {})}
    return {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": about,
            "columnDefinitions": (COLUMNS.get(plural) or (SCALE if plural == "scales" else NAME_AND_AGE)) if headings else None,
            "rows": [row(plural, item, now, include) for item in items]}


def row(plural: str, obj: Object, now: datetime, include: str) -> Object:
    """One object's cells, and as much of the object as the client asked to get along with them."""
    cells = {"cells": PRINTERS.get(plural, name_and_age)(obj, now)}
    if plural == "pods":
        cells |= finished(obj)
    if include == "Object":
        return cells | {"object": obj}
    if include == "None":
        return cells
    return cells | {"object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                               "metadata": obj.get("metadata", {})}}


def human(seconds: float) -> str:
    """A duration in at most two units: 45s, 3m20s, 5h, 2d4h. The genuine one is apimachinery's HumanDuration."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    whole = max(whole, 0)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 120:
        return f"{whole}s"
    if minutes < 10:
        return two(minutes, "m", whole % 60, "s")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return two(days, "d", hours % 24, "h")
    if days < 2 * 365:
        return f"{days}d"
    return two(days // 365, "y", days % 365, "d") if days < 8 * 365 else f"{days // 365}y"


def two(large: int, unit: str, small: int, small_unit: str) -> str:
    """`3m20s`, or `3m` when nothing is left over."""
    return f"{large}{unit}{small}{small_unit}" if small else f"{large}{unit}"


def age(when: str | None, now: datetime) -> str:
    """How long ago an RFC 3339 time was."""
    return human((now - instant(when)).total_seconds()) if when else "<unknown>"


def instant(when: str) -> datetime:
    """An RFC 3339 time as a datetime in UTC."""
    return datetime.fromisoformat(when.replace("Z", "+00:00")).astimezone(UTC)


def created(obj: Object, now: datetime) -> str:
    """The Age column."""
    return age(dig(obj, "metadata", "creationTimestamp"), now)


def name_and_age(obj: Object, now: datetime) -> list[Any]:
    """The row of a resource that has no columns of its own."""
    return [name(obj), created(obj, now)]


def pod_row(pod: Object, now: datetime) -> list[Any]:
    """NAME READY STATUS RESTARTS AGE, and for `-o wide` IP, NODE, NOMINATED NODE, READINESS GATES."""
    status, spec = pod.get("status") or {}, pod.get("spec") or {}
    sidecars = [c for c in spec.get("initContainers") or [] if c.get("restartPolicy") == "Always"]
    reason, ready, counted = pod_state(pod)
    restarts = sum(c.get("restartCount", 0) for c in counted)
    ends = [end for c in counted if (end := dig(c, "lastState", "terminated", "finishedAt"))]
    told = f"{restarts} ({age(max(ends, key=instant), now)} ago)" if restarts and ends else str(restarts)
    ip = dig(status, "podIPs", 0, "ip") or status.get("podIP")
    return [name(pod), f"{ready}/{len(spec.get('containers') or []) + len(sidecars)}", reason, told,
            created(pod, now), ip or "<none>", spec.get("nodeName") or "<none>",
            status.get("nominatedNodeName") or "<none>", readiness_gates(pod)]


def pod_state(pod: Object) -> tuple[str, int, list[Object]]:
    """(STATUS, ready containers, statuses whose restarts count), as the genuine printer derives them."""
    status = pod.get("status") or {}
    reason = status.get("reason") or status.get("phase") or ""
    if any(c["type"] == "PodScheduled" and c.get("reason") == "SchedulingGated" for c in conditions(pod)):
        reason = "SchedulingGated"
    counted = list(status.get("initContainerStatuses") or [])
    initializing, ready, sidecars = init_state(pod)
    if initializing and not holds(pod, "Initialized"):
        reason = initializing
    else:
        counted = sidecars + list(status.get("containerStatuses") or [])
        reason, running = container_state(status.get("containerStatuses") or [], reason)
        ready += running
        if reason == "Completed" and running:
            reason = "Running" if holds(pod, "Ready") else "NotReady"
    if dig(pod, "metadata", "deletionTimestamp") and status.get("reason") == "NodeLost":
        reason = "Unknown"
    elif dig(pod, "metadata", "deletionTimestamp") and status.get("phase") not in ("Succeeded", "Failed"):
        reason = "Terminating"
    return reason, ready, counted


def init_state(pod: Object) -> tuple[str, int, list[Object]]:
    """(`Init:...` while an init container is not done, ready sidecars, the sidecars' statuses)."""
    specs = {c["name"]: c for c in dig(pod, "spec", "initContainers", default=[])}
    ready, sidecars = 0, []
    for done, status in enumerate(dig(pod, "status", "initContainerStatuses", default=[])):
        state = status.get("state") or {}
        ended, waiting = state.get("terminated"), dig(state, "waiting", "reason", default="")
        sidecar = dig(specs, status["name"], "restartPolicy") == "Always"
        if sidecar:
            sidecars.append(status)
        if ended and ended.get("exitCode", 0) == 0:
            continue
        if sidecar and status.get("started"):
            ready += bool(status.get("ready"))
        elif ended:
            return f"Init:{end_of(ended)}", ready, sidecars
        elif waiting and waiting != "PodInitializing":
            return f"Init:{waiting}", ready, sidecars
        else:
            return f"Init:{done}/{len(specs)}", ready, sidecars
    return "", ready, sidecars


def container_state(statuses: list[Object], reason: str) -> tuple[str, int]:
    """(STATUS, ready containers): of several containers with something to say, the first has the word."""
    ready = 0
    for status in reversed(statuses):
        state = status.get("state") or {}
        if dig(state, "waiting", "reason"):
            reason = state["waiting"]["reason"]
        elif state.get("terminated"):
            reason = end_of(state["terminated"])
        elif status.get("ready") and state.get("running") is not None:
            ready += 1
    return reason, ready


def end_of(terminated: Object) -> str:
    """Why a container ended: its reason, else the signal, else the exit code."""
    signal = terminated.get("signal")
    return terminated.get("reason") or (f"Signal:{signal}" if signal else f"ExitCode:{terminated.get('exitCode', 0)}")


def conditions(obj: Object) -> list[Object]:
    """The object's status conditions."""
    return dig(obj, "status", "conditions", default=[])  # type: ignore[no-any-return]


def holds(obj: Object, kind: str) -> bool:
    """Whether a condition is True."""
    return any(c["type"] == kind and c.get("status") == "True" for c in conditions(obj))


def readiness_gates(pod: Object) -> str:
    """How many of the pod's readiness gates are open."""
    gates = dig(pod, "spec", "readinessGates", default=[])
    return f"{sum(holds(pod, gate['conditionType']) for gate in gates)}/{len(gates)}" if gates else "<none>"


def finished(pod: Object) -> Object:
    """The row condition by which a client can tell a pod that has ended."""
    texts = {"Succeeded": "The pod has completed successfully.", "Failed": "The pod failed."}
    phase = dig(pod, "status", "phase")
    if phase not in texts:
        return {}
    return {"conditions": [{"type": "Completed", "status": "True", "reason": phase, "message": texts[phase]}]}


def node_row(node: Object, now: datetime) -> list[Any]:
    """NAME STATUS ROLES AGE VERSION, and for `-o wide` addresses and what the node runs."""
    ready = [c for c in conditions(node) if c["type"] == "Ready"]
    status = ("Ready" if holds(node, "Ready") else "NotReady") if ready else "Unknown"
    if dig(node, "spec", "unschedulable"):
        status += ",SchedulingDisabled"
    info = dig(node, "status", "nodeInfo", default={})
    facts = [info.get(key) or "<unknown>" for key in ("osImage", "kernelVersion", "containerRuntimeVersion")]
    return [name(node), status, roles(node), created(node, now), info.get("kubeletVersion", ""),
            address(node, "InternalIP"), address(node, "ExternalIP"), *facts]


def roles(node: Object) -> str:
    """The node's roles, which are labels and nothing else."""
    prefix, found = "node-role.kubernetes.io/", set()
    for key, value in dig(node, "metadata", "labels", default={}).items():
        found.add(key.removeprefix(prefix) if key.startswith(prefix) else value if key == "kubernetes.io/role" else "")
    return ",".join(sorted(found - {""})) or "<none>"


def address(node: Object, kind: str) -> str:
    """The node's first address of a kind."""
    found = (a["address"] for a in dig(node, "status", "addresses", default=[]) if a["type"] == kind)
    return next(found, "<none>")


def configmap_row(config: Object, now: datetime) -> list[Any]:
    """NAME DATA AGE, where DATA counts the keys."""
    keys = len(config.get("data") or {}) + len(config.get("binaryData") or {})
    return [name(config), keys, created(config, now)]


def event_row(event: Object, now: datetime) -> list[Any]:
    """LAST SEEN TYPE REASON OBJECT ... MESSAGE, as `kubectl get events` prints them."""
    about, source, series = (event.get(key) or {} for key in ("involvedObject", "source", "series"))
    since = age(event.get("firstTimestamp") or event.get("eventTime"), now)
    last = age(event["lastTimestamp"], now) if event.get("lastTimestamp") else since
    if series:
        last = age(series.get("lastObservedTime"), now)
    target = about.get("kind", "").lower() + (f"/{about['name']}" if about.get("name") else "")
    by = [source.get("component") or event.get("reportingComponent"),
          source.get("host") or event.get("reportingInstance")]
    count = series.get("count", 0) if series else event.get("count") or 1
    return [last, event.get("type", ""), event.get("reason", ""), target, about.get("fieldPath", ""),
            ", ".join(part for part in by if part), event.get("message", "").strip(), since, count,
            name(event)]


PRINTERS: dict[str, Callable[[Object, datetime], list[Any]]] = {
    "pods": pod_row, "nodes": node_row, "configmaps": configmap_row, "events": event_row,
}

