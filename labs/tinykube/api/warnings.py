"""What is allowed but unwise: said to whoever writes it, in a Warning header, and else without consequences.

Most of it is a table of types and fields, like those of defaults and rules.

Genuine counterpart: WarningsOnCreate and WarningsOnUpdate of the strategies, k8s.io/kubernetes/pkg/api/*/warnings.go.
"""
from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tinykube.api.fields import Branch, holds, of_kind, visit
from tinykube.api.validation import namespace_name_errors
from tinykube.machinery.objects import Object, dig
from tinykube.machinery.quantity import parse_quantity

UNWISE: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "warnings.json").read_text())
OLD_LABELS: dict[str, str] = UNWISE["labels of nodes"]
HOSTNAMES = {"Pod": "this is used in the Pod's hostname"} | dict.fromkeys(
    ("Deployment", "ReplicaSet", "Job", "CronJob"), "this is used in Pod names and hostnames")


@cache
def unwise_in(api_version: str, kind: str) -> Branch | None:
    """The part of the table that concerns objects of a kind."""
    return of_kind(UNWISE["types"], api_version, kind)


def warnings_of(obj: Object) -> list[str]:
    """What should be said about an object."""
    kind, found = obj["kind"], list[str]()
    if wrong := namespace_name_errors(obj["metadata"]["name"]) if kind in HOSTNAMES else []:
        found.append(f"metadata.name: {HOSTNAMES[kind]}, which can result in surprising behavior; a DNS label is recommended: "
                     f"[{' '.join(wrong)}]")
    for path, value, entries in visit(obj, unwise_in(obj["apiVersion"], kind)):
        for entry in entries:
            if holds(entry.get("if", ""), value, {name for name in value if value[name]}):
                found += [(text if entry.get("whole") else path + text).replace("{path}", path)
                          for text in HOW[entry["how"]](value.get(entry["field"]), entry)]
    if obj.get("type") == "kubernetes.io/tls" and b"-----BEGIN" not in base64.b64decode(dig(obj, "data", "tls.crt", default="")):
        found.append("tls: failed to find any PEM data in certificate input")
    return found


def old_keys(value: Any, entry: Object) -> Iterator[str]:
    """About labels of nodes that have other names by now, in a selector."""
    for key in sorted(value or {}):
        if key in OLD_LABELS:
            yield f"{entry['field']}{entry.get('says', f'[{key}]')}: {OLD_LABELS[key]}"


def old_key(value: Any, entry: Object) -> Iterator[str]:
    """The same about one label."""
    if value in OLD_LABELS:
        yield f"{entry['field']}: {entry.get('says', f'{value} is ')}{OLD_LABELS[value]}"


def noted(value: Any, entry: Object) -> Iterator[str]:
    """About an annotation, by how its name begins."""
    for key in sorted((value or {}).get("annotations") or {}):
        if key.startswith(entry["of"]):
            yield entry["says"] if entry.get("whole") else f"metadata.annotations[{key}]: {entry['says']}"


def again(value: Any, entry: Object) -> Iterator[str]:
    """About items of a list that say the same as one before."""
    seen: dict[str, int] = {}
    for at, item in enumerate(value or []):
        part, same = item.get(entry["of"][0]) or "", json.dumps([item.get(name) for name in entry["of"]])
        if not part:
            yield f'{entry["field"]}[{at}].{entry["of"][0]}: invalid empty {entry["of"][0]} ""'
        elif same in seen:
            yield f"{entry['field']}[{at}]" + entry["says"].replace("{}", str(part)).replace("{1}", str(seen[same]))
        seen.setdefault(same, at)


def half_bytes(value: Any, entry: Object) -> Iterator[str]:
    """About amounts of bytes that are no whole numbers."""
    for name, amount in sorted((value or {}).items()):
        if name in ("memory", "ephemeral-storage", "storage") and parse_quantity(amount) % 1:
            yield f'{entry["field"]}[{name}]: fractional byte value "{amount}" is invalid, must be an integer'


HOW: dict[str, Callable[[Any, Object], Iterator[str]]] = {
    "old keys": old_keys, "old key": old_key, "noted": noted, "again": again, "half bytes": half_bytes,
    "given": lambda value, entry: iter([entry["says"]] if value not in (None, "", []) else []),
    "missing": lambda value, entry: iter([entry["says"]] if value is None else []),
    "is": lambda value, entry: iter([entry["says"]] if value == entry["of"] else []),
    "negative": lambda value, entry: iter([entry["says"]] if (value or 0) < 0 else [])}
