"""A controller dies between any two of its requests, and another takes over; or two run at once. No harm is done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import pytest
from tinykube.controllers.controller import Controller
from tinykube.controllers.daemonset import DaemonSetController
from tinykube.controllers.deployment import DeploymentController
from tinykube.controllers.replicaset import ReplicaSetController, ReplicationController
from tinykube.controllers.statefulset import StatefulSetController
from tinykube.machinery.objects import Object, dig, name

from tests.controllers.world import Cut, World, template, workload


@dataclass
class Story:
    """What people do, one after the other, and how it has to be in the end."""

    kinds: Sequence[type[Controller]]
    acts: Sequence[Callable[[World], Awaitable[object]]]
    end: Callable[[World], Awaitable[bool]]
    floor: int = 0                      # as soon as so many serve, never fewer do
    patience: int = 60                  # seconds that the end may take
    exactly: Callable[[World], Awaitable[object]] | None = None      # what holds, too, if only one runs at a time


async def bystander(w: World) -> None:
    """A pod that no selector picks: whoever deletes it is wrong."""
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bystander", "labels": {"app": "other"}},
            "spec": template()["spec"]}
    await w.client.create("pods", made, "default")


def make(kind: str, **spec: object) -> Callable[[World], Awaitable[object]]:
    resource = f"{kind.lower()}s"
    return lambda w: w.client.create(resource, workload(kind, **spec), "default")  # type: ignore[arg-type]


def edit(resource: str, **spec: object) -> Callable[[World], Awaitable[object]]:
    return lambda w: w.change(resource, "web", {"spec": spec})


def orphan(w: World) -> Awaitable[object]:
    return w.client.create("pods", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "orphan", "labels": {"app": "web"}},
                                    "spec": template()["spec"]}, "default")


async def pods(w: World) -> list[Object]:
    return [pod for pod in await w.list("pods") if name(pod) != "bystander"]


def images(found: list[Object]) -> set[str]:
    return {pod["spec"]["containers"][0]["image"] for pod in found}


async def settled(w: World, resource: str, **status: int) -> bool:
    found = await w.client.get(resource, "web", "default")
    return (dig(found, "status", "observedGeneration") == found["metadata"]["generation"]
            and all(dig(found, "status", field, default=0) == value for field, value in status.items()))


async def two_pods_left(w: World) -> bool:
    found = await pods(w)
    return len(found) == 2 and await settled(w, "replicasets", replicas=2, readyReplicas=2)


async def two_of_the_elder(w: World) -> bool:
    return len(await pods(w)) == 2 and await settled(w, "replicationcontrollers", replicas=2, readyReplicas=2)


async def second_version(w: World) -> bool:
    found, sets = await pods(w), await w.list("replicasets")
    deployment = await w.client.get("deployments", "web", "default")
    revision = dig(deployment, "metadata", "annotations", "deployment.kubernetes.io/revision")
    return (len(found) == 3 and images(found) == {"box:2"} and revision == "2"
            and sorted(each["spec"]["replicas"] for each in sets) == [0, 3]
            and await settled(w, "deployments", replicas=3, updatedReplicas=3, availableReplicas=3))


async def second_on_each(w: World) -> bool:
    found = await pods(w)
    return (len(found) == 2 and images(found) == {"box:2"} and len(await w.list("controllerrevisions")) == 2
            and await settled(w, "daemonsets", numberAvailable=2, updatedNumberScheduled=2, numberUnavailable=0))


async def two_with_claims(w: World) -> bool:
    found, claims = await pods(w), await w.list("persistentvolumeclaims")
    return (sorted(map(name, found)) == ["web-0", "web-1"] and images(found) == {"box:2"}
            and sorted(map(name, claims)) == ["data-web-0", "data-web-1", "data-web-2"]
            and await settled(w, "statefulsets", replicas=2, readyReplicas=2, updatedReplicas=2))


async def two_nodes(w: World) -> None:
    for node in ("ant", "bee"):
        await w.client.create("nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})


NEW = template(version="2")
CLAIM = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
STORIES = {
    "replicaset": Story([ReplicaSetController], [
        bystander, orphan, make("ReplicaSet", replicas=4), edit("replicasets", replicas=2)], two_pods_left),
    "replicationcontroller": Story([ReplicationController], [
        bystander, orphan, make("ReplicationController", replicas=3), edit("replicationcontrollers", replicas=2)],
        two_of_the_elder),
    "deployment": Story([DeploymentController, ReplicaSetController], [
        bystander, make("Deployment", replicas=3), edit("deployments", template=NEW)], second_version, floor=3),
    "recreate": Story([DeploymentController, ReplicaSetController], [
        bystander, make("Deployment", replicas=3, strategy={"type": "Recreate"}), edit("deployments", template=NEW)],
        second_version),
    "daemonset": Story([DaemonSetController], [two_nodes, bystander, make("DaemonSet"), edit("daemonsets", template=NEW)],
                       second_on_each),
    "statefulset": Story([StatefulSetController], [
        bystander, make("StatefulSet", replicas=3, volumeClaimTemplates=[CLAIM]), edit("statefulsets", replicas=2, template=NEW)],
        two_with_claims),
    "parallel": Story([StatefulSetController], [
        bystander, make("StatefulSet", replicas=3, volumeClaimTemplates=[CLAIM], podManagementPolicy="Parallel"),
        edit("statefulsets", replicas=2, template=NEW)], two_with_claims),
}


async def tell(story: Story, at: int | None) -> list[str]:
    """The whole story, with a controller that dies at its write number `at` (None: never); its writes."""
    async with World() as w:
        w.floor = story.floor
        cut = Cut(w.server.handle, at)
        acts = list(story.acts)
        async with w.controllers(story.kinds, cut):
            while acts and not cut.dead.is_set():
                await acts.pop(0)(w)
                await w.clock.advance(3)
            if at is None:
                await w.until(lambda: story.end(w), "the end of the story", story.patience)
        async with w.controllers(story.kinds):
            await w.clock.advance(3)
            for act in acts:
                await act(w)
                await w.clock.advance(3)
            await w.until(lambda: story.end(w), f"the end, after a death at write {at}: {cut.writes[-1:]}", story.patience)
            await w.clock.advance(5)
            assert await story.end(w), "what is done stays done"
        if story.exactly:
            await story.exactly(w)
        assert "bystander" in map(name, await w.list("pods"))
        assert w.least is not None
        assert w.least >= story.floor, f"fewer than {story.floor} served, after a death at write {at}"
        return cut.writes


@pytest.mark.timeout(600)
@pytest.mark.parametrize("which", STORIES)
async def test_killed_between_any_two_requests(which: str) -> None:
    writes = await tell(STORIES[which], None)
    assert len(writes) > 5
    for at in range(len(writes)):
        await tell(STORIES[which], at)


async def twice(story: Story, seed: int) -> None:
    """The whole story with two of each controller at once, which know nothing of each other."""
    async with World(seed) as w, w.controllers(story.kinds), w.controllers(story.kinds):
        for act in story.acts:
            await act(w)
            await w.clock.advance(0.1 * seed)
        await w.until(lambda: story.end(w), "the end, with two of each", story.patience)
        await w.clock.advance(20)
        assert await story.end(w), "what is done stays done"
        assert "bystander" in map(name, await w.list("pods"))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("which", STORIES)
async def test_run_twice_at_once(which: str, seed: int) -> None:
    await twice(STORIES[which], seed)
