"""The table of resources: every kind can be stored, listed, watched and removed; rows come and go."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tinykube.api.resources import ALL_VERBS, RESOURCES, Resource
from tinykube.api.strategy import Strategy

from tests.api.conftest import Api

MANIFEST = Path(__file__).parents[2] / "labs" / "manifests" / "one-of-each.yaml"
ONE_OF_EACH = [each for each in yaml.safe_load_all(MANIFEST.read_text()) if each]


def row_of(obj: dict[str, Any]) -> Resource:
    return next(r for r in RESOURCES if (r.api_version, r.kind) == (obj["apiVersion"], obj["kind"]))


def collection(row: Resource) -> str:
    where = f"/apis/{row.api_version}" if row.group else f"/api/{row.version}"
    return f"{where}/namespaces/default/{row.plural}" if row.namespaced else f"{where}/{row.plural}"


def test_there_is_one_of_each_kind_that_is_stored() -> None:
    stored = {(r.api_version, r.kind) for r in RESOURCES if "create" in r.verbs and "get" in r.verbs}
    assert {(obj["apiVersion"], obj["kind"]) for obj in ONE_OF_EACH} == stored


@pytest.mark.parametrize("obj", ONE_OF_EACH, ids=lambda obj: f"{obj['apiVersion']}-{obj['kind']}")
async def test_each_kind_is_stored_listed_watched_and_removed(obj: dict[str, Any], api: Api) -> None:
    row = row_of(obj)
    path, name = collection(row), obj["metadata"]["name"]
    status, made = await api("POST", path, obj)
    assert (status, made.get("kind"), made.get("apiVersion")) == (201, obj["kind"], obj["apiVersion"]), made
    assert ("generation" in made["metadata"]) == row.strategy.counts_generations
    assert [kv.key for kv in (await api.server.registry(row.plural, row.group).range("", limit=0)).kvs][-1] \
        .startswith(row.prefix.encode())
    assert (await api("GET", f"{path}/{name}"))[1] == made
    listed = (await api("GET", path))[1]
    assert listed["kind"] == f"{row.kind}List"
    assert made["metadata"]["uid"] in [item["metadata"]["uid"] for item in listed["items"]]
    assert not {"kind", "apiVersion"} & set(listed["items"][-1])
    status, labeled = await api("PATCH", f"{path}/{name}", {"metadata": {"labels": {"a": "b"}}},
                                content_type="application/merge-patch+json")
    assert (status, labeled["metadata"]["labels"]["a"], labeled["apiVersion"]) == (200, "b", obj["apiVersion"])
    assert (await api("DELETE", f"{path}/{name}"))[0] == 200


@pytest.mark.parametrize(("sent", "asked", "field"), [
    ("v1", "events.k8s.io/v1", "note"), ("events.k8s.io/v1", "v1", "message"),
    ("autoscaling/v1", "autoscaling/v2", "spec"), ("autoscaling/v2", "autoscaling/v1", "spec")])
async def test_one_object_in_two_versions(sent: str, asked: str, field: str, api: Api) -> None:
    obj = next(o for o in ONE_OF_EACH if o["apiVersion"] == sent and o["kind"] in ("Event", "HorizontalPodAutoscaler"))
    twin = next(o for o in ONE_OF_EACH if o["apiVersion"] == asked and o["kind"] == obj["kind"])
    await api("POST", collection(row_of(obj)), obj)
    path = f"{collection(row_of(twin))}/{obj['metadata']['name']}"
    status, found = await api("GET", path)
    assert (status, found["apiVersion"]) == (200, asked)
    assert {key: value for key, value in twin[field].items() if found[field].get(key) != value} == {} \
        if isinstance(twin[field], dict) else found[field] == twin[field]
    found["metadata"]["labels"] = {"seen": "there"}
    assert (await api("PUT", path, found))[0] == 200
    back = (await api("GET", f"{collection(row_of(obj))}/{obj['metadata']['name']}"))[1]
    assert back["metadata"]["labels"] == {"seen": "there"}
    assert back["apiVersion"] == sent


async def test_rows_come_and_go(api: Api) -> None:
    widgets = Resource("Widget", "widgets", Strategy(), "example.com", stored_at="/registry/example.com/widgets/")
    path = "/apis/example.com/v1/namespaces/default/widgets"
    assert (await api("GET", path))[0] == 404
    api.server.add(widgets)
    assert (await api("POST", path, {"metadata": {"name": "w"}}))[0] == 201
    stream = await api.answer("GET", f"{path}?watch=1")
    await api.server.remove(widgets)
    assert (await api("GET", path))[0] == 404
    assert b'"Widget"' in b"".join([chunk async for chunk in stream.body])  # type: ignore[union-attr]


async def test_deprecated_kinds_say_so(api: Api) -> None:
    answer = await api.answer("GET", "/api/v1/namespaces/default/endpoints")
    assert answer.headers["warning"] == \
        '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"'
    assert RESOURCES[2].verbs == ALL_VERBS
