"""How much an object takes of what a namespace may use.

Genuine counterpart: k8s.io/kubernetes/pkg/quota/v1/evaluator/core.
"""
from __future__ import annotations

from decimal import Decimal

from tinykube.machinery.objects import Object, dig
from tinykube.machinery.quantity import format_quantity, parse_quantity

Amounts = dict[str, Decimal]


def quality_of_service(pod: Object) -> str:
    """How firmly a pod said what it needs: Guaranteed, Burstable or BestEffort. Nothing of something is not asked for."""
    containers = [each for kind in ("initContainers", "containers") for each in dig(pod, "spec", kind, default=[])]
    asked = []
    for requests, limits in ([dig(each, "resources", side, default={}) for side in ("requests", "limits")] for each in containers):
        for limit, request in ((limits.get(what, 0), requests.get(what, limits.get(what, 0))) for what in ("cpu", "memory")):
            asked.append((parse_quantity(request), parse_quantity(limit)))
    if not any(request or limit for request, limit in asked):
        return "BestEffort"
    return "Guaranteed" if all(limit and request == limit for request, limit in asked) else "Burstable"


def total(parts: list[Object], side: str) -> Amounts:
    """What all containers ask for together."""
    found: Amounts = {}
    for name, value in (item for part in parts for item in dig(part, "resources", side, default={}).items()):
        found[name] = found.get(name, Decimal(0)) + parse_quantity(value)
    return found


def usage(plural: str, group: str, obj: Object) -> Amounts:
    """What an object takes from a quota, by all names under which a quota may count it."""
    over = plural == "pods" and dig(obj, "status", "phase") in ("Succeeded", "Failed")
    found = {f"count/{plural}.{group}" if group else f"count/{plural}": Decimal(1)}
    if plural == "pods" and not over:
        asked, allowed = (total(dig(obj, "spec", "containers", default=[]), side) for side in ("requests", "limits"))
        found |= asked | {f"{side}.{name}": value for side, amounts in (("requests", asked), ("limits", allowed))
                          for name, value in amounts.items()}
    if plural == "persistentvolumeclaims":
        found["requests.storage"] = parse_quantity(dig(obj, "spec", "resources", "requests", "storage", default="0"))
    if plural == "services" and (kind := dig(obj, "spec", "type")) in ("NodePort", "LoadBalancer"):
        found[f"services.{kind.lower()}s"] = Decimal(1)
    return found if group or over else {**found, plural: Decimal(1)}


def in_scope(quota: Object, obj: Object) -> bool:
    """Whether a quota with scopes counts this pod."""
    best, ends = obj.get("kind") == "Pod" and quality_of_service(obj) == "BestEffort", dig(obj, "spec", "activeDeadlineSeconds")
    holds = {"BestEffort": best, "NotBestEffort": not best, "Terminating": ends is not None, "NotTerminating": ends is None}
    return all(holds.get(each, False) for each in quota["spec"].get("scopes", []))


def text(value: Decimal, name: str) -> str:
    """An amount as quotas show it."""
    return format_quantity(value, binary=name.endswith(("memory", "storage")))
