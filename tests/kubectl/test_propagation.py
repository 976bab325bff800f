"""What becomes of dependents: the same DELETE to tiny and genuine, and what is left afterwards; tier genuine."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.behaviour.target import Target

Object = dict[str, Any]
POD: Object = {"containers": [{"name": "a", "image": "box:1"}]}
TEMPLATE: Object = {"metadata": {"labels": {"a": "b"}}, "spec": POD}
KINDS: dict[str, Object] = {
    "/api/v1/namespaces/default/configmaps": {}, "/apis/coordination.k8s.io/v1/namespaces/default/leases": {},
    "/api/v1/namespaces/default/events": {"involvedObject": {"namespace": "default"}},
    "/api/v1/namespaces/default/pods": {"spec": POD},
    "/api/v1/namespaces/default/replicationcontrollers": {"spec": {"template": TEMPLATE}},
    "/apis/apps/v1/namespaces/default/deployments": {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}},
    "/apis/batch/v1/namespaces/default/jobs": {"spec": {"template": {"spec": {**POD, "restartPolicy": "Never"}}}}}
OPTIONS: tuple[Object, ...] = (
    {}, {"propagationPolicy": "Orphan"}, {"propagationPolicy": "Foreground"}, {"propagationPolicy": "Background"},
    {"orphanDependents": True}, {"orphanDependents": False}, {"orphanDependents": True, "propagationPolicy": "Orphan"},
    {"propagationPolicy": "Sideways"}, {"dryRun": ["All"]}, {"dryRun": ["Some"]},
    {"dryRun": ["All"], "propagationPolicy": "Orphan"}, {"gracePeriodSeconds": 0},
    {"propagationPolicy": "Foreground", "gracePeriodSeconds": 0})
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
MERGE = "application/merge-patch+json"


@pytest.fixture(scope="module")
def pair(tiny: Path, plane: Any) -> Iterator[list[Target]]:
    found = [Target(name, str(kubeconfig), frozenset()) for name, kubeconfig in (("tiny", tiny), ("genuine", plane.kubeconfig))]
    yield found
    for target in found:
        target.close()


def told(target: Target, method: str, path: str, body: Object | None = None) -> Any:
    """What an answer says: of an object what its deletion waits for, of a refusal everything."""
    answer = target.call(method, path, body)
    said = answer.json()
    if said["kind"] == "Status":
        (said.get("details") or {}).pop("uid", None)
        return answer.status_code, said
    meta = said["metadata"]
    kept = {field: meta.get(field) for field in ("finalizers", "deletionGracePeriodSeconds", "generation")}
    return answer.status_code, kept, "deletionTimestamp" in meta


def remove(target: Target, path: str) -> None:
    target.call("PATCH", path, {"metadata": {"finalizers": None}}, kind=MERGE)
    target.call("DELETE", path, {"gracePeriodSeconds": 0, "propagationPolicy": "Background"})


@pytest.mark.parametrize("path", KINDS, ids=lambda path: path.rsplit("/", 1)[1])
def test_what_an_object_waits_for(path: str, pair: list[Target]) -> None:
    for options in OPTIONS:
        both = []
        for target in pair:
            target.call("POST", path, KINDS[path] | {"metadata": {"name": "parent"}})
            both.append([told(target, "DELETE", f"{path}/parent", options), told(target, "GET", f"{path}/parent")])
            remove(target, f"{path}/parent")
        assert both[0] == both[1], options


@pytest.mark.parametrize("query", ["propagationPolicy=Orphan", "orphanDependents=true", "propagationPolicy=Nope", "dryRun=All",
                                   "dryRun=Some", "gracePeriodSeconds=0"])
def test_the_same_in_the_query(query: str, pair: list[Target]) -> None:
    both = []
    for target in pair:
        target.call("POST", CONFIGMAPS, {"metadata": {"name": "parent"}})
        both.append([told(target, "DELETE", f"{CONFIGMAPS}/parent?{query}"), told(target, "GET", f"{CONFIGMAPS}/parent")])
        remove(target, f"{CONFIGMAPS}/parent")
    assert both[0] == both[1]


@pytest.mark.parametrize("had", [["orphan"], ["foregroundDeletion"], ["example.com/a", "orphan"]], ids="-".join)
def test_what_it_waited_for_already(had: list[str], pair: list[Target]) -> None:
    for options in OPTIONS[:4]:
        both = []
        for target in pair:
            target.call("POST", CONFIGMAPS, {"metadata": {"name": "parent", "finalizers": had}})
            both.append([told(target, "DELETE", f"{CONFIGMAPS}/parent", options), told(target, "GET", f"{CONFIGMAPS}/parent")])
            remove(target, f"{CONFIGMAPS}/parent")
        assert both[0] == both[1], options


@pytest.mark.parametrize("options", [{"dryRun": ["All"]}, {"propagationPolicy": "Orphan"}], ids=str)
def test_all_at_once(options: Object, pair: list[Target]) -> None:
    both = []
    for target in pair:
        target.call("POST", CONFIGMAPS, {"metadata": {"name": "parent", "labels": {"family": "big"}}})
        target.call("DELETE", f"{CONFIGMAPS}?labelSelector=family%3Dbig", options)
        both.append(told(target, "GET", f"{CONFIGMAPS}/parent"))
        remove(target, f"{CONFIGMAPS}/parent")
    assert both[0] == both[1]
