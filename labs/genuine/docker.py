"""A Docker client that says clearly why there is none, and a label on all that the book makes."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any, Self

from genuine.find import MissingPart, docker_host, docker_problem
from genuine.processes import GuardedProcesses

if TYPE_CHECKING:
    import docker

__all__ = ["LABEL", "DockerProblem", "DockerRun", "docker_client", "labels", "remove_labeled"]

LABEL = "kubernetes-by-hand"


class DockerProblem(MissingPart):
    """Docker cannot be used here; the message says why and what to do."""


def docker_client(timeout: float = 60) -> docker.DockerClient:
    """A client of the Docker daemon that answers here. Raises DockerProblem with one sentence otherwise."""
    try:
        import docker
        from docker.errors import DockerException
    except ImportError:
        raise DockerProblem("the Docker SDK for Python is not installed; `pip install docker` brings it") from None
    if problem := docker_problem():
        raise DockerProblem(problem)
    try:
        if os.environ.get("DOCKER_HOST"):
            client = docker.from_env(timeout=int(timeout))
        else:
            client = docker.DockerClient(base_url=docker_host(), timeout=int(timeout))
        client.ping()
    except DockerException as error:
        raise DockerProblem(f"the Docker daemon at {docker_host()} does not answer ({error}); is it started?") from None
    return client


def labels(run: str = "") -> dict[str, str]:
    """Labels for everything that the book makes in Docker; `run` names the test or chapter that made it."""
    return {LABEL: run or "1"}


def remove_labeled(run: str = "", client: Any = None) -> list[str]:
    """Remove all containers, networks and volumes with the book's label (of `run` alone, if given); their names."""
    from docker.errors import NotFound

    client = client or docker_client()
    chosen = {"label": f"{LABEL}={run}" if run else LABEL}
    removed = []
    for container in client.containers.list(all=True, filters=chosen):
        with contextlib.suppress(NotFound):
            container.remove(force=True, v=True)
            removed.append(container.name)
    for thing in [*client.networks.list(filters=chosen), *client.volumes.list(filters=chosen)]:
        with contextlib.suppress(NotFound):
            thing.remove()
            removed.append(thing.name)
    return removed


class DockerRun:
    """A Docker client, and a label of its own for what is made with it: all of that is gone after `close`.

    It is also gone when this process ends in any other way, kill -9 included: a guard process sees to it.
    """

    def __init__(self, purpose: str) -> None:
        self.client = docker_client()
        self.processes = GuardedProcesses()
        self.name = f"{purpose}-{self.processes.guard_pid}"
        self.labels = labels(self.name)
        self._remove = [sys.executable, "-m", "genuine", "remove", self.name]
        self.processes.finally_run(self._remove)

    def containers(self, all: bool = False) -> list[Any]:
        """The containers with this label: those that run, or all of them."""
        return list(self.client.containers.list(all=all, filters={"label": f"{LABEL}={self.name}"}, ignore_removed=True))

    def close(self) -> None:
        """Remove all that has this label. Safe to repeat."""
        if self._remove:
            remove_labeled(self.name, self.client)
            self.processes.forget(self._remove)
            self._remove = []
            self.processes.close()
            self.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
