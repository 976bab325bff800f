"""A cluster for notebooks: it runs in a thread with an event loop of its own, and cells call it and wait."""

from __future__ import annotations

import atexit
import builtins
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from tinykube.client.rest import Client
from tinykube.cluster.cluster import Cluster
from tinykube.cluster.manifests import Manifest
from tinykube.cluster.waiting import Predicate
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.objects import Object

T = TypeVar("T")


class Background:
    """The methods of Cluster, blocking. An interrupt ends the call, not the cluster; the end of Python ends both."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.stack = ExitStack()
        self.portal: BlockingPortal | None = None

    def start(self) -> Background:
        """Start the thread, and the cluster in it."""
        if self.portal:
            raise RuntimeError("this cluster runs already")
        self.portal = self.stack.enter_context(start_blocking_portal(name="tinykube"))
        atexit.register(self.stop)
        try:
            self.call(self.cluster.start)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the cluster and the thread; safe to call twice."""
        if self.portal is None:
            return
        try:
            self.call(self.cluster.stop)
        finally:
            self.portal = None
            self.stack.close()
            atexit.unregister(self.stop)

    def __enter__(self) -> Background:
        return self.start() if self.portal is None else self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def call(self, function: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
        """Run a coroutine function in the cluster's loop and wait for what it returns."""
        if self.portal is None:
            raise RuntimeError("this cluster is not running: start() it, or use `with`")
        future = self.portal.start_task_soon(partial(function, *args, **kwargs))
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def start_component(self, name: str) -> None:
        """Start one part: api, scheduler, controller-manager, proxy, or kubelet/NODE."""
        self.call(self.cluster.start_component, name)

    def stop_component(self, name: str) -> None:
        """Stop one part; the others go on."""
        self.call(self.cluster.stop_component, name)

    def wait(self, what: str, predicate: Predicate | None = None, *, namespace: str = "default",
             timeout: float = 30.0) -> Any:
        """Wait for "pod/web Running", or for a predicate on "pod/web" or on all "pods"."""
        return self.call(self.cluster.wait, what, predicate, namespace=namespace, timeout=timeout)

    def apply(self, *manifests: Manifest, namespace: str = "default") -> builtins.list[Object]:
        """Make the objects in YAML text, a file, dicts or lists of these exist as they say."""
        return self.call(self.cluster.apply, *manifests, namespace=namespace)

    def delete(self, *what: Manifest, namespace: str = "default", grace_seconds: int | None = None) -> None:
        """Delete objects, named as "pod/web" or given as manifests."""
        self.call(self.cluster.delete, *what, namespace=namespace, grace_seconds=grace_seconds)

    def get(self, what: str, *, namespace: str = "default") -> Object:
        """One object, named as "pod/web"."""
        return self.call(self.cluster.get, what, namespace=namespace)

    def list(self, resource: str, *, namespace: str | None = None, **query: Any) -> builtins.list[Object]:
        """The objects of a kind, everywhere or in one namespace."""
        return self.call(partial(self.cluster.list, resource, namespace=namespace, **query))

    @property
    def url(self) -> str:
        """Where the api-server listens."""
        return self.cluster.url

    @property
    def ca(self) -> str:
        """The file that says whom to trust."""
        return self.cluster.ca

    @property
    def cert(self) -> tuple[str, str]:
        """The files by which one is the administrator: `requests.get(url, cert=c.cert, verify=c.ca)`."""
        return self.cluster.cert

    @property
    def kubeconfig(self) -> Path:
        """The file that leads kubectl and other clients here."""
        return self.cluster.kubeconfig

    @property
    def log(self) -> EventLog:
        """What all parts did, one record per fact."""
        return self.cluster.log

    @property
    def client(self) -> Client:
        """The client of the cluster's own loop: use it in functions that you give to `call`."""
        return self.cluster.client


def background(cluster: Cluster) -> Background:
    """Start a cluster in the background: `c = background(Cluster(3))`, or `with background(Cluster(3)) as c:`."""
    return Background(cluster).start()
