"""Our controllers in the genuine ones' seat: a genuine api-server, TLS verified, and the rights that Kubernetes gives them.

The manager is system:kube-controller-manager, each controller in it its own service account, by tokens that it fetches.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
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
from tinykube.controllers.accounts import own_accounts
from tinykube.controllers.manager import Manager
from tinykube.machinery.clock import SystemClock
from tinykube.machinery.errors import ApiError
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.objects import Object, dig

from tests.controllers.world import workload

pytestmark = [pytest.mark.skipif(bool(missing("genuine")), reason="; ".join(missing("genuine"))),
              pytest.mark.timeout(300), pytest.mark.xdist_group("genuine-controllers")]
OURS = ["replicationcontroller", "replicaset", "deployment", "daemonset", "statefulset"]
UNTAINTED = {"apiserver": ["--disable-admission-plugins=TaintNodesByCondition,ServiceAccount"]}


@pytest.fixture(scope="module")
def genuine() -> Iterator[ControlPlane]:
    with control_plane(["apiserver"], flags=UNTAINTED) as plane:
        yield plane


@asynccontextmanager
async def admin(plane: ControlPlane) -> AsyncIterator[Client]:
    async with HttpTransport.from_access(load(plane.kubeconfig)) as transport:
        yield Client(transport, "test")


@asynccontextmanager
async def seated(plane: ControlPlane, identity: str = "ours") -> AsyncIterator[Manager]:
    """Our manager, on the genuine one's kubeconfig."""
    access, clock = load(plane.kubeconfig_for("controller-manager")), SystemClock()
    async with HttpTransport.from_access(access) as own, HttpTransport.from_access(access.anonymous()) as plain:
        manager = Manager(own_accounts(own, plain, clock), identity, clock=clock, random=Random(1), log=EventLog(),
                          controllers=OURS)
        await manager.start()
        try:
            yield manager
        finally:
            await manager.stop()


async def serve(client: Client, what: str, app: str, **status: int) -> Object:
    """Let the pods of an application run, as a kubelet would, until a workload's status says so."""
    async def run() -> None:
        seen = set()
        while True:
            for pod in (await client.list("pods", "default", labelSelector=f"app={app}"))["items"]:
                if pod["metadata"]["uid"] not in seen and not pod["metadata"].get("deletionTimestamp"):
                    seen.add(pod["metadata"]["uid"])
                    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
                    try:
                        await client.patch("pods", pod["metadata"]["name"], {"status": {"phase": "Running", "conditions": [ready]}},
                                           "default", subresource="status")
                    except ApiError as error:
                        if error.code != 404:
                            raise
            await asyncio.sleep(0.1)
    running = asyncio.create_task(run())
    try:
        found: Any = await wait_for(client, SystemClock(), what, lambda obj: obj and dig(
            obj, "status", "observedGeneration") == obj["metadata"]["generation"] and all(
            dig(obj, "status", field, default=0) == number for field, number in status.items()), "default", 40)
        return found  # type: ignore[no-any-return]
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def unscheduled(body: Object) -> Object:
    body["spec"]["template"]["spec"]["schedulerName"] = "nobody"
    return body


async def test_every_kind_on_a_genuine_server_with_its_own_rights(genuine: ControlPlane) -> None:
    start = len(genuine.audit())
    async with admin(genuine) as client, seated(genuine):
        await client.create("nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "ant"}})
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        numbered = {"replicas": 2, "serviceName": "sts", "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}]}
        for kind, app, spec in [("ReplicationController", "rc", {"replicas": 2}), ("ReplicaSet", "rs", {"replicas": 2}),
                                ("Deployment", "dep", {"replicas": 2}), ("DaemonSet", "ds", {}), ("StatefulSet", "sts", numbered)]:
            await client.create(f"{kind.lower()}s", unscheduled(workload(kind, app=app, **spec)), "default")
        await serve(client, "replicationcontroller/rc", "rc", readyReplicas=2)
        await serve(client, "replicaset/rs", "rs", availableReplicas=2)
        await serve(client, "deployment/dep", "dep", availableReplicas=2, updatedReplicas=2)
        await serve(client, "daemonset/ds", "ds", numberAvailable=1)
        await serve(client, "statefulset/sts", "sts", availableReplicas=2)
        claims = (await client.list("persistentvolumeclaims", "default"))["items"]
        assert sorted(each["metadata"]["name"] for each in claims) == ["data-sts-0", "data-sts-1"]
        for resource, app, status in [("deployments", "dep", {"updatedReplicas": 2, "replicas": 2, "availableReplicas": 2}),
                                      ("statefulsets", "sts", {"updatedReplicas": 2, "availableReplicas": 2})]:
            image = [{"name": "main", "image": "box:2"}]
            await client.patch(resource, app, {"spec": {"template": {"spec": {"containers": image}}}}, "default")
            await serve(client, f"{resource[:-1]}/{app}", app, **status)
    asked = genuine.audit(start)
    refused = [(event["user"]["username"], event["verb"], event["objectRef"]) for event in asked
               if event["responseStatus"]["code"] == 403]
    assert not refused
    writers = {event["user"]["username"].rpartition(":")[2] for event in asked if event["verb"] in ("create", "delete")
               and event["objectRef"]["resource"] in ("pods", "replicasets") and "serviceaccount" in event["user"]["username"]}
    assert writers == {"replication-controller", "replicaset-controller", "deployment-controller", "daemon-set-controller",
                       "statefulset-controller"}
    manager = {event["objectRef"]["resource"] for event in asked if event["user"]["username"] == "system:kube-controller-manager"
               and event["verb"] not in ("get", "list", "watch")}
    assert manager <= {"leases", "serviceaccounts"}, "the manager itself changes nothing else"


async def test_one_leads_and_the_next_takes_over(genuine: ControlPlane) -> None:
    async with admin(genuine) as client, seated(genuine, "first") as first:
        await client.create("replicasets", unscheduled(workload("ReplicaSet", app="lead", replicas=1)), "default")
        await serve(client, "replicaset/lead", "lead", readyReplicas=1)
        async with seated(genuine, "second") as second:
            while second.elector.holder != "first":                # until it has seen that the lease is taken  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            assert first.elector.is_leader()
            assert not second.controllers, "who waits has no controllers"
            await first.stop()                                     # it gives the lease back
            await client.patch("replicasets", "lead", {"spec": {"replicas": 2}}, "default")
            await serve(client, "replicaset/lead", "lead", readyReplicas=2)
            assert second.elector.is_leader()


async def test_what_the_genuine_ones_made_is_taken_over_as_it_is(genuine: ControlPlane) -> None:
    """The names of our ReplicaSets and revisions differ from the genuine ones; still, none is made anew."""
    kinds = [("Deployment", "deployments", {"replicas": 1}), ("DaemonSet", "daemonsets", {}),
             ("StatefulSet", "statefulsets", {"replicas": 1, "serviceName": "old"})]
    async with admin(genuine) as client:
        await asyncio.to_thread(genuine.start_component, "controller-manager")
        for number, (kind, resource, spec) in enumerate(kinds):
            await client.create(resource, unscheduled(workload(kind, app=f"old-{number}", **spec)), "default")
        for number, (_, resource, _) in enumerate(kinds):
            await serve(client, f"{resource[:-1]}/old-{number}", f"old-{number}")
        await serve(client, "deployment/old-0", "old-0", availableReplicas=1)

        async def made() -> list[str]:
            found = [await client.list(each, "default") for each in ("replicasets", "controllerrevisions", "pods")]
            return sorted(each["metadata"]["uid"] for listed in found for each in listed["items"]
                          if each["metadata"]["name"].startswith("old-"))
        before = await made()
        await asyncio.to_thread(genuine.stop_component, "controller-manager")
        async with seated(genuine) as ours:
            async with asyncio.timeout(40):
                while not ours.controllers:  # noqa: ASYNC110 (the lease of the genuine one has to run out)
                    await asyncio.sleep(0.1)
            for number, (_, resource, _) in enumerate(kinds):
                await client.patch(resource, f"old-{number}", {"metadata": {"labels": {"look": "again"}}}, "default")
            await client.create("replicasets", unscheduled(workload("ReplicaSet", app="mark", replicas=1)), "default")
            await serve(client, "replicaset/mark", "mark", readyReplicas=1)
        assert await made() == before
