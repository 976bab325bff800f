"""The table of rules about single fields: required, one of, between, a form; and the few functions that apply it.

Genuine counterpart: some 10,000 lines in k8s.io/kubernetes/pkg/apis/*/validation.
"""
from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from tinykube.api.fields import Branch, holds, of_kind, visit
from tinykube.machinery import errors
from tinykube.machinery.objects import Object
from tinykube.machinery.selectors import label_key_errors, label_value_errors

RULES: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "rules.json").read_text())
Causes = list[Object]


@cache
def rules_of(api_version: str, kind: str) -> Branch | None:
    """The rules that concern objects of a kind."""
    return of_kind(RULES, api_version, kind)


def faults(obj: Object) -> Causes:
    """What is wrong with an object's fields, each looked at by itself."""
    return [cause for path, value, rules in visit(obj, rules_of(obj["apiVersion"], obj["kind"])) for rule in rules
            if holds(rule.get("if", ""), value, set(value))
            for cause in faults_of(rule, value.get(rule["field"]), path + rule["field"])]


def faults_of(rule: Object, value: Any, at: str) -> Causes:
    """What one rule has to say about one value. Of zero and the empty text most rules say nothing: it may be filled in."""
    if not rule.get("zero") and rule["check"] != "required" and value in ("", 0) and value is not False:
        return []
    if rule.get("each"):
        items = enumerate(value) if isinstance(value, list) else ()
        return [cause for number, item in items
                for cause in CHECKS[rule["check"]](f"{at}[{number}]" if rule["each"] == "named" else at, item, rule)]
    return CHECKS[rule["check"]](at, value, rule)


def crowded(obj: Object) -> Causes:
    """What is wrong where one of several things is to be said: none, or more than one."""
    found: Causes = []
    for path, value, entries in visit(obj, alone_of(obj["apiVersion"], obj["kind"])):
        for entry in entries:
            said = [name for name in entry["of"] if value.get(name) is not None]
            if not said:
                found.append(errors.required(path.rstrip("."), f"must specify a {entry['what']} type"))
            found += [errors.forbidden_value(path + name, f"may not specify more than 1 {entry['what']} type")
                      for name in said[1:]]
    return found


@cache
def alone_of(api_version: str, kind: str) -> Branch | None:
    """Where objects of a kind have such a choice."""
    return of_kind(ALONE, api_version, kind)


ONE_VOLUME: list[Object] = [{"what": "volume", "of": (
    "emptyDir", "hostPath", "gitRepo", "gcePersistentDisk", "awsElasticBlockStore", "secret", "nfs", "iscsi", "glusterfs",
    "persistentVolumeClaim", "rbd", "cinder", "cephfs", "quobyte", "downwardAPI", "fc", "flocker", "configMap",
    "azureFile", "storageos", "flexVolume", "vsphereVolume", "azureDisk", "portworxVolume", "photonPersistentDisk",
    "projected", "scaleIO", "local", "csi", "ephemeral", "image")}]
ONE_HANDLER: list[Object] = [{"what": "handler", "of": ("exec", "httpGet", "tcpSocket", "grpc", "sleep")}]
ALONE = {"core.v1.Volume": ONE_VOLUME, "core.v1.PersistentVolumeSpec": ONE_VOLUME, "core.v1.Probe": ONE_HANDLER,
         "core.v1.LifecycleHandler": ONE_HANDLER}


def required(at: str, value: Any, rule: Object) -> Causes:
    """A field must be there; an empty text or list does not count, and some zeros and empty objects don't."""
    missing = value in (None, "", []) or (rule.get("zero", False) and value in (0, {}))
    return [errors.required(at, rule.get("says", ""))] if missing else []


def absent(at: str, value: Any, rule: Object) -> Causes:
    """A field must not be there."""
    return [] if value in (None, "", [], 0) else [errors.forbidden_value(at, rule["says"])]


def not_empty(at: str, value: Any, rule: Object) -> Causes:
    """An object must have something in it: a selector that selects everything is a mistake."""
    return [errors.invalid_value(at, value, rule["says"])] if value == {} else []


def member(at: str, value: Any, rule: Object) -> Causes:
    """A value must be one of those listed."""
    return [] if value is None or value in rule["of"] else [errors.unsupported_value(at, value, rule["of"])]


def between(at: str, value: Any, rule: Object) -> Causes:
    """A number must lie between two others, of which one may be missing."""
    low, high = rule["of"]
    fits = not isinstance(value, int) or ((low is None or value >= low) and (high is None or value <= high))
    return [] if fits else [errors.invalid_value(at, value, rule["says"])]


def match(at: str, value: Any, rule: Object) -> Causes:
    """A text must match a pattern."""
    fits = not isinstance(value, str) or re.fullmatch(rule["of"], value, re.ASCII)
    return [] if fits else [errors.invalid_value(at, value, rule["says"])]


def longest(at: str, value: Any, rule: Object) -> Causes:
    """A text must not be longer than so many bytes."""
    fits = not isinstance(value, str) or len(value.encode()) <= rule["of"]
    return [] if fits else [errors.invalid_value(at, value, rule["says"])]


def label_key(at: str, value: Any, rule: Object) -> Causes:
    """A text must have the form of a label's key."""
    return [errors.invalid_value(at, value, why) for why in label_key_errors(value)] if isinstance(value, str) else []


def labels(at: str, value: Any, rule: Object) -> Causes:
    """The keys and values of a map must be labels."""
    return [errors.invalid_value(at, text, why) for key, item in (value or {}).items()
            for text, wrong in ((key, label_key_errors(key)), (item, label_value_errors(item))) for why in wrong]


def address(at: str, value: Any, rule: Object) -> Causes:
    """A text must be an IP address, or with `cidr` a range of them."""
    read: Callable[[str], Any] = ipaddress.ip_network if rule["check"] == "cidr" else ipaddress.ip_address
    try:
        read(value if value not in (None, "", "None") else ("0.0.0.0/0" if rule["check"] == "cidr" else "0.0.0.0"))
        return []
    except ValueError:
        return [errors.invalid_value(at, value, rule["says"])]


def time_zone(at: str, value: Any, rule: Object) -> Causes:
    """A text must be the name of a time zone."""
    known = not isinstance(value, str) or value in available_timezones()
    return [] if known else [errors.invalid_value(at, value, f"unknown time zone {value}")]


def schedule(at: str, value: Any, rule: Object) -> Causes:
    """A text must have the five fields of cron, or be one of its short forms."""
    parts = value.split() if isinstance(value, str) and not value.startswith(("@", "TZ=", "CRON_TZ=")) else [""] * 5
    why = f"expected exactly 5 fields, found {len(parts)}: [{' '.join(parts)}]"
    return [] if len(parts) == 5 else [errors.invalid_value(at, value, why)]


CHECKS: dict[str, Callable[[str, Any, Object], Causes]] = {
    "required": required, "absent": absent, "not empty": not_empty,
    "one of": member, "between": between, "match": match,
    "longest": longest, "label key": label_key, "labels": labels, "ip": address, "cidr": address, "time zone": time_zone,
    "schedule": schedule}
