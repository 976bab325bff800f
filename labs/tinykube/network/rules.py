"""From Services and EndpointSlices to a table: who answers at an address and a port.

Genuine counterpart: k8s.io/kubernetes/pkg/proxy (servicechangetracker, endpointschangetracker, topology).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tinykube.machinery.objects import Object, dig, key_of, labels, namespace

SERVICE_NAME = "kubernetes.io/service-name"                    # the label by which a slice names its Service
ANOTHER_PROXY = "service.kubernetes.io/service-proxy-name"     # the label of a Service that another proxy serves
STICKY = 10800                                                 # seconds that a client keeps its backend by default

Address = tuple[str, int]


@dataclass(frozen=True)
class Rule:
    """What happens to a connection to a Service: it goes to one of the backends, `(ip, port)`."""

    service: str                                 # namespace/name:port
    backends: tuple[Address, ...]
    sticky: float = 0.0                          # seconds that a client stays with its backend; 0: not at all


def rules(services: Iterable[Object], slices: Iterable[Object], node: Object | None = None) -> dict[Address, Rule]:
    """The table of a node: `{(address, port): Rule}`, for TCP; node ports are there under the node's address."""
    of: dict[str, list[Object]] = {}
    for each in slices:
        of.setdefault(f"{namespace(each)}/{labels(each).get(SERVICE_NAME, '')}", []).append(each)
    table: dict[Address, Rule] = {}
    for service in filter(is_served, services):
        for port in service["spec"].get("ports") or []:
            if port.get("protocol", "TCP") == "TCP":
                rule = rule_of(service, port, of.get(key_of(service), []))
                table |= dict.fromkeys(places(service, port, node), rule)
    return table


def is_served(service: Object) -> bool:
    """Whether a Service has an address of its own that this proxy is to serve."""
    spec = service["spec"]
    headless = spec.get("clusterIP") in (None, "", "None")
    return spec.get("type") != "ExternalName" and not headless and ANOTHER_PROXY not in labels(service)


def places(service: Object, port: Object, node: Object | None) -> list[Address]:
    """The addresses at which a port of a Service is served: its own, and of the node where it asks for that."""
    own = [(service["spec"]["clusterIP"], port["port"])]
    inside = [each["address"] for each in dig(node or {}, "status", "addresses", default=[])
              if each["type"] == "InternalIP"]
    return own + [(address, port["nodePort"]) for address in inside if port.get("nodePort")]


def rule_of(service: Object, port: Object, slices: list[Object]) -> Rule:
    """Where connections to a port of a Service go, by what its slices say now."""
    name = port.get("name") or ""
    sticky = 0.0
    if service["spec"].get("sessionAffinity") == "ClientIP":
        sticky = dig(service, "spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds", default=STICKY)
    return Rule(f"{key_of(service)}:{name or port['port']}", backends(name, slices), sticky)


def backends(name: str, slices: list[Object]) -> tuple[Address, ...]:
    """The addresses behind the port of a name: those that are ready, or, where none is, those that end but serve."""
    ready: set[Address] = set()
    ending: set[Address] = set()
    for each in slices:
        numbers = [port["port"] for port in each.get("ports") or [] if (port.get("name") or "") == name]
        for endpoint in each.get("endpoints") or []:
            found = {(address, number) for address in endpoint["addresses"] for number in numbers}
            conditions: Mapping[str, bool] = endpoint.get("conditions") or {}
            if conditions.get("ready", True):
                ready |= found
            elif conditions.get("serving") and conditions.get("terminating"):
                ending |= found
    return tuple(sorted(ready or ending))
