"""Services: an address from a range for each, ports of all nodes for some, and both given back in the end.

An address is taken by making an IPAddress object of its name: where two try, one meets an object that exists.

Genuine counterpart: k8s.io/kubernetes/pkg/registry/core/service/storage/alloc.go.
"""
from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, ClassVar

from tinykube.api.defaults import fill, items
from tinykube.api.strategy import Causes, Fields, StatusStrategy, paths
from tinykube.machinery import errors
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, new_uid, timestamp
from tinykube.store import Compare, Delete, Put

if TYPE_CHECKING:
    from tinykube.api.server import ApiServer

NODE_PORTS = range(30000, 32768)
OUTSIDE = ("NodePort", "LoadBalancer")
ADDRESSED = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")


class ServiceStrategy(StatusStrategy):
    """Services, of one address family."""

    fields: ClassVar[Fields] = paths("spec.clusterIP", "spec.type")

    def default(self, obj: Object) -> None:
        super().default(obj)
        spec = obj.get("spec") or {}
        for port in items(spec, "ports"):
            if port.get("targetPort") in (None, 0, "") and spec.get("clusterIP") != "None":
                port["targetPort"] = port.get("port")
            fill(port, targetPort=port.get("port"))
        if spec.get("type") != "ExternalName":
            fill(spec, internalTrafficPolicy="Cluster")

    def prepare_for_create(self, obj: Object) -> None:
        super().prepare_for_create(obj)
        plan_addresses(obj["spec"])

    def prepare_for_update(self, obj: Object, old: Object, subresource: str) -> None:
        super().prepare_for_update(obj, old, subresource)
        spec, before = obj["spec"], old["spec"]
        if spec.get("type") == "ExternalName" != before.get("type"):
            for field in (*ADDRESSED, "internalTrafficPolicy", "externalTrafficPolicy"):
                spec.pop(field, None)
        elif spec.get("type") != "ExternalName":
            spec |= {field: before[field] for field in ADDRESSED if not spec.get(field) and before.get(field)}
        plan_addresses(spec)
        if spec.get("type") not in OUTSIDE:
            if spec.get("externalTrafficPolicy") == before.get("externalTrafficPolicy"):
                spec.pop("externalTrafficPolicy", None)
            for port in items(spec, "ports") if before.get("type") in OUTSIDE else []:
                port.pop("nodePort", None)

    def validate(self, obj: Object) -> Causes:
        found, spec = super().validate(obj), obj["spec"]
        kind, ports, address = spec.get("type"), items(spec, "ports"), spec.get("clusterIP")
        found = [each for each in found if each["field"] != "spec.ports"]
        if not ports and kind != "ExternalName" and address != "None":
            found.append(errors.required("spec.ports"))
        if kind == "ExternalName" and (address or spec.get("clusterIPs")):
            found.append(errors.forbidden_value("spec.clusterIPs", "may not be set for ExternalName services"))
        if address == "None" and kind in OUTSIDE:
            found.append(errors.invalid_value("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} "
                                              "services"))
        found += balancer_causes(spec)
        for at, port in enumerate(ports):
            if port.get("targetPort") in (None, 0):
                found.append(errors.invalid_value(f"spec.ports[{at}].targetPort", 0, "must be between 1 and 65535, inclusive"))
            if not port.get("name") and len(ports) > 1:
                found.append(errors.required(f"spec.ports[{at}].name"))
            if port.get("nodePort") and kind not in OUTSIDE:
                found.append(errors.forbidden_value(f"spec.ports[{at}].nodePort",
                                                    f"may not be used when `type` is '{kind}'"))
            if port.get("name") and any(other.get("name") == port["name"] for other in ports[:at]):
                found.append(errors.duplicate_value(f"spec.ports[{at}].name", port["name"]))
        return found

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Causes:
        new, before = obj["spec"].get("clusterIP"), old["spec"].get("clusterIP")
        if before and new != before and obj["spec"].get("type") != "ExternalName":
            return [errors.invalid_value("spec.clusterIPs[0]", [new], "may not change once set")]
        return []

    async def begin(self, server: ApiServer, obj: Object, old: Object | None, dry_run: bool) -> None:
        spec, before = obj["spec"], (old or {}).get("spec", {})
        taken: Object = {"ports": []}
        try:
            if spec.get("type") != "ExternalName" and spec.get("clusterIP") not in ("None", before.get("clusterIP", "")):
                taken["clusterIP"] = spec["clusterIP"] = await take_address(server, obj, dry_run)
                spec["clusterIPs"] = [spec["clusterIP"]]
            had = {port.get("nodePort") for port in items(before, "ports")} - {None}
            for at, port in enumerate(items(spec, "ports") if spec.get("type") in OUTSIDE else []):
                if port.get("nodePort") not in had:
                    port["nodePort"] = await take_port(server, obj, at, dry_run)
                    taken["ports"].append(port)
        except ApiError:
            if not dry_run:
                await self.end(server, {"spec": taken}, None)
            raise

    async def end(self, server: ApiServer, obj: Object, kept: Object | None) -> None:
        spec, now = obj["spec"], (kept or {}).get("spec", {})
        address = spec.get("clusterIP")
        if address not in (None, "", "None", now.get("clusterIP")):
            registry = server.registry("ipaddresses", "networking.k8s.io")
            if found := await registry.find("", address):
                await registry.remove(found, found.obj)
        held = {port.get("nodePort") for port in items(now, "ports")}
        for port in items(spec, "ports"):
            if port.get("nodePort") not in (None, *held):
                await server.storage.txn([], [Delete(port_key(port["nodePort"]))])


def balancer_causes(spec: Object) -> Causes:
    """What is wrong with what only a Service with a load balancer can say. (The path is genuine's own.)"""
    at, ranges, port = "spec.LoadBalancerSourceRanges", spec.get("loadBalancerSourceRanges") or [], spec.get("healthCheckNodePort")
    balanced = spec.get("type") == "LoadBalancer"
    found = [] if balanced or not ranges else [errors.forbidden_value(at, "may only be used when `type` is 'LoadBalancer'")]
    for number, each in enumerate(ranges):
        try:
            ip_network(each.strip())
        except ValueError:
            found.append(errors.invalid_value(f"{at}[{number}]", each, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or "
                                              "2001:db8::/64)"))
    if port and not (balanced and spec.get("externalTrafficPolicy") == "Local"):
        found.append(errors.invalid_value("spec.healthCheckNodePort", port, "may only be set when `type` is 'LoadBalancer' and "
                                          "`externalTrafficPolicy` is 'Local'"))
    return found


def plan_addresses(spec: Object) -> None:
    """Say how many addresses a Service is to have, and of which family. These are nobody's fields: nobody wrote them."""
    if spec.get("type") != "ExternalName":
        fill(spec, ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")
        spec["clusterIPs"] = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])


async def take_address(server: ApiServer, service: Object, dry_run: bool) -> str:
    """The address that a Service asks for, or one that is free. Raises ApiError 422."""
    wanted, meta = service["spec"].get("clusterIP"), service["metadata"]
    if wanted and ip_address(wanted) not in server.services:
        why = f"failed to allocate IP {wanted}: the provided IP ({wanted}) is not in the valid range. The range of " \
              f"valid IPs is {server.services}"
        raise refused(service, "spec.clusterIPs", [wanted], why)
    while True:
        number = 0 if dry_run else server.random.randrange(2, server.services.num_addresses - 1)
        address = wanted or str(server.services[number])
        labels = {"ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by":
                  "ipallocator.k8s.io"}
        parent = {"group": "", "resource": "services", "namespace": meta.get("namespace", ""), "name": meta["name"]}
        taken: Object = {"kind": "IPAddress", "apiVersion": "networking.k8s.io/v1", "metadata": {
            "name": address, "uid": new_uid(server.random), "creationTimestamp": timestamp(server.clock),
            "labels": labels}, "spec": {"parentRef": {key: value for key, value in parent.items() if value}}}
        try:
            await server.registry("ipaddresses", "networking.k8s.io").insert(taken, dry_run=dry_run)
            return address
        except ApiError as error:
            if wanted:
                why = f"failed to allocate IP {wanted}: provided IP is already allocated"
                raise refused(service, "spec.clusterIPs", [wanted], why) from error


def port_key(port: int) -> bytes:
    """Where it is written down that a port of all nodes is taken."""
    return b"/registry/ranges/servicenodeports/%d" % port


async def take_port(server: ApiServer, service: Object, at: int, dry_run: bool) -> int:
    """The port of all nodes that a Service asks for, or one that is free. Raises ApiError 422."""
    wanted = service["spec"]["ports"][at].get("nodePort")
    field = f"spec.ports[{at}].nodePort"
    if wanted and wanted not in NODE_PORTS and not dry_run:
        raise refused(service, field, wanted, "provided port is not in the valid range. The range of valid ports is "
                      f"{NODE_PORTS.start}-{NODE_PORTS.stop - 1}")
    while True:
        port = wanted or server.random.choice(NODE_PORTS)
        free = Compare(port_key(port), "mod", "==", 0)
        if (await server.storage.txn([free], [] if dry_run else [Put(port_key(port), b"")])).succeeded:
            return int(port)
        if wanted:
            raise refused(service, field, wanted, "provided port is already allocated")


def refused(service: Object, field: str, value: object, why: str) -> ApiError:
    """422: what a Service asks for can't be had."""
    return errors.invalid("Service", service["metadata"]["name"], [errors.invalid_value(field, value, why)])
