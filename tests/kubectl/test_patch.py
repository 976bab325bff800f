"""The three patches, on cases whose results a genuine api-server 1.37.2 gave."""
from __future__ import annotations

import copy
from typing import Any

import pytest
from tinykube.api.openapi import typed
from tinykube.machinery.errors import ApiError
from tinykube.machinery.patch import json_patch, merge_patch, strategic_merge_patch

NODE = typed("", "v1", "Node")
POD = typed("", "v1", "Pod")
READY, DISK = {"type": "Ready", "status": "True"}, {"type": "Disk", "status": "False"}


@pytest.mark.parametrize(("target", "patch", "result"), [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    (["a"], {"a": "b"}, {"a": "b"}),
])
def test_merge_patch_follows_the_rfc(target: Any, patch: Any, result: Any) -> None:
    before = copy.deepcopy((target, patch))
    assert merge_patch(target, patch) == result
    assert (target, patch) == before


@pytest.mark.parametrize(("conditions", "patch", "result"), [
    ([READY, DISK], {"conditions": [{"type": "Ready", "status": "False"}]},
     [{"type": "Ready", "status": "False"}, DISK]),
    ([READY, DISK], {"conditions": [{"type": "New", "status": "True"}]},
     [{"type": "New", "status": "True"}, READY, DISK]),
    ([READY, DISK], {"conditions": [{"type": "Disk", "$patch": "delete"}]}, [READY]),
    ([READY, DISK], {"conditions": [{"$patch": "replace"}, {"type": "X", "status": "True", "message": None}]},
     [{"type": "X", "status": "True"}]),
    ([READY, DISK], {"$setElementOrder/conditions": [{"type": "Disk"}, {"type": "Ready"}]}, [DISK, READY]),
    ([READY, DISK], {"conditions": None}, None),
])
def test_lists_merge_by_their_key(conditions: Any, patch: Any, result: Any) -> None:
    if result and len(result) == 3:
        result = sorted(result, key=str)
    node = strategic_merge_patch({"status": {"conditions": conditions}}, {"status": patch}, NODE)
    found = node["status"].get("conditions")
    assert (sorted(found, key=str) if result and len(result) == 3 else found) == result


def test_the_servers_own_items_keep_their_place() -> None:
    node = {"metadata": {"finalizers": ["x.io/a", "x.io/b", "x.io/c"]}}
    patch = {"metadata": {"$setElementOrder/finalizers": ["x.io/d", "x.io/c", "x.io/a"], "finalizers": ["x.io/d"]}}
    merged = strategic_merge_patch(node, patch, NODE)
    assert merged["metadata"]["finalizers"] == ["x.io/d", "x.io/b", "x.io/c", "x.io/a"]


def test_scalars_are_taken_out_of_a_list() -> None:
    node = {"metadata": {"finalizers": ["x.io/a", "x.io/b"]}}
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["x.io/b"]}}
    assert strategic_merge_patch(node, patch, NODE)["metadata"]["finalizers"] == ["x.io/a"]


def test_retain_keys_drops_the_other_members() -> None:
    node = {"metadata": {"labels": {"a": "1", "b": "2"}}}
    patch = {"metadata": {"labels": {"$retainKeys": ["b"], "b": "7"}}}
    assert strategic_merge_patch(node, patch, NODE)["metadata"]["labels"] == {"b": "7"}


def test_a_list_without_merge_key_is_replaced() -> None:
    pod = {"spec": {"containers": [{"name": "c", "command": ["a", "b"]}], "tolerations": [{"key": "a"}]}}
    patch = {"spec": {"containers": [{"name": "c", "command": ["z"]}], "tolerations": [{"key": "b"}]}}
    merged = strategic_merge_patch(pod, patch, POD)["spec"]
    assert merged == {"containers": [{"name": "c", "command": ["z"]}], "tolerations": [{"key": "b"}]}


@pytest.mark.parametrize(("patch", "code", "text"), [
    ({"spec": {"containers": [{"image": "k"}]}}, 500, "map: map[image:k] does not contain declared merge key: name"),
    ({"spec": {"$patch": "foo"}}, 500, "unknown patch type: foo in map: map[$patch:foo]"),
    ({"spec": {"containers": [{"$patch": "merge", "name": "a"}]}}, 500,
     "merging lists cannot yet be specified in the patch"),
    ({"spec": {"containers": [{"$patch": "delete"}]}}, 500,
     "map: map[$patch:delete] does not contain declared merge key: name"),
    ({"spec": {"$setElementOrder/containers": "x"}}, 500, "expected a []interface {}, but received a string"),
    ({"spec": {"$retainKeys": "x"}}, 400, "invalid patch format of retainKeys"),
    ({"spec": {"$retainKeys": ["containers"], "nodeName": "x"}}, 400, "invalid patch format of retainKeys"),
    ({"metadata": {"$deleteFromPrimitiveList": ["x"]}}, 400, "invalid patch format of primitive list"),
    ({"spec": {"$setElementOrder/containers": [{"name": "b"}], "containers": [{"name": "a", "image": "z"}]}}, 500,
     "The order in patch list:\n[map[image:z name:a]]\n doesn't match $setElementOrder list:\n[map[name:b]]\n"),
])
def test_contradictions_are_told_in_the_genuine_words(patch: Any, code: int, text: str) -> None:
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "i"}, {"name": "b"}]}}
    with pytest.raises(ApiError) as failure:
        strategic_merge_patch(pod, patch, POD)
    assert (failure.value.code, failure.value.message) == (code, text)


@pytest.mark.parametrize(("operation", "result"), [
    ({"op": "add", "path": "/l/1", "value": "x"}, {"a": {"b": 1}, "l": [1, "x", 2]}),
    ({"op": "add", "path": "/l/-", "value": "x"}, {"a": {"b": 1}, "l": [1, 2, "x"]}),
    ({"op": "remove", "path": "/l/0"}, {"a": {"b": 1}, "l": [2]}),
    ({"op": "replace", "path": "/a/b", "value": None}, {"a": {"b": None}, "l": [1, 2]}),
    ({"op": "move", "path": "/c", "from": "/a/b"}, {"a": {}, "l": [1, 2], "c": 1}),
    ({"op": "copy", "path": "/c", "from": "/a"}, {"a": {"b": 1}, "l": [1, 2], "c": {"b": 1}}),
    ({"op": "test", "path": "/a/b", "value": 1}, {"a": {"b": 1}, "l": [1, 2]}),
    ({"op": "add", "path": "/a~1b", "value": 1}, {"a": {"b": 1}, "l": [1, 2], "a/b": 1}),
    ({"op": "replace", "path": "", "value": 7}, 7),
])
def test_json_patch_operations(operation: Any, result: Any) -> None:
    document = {"a": {"b": 1}, "l": [1, 2]}
    assert json_patch(document, [operation]) == result
    assert document == {"a": {"b": 1}, "l": [1, 2]}


@pytest.mark.parametrize("operation", [
    {"op": "remove", "path": "/nope"}, {"op": "test", "path": "/a", "value": 2}, {"op": "frob", "path": "/a"},
    {"op": "add", "path": "/x/y/z", "value": 1}, {"op": "add"}, {"op": "remove", "path": "/l/x"},
    {"op": "remove", "path": "/l/7"}, {"op": "add", "path": "/l/9", "value": 1}, {"op": "add", "path": 3},
    {"op": "move", "path": "/b", "from": "/nope"}, {"op": "remove", "path": "/l/-"}, {},
])
def test_an_impossible_operation_is_422(operation: Any) -> None:
    with pytest.raises(ApiError) as failure:
        json_patch({"a": 1, "l": [1]}, [operation])
    assert failure.value.code == 422
