"""Who is behind a Service: its pods' addresses, in Endpoints (the old way) and in EndpointSlices.

Genuine counterparts: endpoints-controller and endpointslice-controller.
"""
import hashlib
import json
from collections.abc import Iterable, Mapping

from tinykube.controllers.following import Following
from tinykube.controllers.podgc import ended
from tinykube.controllers.pods import is_ready
from tinykube.machinery.objects import Object, annotations, copy, dig, key_of, labels, name, namespace, timestamp, uid

HEADLESS = "service.kubernetes.io/headless"
SERVICE_NAME, SLICES_BY = "kubernetes.io/service-name", "endpointslice.kubernetes.io/managed-by"
ENDPOINTS_BY = "endpoints.kubernetes.io/managed-by"
SLICES, ENDPOINTS = "endpointslice-controller.k8s.io", "endpoint-controller"
TRIGGERED, OVER_CAPACITY = "endpoints.kubernetes.io/last-change-trigger-time", "endpoints.kubernetes.io/over-capacity"
PER_SLICE, PER_ENDPOINTS = 100, 1000
ZONE = "topology.kubernetes.io/zone"


def selected(service: Object, pods: Iterable[Object]) -> list[Object]:
    """The pods that a Service means and that have a node, an address, and an end still to come."""
    wanted = service["spec"]["selector"].items()
    return sorted((pod for pod in pods if wanted <= labels(pod).items() and dig(pod, "spec", "nodeName")
                   and dig(pod, "status", "podIP") and not ended(pod)), key=name)


def port_of(pod: Object, port: Object) -> int | None:
    """The number behind a Service's port in this pod: a name means what the pod's containers call so."""
    target = port.get("targetPort") or port["port"]
    if isinstance(target, int):
        return target
    sidecars = [each for each in dig(pod, "spec", "initContainers", default=[]) if each.get("restartPolicy") == "Always"]
    for container in (*pod["spec"]["containers"], *sidecars):
        for each in container.get("ports") or []:
            if each.get("name") == target and each.get("protocol", "TCP") == port.get("protocol", "TCP"):
                return int(each["containerPort"])
    return None


def ports_of(service: Object, pod: Object) -> list[Object]:
    """The ports at which this pod serves the Service; one whose name the pod does not know is left out."""
    return [{"name": port.get("name", ""), "protocol": port.get("protocol", "TCP"), "port": number,
             **({"appProtocol": port["appProtocol"]} if port.get("appProtocol") else {})}
            for port in service["spec"].get("ports") or [] if (number := port_of(pod, port)) is not None]


def marks(service: Object) -> dict[str, str]:
    """The labels that the objects of a Service share: its own, and one if it has no address."""
    own = {key: value for key, value in labels(service).items() if key not in (SERVICE_NAME, SLICES_BY, HEADLESS)}
    return own | ({HEADLESS: ""} if dig(service, "spec", "clusterIP") == "None" else {})


def target(pod: Object) -> Object:
    """A reference to a pod, as addresses carry it."""
    return {"kind": "Pod", "namespace": namespace(pod), "name": name(pod), "uid": uid(pod)}


def address(service: Object, pod: Object) -> Object:
    """A pod in Endpoints."""
    found: Object = {"ip": pod["status"]["podIP"], "nodeName": dig(pod, "spec", "nodeName"), "targetRef": target(pod)}
    if dig(pod, "spec", "hostname") and dig(pod, "spec", "subdomain") == name(service):
        found["hostname"] = pod["spec"]["hostname"]
    return {key: value for key, value in found.items() if value is not None}


def subsets(service: Object, pods: Iterable[Object]) -> list[Object]:
    """Addresses by what ports they have, those that are ready apart. A pod that is being deleted is in none."""
    all_ready = service["spec"].get("publishNotReadyAddresses", False)
    by_ports: dict[str, Object] = {}
    single: dict[tuple[str, str], dict[str, tuple[bool, Object]]] = {}
    for pod in selected(service, pods):
        if not all_ready and pod["metadata"].get("deletionTimestamp"):
            continue
        found = ports_of(service, pod)
        for port in found or ([{}] if not service["spec"].get("ports") else []):
            text = json.dumps({key: value for key, value in port.items() if value != ""})
            single.setdefault((text, ""), {})[pod["status"]["podIP"]] = all_ready or is_ready(pod), address(service, pod)
    for (text, _), there in single.items():
        whom = json.dumps(sorted((ip, ready) for ip, (ready, _) in there.items()))
        subset = by_ports.setdefault(whom, {
            "addresses": [each for _, (ready, each) in sorted(there.items()) if ready],
            "notReadyAddresses": [each for _, (ready, each) in sorted(there.items()) if not ready], "ports": []})
        subset["ports"] += [json.loads(text)] if text != "{}" else []
    for subset in by_ports.values():
        subset["ports"].sort(key=lambda port: hashlib.md5(json.dumps(port).encode()).hexdigest())
    kept = [{key: value for key, value in subset.items() if value} for subset in by_ports.values()]
    return sorted(kept, key=lambda subset: json.dumps(subset.get("ports")))


def endpoint(service: Object, pod: Object, zones: Mapping[str, str]) -> Object:
    """A pod in an EndpointSlice. One that is being deleted may still serve; it is not ready for new clients."""
    serving, terminating = is_ready(pod), bool(pod["metadata"].get("deletionTimestamp"))
    ready = service["spec"].get("publishNotReadyAddresses") or (serving and not terminating)
    found: Object = {"addresses": [pod["status"]["podIP"]], "targetRef": target(pod),
                     "conditions": {"ready": bool(ready), "serving": serving, "terminating": terminating}}
    if dig(pod, "spec", "hostname") and dig(pod, "spec", "subdomain") == name(service):
        found["hostname"] = pod["spec"]["hostname"]
    if node := dig(pod, "spec", "nodeName"):
        found |= {"nodeName": node} | ({"zone": zones[node]} if zones.get(node) else {})
    return found


def wanted_slices(service: Object, pods: Iterable[Object], zones: Mapping[str, str]) -> dict[str, list[Object]]:
    """The endpoints of a Service by the ports (as JSON text) that they have: pods that name them alike share slices."""
    found: dict[str, list[Object]] = {}
    for pod in selected(service, pods):
        text = json.dumps(ports_of(service, pod), sort_keys=True)
        found.setdefault(text, []).append(endpoint(service, pod, zones))
    return found or {"[]": []}


def whose(endpoint: Object) -> str:
    """The uid of the pod behind an endpoint."""
    return str(dig(endpoint, "targetRef", "uid", default=""))


def reconcile(wanted: dict[str, list[Object]], there: list[Object]) -> tuple[list[tuple[str, list[Object]]],
                                                                          list[tuple[Object, list[Object]]], list[Object]]:
    """Which slices to create (ports, endpoints), update (slice, endpoints) and delete: each endpoint stays where it is."""
    create: list[tuple[str, list[Object]]] = []
    update: list[tuple[Object, list[Object]]] = []
    delete: list[Object] = []
    left = {text: {whose(each): each for each in endpoints} for text, endpoints in wanted.items()}
    room: dict[str, list[tuple[Object, list[Object]]]] = {}
    for each in there:
        mine = left.get(text := json.dumps([{**port} for port in each.get("ports") or []], sort_keys=True))
        if mine is None:
            delete.append(each)
            continue
        kept = [mine.pop(whose(old)) for old in each.get("endpoints") or [] if whose(old) in mine]
        room.setdefault(text, []).append((each, kept))
    for text, missing in left.items():
        rest = list(missing.values())
        for each, kept in room.get(text, []):
            kept += [rest.pop(0) for _ in range(min(len(rest), PER_SLICE - len(kept)))]
            if not kept and len(room[text]) > 1:
                delete.append(each)
            else:
                update.append((each, kept))
        create += [(text, rest[start:start + PER_SLICE]) for start in range(0, len(rest), PER_SLICE)]
        if not rest and text not in room:
            create.append((text, []))
    return create, update, delete


class ServiceFollower(Following):
    """What both controllers have in common: a Service is looked at when it, or a pod that it may mean, changes."""

    def setup(self) -> None:
        """Follow Services and pods."""
        self.watch("services")
        self.watch("pods", self.services_of)

    def services_of(self, pod: Object) -> list[str]:
        """The Services that mean a pod."""
        return [key_of(service) for service in self.copy_of("services").by("namespace", namespace(pod))
                if service["spec"].get("selector") and service["spec"]["selector"].items() <= labels(pod).items()]

    def pods_of(self, service: Object) -> list[Object]:
        """The pods of a Service's namespace."""
        return self.copy_of("pods").by("namespace", namespace(service))


class EndpointsController(ServiceFollower):
    """Keeps one Endpoints object, of the Service's name, for each Service with a selector."""

    name, account = "endpoints-controller", "endpoint-controller"

    def setup(self) -> None:
        """Follow also what it writes."""
        super().setup()
        self.watch("endpoints")

    async def sync(self, key: str) -> None:
        """Write the addresses of one Service."""
        service, there = self.copy_of("services").get(key), self.copy_of("endpoints").get(key)
        if service is None:
            if there and labels(there).get(ENDPOINTS_BY) == ENDPOINTS:
                await self.delete("endpoints", there)
            return
        if not service["spec"].get("selector") or service["spec"].get("type") == "ExternalName":
            return
        wanted = subsets(service, self.pods_of(service))
        marked = {**marks(service), ENDPOINTS_BY: ENDPOINTS}
        if there is None:
            meta = {"name": name(service), "namespace": namespace(service), "labels": marked,
                    "annotations": {TRIGGERED: service["metadata"]["creationTimestamp"]}}
            await self.client.create("endpoints", {"metadata": meta, **({"subsets": wanted} if wanted else {})})
        elif there.get("subsets", []) != wanted or labels(there) != marked:
            notes = {key: value for key, value in annotations(there).items() if key != TRIGGERED}
            meta = {**there["metadata"], "labels": marked, "annotations": notes}
            await self.client.update("endpoints", {**there, "metadata": meta, "subsets": wanted})


class EndpointSliceController(ServiceFollower):
    """Keeps the EndpointSlices of each Service with a selector: as few as hold its pods, each changed as seldom as can be."""

    name = "endpointslice-controller"

    def setup(self) -> None:
        """Follow also the slices themselves, and the nodes, for their zones."""
        super().setup()
        self.watch("endpointslices", lambda each: f"{namespace(each)}/{labels(each).get(SERVICE_NAME, '')}"
                    if labels(each).get(SLICES_BY) == SLICES else None)
        self.watch("nodes", lambda node: None)

    async def sync(self, key: str) -> None:
        """Write the slices of one Service."""
        service = self.copy_of("services").get(key)
        there = [each for each in self.copy_of("endpointslices").by("namespace", key.partition("/")[0])
                 if labels(each).get(SERVICE_NAME) == key.partition("/")[2] and labels(each).get(SLICES_BY) == SLICES]
        if service is None or service["metadata"].get("deletionTimestamp"):
            return                                     # the garbage collector takes slices along with their owner
        if not service["spec"].get("selector") or service["spec"].get("type") == "ExternalName":
            return
        zones = {name(node): labels(node).get(ZONE, "") for node in self.copy_of("nodes").select()}
        create, update, delete = reconcile(wanted_slices(service, self.pods_of(service), zones), sorted(there, key=name))
        for text, endpoints in create:
            await self.client.create("endpointslices", self.slice(service, json.loads(text), endpoints), namespace(service))
        marked = {**marks(service), SERVICE_NAME: name(service), SLICES_BY: SLICES}
        for each, endpoints in update:
            if (each.get("endpoints") or []) != endpoints or labels(each) != marked:
                notes = {key: value for key, value in annotations(each).items() if key != TRIGGERED}
                meta = {**each["metadata"], "labels": marked, "annotations": notes}
                await self.client.update("endpointslices", {**each, "metadata": meta, "endpoints": endpoints})
        for each in delete:
            await self.delete("endpointslices", each)

    def slice(self, service: Object, ports: list[Object], endpoints: list[Object]) -> Object:
        """A new slice of a Service."""
        owner = {"apiVersion": "v1", "kind": "Service", "name": name(service), "uid": uid(service), "controller": True,
                 "blockOwnerDeletion": True}
        return {"metadata": {"generateName": f"{name(service)}-", "namespace": namespace(service),
                             "labels": {**marks(service), SERVICE_NAME: name(service), SLICES_BY: SLICES},
                             "annotations": {TRIGGERED: timestamp(self.clock)}, "ownerReferences": [owner]},
                "addressType": "IPv4", "endpoints": copy(endpoints), "ports": ports}
