"""One tiny and one genuine api-server for all tests here; the genuine one where its binaries are."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from genuine.find import tier_problems
from tinykube.client import kubeconfig
from tinykube.machinery.clock import SystemClock
from tinykube.machinery.eventlog import EventLog
from tinykube.store import LocalStorage, Store

from tests.behaviour.target import Target


def a_tiny(folder: Path) -> Iterator[Path]:
    """The kubeconfig of a tiny api-server that listens in a thread."""
    from tinykube.api import new_server
    from tinykube.api.http import serve
    with start_blocking_portal() as portal:
        server = new_server(LocalStorage(Store()), clock=SystemClock(), random=Random(0), log=EventLog())
        portal.call(server.start)
        http = portal.call(serve, server.handle)
        try:
            yield kubeconfig.write(folder / "config", http.url)
        finally:
            portal.call(http.close)
            portal.call(server.stop)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One for all tests."""
    yield from a_tiny(tmp_path_factory.mktemp("tiny"))


LIMITS = ("/api/v1/namespaces/default/resourcequotas", "/api/v1/namespaces/default/limitranges",
          *(f"/apis/admissionregistration.k8s.io/v1/{kind}webhookconfigurations" for kind in ("mutating", "validating")))


@pytest.fixture(autouse=True)
def nothing_that_limits_stays(request: pytest.FixtureRequest) -> Iterator[None]:
    """A quota that one test leaves behind would be another's failure, on the days when both meet one worker."""
    yield
    where = request.getfixturevalue("tiny") if "tiny" in request.fixturenames else None
    if isinstance(where, Path) and where.exists():  # the one that all share, not one of a test's own
        server = Target("tiny", str(where), frozenset())
        left = [item["metadata"]["name"] for path in LIMITS for item in server.call("GET", path).json()["items"]]
        server.close()
        assert not left


@pytest.fixture(scope="session")
def plane() -> Iterator[Any]:
    """One for all tests."""
    yield from a_plane()


def a_plane() -> Iterator[Any]:
    """A genuine api-server with etcd and nothing else, so that nobody but the test changes anything."""
    if problems := tier_problems("genuine"):
        pytest.skip(f"tier genuine: {problems[0]}")
    from genuine import control_plane
    # nodes are born tainted there, and a controller that we have not started takes the taint away
    flags = {"apiserver": ["--disable-admission-plugins=TaintNodesByCondition", "--allow-privileged=true"]}
    with control_plane(("apiserver",), flags=flags) as genuine:
        yield genuine
