"""Several managers write to one object, at random, in tiny and in genuine side by side: objects and owners stay equal."""
from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.behaviour.target import Target

Object = dict[str, Any]
APPLY, MERGE = "application/apply-patch+yaml", "application/merge-patch+json"
STRATEGIC, OPERATIONS = "application/strategic-merge-patch+json", "application/json-patch+json"
MANAGERS = ("ann", "ben", "cleo", "dan")
WORDS = ("red", "green", "blue")
OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "other"}


def some(chance: Random, make: Callable[[str], Any], names: str) -> Object:
    """An object with a random part of these names."""
    return {name: make(name) for name in names if chance.random() < 0.5}


def metadata(chance: Random) -> Object:
    found: Object = {}
    if chance.random() < 0.6:
        found["labels"] = some(chance, lambda _: chance.choice(WORDS), "xyz")
    if chance.random() < 0.3:
        found["annotations"] = some(chance, lambda _: chance.choice(WORDS), "pq")
    if chance.random() < 0.3:
        found["finalizers"] = chance.sample(["example.com/a", "example.com/b", "example.com/c"], chance.randint(0, 3))
    if chance.random() < 0.2:
        uids = chance.sample("uvw", chance.randint(0, 2))
        found["ownerReferences"] = [{**OWNER, "uid": uid, "controller": False} for uid in uids]
    return found


def configmap(chance: Random) -> Object:
    found: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared", **metadata(chance)}}
    if chance.random() < 0.85:
        found["data"] = some(chance, lambda _: chance.choice(WORDS), "abcd")
    if chance.random() < 0.2:
        found["binaryData"] = some(chance, lambda _: "AAAA", "mn")
    return found


def condition(chance: Random, kind: str) -> Object:
    found = {"type": kind, "status": chance.choice(["True", "False"]), "lastHeartbeatTime": "2026-01-01T00:00:00Z",
             "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return found | ({"reason": "Because"} if chance.random() < 0.5 else {})


def node(chance: Random) -> Object:
    found: Object = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "shared", **metadata(chance)}}
    if chance.random() < 0.6:
        found["spec"] = {"taints": [{"key": key, "effect": "NoSchedule"} for key in chance.sample("st", chance.randint(0, 2))]}
        if chance.random() < 0.5:
            found["spec"]["unschedulable"] = True
    return found


def node_status(chance: Random) -> Object:
    found = node(chance)
    kinds = chance.sample(["Ready", "Disk", "Net", "Mem"], chance.randint(0, 4))
    found["status"] = {"conditions": [condition(chance, kind) for kind in kinds]}
    if chance.random() < 0.4:
        found["status"]["capacity"] = some(chance, lambda _: chance.choice("12"), "gh")
    if chance.random() < 0.4:
        found["status"]["addresses"] = [{"type": kind, "address": "10.0.0.1"} for kind in chance.sample(
            ["Hostname", "InternalIP", "ExternalIP"], chance.randint(0, 3))]
    return found


def pod(chance: Random) -> Object:
    meta = {**metadata(chance), "name": "shared"}
    containers = [{"name": name, "image": f"box:{chance.choice('12')}"} for name in chance.sample(["a", "b"], 2)]
    spec: Object = {"containers": containers if chance.random() < 0.8 else containers[:1], "automountServiceAccountToken": False}
    if chance.random() < 0.3:
        spec["nodeSelector"] = {"disk": chance.choice(WORDS)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


KINDS: dict[str, tuple[str, Callable[[Random], Object], str]] = {
    "configmap": ("/api/v1/namespaces/default/configmaps", configmap, ""),
    "node": ("/api/v1/nodes", node, ""),
    "node status": ("/api/v1/nodes", node_status, "/status"),
    "pod": ("/api/v1/namespaces/default/pods", pod, ""),
}


def laid(old: Any, new: Any) -> Any:
    """`old` with what `new` says, and lists of `new`: what somebody would PUT who changed some fields."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return copy.deepcopy(new)
    return {**old, **{key: laid(old.get(key), value) for key, value in new.items()}}


def step(chance: Random, path: str, make: Callable[[Random], Object], sub: str) -> tuple[str, str, Any, str, Object]:
    """(method, path, body, content type, query) of one write. A body that is a function takes the object as it is."""
    body, query = make(chance), {"fieldManager": chance.choice(MANAGERS)}
    where = f"{path}/shared{sub if chance.random() < 0.7 else ''}"
    kind = chance.choice(["apply"] * 6 + ["put", "put", "merge", "strategic", "operations", "remove"])
    if kind == "apply":
        return "PATCH", where, body, APPLY, query | ({"force": "true"} if chance.random() < 0.4 else {})
    if kind == "put":
        return "PUT", where, lambda old: laid(old, body), "application/json", query
    if kind == "remove":
        field = chance.choice([("metadata", "labels"), ("data",), ("metadata", "finalizers"), ("spec", "taints")])
        patch: Any = None
        for name in reversed(field):
            patch = {name: patch}
        return "PATCH", where, patch, MERGE, query
    if kind == "operations":
        return "PATCH", where, [{"op": "add", "path": "/metadata/labels", "value": {"x": chance.choice(WORDS)}}], OPERATIONS, query
    return "PATCH", where, body, MERGE if kind == "merge" else STRATEGIC, query


def seen(answer: Any) -> Any:
    """An answer without what differs from server to server: ids, versions, times. Of an error, text and causes."""
    body = answer.json()
    if body.get("kind") == "Status":
        causes = [(cause["field"], without_diff(cause["message"])) for cause in (body.get("details") or {}).get("causes", ())]
        return answer.status_code, without_diff(body["message"]), sorted(causes)
    for name in ("uid", "resourceVersion", "creationTimestamp", "selfLink"):
        body["metadata"].pop(name, None)
    for entry in body["metadata"].get("managedFields", ()):
        entry["time"] = "time" in entry
    body["metadata"].get("managedFields", []).sort(key=json.dumps)
    return answer.status_code, body


def without_diff(message: str) -> str:
    """The genuine server appends a diff of its internal types to one message."""
    return message.split("\n@@ -")[0]


@pytest.fixture(scope="module")
def pair(tiny: Path, plane: Any) -> Any:
    found = [Target(name, str(kubeconfig), frozenset()) for name, kubeconfig in (("tiny", tiny), ("genuine", plane.kubeconfig))]
    yield found
    for target in found:
        target.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", KINDS)
def test_owners_stay_equal(name: str, seed: int, pair: list[Target]) -> None:
    path, make, sub = KINDS[name]
    chance, told = Random(f"{name} {seed}"), []
    for target in pair:
        clear(target, path)
    if sub:
        for target in pair:
            target.call("POST", path, {"metadata": {"name": "shared"}})
    for number in range(40):
        method, where, body, kind, query = step(chance, path, make, sub)
        told.append(f"{number}: {method} {where} {query} {kind}\n   {body}")
        answers = []
        for target in pair:
            sent = body
            if callable(body):
                now = target.call("GET", f"{path}/shared").json()
                sent = body(now if now.get("kind") != "Status" else {"metadata": {}})
            answers.append(seen(target.call(method, where, sent, kind=kind, **query)))
        assert answers[0] == answers[1], "\n".join(told[-6:]) + f"\n--- tiny\n{json.dumps(answers[0], indent=1)}\n" \
            f"--- genuine\n{json.dumps(answers[1], indent=1)}"
        if '"deletionTimestamp"' in json.dumps(answers[0]):
            clear(pair[0], path), clear(pair[1], path)


def clear(target: Target, path: str) -> None:
    """Delete the object, finalizers or not."""
    target.call("PATCH", f"{path}/shared", {"metadata": {"finalizers": None}}, kind=MERGE)
    target.call("DELETE", f"{path}/shared", {"gracePeriodSeconds": 0})
