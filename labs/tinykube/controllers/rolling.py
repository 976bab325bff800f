"""How many pods each ReplicaSet of a Deployment should have next: arithmetic, and nothing else.

Genuine counterpart: deployment_util.go, rolling.go and sync.go of the deployment-controller.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

from tinykube.machinery.objects import Object, dig, name

DESIRED, MOST = "deployment.kubernetes.io/desired-replicas", "deployment.kubernetes.io/max-replicas"
Sizes = dict[str, int]         # name of a ReplicaSet -> replicas


def share(value: int | str, of: int, round_up: int = 0) -> int:
    """A number, or a percentage of another, as a number: rounded down, or up with `round_up` 99."""
    return (int(value[:-1]) * of + round_up) // 100 if isinstance(value, str) and value.endswith("%") else int(value)


def size(replicaset: Object) -> int:
    """How many pods it is told to have."""
    return int(replicaset["spec"].get("replicas", 1))


def available(replicaset: Object) -> int:
    """How many of its pods serve."""
    return int(dig(replicaset, "status", "availableReplicas", default=0))


def active(sets: Sequence[Object]) -> list[Object]:
    """Those that are told to have pods."""
    return [each for each in sets if size(each)]


def limits(deployment: Object) -> tuple[int, int]:
    """How many pods may be there beyond what is wanted, and how many may be missing, while it rolls."""
    wanted, strategy = size(deployment), deployment["spec"]["strategy"]
    if strategy["type"] != "RollingUpdate":
        return 0, 0
    rolling = strategy.get("rollingUpdate") or {}
    surge = share(rolling.get("maxSurge", "25%"), wanted, round_up=99)
    missing = share(rolling.get("maxUnavailable", "25%"), wanted)
    return surge, min(wanted, missing or (0 if surge else 1))      # both zero: nothing could ever move


def grown(deployment: Object, new: Object, old: Sequence[Object]) -> int:
    """How many pods the new ReplicaSet may have now."""
    wanted = size(deployment)
    if deployment["spec"]["strategy"]["type"] == "Recreate" or size(new) >= wanted:
        return wanted
    room = wanted + limits(deployment)[0] - sum(map(size, [new, *old]))
    return size(new) + max(0, min(room, wanted - size(new)))


def shrunk(deployment: Object, new: Object, old: Sequence[Object]) -> Sizes:
    """How many pods the old ReplicaSets may be left with: the broken ones go first, then those that can be spared."""
    least, sizes = size(deployment) - limits(deployment)[1], {name(each): size(each) for each in old}
    spare = sum(map(size, [new, *old])) - least - (size(new) - available(new))
    if spare <= 0:
        return sizes
    for each in old:
        broken = max(0, min(spare, size(each) - available(each)))
        sizes[name(each)] -= broken
        spare -= broken
    spare = sum(map(available, [new, *old])) - least
    for each in old:
        less = max(0, min(spare, sizes[name(each)]))
        sizes[name(each)] -= less
        spare -= less
    return sizes


def rolled(deployment: Object, new: Object, old: Sequence[Object]) -> Sizes:
    """The next step of a rolling update: grow the new one if it may, else shrink the old ones. `old` is oldest first."""
    if (larger := grown(deployment, new, old)) != size(new):
        return {name(new): larger}
    return shrunk(deployment, new, active(old))


def noted(replicaset: Object, annotation: str) -> int | None:
    """A number that an earlier sync wrote on a ReplicaSet."""
    text = dig(replicaset, "metadata", "annotations", annotation)
    return int(text) if text and text.lstrip("-").isdigit() else None


def is_scaling(deployment: Object, sets: Sequence[Object]) -> bool:
    """Whether somebody changed the number wanted since the ReplicaSets were last told it."""
    told = [noted(each, DESIRED) for each in active(sets)]
    return any(number is not None and number != size(deployment) for number in told)


def scaled(deployment: Object, new: Object | None, old: Sequence[Object]) -> Sizes:
    """A new number wanted, or a pause: the ReplicaSets share in it as large as they are, so that none wins by it."""
    wanted, sets = size(deployment), [*old, *([new] if new else [])]
    acting = active(sets)
    if len(acting) <= 1:
        latest = (acting or ([new] if new else list(old[-1:])))
        return {name(each): wanted for each in latest}
    if new and size(new) == noted(new, DESIRED) == available(new) == wanted:
        return {name(each): 0 for each in active(old)}
    if deployment["spec"]["strategy"]["type"] != "RollingUpdate":
        return {}
    return proportional(deployment, acting)


def proportional(deployment: Object, sets: Sequence[Object]) -> Sizes:
    """Spread what is to be added (or taken) over ReplicaSets in proportion to their sizes; what is left, to the first."""
    most = size(deployment) + limits(deployment)[0] if size(deployment) else 0
    change = most - sum(map(size, sets))
    order = sorted(sets, key=lambda each: each["metadata"]["creationTimestamp"], reverse=change > 0)
    order.sort(key=size, reverse=True)
    sizes, left = {name(each): size(each) for each in order}, change
    for each in order if change else ():
        part = fraction(deployment, each)
        part = min(part, left) if change > 0 else max(part, left)
        sizes[name(each)] += part
        left -= part
    if order and change:
        sizes[name(order[0])] = max(0, sizes[name(order[0])] + left)
    return sizes


def fraction(deployment: Object, replicaset: Object) -> int:
    """How much one ReplicaSet grows (or shrinks) when the most that there may be grows (or shrinks)."""
    if not size(deployment):
        return -size(replicaset)
    before = noted(replicaset, MOST) or dig(deployment, "status", "replicas", default=0) or size(replicaset)
    exact = Decimal(size(replicaset) * (size(deployment) + limits(deployment)[0])) / before
    return int(exact.to_integral_value(ROUND_HALF_UP)) - size(replicaset)
