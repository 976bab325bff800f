"""A Docker client that says clearly why there is none, and a label on all that the book makes."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from genuine.find import MissingPart, docker_host, docker_problem

if TYPE_CHECKING:
    import docker

__all__ = ["LABEL", "DockerProblem", "docker_client", "labels", "remove_labeled"]

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
