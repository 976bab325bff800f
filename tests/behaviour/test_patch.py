"""Patches, in the four forms that the api-server takes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.behaviour.target import Namespace, Object, configmap, pod
from tests.behaviour.test_objects import refused

MERGE, STRATEGIC, JSON = (f"application/{kind}-patch+json" for kind in ("merge", "strategic-merge", "json"))


def patch(ns: Namespace, path: str, body: Any, kind: str) -> Any:
    return ns.call("PATCH", path, body, kind=kind)


@pytest.mark.parametrize("kind", [MERGE, STRATEGIC])
def test_merge_changes_what_it_names(ns: Namespace, kind: str) -> None:
    ns.make("configmaps", configmap("a", color="red", size="3"))
    answer = patch(ns, "/configmaps/a", {"data": {"color": "blue"}}, kind)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"] == {"color": "blue", "size": "3"}


@pytest.mark.parametrize("kind", [MERGE, STRATEGIC])
def test_null_takes_away(ns: Namespace, kind: str) -> None:
    ns.make("configmaps", configmap("a", color="red", size="3"))
    assert patch(ns, "/configmaps/a", {"data": {"color": None}}, kind).json()["data"] == {"size": "3"}


@pytest.mark.parametrize("kind", [MERGE, STRATEGIC])
def test_a_patch_that_changes_nothing_keeps_the_version(ns: Namespace, kind: str) -> None:
    made = ns.make("configmaps", configmap("a", color="red"))
    answer = patch(ns, "/configmaps/a", {"data": {"color": "red"}}, kind)
    assert answer.json()["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def env(ns: Namespace, name: str) -> dict[str, str]:
    return {e["name"]: e["value"] for e in ns.get("pods", name)["spec"]["containers"][0].get("env", [])}


def gated(name: str, **spec: Any) -> Object:
    return pod(name, schedulingGates=[{"name": "example.com/stay"}], **spec)


def test_strategic_merge_knows_lists_by_key(ns: Namespace) -> None:
    ns.make("pods", pod("a"))
    answer = patch(ns, "/pods/a", {"spec": {"containers": [{"name": "main", "image": "kubernetes-by-hand/web:1"}]}}, STRATEGIC)
    assert answer.status_code == 200, answer.text
    (container,) = answer.json()["spec"]["containers"]
    assert container["image"] == "kubernetes-by-hand/web:1"
    assert container["command"] == ["sleep", "300"]


def test_merge_patch_replaces_lists(ns: Namespace) -> None:
    ns.make("pods", pod("a"))
    answer = patch(ns, "/pods/a", {"spec": {"containers": [{"name": "main", "image": "kubernetes-by-hand/web:1"}]}}, MERGE)
    assert answer.status_code == 422, "the command went with the list, and that may not change"


def test_strategic_merge_adds_to_a_list(ns: Namespace) -> None:
    ns.make("pods", pod("a"))
    answer = patch(ns, "/pods/a", {"spec": {"tolerations": [{"key": "x", "operator": "Exists"}]}}, STRATEGIC)
    assert answer.status_code in (200, 422), answer.text
    conditions = [{"type": "Mine", "status": "True"}]
    first = patch(ns, "/pods/a/status", {"status": {"conditions": conditions}}, STRATEGIC)
    assert first.status_code == 200, first.text
    second = patch(ns, "/pods/a/status", {"status": {"conditions": [{"type": "Yours", "status": "False"}]}}, STRATEGIC)
    assert {"Mine", "Yours"} <= {c["type"] for c in second.json()["status"]["conditions"]}


def test_strategic_merge_deletes_from_a_list(ns: Namespace) -> None:
    ns.make("pods", pod("a"))
    patch(ns, "/pods/a/status", {"status": {"conditions": [{"type": "Mine", "status": "True"},
                                                           {"type": "Yours", "status": "True"}]}}, STRATEGIC)
    answer = patch(ns, "/pods/a/status", {"status": {"conditions": [{"$patch": "delete", "type": "Mine"}]}}, STRATEGIC)
    assert [c["type"] for c in answer.json()["status"]["conditions"]] == ["Yours"]


def test_strategic_merge_can_replace_a_map(ns: Namespace) -> None:
    ns.make("configmaps", configmap("a", color="red", size="3"))
    answer = patch(ns, "/configmaps/a", {"data": {"$patch": "replace", "shape": "round"}}, STRATEGIC)
    assert answer.json()["data"] == {"shape": "round"}


def test_json_patch(ns: Namespace) -> None:
    ns.make("configmaps", configmap("a", color="red", size="3"))
    operations = [{"op": "test", "path": "/data/color", "value": "red"}, {"op": "replace", "path": "/data/color", "value": "blue"},
                  {"op": "add", "path": "/data/shape", "value": "round"}, {"op": "remove", "path": "/data/size"}]
    answer = patch(ns, "/configmaps/a", operations, JSON)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"] == {"color": "blue", "shape": "round"}


def test_json_patch_whose_test_fails(ns: Namespace) -> None:
    ns.make("configmaps", configmap("a", color="red"))
    answer = patch(ns, "/configmaps/a", [{"op": "test", "path": "/data/color", "value": "blue"},
                                         {"op": "remove", "path": "/data/color"}], JSON)
    assert answer.status_code == 422, answer.text
    assert ns.get("configmaps", "a")["data"] == {"color": "red"}


def test_patch_with_an_old_resource_version(ns: Namespace) -> None:
    made = ns.make("configmaps", configmap("a", color="red"))
    ns.call("PUT", "/configmaps/a", made | {"data": {"color": "blue"}})
    body = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "data": {"color": "green"}}
    assert patch(ns, "/configmaps/a", body, MERGE).status_code == 409


def test_patch_what_is_not_there(ns: Namespace) -> None:
    refused(patch(ns, "/configmaps/a", {"data": {}}, MERGE), 404, "NotFound", r'configmaps "a" not found')


def test_patch_of_a_form_that_nobody_speaks(ns: Namespace) -> None:
    ns.make("configmaps", configmap("a"))
    answer = patch(ns, "/configmaps/a", {"data": {}}, "application/json")
    assert answer.status_code == 415
    assert answer.json()["reason"] == "UnsupportedMediaType"


def test_patch_that_is_not_json(ns: Namespace) -> None:
    ns.make("configmaps", configmap("a"))
    assert patch(ns, "/configmaps/a", "{", MERGE).status_code == 400


def test_patch_that_makes_an_object_invalid(ns: Namespace) -> None:
    ns.make("configmaps", configmap("a"))
    assert patch(ns, "/configmaps/a", {"data": {"a b": "c"}}, MERGE).status_code == 422
    assert ns.get("configmaps", "a").get("data") in (None, {})


def test_patch_cannot_rename(ns: Namespace) -> None:
    ns.make("configmaps", configmap("a"))
    assert patch(ns, "/configmaps/a", {"metadata": {"name": "b"}}, MERGE).status_code in (400, 409, 422)
