"""drain, cordon, uncordon and events as they come, by the real kubectl, on a tiny and on a genuine api-server.

Nobody but the test changes anything there: no kubelet and no controller runs, so pods go at once when nothing is left to wait for.
"""
from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from bookkit import kubectl

from tests.behaviour.target import KUBECTL, Object, Target
from tests.kubectl.conftest import a_plane, a_tiny

pytestmark = pytest.mark.timeout(300)
CORE, APPS = "/api/v1/namespaces/default", "/apis/apps/v1/namespaces/default"
BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
MERGE = "application/merge-patch+json"


def pod(name: str, owner: str = "", **spec: Any) -> Object:
    meta: Object = {"name": name, "labels": {"app": name}}
    if owner:
        kind, _, named = owner.partition("/")
        meta["ownerReferences"] = [
            {"apiVersion": "apps/v1", "kind": kind, "name": named, "uid": f"uid-{named}", "controller": True}]
    return {"metadata": meta, "spec": {
        "nodeName": "n1", "terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": "x"}], **spec}}


MIRROR = pod("mirror")
MIRROR["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "abc"}
SETS = {"selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "main", "image": "x"}]}}}
OBJECTS: list[tuple[str, Object]] = [
    (f"{CORE}/serviceaccounts", {"metadata": {"name": "default"}}),
    *(("/api/v1/nodes", {"metadata": {"name": name, "labels": {"zone": "a"}}}) for name in ("n1", "n2")),
    (f"{APPS}/daemonsets", {"metadata": {"name": "agents"}, "spec": SETS}),
    (f"{APPS}/replicasets", {"metadata": {"name": "web"}, "spec": SETS}),
    *((f"{CORE}/pods", each) for each in (
        pod("lone"), pod("web-1", "ReplicaSet/web"), pod("web-2", "ReplicaSet/web", volumes=[{"name": "v", "emptyDir": {}}]),
        pod("agent-1", "DaemonSet/agents"), pod("lost", "DaemonSet/gone"), pod("elsewhere", nodeName="n2"), MIRROR)),
    (BUDGETS, {"metadata": {"name": "careful"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web-1"}}}})]
FULL = {"observedGeneration": 1, "disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}
READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Target]]:
    """A tiny and a genuine api-server of our own, for nodes and pods concern whoever drains."""
    with contextmanager(a_plane)() as plane, contextmanager(a_tiny)(tmp_path_factory.mktemp("tiny")) as tiny:
        targets = [Target("tiny", str(tiny), frozenset()), Target("genuine", str(plane.kubeconfig), frozenset())]
        for target in targets:
            for path, body in OBJECTS:
                answer = target.call("POST", path, body)
                assert answer.status_code in (201, 409), answer.text
            for path, status in ((f"{BUDGETS}/careful", FULL), (f"{CORE}/pods/web-1", READY)):
                target.call("PATCH", f"{path}/status", {"status": status}, kind=MERGE).raise_for_status()
        yield targets
        for target in targets:
            target.close()


SEVERAL = re.compile(r"(?<=due to error: \[).*(?=\], continuing)|(?<=^Warning: ).*", re.MULTILINE)


def said(target: Target, words: str) -> tuple[int, list[str], list[str]]:
    """Exit code and both outputs. Pods are evicted at the same time, so that their lines have no order; nor have several
    reasons in one line, which kubectl keeps in a map of Go's and tells in another order each time, whoever the server is."""
    done = kubectl(words, target.kubeconfig, quiet=True)
    errors = SEVERAL.sub(lambda reasons: "; ".join(sorted(re.split("; |, (?=cannot)", reasons[0]))), done.stderr)
    return done.status, sorted(str(done).splitlines()), sorted(errors.splitlines())


ANYHOW = "--ignore-daemonsets --force --delete-emptydir-data"
LEFT, BUDGET = "get pods -o name", "get pdb careful -o jsonpath={.status.disruptionsAllowed}{.status.disruptedPods}"
SCENE = [
    "cordon n1", "cordon n1", "get node n1 -o jsonpath={.spec}", "cordon n1 --dry-run=client", "uncordon n1", "uncordon n1",
    "cordon n2 --dry-run=server", "get node n2 -o jsonpath={.spec}", "cordon none", "uncordon none", "cordon", "uncordon n1 none",
    "cordon -l zone=nowhere", "drain none", "drain", "drain n1 -l zone=a", "drain n1 --dry-run=maybe", "drain n1 --grace-period=x",
    "drain n1 --pod-selector='a in (b'", "drain n1 --dry-run=client", "drain n1", "drain n1 --ignore-daemonsets",
    "drain n1 --ignore-daemonsets --force", "drain n1 --force --delete-emptydir-data",
    "drain n1 --ignore-daemonsets --delete-emptydir-data", "uncordon n1",
    f"drain n1 {ANYHOW} --dry-run=client", f"drain n1 {ANYHOW} --dry-run=server --grace-period=0 --pod-selector=app!=web-1",
    f"drain n1 {ANYHOW} --dry-run=server --disable-eviction", "get node n1 -o jsonpath={.spec}", LEFT, BUDGET,
    "drain n1 --ignore-daemonsets --force --pod-selector=app=nobody", LEFT,
    f"drain n1 {ANYHOW} --pod-selector=app=web-1 --timeout=1s --grace-period=0", LEFT, BUDGET,
    f"drain n1 {ANYHOW} --pod-selector='app in (lone,web-2)' --grace-period=0 --timeout=60s", LEFT,
    f"drain n1 {ANYHOW} --skip-wait-for-delete-timeout=1 --pod-selector=app=lost --timeout=60s", LEFT,
    f"drain n1 --disable-eviction {ANYHOW} --grace-period=0 --timeout=60s", LEFT,
    "drain -l zone=a --ignore-daemonsets --force --grace-period=0 --timeout=60s", LEFT, "uncordon -l zone=a",
    "drain n1 n2 --ignore-daemonsets", "drain n1 n2 none --ignore-daemonsets",
    "get nodes -o name --field-selector spec.unschedulable=true"]


def test_the_whole_scene(both: list[Target]) -> None:
    seen: dict[str, list[list[str]]] = {}
    for words in SCENE:
        ours, theirs = (said(target, words) for target in both)
        assert ours == theirs, words
        seen.setdefault(words, []).append(ours[1])
    pods = [[line.removeprefix("pod/") for line in lines] for lines in seen[LEFT]]
    everyone = ["agent-1", "elsewhere", "lone", "lost", "mirror", "web-1", "web-2"]
    assert pods == [*[everyone] * 3, ["agent-1", "elsewhere", "lost", "mirror", "web-1"],
                    ["agent-1", "elsewhere", "mirror", "web-1"], ["agent-1", "elsewhere", "mirror"], ["agent-1", "mirror"]]


def event(name: str, about: str, reason: str, kind: str) -> Object:
    return {"metadata": {"name": name}, "reason": reason, "type": kind, "message": f"{reason} happened", "count": 1,
            "involvedObject": {"kind": "Pod", "apiVersion": "v1", "name": about, "namespace": "default"},
            "firstTimestamp": "2030-01-01T00:00:00Z", "lastTimestamp": "2030-01-01T00:00:00Z"}


LATER = [("b", "Second", "Warning"), ("a", "Third", "Warning"), ("a", "Last", "Normal")]


def watched(target: Target, words: str, before: int) -> list[list[str]]:
    """What kubectl prints, word by word, while events come: so many lines at first, and then until it told of the last one."""
    def happen(number: int, about: str, reason: str, kind: str) -> None:
        target.call("POST", f"{CORE}/events", event(f"e.{number}", about, reason, kind)).raise_for_status()
    target.call("DELETE", f"{CORE}/events").raise_for_status()
    happen(0, "a", "First", "Normal")
    start = [KUBECTL, f"--kubeconfig={target.kubeconfig}", *words.split()]
    with subprocess.Popen(start, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        try:
            found = [process.stdout.readline() for _ in range(before)]
            for number, told in enumerate(LATER, 1):
                happen(number, *told)
            while found[-1] and "Last" not in found[-1]:
                found.append(process.stdout.readline())
        finally:
            process.terminate()
    return [re.sub(r"^(<invalid>|\d\S*)(?= )", "AGE", line).split() for line in found]


@pytest.mark.parametrize(("words", "before", "reasons"), [
    ("events --watch", 2, ["First", "Second", "Third", "Last"]), ("events -w --for pod/a", 2, ["First", "Third", "Last"]),
    ("events --watch --types=Normal", 2, ["First", "Last"]), ("events --watch --types=Normal,Warning --no-headers", 1, [
        "First", "Second", "Third", "Last"]), ("events -A -w --for=pod/a --types=Normal", 2, ["First", "Last"]),
    ("get events -w", 2, ["First", "Second", "Third", "Last"]),
    ("get events --watch -o wide", 2, ["First", "Second", "Third", "Last"]),
    ("get events -w --field-selector involvedObject.name=a,type=Normal", 2, ["First", "Last"]),
    ("get events -A -w --no-headers --output-watch-events", 1, ["First", "Second", "Third", "Last"])])
def test_events_as_they_come(both: list[Target], words: str, before: int, reasons: list[str]) -> None:
    ours, theirs = (watched(target, words, before) for target in both)
    assert ours == theirs
    assert [word for line in ours for word in line if word in ("First", "Second", "Third", "Last")][::2] == reasons
