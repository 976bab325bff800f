"""Requests that schemathesis makes from our own OpenAPI documents: what they promise, and what they forbid.

    python -m tests.faults.schemas --examples 40 --seed 7

Where `generated` changes requests that somebody would send, this reads what the server says of itself, every
operation of every group, and writes anything that fits, or that does not. What must never happen is the same.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import struct
import sys
import tempfile
from collections.abc import Iterator
from random import Random
from typing import Any

import hypothesis
import schemathesis
import yaml
from hypothesis.configuration import set_hypothesis_home_dir
from schemathesis.generation import GenerationMode
from tinykube.api import ApiServer, new_server
from tinykube.api.compaction import compact
from tinykube.api.protobuf import MEDIA_TYPE
from tinykube.api.protowrite import document as protobuf
from tinykube.api.resources import Resource
from tinykube.machinery.clock import SystemClock
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.wire import Request
from tinykube.store import LocalStorage, Store

from tests.faults.generated import ACCEPTS, Outcome, example, judge, memory

PROMISED_AND_NOT = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
NAMES, YAML = ("a", "b", "web"), "application/yaml"
Operation = Any                   # schemathesis' own types are not of interest here
Case = Any


async def documents(server: ApiServer) -> list[dict[str, Any]]:
    """Every OpenAPI v3 document that the server publishes."""
    paths = json.loads(as_bytes((await server.handle(Request("GET", "/openapi/v3"))).body))["paths"]
    return [json.loads(as_bytes((await server.handle(Request("GET", f"/openapi/v3/{name}"))).body)) for name in paths]


def as_bytes(body: Any) -> bytes:
    """A body as it goes over the wire."""
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def operations(document: dict[str, Any]) -> list[Operation]:
    """What a document says can be done. An operation that schemathesis can't read is an error of ours, and raised."""
    return [each.ok() for each in schemathesis.openapi.from_dict(document).get_all_operations()]


@contextlib.contextmanager
def nothing_kept() -> Iterator[None]:
    """Hypothesis writes what it learns of a run into a directory: into one that goes."""
    with tempfile.TemporaryDirectory(prefix="hypothesis-") as home:
        set_hypothesis_home_dir(home)
        yield


def cases(operation: Operation, count: int, seed: int) -> list[Case]:
    """`count` requests of one operation, half of them as promised; the same ones for the same seed."""
    found: list[Case] = []
    for mode in PROMISED_AND_NOT:
        @hypothesis.seed(seed)
        @hypothesis.settings(max_examples=(count + 1) // 2, database=None, phases=[hypothesis.Phase.generate], deadline=None,
                             suppress_health_check=list(hypothesis.HealthCheck))
        @hypothesis.given(operation.as_strategy(generation_mode=mode))
        def collect(case: Case) -> None:
            found.append(case)
        with contextlib.suppress(hypothesis.errors.Unsatisfiable):     # nothing is forbidden where nothing is asked
            collect()
    return found


def as_request(case: Case, kinds: dict[str, Resource], chance: Random) -> Request:
    """A case as a request. Most get a name and a kind that lead beyond the door; some bodies are in YAML or protobuf."""
    method, path, body = case.operation.method.upper(), case.operation.path, case.body
    resource, likely = kinds.get(path.replace("/{name}", "")), {"namespace": "default", "name": chance.choice(NAMES)}
    for key, value in (case.path_parameters or {}).items():
        path = path.replace(f"{{{key}}}", likely[key] if key in likely and chance.random() < 0.9 else str(value))
    query = tuple((key, str(value)) for key, value in (case.query or {}).items())
    headers = {"user-agent": "schemathesis", "accept": chance.choice(ACCEPTS)}
    if "NotSet" in type(body).__name__:
        return Request(method, path, query, headers)
    if isinstance(body, dict) and resource and chance.random() < 0.8 and method in ("POST", "PUT"):
        right = example(resource.kind, resource.api_version, likely["name"])
        only = chance.choice(sorted(body)) if body and chance.random() < 0.5 else ""      # most objects would be refused
        told = body.get("metadata") if isinstance(body.get("metadata"), dict) else {}
        body = {**right, only: body[only]} if only else {**right, **body, "metadata": {**told, **likely}, "kind": right["kind"],
                                                         "apiVersion": right["apiVersion"]}
    kind = (case.media_type or "application/json").replace("*/*", "application/json")
    kind, data = written(body, chance.choices((kind, YAML, MEDIA_TYPE), (6, 2, 2))[0] if kind == "application/json" else kind)
    return Request(method, path, query, {**headers, "content-type": kind}, data)


def written(body: Any, kind: str) -> tuple[str, bytes]:
    """A body as bytes of a type; as JSON where it can't be said in that type."""
    if isinstance(body, bytes):
        return kind, body
    if kind == YAML:
        return kind, yaml.safe_dump(json.loads(json.dumps(body, default=str))).encode()
    if kind == MEDIA_TYPE:
        try:
            return kind, protobuf(body)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError, struct.error):
            kind = "application/json"
    return kind, json.dumps(body, default=str).encode()


def collections(resources: list[Resource]) -> dict[str, Resource]:
    """The path of each collection, as the documents write it, and what is in it."""
    found = {}
    for row in resources:
        root = f"/apis/{row.group}/{row.version}" if row.group else f"/api/{row.version}"
        found[f"{root}{'/namespaces/{namespace}' if row.namespaced else ''}/{row.plural}"] = row
    return found


async def run(examples: int, seed: int, *, some: int = 0) -> Outcome:
    """Send `examples` requests of each operation, or of `some` that the seed chooses, half of which create things."""
    log, chance = EventLog(limit=1000), Random(seed)
    server = new_server(LocalStorage(Store()), clock=SystemClock(), random=Random(seed), log=log)
    await server.start()
    kinds = collections(server.resources)
    outcome, past = Outcome(), 0
    known = [each for document in await documents(server) for each in operations(document)]
    making = [each for each in known if each.method == "post"]
    chosen = [*chance.sample(making, some // 2), *chance.sample(known, some - some // 2)] if some else known
    for number, operation in enumerate(chosen):
        for case in cases(operation, examples, seed):
            await judge(server, as_request(case, kinds, chance), outcome, f"seed {seed}")
        past = await compact(server.storage, past)
        if number == len(chosen) // 4:
            outcome.before = memory()
    outcome.after = memory()
    await server.stop()
    return outcome


def main() -> int:
    """Run from the command line; 1 if anything was found."""
    parser = argparse.ArgumentParser("schemas")
    parser.add_argument("--examples", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--some", type=int, default=0)
    chosen = parser.parse_args()
    with nothing_kept():
        outcome = asyncio.run(run(chosen.examples, chosen.seed, some=chosen.some))
    print(*outcome.faults[:40], sep="\n")
    print(outcome.statuses.total(), "requests", dict(sorted(outcome.statuses.items())),
          f"memory {outcome.before >> 20} -> {outcome.after >> 20} MiB, {len(outcome.faults)} faults")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
