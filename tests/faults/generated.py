"""Generated requests: real ones, mutated in every part, at an api-server in memory. What must never happen is counted.

    python -m tests.faults.generated --requests 100000 --seed 7

Never: a 5xx that is a fault of the server's own, an answer that does not come, a body that is no JSON where JSON is
promised, an exception on the way out, memory that grows with the number of requests.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import psutil
from google.protobuf.internal.encoder import _VarintBytes  # type: ignore[attr-defined]
from tinykube.api import ApiServer, new_server
from tinykube.api.compaction import compact
from tinykube.machinery.clock import SystemClock
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.wire import Request, Response, close
from tinykube.store import LocalStorage, Store

SLOW = 5.0                        # seconds after which a request counts as hung
STREAM = 0.02                     # seconds that a stream is read before it is closed
PLACES = ("default",) * 8 + ("kube-system", "none", "")
NAMES = ("a", "b", "web", "x-1", "A_", "..", "", "é", "a" * 300, "a/b", "%2e%2e")
QUERIES = (("watch", "1"), ("watch", "x"), ("limit", "2"), ("limit", "-1"), ("limit", "9" * 30), ("continue", "zzz"),
           ("resourceVersion", "0"), ("resourceVersion", "1"), ("resourceVersion", "999999"), ("resourceVersion", "x"),
           ("resourceVersionMatch", "Exact"), ("resourceVersionMatch", "NotOlderThan"), ("sendInitialEvents", "true"),
           ("allowWatchBookmarks", "true"), ("labelSelector", "a=b,!c"), ("labelSelector", "a in (b,"),
           ("fieldSelector", "metadata.name=a"), ("fieldSelector", "spec.nodeName!="), ("fieldSelector", "x"),
           ("dryRun", "All"), ("dryRun", "Some"), ("fieldManager", "m"), ("fieldManager", "m" * 200), ("force", "true"),
           ("fieldValidation", "Strict"), ("fieldValidation", "Odd"), ("gracePeriodSeconds", "0"),
           ("gracePeriodSeconds", "x"), ("propagationPolicy", "Foreground"), ("propagationPolicy", "?"),
           ("timeoutSeconds", "1"), ("timeoutSeconds", "-5"), ("pretty", "1"), ("container", "c"), ("tailLines", "x"))
ODD: tuple[Any, ...] = (None, True, 0, -1, 1.5, 2**63, 2**70, 1e308, "", "x", "\x00", "é\u202e", "9" * 400, [], {}, [None],
                        [[]], {"": None}, {"a": {"a": {}}}, ["a", 1, {}], "0.0.0.0/0", "1Ki", "-1m", "2030-01-01T00:00:00Z")
TYPES = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "application/merge-patch+json",
         "application/json-patch+json", "application/strategic-merge-patch+json", "application/apply-patch+yaml",
         "text/plain", "", "application/json; charset=x", "application/cbor")
ACCEPTS = ("", "application/json", "*/*", "application/vnd.kubernetes.protobuf,application/json", "text/html",
           "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
           "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", "application/yaml", ";;,=")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW")


@dataclass
class Outcome:
    """What came of a run."""

    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    before: int = 0               # bytes of memory after the first tenth
    after: int = 0                # and at the end


def example(kind: str, api_version: str, name: str) -> dict[str, Any]:
    """An object of the kind, plausible for the kinds that a learner meets and bare for the others."""
    pod = {"containers": [{"name": "c", "image": "box:1", "ports": [{"containerPort": 80}],
                           "env": [{"name": "A", "value": "b"}], "resources": {"requests": {"cpu": "100m"}},
                           "readinessProbe": {"httpGet": {"path": "/", "port": 80}}}],
           "volumes": [{"name": "v", "emptyDir": {}}], "tolerations": [{"key": "k", "operator": "Exists"}]}
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod}
    workload = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    job = {"template": {"spec": {**pod, "restartPolicy": "Never"}}}
    specs: dict[str, dict[str, Any]] = {
        "Pod": {"spec": pod}, "Deployment": {"spec": workload}, "ReplicaSet": {"spec": workload},
        "StatefulSet": {"spec": {**workload, "serviceName": "s"}}, "DaemonSet": {"spec": {
            "selector": {"matchLabels": labels}, "template": template}},
        "Job": {"spec": job}, "CronJob": {"spec": {"schedule": "*/5 * * * *", "jobTemplate": {"spec": job}}},
        "Service": {"spec": {"selector": labels, "ports": [{"port": 80, "targetPort": "web"}]}},
        "ConfigMap": {"data": {"a": "b"}, "binaryData": {"c": "AAE="}}, "Secret": {"stringData": {"a": "b"}},
        "Lease": {"spec": {"holderIdentity": "me", "leaseDurationSeconds": 15}},
        "Node": {"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}, "status": {"capacity": {"cpu": "2"}}},
        "Event": {"involvedObject": {"kind": "Pod", "name": "a", "namespace": "default"}, "reason": "R", "message": "m"},
        "Role": {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
        "RoleBinding": {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "a"},
                        "subjects": [{"kind": "User", "name": "u"}]},
        "CustomResourceDefinition": {"spec": {"group": "x.io", "scope": "Namespaced", "names": {
            "plural": "as", "kind": "A"}, "versions": [{"name": "v1", "served": True, "storage": True, "schema": {
                "openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object"}}}}}]}},
        "PodDisruptionBudget": {"spec": {"minAvailable": "50%", "selector": {"matchLabels": labels}}},
        "HorizontalPodAutoscaler": {"spec": {"maxReplicas": 3, "scaleTargetRef": {
            "apiVersion": "apps/v1", "kind": "Deployment", "name": "a"}}},
    }
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "labels": labels}} | specs.get(kind, {})


def mutated(value: Any, chance: Random) -> Any:
    """`value` with one place in it changed: removed, replaced by something odd, doubled or renamed."""
    if not isinstance(value, dict | list) or not value or chance.random() < 0.1:
        return chance.choice(ODD)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = chance.choice(keys)
    changed = value.copy()
    match chance.randrange(6):
        case 0:
            del changed[key]
        case 1:
            changed[key] = chance.choice(ODD)
        case 2 if isinstance(changed, dict):
            changed[chance.choice(("x", "Spec", "metadata", "", "$patch", "a/b"))] = changed.pop(key)
        case 2 | 3 if isinstance(changed, list):
            changed.append(changed[key])
        case _:
            changed[key] = mutated(changed[key], chance)
    return changed


def scrambled(body: bytes, chance: Random) -> bytes:
    """A body with some of its bytes changed, cut or doubled."""
    data = bytearray(body)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        data[at:at + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
    return bytes(data)


def protobuf(obj: dict[str, Any], chance: Random) -> bytes:
    """A protobuf envelope around bytes that resemble a message: right framing, random fields."""
    def chunk(number: int, data: bytes) -> bytes:
        return bytes(_VarintBytes(number << 3 | 2) + _VarintBytes(len(data)) + data)
    meta = chunk(1, str(obj.get("apiVersion", "v1")).encode()) + chunk(2, str(obj.get("kind", "Pod")).encode())
    name = chunk(1, chunk(1, str(chance.choice(NAMES)).encode()))
    raw = name + b"".join(chunk(chance.randint(1, 20), chance.randbytes(chance.randint(0, 12)))
                          for _ in range(chance.randint(0, 4)))
    return b"k8s\0" + chunk(1, meta) + chunk(2, raw)


class Generator:
    """Requests from a seed: the same seed makes the same requests."""

    def __init__(self, server: ApiServer, seed: int) -> None:
        self.chance, self.server = Random(seed), server

    def path(self) -> tuple[str, dict[str, Any]]:
        """A path of some resource, mostly a right one, and an object that belongs there."""
        chance = self.chance
        resource = chance.choice(self.server.resources)
        name = chance.choice(NAMES[:4]) if chance.random() < 0.9 else chance.choice(NAMES)
        root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
        where = f"/namespaces/{chance.choice(PLACES)}" if resource.namespaced else ""
        path = f"{root}{where}/{resource.plural}"
        if chance.random() < 0.5:
            path += f"/{name}"
            if chance.random() < 0.3:
                path += "/" + chance.choice((*resource.subresources, "status", "scale", "nothing", "a/b"))
        if chance.random() < 0.03:
            path = chance.choice(("/", "/api", "/apis", "/openapi/v3", "/openapi/v2", "/version", "/healthz", "/metrics",
                                  "/api/v1/", "/apis/x/y/z", "//", "/api/v1/namespaces/a/b/c/d/e/f", path + "/", path.upper()))
        return path, example(resource.kind, resource.api_version, name)

    def body(self, obj: dict[str, Any]) -> tuple[bytes, str]:
        """A body and its type: mostly the object with one or two changes, sometimes no JSON at all."""
        chance = self.chance
        kind = chance.choice(TYPES) if chance.random() < 0.2 else "application/json"
        for _ in range(chance.choice((0, 0, 1, 1, 2, 3))):
            obj = mutated(obj, chance)
            if not isinstance(obj, dict):
                break
        if "protobuf" in kind:
            body = protobuf(obj if isinstance(obj, dict) else {}, chance)
        elif "json-patch" in kind:
            operations = [{"op": chance.choice(("add", "remove", "replace", "test", "move", "copy", "x")),
                           "path": chance.choice(("/metadata/labels/a", "/spec", "", "/-", "x", "/spec/containers/0")),
                           "from": chance.choice(("/metadata/name", "")), "value": chance.choice(ODD)}
                          for _ in range(chance.randint(0, 3))]
            body = json.dumps(operations).encode()
        else:
            body = json.dumps(obj).encode()
        return (scrambled(body, chance) if chance.random() < 0.1 else body), kind

    def request(self) -> Request:
        """The next request."""
        chance = self.chance
        path, obj = self.path()
        usual = ("POST", "POST", "GET", "DELETE") if path.endswith(obj["kind"].lower() + "s") else METHODS[:5]
        method = chance.choice(usual) if chance.random() < 0.95 else chance.choice(METHODS)
        body, kind = self.body(obj) if method in ("POST", "PUT", "PATCH") or chance.random() < 0.1 else (b"", "")
        if method == "PATCH" and chance.random() < 0.8:
            kind = chance.choice(TYPES[3:7])
        query = tuple(chance.choice(QUERIES) for _ in range(chance.choice((0, 0, 0, 0, 1, 1, 2, 4))))
        headers = {"content-type": kind, "accept": chance.choice(ACCEPTS), "user-agent": "generated"}
        return Request(method, path, query, {name: value for name, value in headers.items() if value}, body)


async def ask(server: ApiServer, request: Request) -> Response:
    """One request to its end; of a stream, what comes in a moment, then it is closed."""
    async with asyncio.timeout(SLOW):
        response = await server.handle(request)
        if not isinstance(response.body, bytes | dict):
            try:
                async with asyncio.timeout(STREAM if Random(str(request)).random() < 0.05 else 0):
                    async for _ in response.body:
                        pass
            except TimeoutError:
                pass
            finally:
                await close(response)
        return response


def wrong(request: Request, response: Response) -> str:
    """What is wrong with an answer, or ''. A 500 without a reason is the genuine server's own way for some input."""
    if response.status < 500 and not isinstance(response.body, bytes):
        return ""
    if isinstance(response.body, bytes) and "json" in response.headers.get("content-type", "json") and response.body:
        try:
            body = json.loads(response.body)
        except ValueError:
            return "the body is no JSON"
    else:
        body = response.body if isinstance(response.body, dict) else {}
    return str(body.get("message")) if response.status >= 500 and body.get("reason") == "InternalError" else ""


async def judge(server: ApiServer, request: Request, outcome: Outcome, called: str) -> None:
    """Send a request, and write down what came of it."""
    try:
        response = await ask(server, request)
        outcome.statuses[response.status] += 1
        why = wrong(request, response)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
    if why:
        outcome.faults.append(f"{called}: {request.method} {request.target} {request.headers.get('content-type', '')} "
                              f"{request.body[:300]!r}: {why}")


async def run(count: int, seed: int, tell: Callable[[str], None] = lambda text: None) -> Outcome:
    """Send `count` requests, one after the other. Objects that pile up are deleted now and then."""
    log = EventLog(limit=1000)
    server = new_server(LocalStorage(Store()), clock=SystemClock(), random=Random(seed), log=log)
    await server.start()
    outcome, generator = Outcome(), Generator(server, seed)
    began, past = time.monotonic(), 0
    for number in range(count):
        await judge(server, generator.request(), outcome, f"request {number} of seed {seed}")
        if number == count // 10:
            outcome.before = memory()
        if number % 1000 == 999:                 # as every five minutes, so that only what is there takes memory
            past = await compact(server.storage, past)
        if number % 5000 == 4999:
            tell(f"{number + 1} requests, {(number + 1) / (time.monotonic() - began):.0f} a second, "
                 f"{len(outcome.faults)} faults, {memory() >> 20} MiB")
    outcome.after = memory()
    await server.stop()
    return outcome


def memory() -> int:
    """Bytes that this process holds."""
    gc.collect()
    return int(psutil.Process(os.getpid()).memory_info().rss)


def main() -> int:
    """Run from the command line; 1 if anything was found."""
    parser = argparse.ArgumentParser("generated")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    outcome = asyncio.run(run(chosen.requests, chosen.seed, lambda text: print(text, flush=True)))
    print(*outcome.faults[:20], sep="\n")
    print(dict(sorted(outcome.statuses.items())), f"memory {outcome.before >> 20} -> {outcome.after >> 20} MiB")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
