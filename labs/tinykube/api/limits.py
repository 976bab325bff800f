"""How much a namespace may use: defaults and bounds for each container, and one sum for all of them.

Genuine counterparts: the admission plugins LimitRanger and ResourceQuota.
"""
from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from tinykube.api.admission import Change
from tinykube.machinery.errors import forbidden
from tinykube.machinery.objects import Object, copy, dig
from tinykube.machinery.quantity import format_quantity, parse_quantity
from tinykube.machinery.quota import Amounts, in_scope, text, total, usage

if TYPE_CHECKING:
    from tinykube.api.registry import Record
    from tinykube.api.server import ApiServer

async def of_namespace(server: ApiServer, plural: str, namespace: str) -> list[Record]:
    """The objects of a resource in a namespace."""
    registry = server.registry(plural)
    return [registry.record(kv) for kv in (await registry.range(namespace)).kvs] if namespace else []


async def limit_ranger(server: ApiServer, change: Change) -> None:
    """Fill in what a container asks for, by the namespace's LimitRanges, and refuse what is out of their bounds."""
    pod, plural = change.object, change.resource.plural
    if change.operation != "CREATE" or not pod or change.subresource or plural not in ("pods", "persistentvolumeclaims"):
        return
    wrong: list[str] = []
    for record in await of_namespace(server, "limitranges", change.namespace):
        for item in dig(record.obj, "spec", "limits", default=[]):
            parts = [pod["spec"]] if plural != "pods" else dig(pod, "spec", "containers", default=[])
            if item["type"] == "Container" and plural == "pods":
                for container in parts:
                    fill_resources(container, item)
                    wrong += bounds(item, *(container["resources"].get(side, {}) for side in ("requests", "limits")))
            elif item["type"] == ("Pod" if plural == "pods" else "PersistentVolumeClaim"):
                sums = [{name: format_quantity(value, binary=name in ("memory", "storage"))
                         for name, value in total(parts, side).items()} for side in ("requests", "limits")]
                wrong += bounds(item, *sums)
    if wrong:
        raise forbidden(plural, change.name, wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]")


def fill_resources(container: Object, item: Object) -> None:
    """Give a container the limits and requests that a LimitRange has for those that name none."""
    mine = container.setdefault("resources", {})
    for side, default in (("limits", "default"), ("requests", "defaultRequest")):
        for name, value in item.get(default, {}).items():
            mine.setdefault(side, {}).setdefault(name, value)


def bounds(item: Object, requests: Object, limits: Object) -> Iterator[str]:
    """What is wrong with requests and limits, by one entry of a LimitRange."""
    for word, bound, sign in (("minimum", "min", 1), ("maximum", "max", -1)):
        for name, edge in item.get(bound, {}).items():
            side, found = ("limit", limits.get(name)) if bound == "max" and name != "storage" else ("request", requests.get(name))
            said = f"{word} {name} usage per {item['type']} is {edge}"
            if found is None:
                yield f"{said}.  No {side} is specified"
            elif sign * parse_quantity(found) < sign * parse_quantity(edge):
                yield f"{said}, but {side} is {found}"


async def resource_quota(server: ApiServer, change: Change) -> None:
    """Charge a new object to each quota of its namespace, if there is room; else refuse. One charge is one write."""
    obj, resource = change.object, change.resource
    if change.operation != "CREATE" or not obj or change.subresource or resource.plural == "resourcequotas":
        return
    for record in await of_namespace(server, "resourcequotas", change.namespace):
        if in_scope(record.obj, obj):
            await charge(server, record, usage(resource.plural, resource.group, obj), change)


async def charge(server: ApiServer, record: Record, costs: Amounts, change: Change) -> None:
    """Write the new sum into a quota's status; if somebody else wrote first, look again."""
    registry, quota = server.registry("resourcequotas"), record.obj
    while True:
        hard = quota["spec"].get("hard", {})
        known = {**{name: "0" for name in hard}, **dig(quota, "status", "used", default={})}
        if dig(quota, "status", "hard") != hard:
            known = await counted(server, quota)
        refuse_unsaid(quota, change)
        over = {name: costs[name] for name in sorted(hard) if name in costs
                and costs[name] + parse_quantity(known[name]) > parse_quantity(hard[name])}
        if over:
            asked = ",".join(f"{name}={format_quantity(value)}" for name, value in over.items())
            used, most = (",".join(f"{name}={side[name]}" for name in over) for side in (known, hard))
            raise forbidden(change.resource.plural, change.name, f"exceeded quota: {quota['metadata']['name']}, requested: "
                            f"{asked}, used: {used}, limited: {most}", change.resource.group)
        fresh = {name: text(parse_quantity(known[name]) + costs.get(name, Decimal(0)), name) for name in hard}
        if change.request.params("dryRun") or await registry.replace(
                record, {**quota, "status": {"hard": copy(hard), "used": fresh}}):
            return
        record = await registry.get(change.namespace, quota["metadata"]["name"])
        quota = record.obj


def refuse_unsaid(quota: Object, change: Change) -> None:
    """Raise ApiError 403 for a pod that doesn't say how much it takes of what the quota counts."""
    if change.resource.plural != "pods" or not change.object:
        return
    missing: dict[str, list[str]] = {}
    for name in sorted(quota["spec"].get("hard", {})):
        side, _, what = name.rpartition(".")
        if what in ("cpu", "memory"):
            for each in change.object["spec"]["containers"]:
                if what not in dig(each, "resources", side or "requests", default={}):
                    missing.setdefault(name, []).append(each["name"])
    if missing:
        told = "; ".join(f"{name} for: {','.join(who)}" for name, who in missing.items())
        raise forbidden("pods", change.name, f"failed quota: {quota['metadata']['name']}: must specify {told}")


async def counted(server: ApiServer, quota: Object) -> dict[str, str]:
    """What a namespace uses of what a quota limits, counted anew: for a quota that is new or was changed."""
    sums: Amounts = {name: Decimal(0) for name in quota["spec"].get("hard", {})}
    for group, plural in {(row.group, row.plural) for row in server.resources if row.namespaced and not row.stored_as}:
        if any(plural in name or (plural == "pods" and "." in name) or name in ("cpu", "memory") for name in sums):
            registry = server.registry(plural, group)
            for kv in (await registry.range(quota["metadata"]["namespace"])).kvs:
                obj = registry.record(kv).obj
                for name, value in usage(plural, group, obj).items() if in_scope(quota, obj) else ():
                    if name in sums:
                        sums[name] += value
    return {name: text(value, name) for name, value in sums.items()}
