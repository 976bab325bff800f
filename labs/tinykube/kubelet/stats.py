"""What a node's pods use: measured when somebody asks, told in the two forms in which others read it.

Genuine counterpart: the kubelet's stats provider; /stats/summary and /metrics/resource of its API.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tinykube.machinery.objects import Object, dig, format_time, name, namespace, uid
from tinykube.machinery.quantity import whole

if TYPE_CHECKING:
    from tinykube.kubelet.kubelet import Kubelet

NANO = 1_000_000_000
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
HELP = {
    "container_cpu_usage_seconds_total": ("counter", "Cumulative cpu time consumed by the container in core-seconds"),
    "container_memory_working_set_bytes": ("gauge", "Current working set of the container in bytes"),
    "container_start_time_seconds": ("gauge", "Start time of the container since unix epoch in seconds"),
    "node_cpu_usage_seconds_total": ("counter", "Cumulative cpu time consumed by the node in core-seconds"),
    "node_memory_working_set_bytes": ("gauge", "Current working set of the node in bytes"),
    "pod_cpu_usage_seconds_total": ("counter", "Cumulative cpu time consumed by the pod in core-seconds"),
    "pod_memory_working_set_bytes": ("gauge", "Current working set of the pod in bytes"),
    "resource_scrape_error": ("gauge", "1 if there was an error while getting container metrics, 0 otherwise")}


@dataclass(frozen=True)
class Use:
    """What something has used by a moment: CPU since it began, CPU of late, memory now."""

    at: float                          # seconds since 1970
    since: float                       # when it began
    cpu: int                           # thousand-millionths of a second on one CPU
    nano_cores: int                    # thousand-millionths of a CPU, lately
    memory: int                        # bytes


@dataclass(frozen=True)
class Observed:
    """How much of something there is, and how much of it is left, in bytes."""

    available: int
    capacity: int


Uses = Mapping[str, int]               # a pod's containers -> bytes of one resource; what no container has alone is under ""


@dataclass(frozen=True)
class PodUse:
    """What a pod's running containers use, by name."""

    pod: Object
    containers: Mapping[str, Use]

    @property
    def total(self) -> Use:
        """All of them together."""
        return added(self.containers.values())


def added(uses: Iterable[Use]) -> Use:
    """Several uses as one."""
    every = list(uses) or [Use(0, 0, 0, 0, 0)]
    return Use(max(each.at for each in every), min(each.since for each in every), sum(each.cpu for each in every),
               sum(each.nano_cores for each in every), sum(each.memory for each in every))


class Accounting:
    """Measures what the pods of a node use."""

    def __init__(self, kubelet: Kubelet) -> None:
        self.kubelet = kubelet
        self.earlier: dict[str, Use] = {}          # container id -> its last measurement

    async def measure(self) -> list[PodUse]:
        """What each pod of this node uses now. CPU of late is that since the last time anybody asked."""
        uses: dict[str, Use] = {}
        for each in await self.kubelet.runtime.list_container_stats():
            before = self.earlier.get(each.container_id, Use(each.started_at, each.started_at, 0, 0, 0))
            passed = each.at - before.at
            lately = round((each.cpu - before.cpu) / passed) if passed > 0 else before.nano_cores
            uses[each.container_id] = Use(each.at, each.started_at, each.cpu, max(0, lately), each.memory)
        self.earlier = uses
        found: dict[str, dict[str, Use]] = {}
        owners = {box.id: box.config.uid for box in await self.kubelet.runtime.list_pod_sandbox()}
        for run in await self.kubelet.runtime.list_containers():
            if run.id in uses and run.sandbox_id in owners:
                found.setdefault(owners[run.sandbox_id], {})[run.config.name] = uses[run.id]
        pods = [worker.pod for worker in self.kubelet.workers.values()]
        return [PodUse(pod, dict(sorted(found[uid(pod)].items()))) for pod in pods if uid(pod) in found]


    async def observe(self) -> dict[str, Observed]:
        """What the node has left, by the signals of evictions. Its memory is what it offers, less what its pods use."""
        capacity = whole(dig(self.kubelet.node, "status", "capacity", "memory", default="0"))
        used = added(each.total for each in await self.measure()).memory
        disk = await asyncio.to_thread(shutil.disk_usage, self.kubelet.directory)
        return {"memory.available": Observed(capacity - used, capacity), "nodefs.available": Observed(disk.free, disk.total)}

    async def uses(self, what: str) -> dict[str, Uses]:
        """How much memory, or room on the disk, the pods use, by their uids. Who runs nothing is not in it."""
        pods = await self.measure()
        if what == "memory":
            return {uid(each.pod): {name: use.memory for name, use in each.containers.items()} for each in pods}
        return {uid(each.pod): await asyncio.to_thread(self.room_of, each) for each in pods}

    def room_of(self, use: PodUse) -> Uses:
        """The bytes of a pod's logs, container by container, and of its volumes."""
        worker = self.kubelet.workers[uid(use.pod)]
        return {"": size_of(worker.volumes.directory)} | {
            container: size_of(worker.log_directory() / container) for container in use.containers}


def size_of(place: Path) -> int:
    """The bytes of all files below a directory."""
    return sum(each.lstat().st_size for each in place.rglob("*") if each.is_file())


def stats_of(use: Use) -> Object:
    """CPU and memory, as a summary has them."""
    at = format_time(datetime.fromtimestamp(use.at, UTC))
    return {"cpu": {"time": at, "usageNanoCores": use.nano_cores, "usageCoreNanoSeconds": use.cpu},
            "memory": {"time": at, "workingSetBytes": use.memory, "rssBytes": use.memory}}


def begun(use: Use) -> Object:
    """When something began, as a summary has it."""
    return {"startTime": format_time(datetime.fromtimestamp(use.since, UTC))}


def summary(node: str, pods: list[PodUse], memory: int) -> Object:
    """All of it as `/stats/summary`. A node of ours uses what its pods use; `memory` is what it has, in bytes."""
    whole = added(each.total for each in pods)
    about = stats_of(whole)
    about["memory"]["availableBytes"] = memory - whole.memory
    return {"node": {"nodeName": node, **begun(whole), **about}, "pods": [
        {"podRef": {"name": name(each.pod), "namespace": namespace(each.pod), "uid": uid(each.pod)}, **begun(each.total),
         "containers": [{"name": container, **begun(use), **stats_of(use)} for container, use in each.containers.items()],
         **stats_of(each.total)} for each in pods]}


def resource_metrics(pods: list[PodUse]) -> str:
    """CPU and memory of node, pods and containers in the text form of Prometheus: a name, labels, a number, a time."""
    lines: dict[str, list[str]] = {metric: [] for metric in HELP}

    def say(what: str, about: str, use: Use) -> None:
        at = round(use.at * 1000)
        lines[f"{what}_cpu_usage_seconds_total"].append(f"{about} {use.cpu / NANO:g} {at}")
        lines[f"{what}_memory_working_set_bytes"].append(f"{about} {use.memory} {at}")
    for each in pods:
        about = f'namespace="{namespace(each.pod)}",pod="{name(each.pod)}"'
        for container, use in each.containers.items():
            say("container", f'{{container="{container}",{about}}}', use)
            lines["container_start_time_seconds"].append(f'{{container="{container}",{about}}} {use.since!r}')
        say("pod", f"{{{about}}}", each.total)
    say("node", "", added(each.total for each in pods))
    lines["resource_scrape_error"].append(" 0")
    return "".join(f"# HELP {metric} [STABLE] {about}\n# TYPE {metric} {kind}\n" + "".join(
        f"{metric}{line}\n" for line in lines[metric]) for metric, (kind, about) in HELP.items() if lines[metric])
