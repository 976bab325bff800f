"""What simulated days have found, each in a small world of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from bookkit.simulation.checks import problems
from bookkit.simulation.history import History
from bookkit.simulation.loop import LoopClock, Stuck, simulate
from bookkit.simulation.workloads import Size, everything, template
from bookkit.simulation.world import World
from tinykube.client.leader import Times
from tinykube.controllers.pods import is_ready
from tinykube.kubelet.node import LEASE_NAMESPACE, RENEW_SECONDS
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, name
from tinykube.machinery.wire import Request, Response

SMALL = Size(nodes=2, deployments=(2,), statefulsets=(), hours=0, faults=0, election=Times(60, 40, 10))


def in_a_small_world(directory: Path, story: Callable[[World], Awaitable[None]]) -> None:
    """A cluster in which all is well, and what happens then."""
    async def main(clock: LoopClock) -> None:
        world = World(clock, SMALL, directory, History(clock))
        try:
            await world.start()
            for resource, obj in everything(SMALL):
                await world.admin.create(resource, obj)
            await until_well(world)
            await story(world)
        finally:
            await world.stop()
    simulate(main)


async def until_well(world: World, seconds: float = 900.0) -> None:
    """Wait until all is well."""
    end = world.clock.monotonic() + seconds
    while found := problems(world):
        assert world.clock.monotonic() < end, found
        await world.clock.sleep(1)


def asked(world: World, who: str, since: int) -> list[str]:
    """The requests of somebody, of those that are still in the log, other than watches."""
    return [f"{each['verb']} {each['resource']}" for each in world.log.records[since - world.log.added:]
            if each["component"] == "api" and each["who"] == who and each["action"] != "watch"]


def test_a_kubelet_says_again_what_somebody_has_written_over(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pod: Object = next(world.objects("pods"))
        conditions = [{**each, "status": "False"} if each["type"] == "Ready" else each for each in pod["status"]["conditions"]]
        patch = {"status": {"conditions": conditions}}
        assert not is_ready(await world.admin.patch("pods", name(pod), patch, "default", subresource="status"))
        await world.clock.sleep(5)
        assert is_ready(await world.admin.get("pods", name(pod), "default"))
    in_a_small_world(tmp_path, story)


def test_pods_of_a_node_that_was_taken_for_dead_are_ready_again(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.network.part("node-001")
        await world.clock.sleep(90)
        assert any(not is_ready(pod) for pod in world.objects("pods"))
        world.network.heal("node-001")
        await until_well(world)
    in_a_small_world(tmp_path, story)


def test_a_node_that_was_taken_for_dead_says_at_once_that_it_is_not(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.network.part("node-001")
        await world.clock.sleep(90)
        world.network.heal("node-001")
        await until_well(world, 45)
    in_a_small_world(tmp_path, story)


def test_a_kubelet_knows_its_node_as_people_have_marked_it(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.admin.patch("nodes", "node-001", {"metadata": {"labels": {"disk": "fast"}}})
        spec = {**template("picky")["spec"], "nodeSelector": {"disk": "fast"}}
        await world.admin.create("pods", {"metadata": {"name": "picky", "namespace": "default"}, "spec": spec})
        await world.clock.sleep(10)
        assert (await world.admin.get("pods", "picky", "default"))["status"]["phase"] == "Running"
    in_a_small_world(tmp_path, story)


def test_a_lease_is_renewed_by_one_request_and_concerns_nobody_else(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        begin = world.log.added
        await world.clock.sleep(6 * RENEW_SECONDS)
        asks = asked(world, "kubelet", begin)
        assert len(asks) in (12, 13, 14)
        assert set(asks) == {"PUT leases"}
        assert asked(world, "generic-garbage-collector", begin) == []
    in_a_small_world(tmp_path, story)


def test_a_lease_that_somebody_else_has_written_or_taken_away_is_renewed_all_the_same(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        lease = await world.admin.get("leases", "node-001", LEASE_NAMESPACE)
        await world.admin.patch("leases", "node-001", {"metadata": {"labels": {"seen": "yes"}}}, LEASE_NAMESPACE)
        await world.clock.sleep(RENEW_SECONDS + 1)
        later = await world.admin.get("leases", "node-001", LEASE_NAMESPACE)
        assert later["spec"]["renewTime"] > lease["spec"]["renewTime"]
        assert later["metadata"]["labels"] == {"seen": "yes"}
        await world.admin.delete("leases", "node-001", LEASE_NAMESPACE)
        await world.clock.sleep(RENEW_SECONDS + 1)
        assert (await world.admin.get("leases", "node-001", LEASE_NAMESPACE))["spec"]["renewTime"] > later["spec"]["renewTime"]
    in_a_small_world(tmp_path, story)


def test_a_world_in_which_everybody_waits_for_somebody_else_says_so() -> None:
    async def main(clock: LoopClock) -> None:
        await clock.sleep(5)
        await clock.loop.create_future()
    with pytest.raises(Stuck, match="at second 5 everybody waits"):
        simulate(main)


def test_the_garbage_collector_asks_again_what_a_group_serves_that_did_not_answer(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.kill("controller-manager")
        server, ill = world.network.server, {"/api/v1", "/apis/apps/v1"}
        assert server
        handle = server.handle

        async def at_first(request: Request) -> Response:
            if request.path not in ill:
                return await handle(request)
            ill.discard(request.path)
            return Response(503, ApiError(503, "overloaded").status())
        server.handle = at_first  # type: ignore[method-assign]
        await world.start_process("controller-manager")
        path = world.admin.path("deployments", "default", "web-0")
        await world.admin.call("DELETE", path, None, {"propagationPolicy": "Foreground"})
        end = world.clock.monotonic() + 300
        while list(world.objects("deployments")):
            assert world.clock.monotonic() < end, "it waits for a garbage collector that does not know of it"
            await world.clock.sleep(1)
        assert not ill
    in_a_small_world(tmp_path, story)
