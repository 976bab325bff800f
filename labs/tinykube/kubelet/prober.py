"""Asks a pod's containers how they are, each in its own rhythm, and keeps what they have come to.

Genuine counterpart: pkg/kubelet/prober.Manager.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tinykube.kubelet.http import ask
from tinykube.kubelet.probes import ASSUMED, KINDS, Standing, answered, must_restart, probe_of, setting
from tinykube.kubelet.restart import Runs
from tinykube.kubelet.status import Health
from tinykube.machinery.objects import Object
from tinykube.runtime.interface import RUNNING, Container

if TYPE_CHECKING:
    from tinykube.kubelet.worker import PodWorker


class Prober:
    """The probes of one pod."""

    def __init__(self, worker: PodWorker) -> None:
        self.worker, self.clock = worker, worker.clock
        self.standings: dict[tuple[str, str], Standing] = {}       # container id, kind
        self.up: dict[str, asyncio.Event] = {}                     # by container id: its startup is over
        self.tasks: dict[str, list[asyncio.Task[None]]] = {}
        self.unwell: dict[str, tuple[str, Object]] = {}            # containers to be ended: the kind of probe, the probe

    def follow(self, specs: Mapping[str, Object], runs: Runs, ip: str) -> None:
        """Probe what runs now; forget what runs no more."""
        running = {run.id: run for history in runs.values() for run in history[-1:] if run.state == RUNNING}
        for gone in [key for key in self.tasks if key not in running]:
            self.forget(gone)
        for key, run in running.items():
            if key not in self.tasks and run.config.name in specs:
                self.begin(run, specs[run.config.name], ip)

    def begin(self, run: Container, container: Object, ip: str) -> None:
        """Start the probes of a container."""
        self.up[run.id], self.tasks[run.id] = asyncio.Event(), []
        for kind in KINDS:
            if probe := probe_of(container, kind):
                self.standings[run.id, kind] = Standing(ASSUMED[kind])
                work = self.watch(run, container, kind, probe, ip)
                self.tasks[run.id].append(asyncio.create_task(work, name=f"{kind} probe of {run.config.name}"))
        if not probe_of(container, "startup"):
            self.up[run.id].set()

    def forget(self, key: str) -> None:
        """End the probes of a container."""
        for task in self.tasks.pop(key):
            task.cancel()
        self.up.pop(key)
        self.unwell.pop(key, None)
        self.standings = {which: standing for which, standing in self.standings.items() if which[0] != key}

    def stop(self) -> None:
        """End all probes."""
        for key in list(self.tasks):
            self.forget(key)

    async def watch(self, run: Container, container: Object, kind: str, probe: Object, ip: str) -> None:
        """Ask again and again, until there is nothing more to be asked."""
        if kind != "startup":
            await self.up[run.id].wait()
        passed = self.clock.now().timestamp() - run.started_at
        await self.clock.sleep(max(0.0, setting(probe, "initialDelaySeconds") - passed))
        while True:
            good, said = await ask(self.worker.kubelet, run, container, probe, ip, setting(probe, "timeoutSeconds"))
            before = self.standings[run.id, kind]
            standing = self.standings[run.id, kind] = answered(probe, before, good)
            if not good:
                self.worker.event("Warning", "Unhealthy", f"{kind.capitalize()} probe failed: {said}",
                                  f"spec.containers{{{run.config.name}}}")
            if must_restart(kind, standing, probe):
                self.unwell[run.id] = kind, probe
                return self.worker.dirty.set()
            if standing.result != before.result:
                self.worker.dirty.set()
            if kind == "startup" and standing.result:
                return self.up[run.id].set()
            await self.clock.sleep(setting(probe, "periodSeconds"))

    def health(self, runs: Runs) -> dict[str, Health]:
        """How the containers that run are, by name."""
        found = {}
        for name, history in runs.items():
            if history[-1].id in self.up:
                key = history[-1].id
                started = self.up[key].is_set()
                ready = self.standings.get((key, "readiness"), Standing(True)).result
                found[name] = Health(started, started and ready)
        return found

    def started(self, runs: Runs) -> set[str]:
        """The containers that run and whose startup is over."""
        return {name for name, health in self.health(runs).items() if health.started}
