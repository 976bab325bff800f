"""Both schedulers on one genuine api-server, asked the same: what each decides about the same pods on the same nodes."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import yaml
from genuine import ControlPlane, control_plane
from tinykube.client.http import HttpTransport
from tinykube.client.kubeconfig import load
from tinykube.client.rest import Client
from tinykube.machinery.clock import SystemClock
from tinykube.machinery.errors import ApiError
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.objects import Object
from tinykube.scheduler.config import read
from tinykube.scheduler.scheduler import ALSO, Scheduler

BOTH = ("ours", "genuine")
PRIORITIES = {"low": 10, "middle": 100, "high": 1000, "meek": 1000}
SCORED = re.compile(r'"Calculated node\'s final score for pod" pod="(\S+)/(\S+)" node="(\S+)" score=(\d+)')

# A profile of each kind, for both: `X-spread` is served by ours as `ours-spread`, by the genuine one as `genuine-spread`.
PROFILES: dict[str, Object] = {
    "": {},
    "-packed": {"pluginConfig": [{"name": "NodeResourcesFit", "args": {"scoringStrategy": {
        "type": "MostAllocated", "resources": [{"name": "cpu", "weight": 3}, {"name": "memory", "weight": 1},
                                               {"name": "example.com/gpu", "weight": 5}]}}}]},
    "-bare": {"plugins": {"multiPoint": {"disabled": [{"name": "TaintToleration"}, {"name": "DefaultPreemption"}]},
                          "score": {"disabled": [{"name": "*"}], "enabled": [{"name": "ImageLocality", "weight": 7}]}}},
    "-strict": {"pluginConfig": [
        {"name": "NodeAffinity", "args": {"addedAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}]}}}},
        {"name": "InterPodAffinity", "args": {"hardPodAffinityWeight": 50}},
        {"name": "PodTopologySpread", "args": {"defaultingType": "List", "defaultConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]}}]},
}


def configuration(who: str) -> str:
    """The KubeSchedulerConfiguration of one of the two: the same but for the names."""
    return yaml.safe_dump({
        "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "profiles": [{"schedulerName": who + kind, **profile} for kind, profile in PROFILES.items()]})


@dataclass
class Case:
    """A cluster, and pods to place in it: each by itself, or `together`, one after the other."""

    name: str
    nodes: list[Object]
    pods: list[Object]                                       # to be placed
    placed: list[tuple[str, Object]] = field(default_factory=list)     # node name, pod
    also: list[tuple[str, Object]] = field(default_factory=list)       # resource, object
    profile: str = ""
    together: bool = False


def node(name: str, cpu: str = "4", memory: str = "8Gi", pods: str = "110", *, labels: dict[str, str] | None = None,
         images: dict[str, int] | None = None, offers: dict[str, str] | None = None, **spec: Any) -> Object:
    """A Node object without a machine."""
    offered = {"cpu": cpu, "memory": memory, "pods": pods, "ephemeral-storage": "20Gi", **(offers or {})}
    return {"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}}, "spec": spec,
            "status": {"capacity": offered, "allocatable": offered,
                       "images": [{"names": [image], "sizeBytes": size} for image, size in (images or {}).items()]}}


def pod(name: str, cpu: str = "", memory: str = "", *, labels: dict[str, str] | None = None, priority: str = "",
        asks: dict[str, str] | None = None, image: str = "box", started: str = "", ports: Iterable[Object] = (),
        namespace: str = "", owner: Object | None = None, **spec: Any) -> Object:
    """A pod to place; `started` is for pods that run already."""
    wanted = {key: value for key, value in {"cpu": cpu, "memory": memory, **(asks or {})}.items() if value}
    container = {"name": "main", "image": image, "resources": {"requests": wanted, "limits": asks or {}},
                 "ports": list(ports)}
    meta: Object = {"name": name, "labels": labels or {}}
    if namespace:
        meta["namespace"] = namespace
    if owner:
        meta["ownerReferences"] = [owner]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "status": {"startTime": started} if started else {},
            "spec": {"containers": [container], **({"priorityClassName": priority} if priority else {}), **spec}}


class Bench:
    """A genuine api-server with both schedulers at work, each for pods that name it."""

    def __init__(self, plane: ControlPlane, admin: Client, scheduler: Scheduler, log: EventLog) -> None:
        self.plane, self.admin, self.scheduler, self.log = plane, admin, scheduler, log
        self.serial = 0

    async def compare(self, case: Case) -> list[str]:
        """How ours and the genuine one differ about a case, if they do."""
        for resource, obj in case.also:
            await self.put(resource, obj)
        for each in case.nodes:
            await self.admin.create("nodes", each)
        for who in BOTH:
            await self.settled(who, case)
        try:
            found = {who: await self.run(who, case) for who in BOTH}
        finally:
            await self.clear()
            for each in case.nodes:
                await self.admin.delete("nodes", each["metadata"]["name"])
            for resource, obj in reversed(case.also):
                meta = obj["metadata"]
                if resource != "namespaces":
                    await self.admin.delete(resource, meta["name"], meta.get("namespace"))
                    await self.unprotect(resource, meta)
            await self.scheduler_knows(lambda cache: not cache.order)
        return [f"{name}, {what}: ours {mine[what]}, genuine {found['genuine'][name][what]}"
                for name, mine in found["ours"].items() for what in mine if mine[what] != found["genuine"][name][what]]

    async def unprotect(self, resource: str, meta: Object) -> None:
        """Volumes and claims are protected until a controller says that they are not in use; here there is none."""
        if resource.startswith("persistentvolume"):
            with contextlib.suppress(ApiError):
                await self.admin.patch(resource, meta["name"], {"metadata": {"finalizers": None}}, meta.get("namespace"),
                                       type="merge")

    async def put(self, resource: str, obj: Object) -> None:
        """Create an object, and its status if it has one: here no controller writes it."""
        try:
            made = await self.admin.create(resource, obj)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            return
        if obj.get("status"):
            meta = made["metadata"]
            await self.admin.patch(resource, meta["name"], {"status": obj["status"]}, meta.get("namespace"),
                                   subresource="status", type="merge")

    async def settled(self, who: str, case: Case) -> None:
        """Wait until a scheduler has seen the last of the nodes: it places a pod there that can be nowhere else."""
        self.serial += 1
        name, last = f"probe-{self.serial}", case.nodes[-1]["metadata"]["name"]
        probe = pod(name, tolerations=[{"operator": "Exists"}], affinity=pinned(last), schedulerName=who)
        if case.nodes[-1]["status"]["allocatable"]["pods"] != "0":
            await self.admin.create("pods", probe, "default")
            await self.until(name, lambda found: found["spec"].get("nodeName"))
            await self.admin.delete("pods", name, "default", grace_seconds=0)

    async def run(self, who: str, case: Case) -> dict[str, Object]:
        """Fill the nodes, then let one scheduler place the pods; what came of each."""
        await self.fill(case)
        found = {}
        for each in case.pods:
            meta, spec = each["metadata"], each["spec"]
            name, namespace = meta["name"], meta.get("namespace", "default")
            await self.admin.create("pods", {**each, "spec": {**spec, "schedulerName": who + case.profile}}, namespace)
            await self.until(name, decided, namespace)
            found[name] = await self.outcome(who, case, name, namespace)
            if found[name]["victims"] and not case.together:
                await self.fill(case)
            elif not case.together:
                await self.admin.delete("pods", name, namespace, grace_seconds=0)
        return found

    async def fill(self, case: Case) -> None:
        """The pods that are there already, and no others."""
        await self.clear()
        for place, each in case.placed:
            await self.place(place, each)

    async def place(self, place: str, obj: Object) -> None:
        """A pod that is on a node already."""
        namespace = obj["metadata"].get("namespace", "default")
        await self.admin.create("pods", {**obj, "spec": {**obj["spec"], "nodeName": place, "schedulerName": "nobody"}},
                                namespace)
        if obj["status"]:
            await self.admin.patch("pods", obj["metadata"]["name"], {"status": obj["status"]}, namespace,
                                   subresource="status")

    async def outcome(self, who: str, case: Case, name: str, namespace: str) -> Object:
        """Of a pod: where, or why not; the points of the nodes; who was thrown out."""
        now = await self.admin.get("pods", name, namespace)
        said = [each for each in now["status"].get("conditions", ()) if each["type"] == "PodScheduled"]
        scores = self.scores_of_ours(f"{namespace}/{name}") if who == "ours" else self.scores_of_genuine(namespace, name)
        best = max(scores.values(), default=0)
        tied = [node for node, points in scores.items() if points == best]
        where = now["spec"].get("nodeName")
        nominated = now["status"].get("nominatedNodeName")
        return {"scores": dict(sorted(scores.items())), "nominated": nominated,
                "why": [(each["reason"], each["message"]) for each in said if each["status"] == "False"],
                "where": "one of the best" if where in tied and len(tied) > 1 else where,
                "victims": await self.victims(case, at_least=1 if nominated else 0)}

    async def victims(self, case: Case, at_least: int) -> Object:
        """The placed pods that are being deleted, and the reason that stands in their status.

        A scheduler throws out one pod after the other, and nothing says which was the last: wait until no more go.
        """
        before: Object = {}
        same = 0
        for _ in range(200):
            gone: Object = {}
            for _, each in case.placed:
                now = await self.admin.get("pods", each["metadata"]["name"], each["metadata"].get("namespace", "default"))
                if now["metadata"].get("deletionTimestamp"):
                    said = [one for one in now["status"].get("conditions", ()) if one["type"] == "DisruptionTarget"]
                    gone[each["metadata"]["name"]] = [(one["reason"], one["message"].split(":")[1]) for one in said]
            same = same + 1 if gone == before else 0
            if len(gone) >= at_least and (same >= 6 or not at_least):
                return gone
            before = gone
            await asyncio.sleep(0.05)
        return gone

    def scores_of_ours(self, key: str) -> Object:
        """The points of the last decision about a pod, by our log; of a single node nobody counts points."""
        last: Object = next((each for each in reversed(self.log.records)
                             if each["verb"] == "decided" and each["pod"] == key and each["node"]), {"scores": {}})
        return dict(last["scores"]) if len(last["scores"]) > 1 else {}

    def scores_of_genuine(self, namespace: str, name: str) -> Object:
        """The same of the genuine scheduler, which logs them when asked to be talkative."""
        text = self.plane.log("scheduler")
        mine = [(node, int(points)) for space, who, node, points in SCORED.findall(text[self.mark:])
                if (space, who) == (namespace, name)]
        return dict(mine)

    async def until(self, name: str, done: Any, namespace: str = "default") -> Object:
        """Ask for a pod until something holds of it; this stands outside, so it may poll."""
        for _ in range(600):
            found = await self.admin.get("pods", name, namespace)
            if done(found):
                return found
            await asyncio.sleep(0.05)
        raise AssertionError(f"waited in vain for pod {name}: {found['spec'].get('nodeName')} {found['status']}")

    async def clear(self) -> None:
        """No pods at all any more."""
        self.mark = len(self.plane.log("scheduler"))
        self.log._records.clear()
        for each in (await self.admin.list("pods"))["items"]:
            await self.admin.delete("pods", each["metadata"]["name"], each["metadata"]["namespace"], grace_seconds=0)

    async def scheduler_knows(self, what: Any) -> None:
        """Wait until something holds of what our scheduler knows."""
        for _ in range(600):
            if what(self.scheduler.cache):
                return
            await asyncio.sleep(0.02)
        raise AssertionError("our scheduler has not heard")


def decided(found: Object) -> bool:
    """Whether a scheduler has dealt with a pod."""
    return bool(found["spec"].get("nodeName")) or any(
        each["type"] == "PodScheduled" and each["status"] == "False" for each in found["status"].get("conditions", ()))


def pinned(name: str) -> Object:
    """An affinity that leaves one node, by its name."""
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]}]}}}


@asynccontextmanager
async def bench(directory: Path) -> AsyncIterator[Bench]:
    """Start the api-server, the genuine scheduler and ours, each with its own configuration."""
    config = directory / "genuine.yaml"
    flags = {"apiserver": ["--disable-admission-plugins=TaintNodesByCondition"]}
    with control_plane(["apiserver"], flags=flags, audit=False) as plane:
        theirs = yaml.safe_load(configuration("genuine"))
        theirs["clientConnection"] = {"kubeconfig": str(plane.kubeconfig_for("scheduler")), "qps": 1000, "burst": 1000}
        config.write_text(yaml.safe_dump(theirs))
        plane._flags["scheduler"] = [f"--config={config}", "--vmodule=schedule_one=10"]
        async with (HttpTransport.from_access(load(plane.kubeconfig)) as admin_wire,
                    HttpTransport.from_access(load(plane.kubeconfig_for("scheduler"))) as wire):
            admin, log = Client(admin_wire, prefixes={**ALSO, "priorityclasses": "/apis/scheduling.k8s.io/v1"}), EventLog()
            for name, value in PRIORITIES.items():
                await admin.create("priorityclasses", {
                    "metadata": {"name": name}, "value": value,
                    "preemptionPolicy": "Never" if name == "meek" else "PreemptLowerPriority"})
            await asyncio.to_thread(plane.start_component, "scheduler")
            ours = Scheduler(Client(wire, "tinykube-scheduler"), clock=SystemClock(), random=Random(1), log=log,
                             config=read(configuration("ours")))
            await ours.start()
            try:
                yield Bench(plane, admin, ours, log)
            finally:
                await ours.stop()
                await asyncio.to_thread(plane.stop_component, "scheduler")
