"""The tables of defaults, of rules and of first roles are still what a genuine api-server answers; tier genuine."""
from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from genuine import control_plane
from genuine.find import tier_problems
from genuine.policy import FILE, policy
from genuine.probing import FLAGS, files
from genuine.schema import DATA

pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("fresh")]


@pytest.fixture(scope="module")
def empty() -> Iterator[Any]:
    """A genuine api-server of its own: what is tried must not meet what others left."""
    if problems := tier_problems("genuine"):
        pytest.skip(f"tier genuine: {problems[0]}")
    with control_plane(("apiserver",), flags=FLAGS, audit=False, fsync=False) as plane:
        yield plane


@pytest.fixture(scope="module")
def found(empty: Any) -> dict[str, str]:
    """Both files, asked for once."""
    return files(empty)


@pytest.mark.parametrize("name", ["defaults.json", "rules.json"])
def test_what_the_server_fills_in_and_refuses(name: str, found: dict[str, str]) -> None:
    ours, theirs = json.loads((DATA / name).read_text()), json.loads(found[name])
    different = {key: (ours.get(key), theirs.get(key)) for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)}
    assert not different, "out of date: run `python -m genuine.probing`"


def test_whom_the_server_lets_do_what_at_first(empty: Any) -> None:
    theirs = policy(lambda path: empty.request("GET", path)[1])
    assert json.loads(FILE.read_text())["items"] == theirs, "out of date: run `python -m genuine.policy`"


def test_which_of_its_groups_come_first(empty: Any) -> None:
    services = empty.request("GET", "/apis/apiregistration.k8s.io/v1/apiservices")[1]["items"]
    theirs = {each["metadata"]["name"]: [each["spec"]["groupPriorityMinimum"], each["spec"]["versionPriority"]] for each in services
              if each["metadata"]["labels"]["kube-aggregator.kubernetes.io/automanaged"] == "onstart"}
    ours = json.loads((DATA / "priorities.json").read_text())
    assert {name: ours[name] for name in ours if name != "origin"} == theirs, "out of date: write them into priorities.json"
