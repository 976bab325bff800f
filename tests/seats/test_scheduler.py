"""Our scheduler in the genuine one's seat: a genuine api-server, TLS verified, the scheduler's own RBAC identity."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from bookkit.tiers import missing
from genuine import ControlPlane, control_plane
from tinykube.client.http import HttpTransport
from tinykube.client.kubeconfig import load
from tinykube.client.rest import Client
from tinykube.cluster.waiting import wait_for
from tinykube.machinery.clock import SystemClock
from tinykube.machinery.errors import ApiError
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.objects import Object
from tinykube.scheduler.scheduler import Scheduler

pytestmark = [pytest.mark.skipif(bool(missing("genuine")), reason="; ".join(missing("genuine"))),
              pytest.mark.timeout(300), pytest.mark.xdist_group("genuine-scheduler")]

UNTAINTED = {"apiserver": ["--disable-admission-plugins=TaintNodesByCondition"]}
BINDING, STATUS = ("create", "pods", "binding"), ("patch", "pods", "status")


@pytest.fixture(scope="module")
def genuine() -> Iterator[ControlPlane]:
    with control_plane(["apiserver"], flags=UNTAINTED) as plane:
        yield plane


@asynccontextmanager
async def client_of(plane: ControlPlane, user: str) -> AsyncIterator[Client]:
    async with HttpTransport.from_access(load(plane.kubeconfig_for(user))) as transport:
        yield Client(transport, f"test-{user}")


@asynccontextmanager
async def seated(plane: ControlPlane) -> AsyncIterator[EventLog]:
    """Our scheduler, on the genuine one's kubeconfig."""
    log = EventLog()
    async with client_of(plane, "scheduler") as client:
        scheduler = Scheduler(client, clock=SystemClock(), random=Random(1), log=log)
        await scheduler.start()
        try:
            yield log
        finally:
            await scheduler.stop()


def node(name: str, **more: Any) -> Object:
    offers = {"cpu": "2", "memory": "2Gi", "pods": "110", "ephemeral-storage": "10Gi"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
            "status": {"capacity": offers, "allocatable": offers}, **more}


def pod(name: str, memory: str = "1Mi", **spec: Any) -> Object:
    container = {"name": "main", "image": "box", "resources": {"requests": {"memory": memory}}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
            "spec": {"containers": [container], **spec}}


async def test_it_binds_explains_wakes_and_notes_it(genuine: ControlPlane) -> None:
    clock = SystemClock()
    async with client_of(genuine, "admin") as admin, seated(genuine) as log:
        await admin.create("nodes", node("ant"))
        await admin.create("nodes", node("bee", spec={"taints": [{"key": "gpu", "effect": "NoSchedule"}]}))
        await admin.create("pods", pod("small"))
        placed = await wait_for(admin, clock, "pod/small bound", None, "default", 20)
        assert placed["spec"]["nodeName"] == "ant"
        await admin.create("pods", pod("large", "4Gi"))
        waiting = await wait_for(admin, clock, "pod/large PodScheduled=False", None, "default", 20)
        assert waiting["status"]["conditions"][-1]["message"] == (
            "0/2 nodes are available: 1 Insufficient memory, 1 node(s) had untolerated taint(s). preemption: "
            "0/2 nodes are available: 2 Preemption is not helpful for scheduling.")
        offers = {"cpu": "2", "memory": "8Gi", "pods": "110"}
        await admin.create("nodes", {**node("cat"), "status": {"capacity": offers, "allocatable": offers}})
        assert (await wait_for(admin, clock, "pod/large bound", None, "default", 20))["spec"]["nodeName"] == "cat"
        await admin.create("pods", pod("theirs", schedulerName="another"))
        await admin.create("pods", pod("after"))
        await wait_for(admin, clock, "pod/after bound", None, "default", 20)
        assert "nodeName" not in (await admin.get("pods", "theirs", "default"))["spec"]
        assert sum(record["verb"] == "decided" and record["pod"] == "default/large" for record in log.records) == 2
        events = await wait_for(admin, clock, "events", told, "default", 30)   # a recorder that is stopped may drop some
    by_reason = {event["reason"]: event for event in events}
    assert by_reason["Scheduled"]["message"].startswith("Successfully assigned default/")
    assert by_reason["FailedScheduling"]["type"] == "Warning"
    assert by_reason["FailedScheduling"]["source"] == {"component": "default-scheduler"}
    mine = [event for event in genuine.audit() if event["user"]["username"] == "system:kube-scheduler"]
    done = [(event["verb"], event["objectRef"]["resource"], event["objectRef"].get("subresource")) for event in mine]
    assert done.count(BINDING) == 3
    assert done.count(STATUS) == 1
    assert all(event["responseStatus"]["code"] < 400 for event in mine), "nothing it asks for is refused"


def told(events: list[Object]) -> bool:
    """Whether both kinds of notes are there."""
    return {"Scheduled", "FailedScheduling"} <= {event["reason"] for event in events}


async def test_placements_and_texts_are_those_of_the_genuine_one(genuine: ControlPlane) -> None:
    """The same pods, one that fits and several that don't, first to ours and then to the genuine scheduler."""
    asked = {"too-large": pod("", "64Gi"), "elsewhere": pod("", nodeSelector={"disk": "ssd"}),
             "tolerant": pod("", "64Gi", tolerations=[{"operator": "Exists"}]),
             "gpu": pod("", "3Gi", tolerations=[{"key": "gpu", "operator": "Exists"}], nodeSelector={"a": "b"})}
    seen: dict[str, dict[str, str]] = {}
    async with client_of(genuine, "admin") as admin:
        async def ask(who: str) -> None:
            for name, wanted in asked.items():
                await admin.create("pods", {**wanted, "metadata": {"name": f"{who}-{name}", "namespace": "default"}})
            seen[who] = {}
            for name in asked:
                refused = await wait_for(admin, SystemClock(), f"pod/{who}-{name} PodScheduled=False", None, "default", 30)
                condition = refused["status"]["conditions"][-1]
                seen[who][name] = json.dumps([condition[key] for key in ("type", "status", "reason", "message")])
        async with seated(genuine):
            await ask("ours")
        genuine.start_component("scheduler")
        try:
            await ask("genuine")
        finally:
            genuine.stop_component("scheduler")
    assert seen["ours"] == seen["genuine"]


async def test_a_server_that_is_not_to_be_trusted_gets_nothing(genuine: ControlPlane) -> None:
    access = load(genuine.kubeconfig_for("scheduler"))
    async with HttpTransport(access.url, tls=ssl.create_default_context()) as transport:
        with pytest.raises(ConnectionError, match="not to be trusted"):
            await Client(transport).list("pods")


async def lease_holder(admin: Client) -> str:
    """Who schedules, by the lease."""
    try:
        return str((await admin.get("leases", "kube-scheduler", "kube-system"))["spec"].get("holderIdentity") or "")
    except ApiError:
        return ""


async def until(what: Callable[[], Awaitable[Any]]) -> Any:
    """Ask until something holds; this stands outside, so it may poll."""
    for _ in range(600):
        if found := await what():
            return found
        await asyncio.sleep(0.1)
    raise AssertionError("waited in vain")


async def test_of_two_replicas_one_schedules_and_when_it_is_killed_the_other_one_does(genuine: ControlPlane) -> None:
    mark = len(genuine.audit())
    config, replicas = str(genuine.kubeconfig_for("scheduler")), {}
    async with client_of(genuine, "admin") as admin:
        async def all_bound(count: int) -> bool:
            pods = (await admin.list("pods", "default", labelSelector="app=many"))["items"]
            return sum(bool(each["spec"].get("nodeName")) for each in pods) == count

        async def create(count: int) -> None:
            for number in range(count, count + 20):
                many = pod(f"many-{number}")
                await admin.create("pods", {**many, "metadata": {**many["metadata"], "labels": {"app": "many"}}})
        await admin.create("nodes", node("roomy"))
        try:
            for name in ("one", "two"):
                replicas[name] = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "tests.seats.replica", config, name)
            first = await until(lambda: lease_holder(admin))
            await create(0)
            await until(lambda: all_bound(20))
            replicas[first].kill()
            await create(20)
            await until(lambda: all_bound(40))
            assert await lease_holder(admin) == {"one": "two", "two": "one"}[first]
        finally:
            for each in replicas.values():
                if each.returncode is None:
                    each.kill()
                await each.wait()
    mine = [event for event in genuine.audit(mark) if event["userAgent"].startswith("replica-")]
    bindings = [event for event in mine if (event["objectRef"] or {}).get("subresource") == "binding"]
    assert {event["user"]["username"] for event in mine} == {"system:kube-scheduler"}
    assert [event["responseStatus"]["code"] for event in bindings] == [201] * 40, "each pod once, and no two that want the same"
    assert len({event["userAgent"] for event in bindings[:20]}) == 1, "while one leads, the other one binds nothing"
    assert not [event for event in mine if event["responseStatus"]["code"] == 403]
