"""One suite, several targets: what it expects has to hold for the genuine Kubernetes as well as for the tiny one.

    pytest tests/behaviour --target tiny|genuine|kind|kubeconfig:CONTEXT
    pytest tests/behaviour --storage memory|log|grpc|etcd

The second runs the tiny target with its objects kept elsewhere: in memory, in a log on the disk, in our store in another
process, or in a genuine etcd. Without options, the whole suite runs on tiny in memory, and what asks most of a storage
(lists and watches) on the other three as well.

An expectation that a genuine target does not meet is a bug in the suite.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest

from tests.behaviour.target import Namespace, Target, open_target

STORAGES = ["memory", "log", "grpc", "etcd"]
ASKS_MOST = "tests.behaviour.test_list_watch"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--target", action="append", default=None,
                     help="tiny, genuine, kind or kubeconfig:CONTEXT; may be given more than once (default: tiny)")
    parser.addoption("--storage", action="append", default=None, choices=STORAGES,
                     help="where the tiny target keeps its objects; may be given more than once (default: memory)")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "target_name" in metafunc.fixturenames:
        targets, storages = (metafunc.config.getoption(option) for option in ("--target", "--storage"))
        if not targets and not storages and metafunc.module.__name__ == ASKS_MOST:
            storages = STORAGES
        places = ["tiny" if each == "memory" else f"tiny/{each}" for each in storages or ["memory"]]
        names = [name for target in targets or ["tiny"] for name in (places if target == "tiny" else [target])]
        metafunc.parametrize("target_name", names, scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one target stay on one worker: a target is started once."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec and "target_name" in callspec.params:
            item.add_marker(pytest.mark.xdist_group(f"behaviour-{callspec.params['target_name']}"))


@pytest.fixture(scope="session")
def target(target_name: str) -> Iterator[Target]:
    """The api-server under test, with what else its cluster has."""
    with open_target(target_name) as opened:
        yield opened


@pytest.fixture
def ns(target: Target) -> Iterator[Namespace]:
    """A namespace of the test's own, gone after it."""
    with Namespace(target, f"t-{uuid.uuid4().hex[:8]}") as namespace:
        yield namespace


@pytest.fixture
def need(target: Target) -> Callable[[str], None]:
    """Skip, with a reason, where the target lacks a part: `need("kubelet")`."""
    def check(part: str) -> None:
        if part not in target.parts:
            pytest.skip(f"the target {target.name} has no {part}")
    return check
