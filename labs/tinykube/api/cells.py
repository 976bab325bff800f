"""What stands in the columns of the kinds that need no function of their own: a table of words, and what these mean.

A word is a field (`spec.replicas|0`, with what to print where there is none), a count (`#webhooks`), a text with
fields in braces, or one of the names in CELLS.
"""
from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from tinykube.api.table import PRINTERS, age, human, instant
from tinykube.machinery.objects import dig
from tinykube.machinery.wire import Object

WORDS: dict[str, list[str]] = json.loads((Path(__file__).parent / "data" / "cells.json").read_text())
MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def learn_words() -> None:
    """Let tables print the kinds that have words here."""
    PRINTERS.update({plural: partial(row_of, plural) for plural in WORDS if plural != "origin"})


def row_of(plural: str, obj: Object, now: datetime) -> list[Any]:
    """One object's cells, by the words for its resource."""
    return [cell(word, obj, now) for word in WORDS[plural]]


def cell(word: str, obj: Object, now: datetime) -> Any:
    """What a word means for an object."""
    if word in CELLS:
        return CELLS[word](obj, now)
    if word.startswith("#"):
        return len(dig(obj, *word[1:].split("."), default=()))
    if word.startswith("{"):
        return re.sub(r"\{(.*?)\}", lambda found: str(cell(found[1], obj, now)), word)
    path, _, otherwise = word.partition("|")
    value = dig(obj, *path.split("."))
    return value if value not in (None, "") else {"0": 0, "true": True, "false": False}.get(otherwise, otherwise)


def joined(texts: Iterable[Any], separator: str = ",", nothing: str = "<none>") -> str:
    """Texts in one, or a word for nothing."""
    return separator.join(str(each) for each in texts if each not in (None, "")) or nothing


def some(texts: list[str], limit: int = 3, nothing: str = "<none>") -> str:
    """The first of many texts, and how many more there are."""
    more = f" + {len(texts) - limit} more..." if len(texts) > limit else ""
    return joined(texts[:limit], ",", nothing) + more


def selected(selector: Object | None) -> str:
    """A selector as it is typed, matchLabels and matchExpressions or a plain map."""
    if not selector or ("matchLabels" not in selector and "matchExpressions" not in selector):
        return joined(f"{key}={value}" for key, value in sorted((selector or {}).items()))
    told = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for term in selector.get("matchExpressions") or []:
        values = f"({','.join(sorted(term.get('values') or []))})"
        told.append({"In": f"{term['key']} in {values}", "NotIn": f"{term['key']} notin {values}",
                     "Exists": term["key"]}.get(term["operator"], f"!{term['key']}"))
    return joined(sorted(told, key=lambda text: re.split(r"[ =]", text.lstrip("!"))[0]))


def pods_of(obj: Object) -> Object:
    """The pod's spec in the template of a kind that makes pods."""
    for path in (("template",), ("spec", "template"), ("spec", "jobTemplate", "spec", "template")):
        if found := dig(obj, *path, "spec"):
            return found  # type: ignore[no-any-return]
    return {}


def each_of(obj: Object, *path: str) -> list[Any]:
    """The items of a list, or none."""
    return dig(obj, *path, default=[])  # type: ignore[no-any-return]


def phase(obj: Object, now: datetime) -> str:
    """A volume's phase, or that it is going."""
    return "Terminating" if dig(obj, "metadata", "deletionTimestamp") else dig(obj, "status", "phase", default="")


def endpoints(obj: Object, now: datetime) -> str:
    """The first three addresses with their ports."""
    found = [f"{address['ip']}:{port['port']}" if port else address["ip"] for subset in each_of(obj, "subsets")
             for port in each_of(subset, "ports") or [None] for address in each_of(subset, "addresses")]
    return some(found)


def external(obj: Object, now: datetime) -> str:
    """Where a Service is reached from outside."""
    spec, kind = obj["spec"], dig(obj, "spec", "type")
    if kind == "ExternalName":
        return str(spec.get("externalName", ""))
    points = [point.get("ip") or point.get("hostname") for point in each_of(obj, "status", "loadBalancer", "ingress")]
    found = [*(points if kind == "LoadBalancer" else []), *(spec.get("externalIPs") or [])]
    return joined(found, nothing="<pending>" if kind == "LoadBalancer" else "<none>")


def service_port(port: Object) -> str:
    """A Service's port: 80:30080/TCP."""
    return f"{port['port']}{':' + str(port['nodePort']) if port.get('nodePort') else ''}/{port.get('protocol', 'TCP')}"


def quota(obj: Object, limits: bool) -> str:
    """What of a quota is used, for the resources that are limits or those that are not."""
    hard = dig(obj, "status", "hard", default={})
    return joined((f"{name}: {dig(obj, 'status', 'used', name, default='0')}/{hard[name]}" for name in sorted(hard)
                   if name.startswith("limits") == limits), ", ", "")


def owner(obj: Object, now: datetime) -> str:
    """The controller that owns an object: statefulset.apps/web."""
    for each in each_of(obj, "metadata", "ownerReferences"):
        if each.get("controller"):
            group = each["apiVersion"].rpartition("/")[0]
            return f"{each['kind'].lower()}{'.' + group if group else ''}/{each['name']}"
    return "<none>"


def has(obj: Object, kind: str) -> bool:
    """Whether a condition is True."""
    return any(each["type"] == kind and each.get("status") == "True" for each in each_of(obj, "status", "conditions"))


def job_status(job: Object, now: datetime) -> str:
    """How a Job is doing, the worst news first."""
    if has(job, "Complete"):
        return "Complete"
    if has(job, "Failed"):
        return "Failed"
    if dig(job, "metadata", "deletionTimestamp"):
        return "Terminating"
    for condition, word in (("Suspended", "Suspended"), ("FailureTarget", "FailureTarget"),
                            ("SuccessCriteriaMet", "SuccessCriteriaMet")):
        if has(job, condition):
            return word
    return "Running"


def completions(job: Object, now: datetime) -> str:
    """How many pods of a Job have done their work, of how many."""
    done, wanted = dig(job, "status", "succeeded", default=0), dig(job, "spec", "completions")
    at_once = dig(job, "spec", "parallelism", default=0)
    return f"{done}/{wanted}" if wanted is not None else f"{done}/1 of {at_once}" if at_once > 1 else f"{done}/1"


def duration(job: Object, now: datetime) -> str:
    """How long a Job ran, or has been running."""
    start, end = dig(job, "status", "startTime"), dig(job, "status", "completionTime")
    return human(((instant(end) if end else now) - instant(start)).total_seconds()) if start else ""


def targets(hpa: Object, now: datetime) -> str:
    """What an autoscaler measures and what it aims at, the first two of it."""
    texts = []
    for at, metric in enumerate(each_of(hpa, "spec", "metrics")):
        kind = metric["type"][0].lower() + metric["type"][1:]
        source = metric[kind]
        form = next(name for name in ("averageUtilization", "averageValue", "value") if name in source["target"])
        value = dig(hpa, "status", "currentMetrics", at, kind, "current", form, default="<unknown>")
        percent = "%" if form == "averageUtilization" else ""
        told = f"{value}{percent if value != '<unknown>' else ''}/{source['target'][form]}{percent}"
        if metric["type"] in ("Resource", "ContainerResource"):
            told = f"{source['name']}: {told}"
        elif form == "averageValue" and metric["type"] != "Pods":
            told += " (avg)"
        texts.append(told)
    more = f" + {len(texts) - 2} more..." if len(texts) > 2 else ""
    return joined(texts[:2], ", ") + more


def approval(request: Object, now: datetime) -> str:
    """What has become of a certificate signing request."""
    words = [kind for kind in ("Approved", "Denied", "Failed") if has(request, kind)]
    return joined([*words, "Issued" if dig(request, "status", "certificate") else ""], ",", "Pending")


def subjects(kind: str) -> Callable[[Object, datetime], str]:
    """The subjects of a kind that a binding names."""
    def found(obj: Object, now: datetime) -> str:
        return joined((f"{each.get('namespace', '')}/{each['name']}" if kind == "ServiceAccount" else each["name"]
                       for each in each_of(obj, "subjects") if each["kind"] == kind), ", ", "")
    return found


def available(service: Object, now: datetime) -> str:
    """Whether an APIService answers, and if not, why."""
    if has(service, "Available") or not dig(service, "spec", "service"):
        return "True"
    return joined((f"False ({each.get('reason')})" for each in each_of(service, "status", "conditions")), nothing="Unknown")


CELLS: dict[str, Callable[[Object, datetime], Any]] = {
    "name": lambda obj, now: dig(obj, "metadata", "name", default=""),
    "age": lambda obj, now: age(dig(obj, "metadata", "creationTimestamp"), now),
    "containers": lambda obj, now: joined(each["name"] for each in each_of(pods_of(obj), "containers")),
    "images": lambda obj, now: joined(each.get("image") for each in each_of(pods_of(obj), "containers")),
    "selector": lambda obj, now: selected(dig(obj, "spec", "selector")),
    "pod selector": lambda obj, now: selected(dig(obj, "spec", "podSelector")),
    "node selector": lambda obj, now: selected(pods_of(obj).get("nodeSelector")),
    "template labels": lambda obj, now: selected(dig(obj, "template", "metadata", "labels")),
    "phase": phase, "endpoints": endpoints, "external": external, "owner": owner, "job status": job_status,
    "completions": completions, "duration": duration, "targets": targets, "approval": approval, "available": available,
    "claimed": lambda obj, now: dig(obj, "status", "capacity", "storage", default="0" if dig(
        obj, "spec", "volumeName") else ""),
    "claimed modes": lambda obj, now: joined((MODES[each] for each in each_of(obj, "status", "accessModes")), nothing=""),
    "modes": lambda obj, now: joined(MODES[each] for each in each_of(obj, "spec", "accessModes")),
    "class": lambda obj, now: dig(obj, "spec", "storageClassName", default=""),
    "claim": lambda obj, now: joined([dig(obj, "spec", "claimRef", key) for key in ("namespace", "name")], "/", ""),
    "service ports": lambda obj, now: joined(service_port(port) for port in each_of(obj, "spec", "ports")),
}
CELLS |= {
    "requests": lambda obj, now: quota(obj, False), "limits": lambda obj, now: quota(obj, True),
    "last schedule": lambda obj, now: age(at, now) if (at := dig(obj, "status", "lastScheduleTime")) else "<none>",
    "requested duration": lambda obj, now: human(at) if (at := dig(obj, "spec", "expirationSeconds")) else "<none>",
    "slice ports": lambda obj, now: some([str(port["port"]) for port in each_of(obj, "ports")], nothing="<unset>"),
    "slice endpoints": lambda obj, now: some([address for each in each_of(obj, "endpoints")
                                              for address in each["addresses"]], nothing="<unset>"),
    "health": lambda obj, now: "Healthy" if has({"status": obj}, "Healthy") else "Unhealthy",
    "health message": lambda obj, now: joined((each["message"] for each in each_of(obj, "conditions")), nothing=""),
    "dangling": lambda obj, now: str(has(obj, "Dangling")),
    "parameters": lambda obj, now: joined([".".join(filter(None, (dig(obj, "spec", "parameters", key) for key in (
        "kind", "apiGroup")))), dig(obj, "spec", "parameters", "name")], "/"),
    "parent": lambda obj, now: joined([dig(obj, "spec", "parentRef", key) for key in ("resource", "namespace", "name")], "/"),
    "hosts": lambda obj, now: some([rule["host"] for rule in each_of(obj, "spec", "rules") if rule.get("host")], nothing="*"),
    "balanced": lambda obj, now: joined((point.get("ip") or point.get("hostname") for point in each_of(
        obj, "status", "loadBalancer", "ingress")), nothing=""),
    "ingress ports": lambda obj, now: "80, 443" if dig(obj, "spec", "tls") else "80",
    "cidrs": lambda obj, now: joined(each_of(obj, "spec", "cidrs")),
    "users": subjects("User"), "groups": subjects("Group"), "service accounts": subjects("ServiceAccount"),
    "claim state": lambda obj, now: joined([
        "deleted" if dig(obj, "metadata", "deletionTimestamp") else "",
        "allocated" if dig(obj, "status", "allocation") else "pending",
        "reserved" if dig(obj, "status", "reservedFor") else ""]),
    "audiences": lambda obj, now: joined((each["audience"] for each in each_of(obj, "spec", "tokenRequests")),
                                         nothing="<unset>"),
    "lifecycle modes": lambda obj, now: joined(each_of(obj, "spec", "volumeLifecycleModes")),
    "class name": lambda obj, now: obj["metadata"]["name"] + (" (default)" if dig(
        obj, "metadata", "annotations", "storageclass.kubernetes.io/is-default-class") == "true" else ""),
    "param kind": lambda obj, now: joined([dig(obj, "spec", "paramKind", key) for key in ("apiVersion", "kind")], "/",
                                          "<unset>"),
    "param": lambda obj, now: joined([dig(obj, "spec", "paramRef", "namespace", default="*"), name], "/") if (
        name := dig(obj, "spec", "paramRef", "name")) else "<unset>",
    "served versions": lambda obj, now: joined(each["name"] + "(storage)" * bool(each.get("storage")) for each in each_of(
        obj, "spec", "versions") if each.get("served")),
    "short names": lambda obj, now: joined(each_of(obj, "spec", "names", "shortNames"), nothing="<none>"),
    "established": lambda obj, now: has(obj, "Established"),
    "backend": lambda obj, now: joined([dig(obj, "spec", "service", key) for key in ("namespace", "name")], "/", "Local"),
}
