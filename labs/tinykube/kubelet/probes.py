"""Probes: is it up, is it well, may it get work? Decided from single answers, without asking anybody.

Genuine counterpart: pkg/kubelet/prober, above all worker.go.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinykube.machinery.objects import Object

KINDS = ("startup", "liveness", "readiness")
DEFAULTS = {"initialDelaySeconds": 0, "periodSeconds": 10, "timeoutSeconds": 1, "failureThreshold": 3, "successThreshold": 1}
ASSUMED = {"startup": False, "liveness": True, "readiness": False}       # until a probe has said something


@dataclass(frozen=True)
class Standing:
    """What a container's probe has come to: the result that counts, and how often in a row the last answer came."""

    result: bool
    last: bool | None = None
    times: int = 0


def answered(probe: Object, standing: Standing, success: bool) -> Standing:
    """The standing after one more answer. It takes several in a row to change the result."""
    times = standing.times + 1 if success == standing.last else 1
    needed = setting(probe, "successThreshold" if success else "failureThreshold")
    return Standing(success if times >= needed else standing.result, success, times)


def setting(probe: Object, name: str) -> float:
    """A number of a probe, or its default."""
    return float(probe.get(name) or DEFAULTS[name])


def probe_of(container: Object, kind: str) -> Object | None:
    """A container's probe of a kind, if it has one."""
    return container.get(f"{kind}Probe")


def must_restart(kind: str, standing: Standing, probe: Object) -> bool:
    """Whether this is enough to end the container: a failed liveness probe, or a startup that does not come to an end."""
    return kind != "readiness" and standing.last is False and standing.times >= setting(probe, "failureThreshold")


def port_of(container: Object, port: int | str) -> int:
    """The number of a port, which may be given by its name. Raises ValueError."""
    if isinstance(port, int) or port.isdigit():
        return int(port)
    named = {each.get("name"): int(each["containerPort"]) for each in container.get("ports") or []}
    if port not in named:
        raise ValueError(f"couldn't find port: {port!r} in container {container['name']!r}")
    return named[port]
