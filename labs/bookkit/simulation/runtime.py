"""A container runtime without containers: it keeps the books, takes its time, and ends what it is told to end.

What a container does, its arguments say: nothing for one that runs until it is stopped, or the seconds after which it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from functools import wraps
from random import Random
from typing import Any, ParamSpec, TypeVar

from tinykube.machinery.clock import Clock
from tinykube.runtime.interface import (
    CREATED,
    EXITED,
    NOT_READY,
    READY,
    RUNNING,
    Container,
    ContainerConfig,
    ContainerEvent,
    ContainerStats,
    CriError,
    PodSandbox,
    PodSandboxConfig,
    Streams,
)

Call = ParamSpec("Call")
T = TypeVar("T")
STUBBORN = 0.05             # the share of containers that SIGTERM does not end


def carried_out(call: Callable[Call, Coroutine[Any, Any, T]]) -> Callable[Call, Coroutine[Any, Any, T]]:
    """A call to another process: it goes on when whoever made it is no more."""
    @wraps(call)
    async def made(*args: Call.args, **named: Call.kwargs) -> T:
        return await asyncio.shield(asyncio.ensure_future(call(*args, **named)))
    return made


class SimulatedRuntime:
    """The runtime of one machine. It outlives kubelets, as containerd does, but not the power."""

    name, version = "simulated", "1.0.0"

    def __init__(self, machine: int, clock: Clock, random: Random) -> None:
        self.machine, self.clock, self.random = machine, clock, random
        self.boxes: dict[str, PodSandbox] = {}
        self.containers: dict[str, Container] = {}
        self.listeners: list[asyncio.Queue[ContainerEvent]] = []
        self.ends: dict[str, asyncio.TimerHandle] = {}
        self.made = 0
        self.broken = 0.0                        # the share of calls that fail
        self.faults: list[str] = []              # what a kubelet asked for that no kubelet may ask for

    async def start(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Forget who listens."""
        self.listeners.clear()

    async def take_time(self, most: float) -> None:
        """Be as slow as runtimes are, and as unreliable as we are told to be."""
        await self.clock.sleep(self.random.uniform(0.01, most))
        if self.random.random() < self.broken:
            raise CriError("the runtime is out of order")

    def new_id(self) -> str:
        self.made += 1
        return f"{self.machine:04x}{self.made:08x}"

    @carried_out
    async def run_pod_sandbox(self, config: PodSandboxConfig) -> PodSandbox:
        await self.take_time(0.5)
        if any(each.config.uid == config.uid and each.state == READY for each in self.boxes.values()):
            self.faults.append(f"a second sandbox for {config.namespace}/{config.name} ({config.uid})")
        self.made += 1
        ip = f"10.{64 + self.machine // 256}.{self.machine % 256}.{1 + self.made % 250}"
        while any(each.ip == ip and each.state == READY for each in self.boxes.values()):
            self.made += 1
            ip = f"10.{64 + self.machine // 256}.{self.machine % 256}.{1 + self.made % 250}"
        box = PodSandbox(self.new_id(), config, READY, self.clock.now().timestamp(), ip)
        self.boxes[box.id] = box
        return box

    @carried_out
    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        await self.take_time(0.2)
        for one in list(self.containers.values()):
            if one.sandbox_id == sandbox_id:
                self.end(one.id, 137)
        if sandbox_id in self.boxes:
            self.boxes[sandbox_id] = replace(self.boxes[sandbox_id], state=NOT_READY)

    @carried_out
    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        await self.stop_pod_sandbox(sandbox_id)
        self.boxes.pop(sandbox_id, None)
        self.containers = {key: one for key, one in self.containers.items() if one.sandbox_id != sandbox_id}

    async def list_pod_sandbox(self) -> list[PodSandbox]:
        return list(self.boxes.values())

    @carried_out
    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        await self.take_time(0.1)
        box = self.boxes.get(sandbox_id)
        if box is None or box.state != READY:
            raise CriError(f"sandbox {sandbox_id} does not run")
        if any(one.sandbox_id == sandbox_id and one.config.name == config.name and one.state == RUNNING
               for one in self.containers.values()):
            self.faults.append(f"a second container {config.name} in {box.config.namespace}/{box.config.name}")
        one = Container(self.new_id(), sandbox_id, config, f"sha256:{config.image}", CREATED,
                        f"{box.config.log_directory}/{config.log_path}", created_at=self.clock.now().timestamp())
        self.containers[one.id] = one
        return one.id

    @carried_out
    async def start_container(self, container_id: str) -> None:
        await self.take_time(0.3)
        one = self.containers.get(container_id)
        if one is None or self.boxes[one.sandbox_id].state != READY:
            raise CriError(f"container {container_id} is gone")
        self.containers[container_id] = replace(one, state=RUNNING, started_at=self.clock.now().timestamp())
        self.tell(one, "CONTAINER_STARTED_EVENT")
        if one.config.args:
            seconds = float(one.config.args[0])
            self.ends[container_id] = asyncio.get_running_loop().call_later(seconds, self.end, container_id, 0)

    @carried_out
    async def stop_container(self, container_id: str, timeout: float) -> None:  # noqa: ASYNC109
        one = self.containers.get(container_id)
        if one is None or one.state != RUNNING:
            return
        stubborn = self.random.random() < STUBBORN
        await self.clock.sleep(timeout if stubborn else min(timeout, self.random.uniform(0.05, 2)))
        self.end(container_id, 137 if stubborn else 0)

    async def remove_container(self, container_id: str) -> None:
        self.end(container_id, 137)
        self.containers.pop(container_id, None)

    async def list_containers(self) -> list[Container]:
        return list(self.containers.values())

    async def container_status(self, container_id: str) -> Container:
        if container_id not in self.containers:
            raise CriError(f"there is no container {container_id}")
        return self.containers[container_id]

    async def list_container_stats(self) -> list[ContainerStats]:
        return []

    async def exec(self, container_id: str, command: list[str], streams: Streams) -> int:
        await self.take_time(0.2)
        return 0 if self.containers[container_id].state == RUNNING else 1

    async def attach(self, container_id: str, streams: Streams) -> None:
        raise CriError("these containers say nothing")

    async def image_status(self, image: str) -> str | None:
        return f"sha256:{image}"

    async def pull_image(self, image: str) -> str:
        return f"sha256:{image}"

    async def container_events(self) -> AsyncIterator[ContainerEvent]:
        queue: asyncio.Queue[ContainerEvent] = asyncio.Queue()
        self.listeners.append(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            if queue in self.listeners:
                self.listeners.remove(queue)

    def tell(self, one: Container, what: str) -> None:
        """Let all who listen know."""
        box = self.boxes.get(one.sandbox_id)
        for queue in self.listeners:
            queue.put_nowait(ContainerEvent(box.config.uid if box else "", one.id, what))

    def end(self, container_id: str, code: int) -> None:
        """A container ends, of itself or not; nothing happens to one that has ended."""
        if timer := self.ends.pop(container_id, None):
            timer.cancel()
        one = self.containers.get(container_id)
        if one and one.state in (RUNNING, CREATED):
            self.containers[container_id] = replace(
                one, state=EXITED, exit_code=code, finished_at=self.clock.now().timestamp(),
                started_at=one.started_at or one.created_at, reason="Error" if code else "Completed")
            self.tell(one, "CONTAINER_STOPPED_EVENT")

    def running(self) -> list[Container]:
        """The containers that run now."""
        return [one for one in self.containers.values() if one.state == RUNNING]

    def lose_power(self) -> None:
        """All that ran has ended. What is on the disk is still there."""
        for one in self.running():
            self.end(one.id, 255)
        self.boxes = {key: replace(box, state=NOT_READY) for key, box in self.boxes.items()}
