"""What the servers warn of, tiny and genuine: allowed, but unwise; tier genuine."""
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.behaviour.target import Target

Object = dict[str, Any]
Answer = tuple[int, str | None]
CASES = [line for line in Path(__file__).with_name("unwise_objects.txt").read_text().splitlines() if line.startswith("/")]
PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
SPEC: Object = {"containers": [{"name": "a", "image": "box:1"}], "nodeSelector": {"beta.kubernetes.io/os": "linux"}}
MERGE = "application/merge-patch+json"


@pytest.fixture(scope="module")
def pair(tiny: Path, plane: Any) -> Iterator[list[Target]]:
    found = [Target(name, str(kubeconfig), frozenset()) for name, kubeconfig in (("tiny", tiny), ("genuine", plane.kubeconfig))]
    for target in found:
        target.call("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "x"}})
        target.call("POST", "/apis/node.k8s.io/v1/runtimeclasses", {"metadata": {"name": "x"}, "handler": "x"})
    yield found
    for target in found:
        target.call("DELETE", "/api/v1/namespaces/default/serviceaccounts/x")
        target.call("DELETE", "/apis/node.k8s.io/v1/runtimeclasses/x")
        target.close()


def both(pair: list[Target], method: str, path: str, body: Object, **more: Any) -> list[Answer]:
    """Status and Warning header of both answers."""
    answers = [target.call(method, path, body, fieldValidation="Ignore", **more) for target in pair]
    return [(answer.status_code, answer.headers.get("Warning")) for answer in answers]


@pytest.mark.parametrize("line", CASES, ids=lambda line: line.split()[0].rsplit("/", 1)[1])
def test_same_warnings(line: str, pair: list[Target]) -> None:
    path, text = line.split(" ", 1)
    ours, theirs = both(pair, "POST", path, json.loads(text), dryRun="All")
    assert theirs[0] == 201
    assert ours == theirs


def test_what_is_said_of_changes(pair: list[Target]) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": SPEC}
    deployment = {"metadata": {"name": "unwise"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}}
    told = []
    for path, obj, changes in (
            (PODS, {"metadata": {"name": "unwise"}, "spec": SPEC}, (
                {"metadata": {"labels": {"x": "y"}}}, {"spec": {"activeDeadlineSeconds": 60}})),
            (DEPLOYMENTS, deployment, ({"metadata": {"labels": {"x": "y"}}}, {"spec": {"replicas": 0}},
                                       {"spec": {"template": {"metadata": {"labels": {"z": "z"}}}}}))):
        told.append(both(pair, "POST", path, obj))
        told += [both(pair, "PATCH", f"{path}/unwise", change, kind=MERGE) for change in changes]
        both(pair, "DELETE", f"{path}/unwise", {"gracePeriodSeconds": 0})
    assert [ours for ours, _ in told] == [theirs for _, theirs in told]


def test_a_port_out_of_range_is_refused(pair: list[Target]) -> None:
    """In a dry run, the genuine server hands out any port; so this one is for real."""
    service = {"metadata": {"name": "far"}, "spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 40000}]}}
    ours, theirs = (target.call("POST", "/api/v1/namespaces/default/services", service) for target in pair)
    assert theirs.status_code == 422
    assert ours.json() == theirs.json()
