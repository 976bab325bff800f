"""Our elector and a genuine kube-scheduler in line for one Lease: one at a time, and each follows the other in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from random import Random

import pytest
from genuine import ControlPlane, control_plane
from tinykube.client.http import HttpTransport
from tinykube.client.kubeconfig import load
from tinykube.client.leader import LeaderElector
from tinykube.client.rest import Client
from tinykube.machinery.clock import SystemClock
from tinykube.machinery.errors import ApiError

PATIENCE = 15 + 2 * (1 + 1.2) + 5          # a lease's time, the longest pause between tries, and a busy machine


async def until(true: Callable[[], bool], seconds: float) -> float:
    """Seconds until true() holds. Raises TimeoutError."""
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 (the other side is a server)
            await asyncio.sleep(0.1)
    return time.monotonic() - began


class Lease:
    """Follows who holds the lease, four times a second."""

    def __init__(self, client: Client) -> None:
        self.client, self.holders = client, [""]

    async def follow(self) -> None:
        while True:
            try:
                spec = (await self.client.get("leases", "kube-scheduler", "kube-system"))["spec"]
                if spec.get("holderIdentity", "") != self.holders[-1]:
                    self.holders.append(spec.get("holderIdentity", ""))
            except ApiError as error:
                if error.code != 404:
                    raise
            await asyncio.sleep(0.25)


@pytest.mark.timeout(240)
async def test_one_lease_ours_and_the_genuine_schedulers() -> None:
    with control_plane(["apiserver"]) as plane:
        async with HttpTransport.from_access(load(plane.kubeconfig_for("scheduler"))) as transport:
            lease = Lease(Client(transport, "onlooker"))
            following = asyncio.create_task(lease.follow())
            try:
                await take_turns(plane, Client(transport, "elector"), lease)
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)


async def take_turns(plane: ControlPlane, client: Client, lease: Lease) -> None:
    elector = LeaderElector(client, "kube-scheduler", "ours", clock=SystemClock(), random=Random(0), namespace="kube-system")
    ours = asyncio.create_task(elector.run(asyncio.Event().wait))
    try:
        await until(elector.is_leader, 20)
        await asyncio.to_thread(plane.start_component, "scheduler")
        await asyncio.sleep(18)                           # longer than a lease: the genuine one waits as long as we renew
        assert lease.holders == ["", "ours"]
        ours.cancel()                                     # ours steps down, and gives back
        await asyncio.gather(ours, return_exceptions=True)
        await until(lambda: lease.holders[-1] not in ("", "ours"), 10)
        ours = asyncio.create_task(elector.run(asyncio.Event().wait))
        await asyncio.sleep(18)
        assert not elector.is_leader(), "the genuine one renews"
        await asyncio.to_thread(lambda: plane.stop_component("scheduler", kill=True))
        waited = await until(elector.is_leader, PATIENCE)
        assert waited > 10, "not before its lease has run out"
        await until(lambda: lease.holders[-1] == "ours", 5)
        assert [holder for holder in lease.holders if holder] == ["ours", lease.holders[-2] or lease.holders[-3], "ours"]
        spec = (await client.get("leases", "kube-scheduler", "kube-system"))["spec"]
        assert spec["leaseTransitions"] == 2
    finally:
        ours.cancel()
        await asyncio.gather(ours, return_exceptions=True)
