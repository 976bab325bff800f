"""The manager under a clock that we turn: one of several leads, the next takes over, and each controller is itself."""

from __future__ import annotations

from random import Random

import pytest
from tinykube.client.rest import Client
from tinykube.controllers.accounts import LIFE, own_accounts
from tinykube.controllers.deployment import DeploymentController
from tinykube.controllers.garbagecollector import GarbageCollector
from tinykube.controllers.manager import Manager
from tinykube.controllers.replicaset import ReplicaSetController
from tinykube.machinery.errors import ApiError
from tinykube.machinery.wire import Handler, Request, Response

from tests.controllers.world import World, workload


def manager(w: World, identity: str, send: Handler | None = None) -> Manager:
    client = Client(send or w.server.handle, identity)
    return Manager(lambda account: client, identity, clock=w.clock, random=Random(identity), log=w.log, controllers=["replicaset"])


async def count(w: World, wanted: int) -> bool:
    return len(await w.list("pods")) == wanted


async def test_one_leads_and_the_other_waits_for_its_lease_to_run_out() -> None:
    async with World() as w:
        dead = False

        async def first_way(request: Request) -> Response:
            if dead:
                raise ConnectionError("no way")
            return await w.server.handle(request)
        first, second = manager(w, "first", first_way), manager(w, "second")
        await first.start()
        await w.until(lambda: first.controllers, "the lead")
        await second.start()
        await w.client.create("replicasets", workload("ReplicaSet", replicas=2), "default")
        await w.until(lambda: count(w, 2), "two pods")
        assert not second.controllers
        dead = True                                    # the first can't reach the server any more, and does not know why
        await w.client.patch("replicasets", "web", {"spec": {"replicas": 4}}, "default", type="merge")
        await w.clock.advance(9)
        assert not second.controllers, "its lease still runs"
        await w.until(lambda: second.controllers, "the next leader")
        assert not first.controllers, "it has stopped by itself, before its lease ran out"
        await w.until(lambda: count(w, 4), "four pods")
        await first.stop()
        await second.stop()


async def test_stopped_it_gives_the_lead_back() -> None:
    async with World() as w:
        first, second = manager(w, "first"), manager(w, "second")
        await first.start()
        await w.until(lambda: first.controllers, "the lead")
        await second.start()
        await first.stop()
        await w.until(lambda: second.controllers, "the next", seconds=6)
        await second.stop()


async def test_each_controller_fetches_a_token_of_its_own_and_renews_it() -> None:
    async with World() as w:
        asked: list[str] = []
        seen: list[str] = []

        async def as_manager(request: Request) -> Response:
            asked.append(f"{request.method} {request.path.rpartition('/namespaces/kube-system/')[2]}")
            if request.path.endswith("/token"):
                if len(asked) == 1:
                    return Response(404, ApiError(404, "no such account", "NotFound").status())
                return Response(201, {"status": {"token": f"token-{len(asked)}"}})
            return Response(201, {})

        async def with_token(request: Request) -> Response:
            seen.append(request.headers["authorization"])
            return Response(401 if len(seen) == 3 else 200, {})
        clients = own_accounts(as_manager, with_token, w.clock)
        client = clients("job-controller")
        await client.get("pods", "a", "default")
        await client.get("pods", "a", "default")
        token = "POST serviceaccounts/job-controller/token"
        assert asked == [token, "POST serviceaccounts", token]
        with pytest.raises(ApiError):
            await client.get("pods", "a", "default")
        await client.get("pods", "a", "default")
        await w.clock.advance(LIFE)
        await client.get("pods", "a", "default")
        assert seen == ["Bearer token-3"] * 3 + ["Bearer token-4", "Bearer token-5"]
        await clients("").get("pods", "a", "default")
        assert asked[-1].startswith("GET"), "the manager's own requests go its own way"


async def test_the_garbage_collector_asks_nobody_about_those_whose_owner_is_there() -> None:
    async with World() as w:
        asked: list[str] = []

        async def noted(request: Request) -> Response:
            if request.method == "GET" and request.path.rpartition("/")[2].startswith("web"):
                asked.append(request.path)
            return await w.server.handle(request)
        async with w.controllers([DeploymentController, ReplicaSetController]), w.controllers([GarbageCollector], noted) as made:
            collector = made["garbage-collector-controller"]
            await w.client.create("deployments", workload("Deployment", replicas=3), "default")
            await w.until(lambda: count(w, 3), "three pods")
            await w.until(lambda: len(collector.places) >= 5 and not collector.queue.dirty, "the collector has seen them")
            assert asked == [], "each of them has an owner that it knows: there is nothing to ask"
            await w.client.delete("deployments", "web", "default")
            await w.until(lambda: count(w, 0), "nothing")
            assert asked, "before it deletes it asks, as what it knows may be old"
