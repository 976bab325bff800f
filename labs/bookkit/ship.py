"""A ship of Theseus: a control plane whose seats are tiny or genuine, and change while it sails.

Everything speaks verified TLS, and each part has the identity that Kubernetes gives it, whichever kind it is: the same
authority, the same kubeconfigs, the same port of the api-server.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any, Self

from anyio.from_thread import BlockingPortal, start_blocking_portal
from genuine.controlplane import COMPONENTS, ControlPlane
from genuine.etcd_members import Etcd
from genuine.find import need
from genuine.processes import GuardedProcesses, reserve_port
from tinykube.client.http import HttpTransport
from tinykube.client.kubeconfig import load
from tinykube.client.rest import Client
from tinykube.machinery.clock import SystemClock
from tinykube.machinery.eventlog import EventLog
from tinykube.store import Put
from tinykube.store.wire.client import EtcdStorage

__all__ = ["KINDS", "SEATS", "Ship"]

SEATS = ("store", "api", "scheduler", "controllers")
KINDS = ("tiny", "genuine")
GENUINE = {"api": "apiserver", "scheduler": "scheduler", "controllers": "controller-manager"}
LEASES = ["--leader-elect-lease-duration=4s", "--leader-elect-renew-deadline=3s", "--leader-elect-retry-period=500ms"]
TINYKUBE = Path(sys.executable).with_name("tinykube")

Stop = Callable[[], Awaitable[None]]


class Ship(ControlPlane):
    """A control plane of four seats. `Ship(api="genuine")` begins with that plank; `swap` changes one."""

    def __init__(self, *, timeout: float = 90, **seats: str) -> None:
        super().__init__(flags={"scheduler": LEASES, "controller-manager": LEASES}, timeout=timeout)
        self.seats = dict.fromkeys(SEATS, "tiny") | seats
        for seat, kind in self.seats.items():
            self._check(seat, kind)
        self.clock, self.random = SystemClock(), Random(0)
        self.eventlog = EventLog(self.clock)
        self._stack = ExitStack()
        self._stops: dict[str, Stop] = {}

    # --- life

    def start(self) -> Self:
        """Put a plank into each seat, from the store up. Raises MissingPart or PartFailed."""
        self._binaries = need("etcd", *(f"kube-{name}" for name in COMPONENTS))
        self.processes = GuardedProcesses()
        try:
            self._portal: BlockingPortal = self._stack.enter_context(start_blocking_portal(name="ship"))
            self._prepare()
            self._store_identities()
            self._held["apiserver"].close()              # from here on the port is ours to give: to one api-server at a time
            for seat in SEATS:
                self._put(seat, self.seats[seat])
            self._wait_for_namespace()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Take out all planks, from the top down, and remove the directory. Safe to repeat."""
        for seat in reversed(SEATS):
            if stop := self._stops.pop(seat, None):
                self._portal.call(stop)
        self._stack.close()
        super().stop()

    def swap(self, seat: str, kind: str) -> None:
        """Change one plank while the others stay in place. A store hands over its data."""
        self._check(seat, kind)
        if self.seats[seat] == kind:
            return
        if seat == "store":
            self._swap_store(kind)
        elif seat == "api":                              # one port: the old one goes before the new one comes
            self._take(seat)
            self._put(seat, kind)
        else:                                            # the new one stands by until it is elected
            self._put(seat, kind, beside=True)
        self.seats[seat] = kind

    @property
    def name(self) -> str:
        """The planks in a word: which of store, api, scheduler, controllers is G(enuine)."""
        return "".join(self.seats[seat][0].upper() for seat in SEATS)
