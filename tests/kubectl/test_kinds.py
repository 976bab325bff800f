"""Objects of all kinds, good and bad, to tiny and to genuine in one run: what comes back has to be equal; tier genuine."""
from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from genuine.probing import specimens
from genuine.resources import collection
from tinykube.api.resources import RESOURCES
from tinykube.client import kubeconfig

Object = dict[str, Any]
PLURALS = {(row.api_version, row.kind): row for row in RESOURCES}
FREE = ("uid", "creationTimestamp", "resourceVersion", "managedFields")
# who asks is known to a server with users alone; a diff of Go structs follows the text in some refusals
LOOSE = [(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", "UID"), (r"10\.9[67]\.\d+\.\d+", "ADDRESS"),
         (r'"lastPhaseTransitionTime": "[^"]*"', '"lastPhaseTransitionTime": "TIME"'),
         (r'"nodePort": 3[0-2]\d{3}', '"nodePort": "PORT"'), (r"(immutable after creation[^\\]*)\\n.*?\"", r'\1"')]


class Both:
    """The two servers, asked the same."""

    def __init__(self, tiny: Path, plane: Any) -> None:
        self.sides = [(kubeconfig.load(tiny).url, requests.Session()), (plane.url, plane.session())]
        self.sides[0][1].trust_env = False

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> list[tuple[int, Any]]:
        """Both answers, tiny's first: status and what was said, without what differs from run to run."""
        data = None if body is None else json.dumps(body)
        answers = [session.request(method, url + path, data=data, headers={"Content-Type": kind}, timeout=30)
                   for url, session in self.sides]
        return [(answer.status_code, settled(answer.json())) for answer in answers]


def settled(value: Any) -> Any:
    """An answer without names, times and addresses that differ."""
    value = copy.deepcopy(value)
    for field in FREE:
        value.get("metadata", {}).pop(field, None)
    if value.get("kind") == "CertificateSigningRequest":
        for field in ("username", "groups", "extra", "uid"):
            value.get("spec", {}).pop(field, None)
    text = json.dumps(value, sort_keys=True)
    for pattern, word in LOOSE:
        text = re.sub(pattern, word, text)
    return json.loads(text)


@pytest.fixture(scope="module")
def both(tiny: Path, plane: Any) -> Iterator[Both]:
    servers = Both(tiny, plane)
    servers.call("POST", "/api/v1/namespaces", {"metadata": {"name": "kinds"}})
    yield servers
    for _, session in servers.sides:
        session.close()


def path_of(obj: Object) -> str:
    row = PLURALS[obj["apiVersion"], obj["kind"]]
    return collection(f"{row.api_version} {row.plural}", row.namespaced)


def named(obj: Object) -> str:
    return f"{obj['kind']}-{obj['metadata']['name']}"


@pytest.mark.parametrize("obj", specimens(), ids=named)
def test_what_is_filled_in(obj: Object, both: Both) -> None:
    ours, theirs = both.call("POST", f"{path_of(obj)}?dryRun=All", obj)
    assert theirs[0] == 201, theirs
    assert ours == theirs


# kind, specimen, path, value in JSON; a dash takes the field away
BAD = [line for line in Path(__file__).with_name("bad_objects.txt").read_text().splitlines() if line[:1].isalpha()]


def spoiled(line: str) -> Object:
    """The specimen that a line of bad_objects.txt names, with the value that it names at its path."""
    kind, name, path, value = line.split(" ", 3)
    obj = copy.deepcopy(next(each for each in specimens() if (each["kind"], each["metadata"]["name"]) == (kind, name)))
    *steps, last = [int(step) if step.isdigit() else step for step in path.replace("\\.", "\0").split(".")]
    holder: Any = obj
    for step in steps:
        holder = holder[step] if isinstance(step, int) else holder.setdefault(step.replace("\0", "."), {})
    if value == "-":
        del holder[last]
    else:
        holder[last.replace("\0", ".") if isinstance(last, str) else last] = json.loads(value)
    return obj


@pytest.mark.parametrize("line", BAD)
def test_what_is_refused(line: str, both: Both) -> None:
    obj = spoiled(line)
    ours, theirs = both.call("POST", f"{path_of(obj)}?dryRun=All", obj)
    assert theirs[0] in (400, 422), theirs
    assert ours == theirs


@pytest.mark.parametrize("line", [
    'Service short spec.clusterIP ""', 'Service full spec.externalTrafficPolicy ""', 'Service short spec.healthCheckNodePort 0',
    'Service short spec.type ""', 'Pod short spec.containers.0.imagePullPolicy ""', 'Pod short spec.serviceAccount "robot"',
    'Pod short spec.nodeName ""', 'Pod short spec.hostNetwork false',
    'Pod short spec.containers.0.env [{"name": "A", "value": ""}]',
    'Pod short spec.containers.0.readinessProbe {"exec": {"command": ["a"]}, "initialDelaySeconds": 0}',
    'Deployment short spec.replicas 0', 'Deployment short spec.minReadySeconds 0', 'Deployment short spec.paused false',
    'PersistentVolumeClaim short spec.storageClassName ""', 'PersistentVolumeClaim short spec.volumeName ""',
    'ServiceAccount short automountServiceAccountToken false', 'Secret short immutable false',
    'Job short spec.completionMode "Indexed"'])
def test_what_says_nothing_is_left_out(line: str, both: Both) -> None:
    obj = spoiled(line)
    ours, theirs = both.call("POST", f"{path_of(obj)}?dryRun=All", obj)
    assert theirs[0] == 201, theirs
    assert ours == theirs


def test_enough_of_it_is_refused() -> None:
    assert len(BAD) >= 150


TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
STATES: dict[str, Object] = {
    "Deployment-full": {"replicas": 3, "readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1},
    "ReplicaSet-full": {"replicas": 2, "readyReplicas": 1}, "StatefulSet-full": {"replicas": 2, "readyReplicas": 2},
    "DaemonSet-full": {"desiredNumberScheduled": 3, "currentNumberScheduled": 3, "numberReady": 1, "numberMisscheduled": 0,
                       "numberAvailable": 1, "updatedNumberScheduled": 2},
    "ReplicationController-full": {"replicas": 2, "readyReplicas": 1},
    "PodDisruptionBudget-full": {"disruptionsAllowed": 2, "currentHealthy": 3, "desiredHealthy": 1, "expectedPods": 3},
    "Service-balancer": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}, {"hostname": "x.example.com"}]}},
    "Ingress-full": {"loadBalancer": {"ingress": [{"ip": "192.0.2.8"}]}},
    "ResourceQuota-full": {"hard": {"pods": "10", "limits.cpu": "4"}, "used": {"pods": "2", "limits.cpu": "1"}},
    "PersistentVolumeClaim-full": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"]},
    "PersistentVolume-full": {"phase": "Released", "reason": "Because"},
    "HorizontalPodAutoscaler-full": {"desiredReplicas": 2, "currentReplicas": 2, "currentMetrics": [
        {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 30, "averageValue": "1"}}}]},
    "CronJob-full": {"active": [{"name": "a"}], "lastScheduleTime": "2026-01-01T00:00:00Z"},
}


@pytest.mark.parametrize("obj", [each for each in specimens() if each["kind"] not in (
    "Pod", "Node", "Namespace", "APIService", "IPAddress", "ServiceCIDR", "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "FlowSchema")], ids=named)
def test_what_is_printed(obj: Object, both: Both) -> None:
    path = path_of(obj)
    one = f"{path}/{obj['metadata']['name']}"
    ours, theirs = both.call("POST", path, obj)
    assert (ours[0], theirs[0]) == (201, 201), (ours, theirs)
    if named(obj) in STATES:
        for status, answer in both.call("PATCH", f"{one}/status", {"status": STATES[named(obj)]}, "application/merge-patch+json"):
            assert status == 200, answer
    tables = [session.get(url + one, headers={"Accept": TABLE}, timeout=30).json() for url, session in both.sides]
    both.call("DELETE", one, {"propagationPolicy": "Background"})
    both.call("PATCH", one, {"metadata": {"finalizers": None}}, "application/merge-patch+json")
    rows = [[printed(cell) for cell in table["rows"][0]["cells"]] for table in tables]
    assert rows[0] == rows[1]
    assert [each["name"] for each in tables[0]["columnDefinitions"]] == [each["name"] for each in tables[1]["columnDefinitions"]]


def printed(cell: Any) -> Any:
    """A cell without what differs from run to run."""
    text = re.sub(r"10\.96\.\d+\.\d+", "ADDRESS", cell) if isinstance(cell, str) else cell
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "UID", text) if isinstance(text, str) else text
    if isinstance(text, str) and re.fullmatch(r"\d+s|20\d\d-.*Z", text):
        return "AGE"
    return "USER" if text in ("kubernetes-admin", "system:anonymous", "", None) else text
