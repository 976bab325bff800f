"""The configuration file: what it changes, and what it refuses. That it means the same to the genuine one: seats/test_decisions."""

from __future__ import annotations

import pytest
import yaml
from tinykube.machinery.objects import Object
from tinykube.scheduler.config import KIND, VERSION, read
from tinykube.scheduler.framework import plain
from tinykube.scheduler.intree import IN_TREE


def config(**more: object) -> str:
    return yaml.safe_dump({"apiVersion": VERSION, "kind": KIND, **more})


def plugins(**points: Object) -> str:
    return config(profiles=[{"plugins": points}])


def test_the_defaults() -> None:
    found = read()
    assert list(found.profiles) == ["default-scheduler"]
    profile = found.profiles["default-scheduler"]
    assert [plugin.name for plugin in profile.filters] == list(IN_TREE)
    assert {name: weight for name, weight in profile.weights.items() if weight != 1} == {
        "TaintToleration": 3, "NodeAffinity": 2, "PodTopologySpread": 2, "InterPodAffinity": 2}
    assert profile.preempts
    assert (found.backoff, found.leader_election, found.lease, tuple(found.times)) == (
        (1.0, 10.0), True, ("kube-system", "kube-scheduler"), (15, 10.0, 2.0))


def test_everything_that_can_be_set() -> None:
    found = read(config(podInitialBackoffSeconds=2, podMaxBackoffSeconds=20, percentageOfNodesToScore=30, leaderElection={
        "leaderElect": False, "leaseDuration": "1m30s", "renewDeadline": "20s", "retryPeriod": "500ms",
        "resourceName": "x", "resourceNamespace": "y"}, profiles=[{"schedulerName": "a"},
                                                                   {"schedulerName": "b", "percentageOfNodesToScore": 70}]))
    assert (found.backoff, found.leader_election, found.lease, tuple(found.times)) == ((2, 20), False, ("y", "x"), (90, 20.0, 0.5))
    assert {name: each.percentage for name, each in found.profiles.items()} == {"a": 30, "b": 70}


def test_disabled_everywhere_at_one_point_and_all() -> None:
    everywhere = read(plugins(multiPoint={"disabled": [{"name": "NodePorts"}]})).profiles["default-scheduler"]
    assert "NodePorts" not in [plugin.name for plugin in everywhere.filters]
    scores = read(plugins(score={"disabled": [{"name": "*"}], "enabled": [{"name": "ImageLocality", "weight": 5}]}))
    assert scores.profiles["default-scheduler"].weights == {"ImageLocality": 5}
    assert "NodePorts" in [plugin.name for plugin in scores.profiles["default-scheduler"].filters]
    assert not read(plugins(postFilter={"disabled": [{"name": "*"}]})).profiles["default-scheduler"].preempts


def test_one_of_your_own() -> None:
    def quiet(args: Object) -> object:
        return plain(f"Quiet-{args['level']}", lambda pod, node: [])
    text = config(profiles=[{"plugins": {"multiPoint": {"enabled": [{"name": "Quiet"}]}},
                             "pluginConfig": [{"name": "Quiet", "args": {"level": 3}}]}])
    found = read(text, {"Quiet": quiet})  # type: ignore[dict-item]
    assert found.profiles["default-scheduler"].filters[-1].name == "Quiet-3"
    assert "Quiet-3" not in [each.name for each in read(config(), {"Quiet": quiet}).profiles["default-scheduler"].filters]  # type: ignore[dict-item]


@pytest.mark.parametrize(("text", "says"), [
    ("apiVersion: v1\nkind: Pod\n", "expected apiVersion kubescheduler.config.k8s.io/v1"),
    (config(profile=[]), 'unknown field "profile"'),
    (config(profiles=[{"name": "a"}]), r'unknown field "profiles\[\].name"'),
    (plugins(filters={}), 'unknown field "plugins.filters"'),
    (plugins(filter={"enabled": [{"name": "Nothing"}]}), "'Nothing' does not exist in the registry"),
    (config(profiles=[{"pluginConfig": [{"name": "Nothing", "args": {}}]}]), "'Nothing' does not exist"),
    (config(profiles=[{}, {}]), "each needs a schedulerName of its own"),
    (config(profiles=[{"pluginConfig": [{"name": "NodeResourcesFit", "args": {"scoringStrategy": {
        "type": "Fullest", "resources": []}}}]}]), "scoringStrategy.type: Fullest"),
])
def test_what_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read(text)
