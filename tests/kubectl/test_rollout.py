"""kubectl rollout, scale, autoscale, expose and set, on tiny controllers and on genuine ones: what it says has to be equal."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from genuine.find import tier_problems

from tests.behaviour.target import Namespace, Target, open_target, wait
from tests.behaviour.test_workloads import Work, deployment, stateful, template, workload

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("rollout")]
Step = str | Callable[[Work], None]


@pytest.fixture(scope="module")
def targets() -> Iterator[list[Target]]:
    """A tiny cluster and a genuine control plane, with controllers and without anybody who runs pods."""
    if problems := tier_problems("genuine"):
        pytest.skip(f"tier genuine: {problems[0]}")
    with open_target("tiny") as tiny, open_target("genuine") as genuine:
        yield [tiny, genuine]


def make(plural: str, body: dict[str, object]) -> Step:
    def step(work: Work) -> None:
        work.make(plural, body)
    return step


def rolled(plural: str = "deployments", **fields: int) -> Step:
    """Let all pods serve until the status says so."""
    def step(work: Work) -> None:
        work.serve(lambda: work.status(plural, **fields), f"{plural} with {fields}")
    return step


def served(count: int, version: int) -> Step:
    """Let all pods serve until that many are all that there is, of the version that is wanted."""
    def step(work: Work) -> None:
        def there() -> bool:
            sets = {each["metadata"]["annotations"]["deployment.kubernetes.io/revision"]: each["spec"]["replicas"]
                    for each in work.list("replicasets")}
            notes = work.get("deployments", "web")["metadata"].get("annotations", {})
            revision = notes.get("deployment.kubernetes.io/revision")
            return (revision == str(version) and sets.get(revision) == sum(sets.values()) == count and work.status(
                "deployments", replicas=count, updatedReplicas=count, availableReplicas=count)
                and work.condition("deployments", "web", "Progressing").get("reason") == "NewReplicaSetAvailable")
        work.serve(there, f"{count} pods of revision {version}")
    return step


def paused(work: Work) -> None:
    wait(lambda: work.condition("deployments", "web", "Progressing").get("reason") == "DeploymentPaused", "the pause")


STATUS = "rollout status deployment/web --timeout=20s"
HISTORY = "rollout history deployment/web"
TABLE = "get deployments,replicasets"
SCENARIOS: dict[str, list[Step]] = {
    "undo": [
        make("deployments", deployment()), served(3, 1), STATUS, HISTORY, TABLE, "get deployments -o wide",
        "set image deployment/web main=box:2", served(3, 2), STATUS, HISTORY, TABLE, f"{HISTORY} --revision=1",
        f"{HISTORY} --revision=2", f"{HISTORY} --revision=7", "annotate deployment/web kubernetes.io/change-cause=because",
        lambda work: wait(lambda: any("kubernetes.io/change-cause" in each["metadata"]["annotations"]
                                      for each in work.list("replicasets")), "the cause") and None,
        HISTORY, "rollout undo deployment/web --dry-run=client", "rollout undo deployment/web", served(3, 3), STATUS, HISTORY,
        "rollout undo deployment/web --to-revision=9", "rollout undo deployment/web --to-revision=2", served(3, 4), HISTORY,
        "get deployment web -o jsonpath={.spec.template.spec.containers[0].image}"],
    "restart": [
        make("deployments", deployment(replicas=1)), served(1, 1), "rollout restart deployment/web", served(1, 2), STATUS, HISTORY,
        "rollout restart deployment nobody", "rollout restart replicaset/web", "rollout status deployment nobody"],
    "pause": [
        make("deployments", deployment(replicas=1)), served(1, 1), "rollout pause deployment/web", paused,
        "rollout pause deployment/web", "set image deployment/web main=box:2", "rollout undo deployment/web",
        "rollout restart deployment/web", "scale deployment/web --replicas=2", rolled(availableReplicas=2), TABLE,
        "rollout resume deployment/web", "rollout resume deployment/web", served(2, 2), STATUS, TABLE],
    "stuck": [
        make("deployments", deployment(replicas=1, progressDeadlineSeconds=2)), served(1, 1), "set image deployment/web main=box:2",
        lambda work: wait(lambda: work.condition("deployments", "web", "Progressing").get("reason") == "ProgressDeadlineExceeded",
                          "the deadline") and None,
        lambda work: wait(lambda: len(work.pods()) == 2 and work.status("deployments", replicas=2), "both pods") and None,
        STATUS, TABLE, "get deployment web -o jsonpath={.status.conditions[*].reason}", "rollout undo deployment/web",
        served(1, 3), STATUS],
    "scale": [
        make("deployments", deployment(replicas=2)), served(2, 1), "scale deployment/web --replicas=4 --current-replicas=3",
        "scale deployment/web --replicas=4 --current-replicas=2", served(4, 1), TABLE, "scale deployment/web --replicas=0",
        lambda work: wait(lambda: not work.pods() and work.status("deployments", replicas=0, availableReplicas=0), "none") and None,
        TABLE, "autoscale deployment/web --min=1 --max=3 --cpu=50%", "get hpa web -o jsonpath={.spec.maxReplicas}",
        "expose deployment web --port=80", "get service web -o jsonpath={.spec.selector}", "expose deployment web --port=80"],
    "sets": [
        make("replicationcontrollers", workload("ReplicationController", replicas=2)),
        rolled("replicationcontrollers", readyReplicas=2), "get rc", "scale rc web --replicas=1",
        lambda work: wait(lambda: len(work.pods()) == 1 and work.status("replicationcontrollers", replicas=1), "one") and None,
        "get rc web", "rollout status rc/web", "rollout history rc/web"],
    "stateful": [
        make("statefulsets", stateful(replicas=1)), rolled("statefulsets", readyReplicas=1, availableReplicas=1),
        "rollout status statefulset/web --timeout=20s", "rollout history statefulset/web", "get statefulsets",
        "set image statefulset/web main=box:2", rolled("statefulsets", readyReplicas=1, updatedReplicas=1, currentReplicas=1),
        lambda work: wait(lambda: len({work.get("statefulsets", "web")["status"][f"{which}Revision"] for which in (
            "current", "update")}) == 1, "one revision") and None,
        "rollout status statefulset/web --timeout=20s", "rollout history statefulset/web",
        "rollout history statefulset/web --revision=1", "rollout undo statefulset/web",
        rolled("statefulsets", readyReplicas=1, updatedReplicas=1), "rollout restart statefulset/web",
        "rollout pause statefulset/web"],
    "daemons": [
        make("daemonsets", {**workload("DaemonSet"), "spec": {**workload("DaemonSet")["spec"], "template": {
            **template(), "spec": {**template()["spec"], "nodeSelector": {"no": "node"}}}}}),
        rolled("daemonsets", desiredNumberScheduled=0), "rollout status daemonset/web --timeout=20s",
        "rollout history daemonset/web", "get daemonsets", "set image daemonset/web main=box:2",
        lambda work: wait(lambda: len(work.list("controllerrevisions")) == 2, "two revisions") and None,
        "rollout history daemonset/web", "rollout undo daemonset/web",
        lambda work: wait(lambda: any(each["revision"] == 3 for each in work.list("controllerrevisions")), "the third") and None,
        "rollout history daemonset/web"]}


def sanitized(text: str) -> str:
    """Without hashes of templates, ages, times, and the width that they take."""
    text = re.sub(r"\bweb-(?=[a-z0-9]*\d)[a-z0-9]{5,10}\b(-[a-z0-9]{5})?", "web-HASH", text)
    text = re.sub(r"\b\d+(\.\d+)?m?s\b|\b\d+m(\d+s)?\b", "AGE", text)
    text = re.sub(r"pod-template-hash[=:]\s*\S+", "pod-template-hash=HASH", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z|10\.\d+\.\d+\.\d+", "WHEN", text)
    text = re.sub(r"[ \t]+", " ", text)
    rows = re.compile(r"(?:^replicaset\.apps/web-HASH .*\n)+", re.M)             # in the order of their hashes, which differ
    return rows.sub(lambda found: "".join(sorted(found[0].splitlines(keepends=True))), text)


def play(work: Work, scenario: list[Step]) -> list[str]:
    """What kubectl said to each command of a scenario."""
    said = []
    for step in scenario:
        if callable(step):
            step(work)
            continue
        done = work.ns.kubectl(*step.split(" "))
        said.append(sanitized(f"$ {step}\n{done.returncode}\n{done.stdout}{done.stderr}"))
    return said


@pytest.mark.parametrize("name", SCENARIOS)
def test_same_words(targets: list[Target], name: str) -> None:
    said = []
    for target in targets:
        with Namespace(target, f"rollout-{name}") as ns:
            said.append(play(Work(ns), SCENARIOS[name]))
    differ = [f"tiny    {ours}\ngenuine {theirs}" for ours, theirs in zip(*said, strict=True) if ours != theirs]
    assert not differ, "\n".join(differ)


def test_how_many_commands_are_compared() -> None:
    assert sum(isinstance(step, str) for steps in SCENARIOS.values() for step in steps) >= 70
