"""Controllers whose objects own pods: they hear of each pod's changes, and create and delete many at a time.

Genuine counterpart: what the replicaset, daemonset and job controllers of kube-controller-manager have in common.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from tinykube.controllers.controller import Context, Controller
from tinykube.controllers.expectations import Expectations
from tinykube.controllers.owners import Claimer, candidates, controller_of, deleting
from tinykube.controllers.pods import PodControl, namespace_ends
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, key_of, labels, namespace, uid
from tinykube.machinery.selectors import LabelSelector, selector_of


async def slow_start(makers: Sequence[Callable[[], Awaitable[Any]]]) -> None:
    """Call one, then two, four, eight at a time, for as long as all goes well. Raises Incomplete.

    What fails for one will fail for five hundred: a server is not asked five hundred times to say so.
    """
    done, batch = 0, 1
    while done < len(makers):
        results = await asyncio.gather(*(make() for make in makers[done:done + batch]), return_exceptions=True)
        errors = [each for each in results if isinstance(each, BaseException)]
        if errors:
            raise Incomplete(done + len(results) - len(errors), errors[0])
        done, batch = done + len(results), batch * 2


class Incomplete(Exception):
    """Not all could be made: how many were, and the first failure."""

    def __init__(self, done: int, error: BaseException) -> None:
        super().__init__(str(error))
        self.done, self.error = done, error


class Failure(Exception):
    """Why a sync could not do all that it wanted: one word for it, and the error."""

    def __init__(self, reason: str, error: BaseException) -> None:
        super().__init__(str(error))
        self.reason = reason


class PodOwner(Controller):
    """A controller for one kind of object that owns pods."""

    kind, resource = "", ""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.expectations = Expectations(self.clock)
        self.pod_control = PodControl(self.client, self.recorder)
        self.claimer = Claimer(self.client, self.resource, "pods")
        self.owners = self.follow_own(self.resource)
        self.pods = self.follow("pods", self.pod_added, self.pod_changed, self.pod_gone)

    def selector(self, owner: Object) -> LabelSelector:
        """Which pods an owner wants."""
        return selector_of(owner["spec"].get("selector"))

    def pod_added(self, pod: Object) -> None:
        """A pod appeared: perhaps one that we wait for, perhaps an orphan that somebody wants."""
        if deleting(pod):
            return self.pod_gone(pod)
        if owner := self.owner_in(self.owners, pod, self.kind):
            self.expectations.created(key_of(owner))
            self.enqueue(owner)
        if not controller_of(pod):
            self.offer(pod)
        return None

    def pod_changed(self, before: Object, after: Object) -> None:
        """A pod changed. One that is being deleted counts as gone from that moment."""
        if deleting(after):
            return self.pod_gone(after)
        for pod in (before, after):
            if owner := self.owner_in(self.owners, pod, self.kind):
                self.enqueue(owner)
        if not controller_of(after) and (labels(before) != labels(after) or controller_of(before)):
            self.offer(after)
        return None

    def pod_gone(self, pod: Object) -> None:
        """A pod is gone, or on its way."""
        if owner := self.owner_in(self.owners, pod, self.kind):
            self.expectations.deleted(key_of(owner), uid(pod))
            self.enqueue(owner)

    def offer(self, pod: Object) -> None:
        """Let everybody look who could want this orphan."""
        for owner in self.owners.by("namespace", namespace(pod)):
            if self.selector(owner).matches(labels(pod)):
                self.enqueue(owner)

    async def claimed(self, owner: Object, wanted: Callable[[Object], bool]) -> list[Object]:
        """The owner's pods, of those that are wanted at all, orphans taken in and strangers let go."""
        pods = [pod for pod in candidates(self.pods, owner) if wanted(pod)]
        return await self.claimer.claim(owner, self.selector(owner), pods)

    async def change(self, owner: Object, create: Sequence[Object], delete: Sequence[Object]) -> Failure | None:
        """Create and delete pods. What is asked for is expected first, so that the next sync waits until it is seen."""
        key = key_of(owner)
        self.expectations.expect(key, len(create), map(uid, delete))
        failure = await self.create_pods(owner, key, create)
        return await self.delete_pods(owner, key, delete) or failure

    async def create_pods(self, owner: Object, key: str, pods: Sequence[Object]) -> Failure | None:
        """Create pods; those that could not be made are not expected any more."""
        try:
            await slow_start([lambda pod=pod: self.pod_control.create(pod, owner) for pod in pods])  # type: ignore[misc]
        except Incomplete as incomplete:
            for _ in range(len(pods) - incomplete.done):
                self.expectations.created(key)
            if not (isinstance(incomplete.error, ApiError) and namespace_ends(incomplete.error)):
                return Failure("FailedCreate", incomplete.error)
        return None

    async def delete_pods(self, owner: Object, key: str, pods: Iterable[Object]) -> Failure | None:
        """Delete pods, all at once; an end that could not be brought about is not expected any more."""
        async def end(pod: Object) -> None:
            done = False
            try:
                done = await self.pod_control.delete(pod, owner)
            finally:
                if not done:
                    self.expectations.deleted(key, uid(pod))
        results = await asyncio.gather(*map(end, pods), return_exceptions=True)
        errors = [each for each in results if isinstance(each, BaseException)]
        return Failure("FailedDelete", errors[0]) if errors else None
