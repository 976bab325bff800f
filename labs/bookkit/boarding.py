"""Ours in the seats of a living kind cluster: its scheduler and its controller manager are taken out, and put back.

In kind these two are static pods: the kubelet of the first node runs what it finds in a folder. A file that is moved out
of it ends the program; moved back, it starts it again. Ours run here, with the identities that the node keeps for them.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self

import yaml
from anyio.from_thread import start_blocking_portal
from genuine.find import need
from genuine.kind import KindCluster
from genuine.processes import GuardedProcesses, PartFailed
from tinykube.machinery.clock import SystemClock
from tinykube.machinery.eventlog import EventLog

from bookkit.planks import IDENTITY, tiny_controllers, tiny_scheduler

__all__ = ["KINDS", "SEATS", "Boarding"]

SEATS: dict[str, tuple[str, Callable[..., Any]]] = {
    "scheduler": ("scheduler", tiny_scheduler), "controllers": ("controller-manager", tiny_controllers)}
KINDS = ("tiny", "genuine")
HOME, ASIDE = "/etc/kubernetes/manifests", "/etc/kubernetes/aside"
BINDING = re.compile(r'^apiserver_request_total\{(?=.*resource="pods")(?=.*subresource="binding").*code="(\d+)".*\} (\S+)$', re.M)


class Boarding:
    """The two seats of a kind cluster that nobody talks to. Use with `with`; `swap` changes one; the end puts all back."""

    def __init__(self, kind: KindCluster, timeout: float = 120) -> None:
        self.kind, self.timeout = kind, timeout
        self.seats = dict.fromkeys(SEATS, "genuine")
        self.clock, self.random, self.eventlog = SystemClock(), Random(0), EventLog()
        self._stack, self._aboard = ExitStack(), dict[str, AsyncExitStack]()

    def start(self) -> Self:
        """Get ready. What is moved aside comes back when this process ends, also if it is killed."""
        self.node = next(node for node in self.kind.nodes() if node.endswith("control-plane"))
        self.kind.exec(self.node, "mkdir", "-p", ASIDE)
        self._guard = GuardedProcesses()
        back = f"mv {ASIDE}/*.yaml {HOME}; rmdir {ASIDE}"
        self._guard.finally_run([str(need("docker")["docker"]), "exec", self.node, "sh", "-c", back])
        self._stack.callback(self._guard.close)
        self._portal = self._stack.enter_context(start_blocking_portal(name="boarding"))
        return self

    def stop(self) -> None:
        """Put the genuine ones back, and wait until they lead. Safe to repeat."""
        try:
            for seat in SEATS:
                self.swap(seat, "genuine")
        finally:
            for seat in list(self._aboard):
                self._leave(seat)
            self._stack.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def swap(self, seat: str, kind: str) -> None:
        """Change one plank: the new one stands by until the old one is gone, and its Lease free. Waits until it leads."""
        if seat not in SEATS or kind not in KINDS:
            raise ValueError(f"there are {' and '.join(SEATS)}, each {' or '.join(KINDS)}; not {seat!r}, {kind!r}")
        if self.seats[seat] == kind:
            return
        self.seats[seat] = kind
        file = f"kube-{SEATS[seat][0]}.yaml"
        if kind == "tiny":
            self._enter(seat)
            self.kind.exec(self.node, "mv", f"{HOME}/{file}", ASIDE)
            self._wait(f"our {seat} to lead", lambda: self.leader(seat) == IDENTITY)
        else:
            self.kind.exec(self.node, "mv", f"{ASIDE}/{file}", HOME)
            self._wait(f"the genuine {seat} to run", lambda: self._runs(seat))
            self._leave(seat)
            self._wait(f"the genuine {seat} to lead", lambda: self.leader(seat) not in ("", IDENTITY))

    def leader(self, seat: str) -> str:
        """Who holds the Lease of a seat: "tinykube", or the name of a node and some letters."""
        return self.kind.kubectl("get", "lease", f"kube-{SEATS[seat][0]}", "-n", "kube-system", "-o",
                                 "jsonpath={.spec.holderIdentity}")

    def bindings(self) -> Counter[str]:
        """How the genuine api-server has answered those who bound a pod to a node, since its start: times by status code."""
        found = BINDING.findall(self.kind.kubectl("get", "--raw", "/metrics"))
        return Counter({code: int(float(times)) for code, times in found})

    def _runs(self, seat: str) -> bool:
        ready = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
        pod = f"kube-{SEATS[seat][0]}-{self.node}"
        return self.kind.kubectl("get", "pod", pod, "-n", "kube-system", "--ignore-not-found", "-o", ready) == "True"

    def _access(self, seat: str) -> Path:
        """The kubeconfig that the node keeps for the program in this seat, with the address by which we reach the server."""
        found = yaml.safe_load(self.kind.exec(self.node, "cat", f"/etc/kubernetes/{SEATS[seat][0]}.conf"))
        ours = yaml.safe_load(self.kind.kubeconfig.read_text())
        found["clusters"][0]["cluster"]["server"] = ours["clusters"][0]["cluster"]["server"]
        path = self._guard.directory / f"{seat}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(found))
        return path

    def _enter(self, seat: str) -> None:
        plank, path = SEATS[seat][1], self._access(seat)

        async def enter() -> AsyncExitStack:
            stack = AsyncExitStack()
            await stack.enter_async_context(plank(path, self.clock, self.random, self.eventlog))
            return stack
        self._aboard[seat] = self._portal.call(enter)

    def _leave(self, seat: str) -> None:
        self._portal.call(self._aboard.pop(seat).aclose)

    def _wait(self, what: str, so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self.timeout
        while not so():
            if time.monotonic() > deadline:
                raise PartFailed(f"waited {self.timeout:g} s in vain for {what}; the last of our log: {self.eventlog.records[-3:]}")
            time.sleep(0.3)
