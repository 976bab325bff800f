"""Patches, in the four forms that the api-server takes."""

from __future__ import annotations

import re
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


# ---- what is in a body twice, and what no kind has

TWICE = '{"metadata": {"name": "a", "name": "a"}, "data": {"x": "1", "x": "2"}, "colour": "red"}'


def warnings(answer: Any) -> list[str]:
    """What the server warns of, each text as it is."""
    return [each.replace('\\"', '"') for each in re.findall(r'299 - "((?:\\.|[^"\\])*)"', answer.headers.get("Warning", ""))]


def test_strict_refuses_what_is_there_twice(ns: Namespace) -> None:
    refused(ns.call("POST", "/configmaps", TWICE, fieldValidation="Strict"), 400, "BadRequest",
            r'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: duplicate field "metadata\.name", '
            r'duplicate field "data\.x", unknown field .*')


def test_warned_of_what_is_there_twice(ns: Namespace) -> None:
    answer = ns.call("POST", "/configmaps", TWICE)
    assert answer.status_code == 201, answer.text
    assert warnings(answer) == ['duplicate field "metadata.name"', 'duplicate field "data.x"', 'unknown field "colour"']
    assert answer.json()["data"] == {"x": "2"}


def test_warned_even_when_refused(ns: Namespace) -> None:
    ns.make("configmaps", configmap("a"))
    answer = ns.call("POST", "/configmaps", {"metadata": {"name": "a"}, "colour": "red"})
    assert answer.status_code == 409, answer.text
    assert warnings(answer) == ['unknown field "colour"']


def test_ignored_what_is_there_twice(ns: Namespace) -> None:
    assert warnings(ns.call("POST", "/configmaps", TWICE, fieldValidation="Ignore")) == []


def test_a_put_with_a_field_twice(ns: Namespace) -> None:
    ns.make("configmaps", configmap("a"))
    refused(ns.call("PUT", "/configmaps/a", TWICE, fieldValidation="Strict"), 400, "BadRequest", r'.*duplicate field "data\.x".*')


@pytest.mark.parametrize(("kind", "shown"), [(MERGE, r'"\{.*\}"'), (STRATEGIC, r'"map\[colour:red data:map\[x:2\]\]"')])
def test_a_patch_with_a_field_twice(ns: Namespace, kind: str, shown: str) -> None:
    ns.make("configmaps", configmap("a"))
    body = '{"data": {"x": "1", "x": "2"}, "colour": "red"}'
    refused(ns.call("PATCH", "/configmaps/a", body, kind=kind, fieldValidation="Strict"), 422, "Invalid",
            rf'.* is invalid: patch: Invalid value: {shown}: strict decoding error: duplicate field "data\.x", unknown field .*')


def test_a_json_patch_with_a_member_twice(ns: Namespace) -> None:
    ns.make("configmaps", configmap("a", y="1"))
    refused(ns.call("PATCH", "/configmaps/a", '[{"op": "add", "path": "/data/x", "value": "1", "op": "add", "foo": 1}]', kind=JSON,
                    fieldValidation="Strict"), 422, "Invalid",
            r'.*strict decoding error: json patch duplicate field "\[0\]\.op", json patch unknown field "\[0\]\.foo"')


# ---- limits and wrong values

def test_json_patches_have_a_longest_length(ns: Namespace) -> None:
    ns.make("configmaps", configmap("a", x="1"))
    test = {"op": "test", "path": "/data/x", "value": "1"}
    assert patch(ns, "/configmaps/a", [test] * 10000, JSON).status_code == 200
    refused(patch(ns, "/configmaps/a", [test] * 10001, JSON), 413, "RequestEntityTooLarge",
            r"Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001")


@pytest.mark.parametrize(("body", "kind", "code", "text"), [
    ({"metadata": {"creationTimestamp": "yesterday"}}, MERGE, 422, r'.*: parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": '
     r'cannot parse "yesterday" as "2006"'),
    ({"metadata": {"creationTimestamp": "2026-02-30T00:00:00Z"}}, STRATEGIC, 422,
     r'.*: parsing time "2026-02-30T00:00:00Z": day out of range'),
    ({"data": "text"}, STRATEGIC, 422, r'.*"map\[data:text\]": cannot restore map from string'),
    ({"data": ["a"]}, STRATEGIC, 422, r'.*"map\[data:\[a\]\]": cannot restore map from slice'),
    ({"metadata": "text"}, STRATEGIC, 422, r".*cannot restore struct from: string"),
    ({"metadata": {"finalizers": "text"}}, STRATEGIC, 422, r".*cannot restore slice from string"),
    ({"data": {"a": True}}, STRATEGIC, 422, r".*unrecognized type: string"),
    ({"data": {"a": 1}}, STRATEGIC, 422, r".*cannot convert int64 to string"),
    ({"immutable": "yes"}, STRATEGIC, 422, r".*unrecognized type: bool"),
    ({"metadata": None}, MERGE, 400, r"the name of the object \(a based on URL\) was undeterminable: name must be provided"),
    ({"metadata": {"namespace": "other"}}, MERGE, 400, r"the namespace of the provided object does not match the namespace sent on "
     r"the request"),
    ({"kind": "Unicorn"}, MERGE, 422, r'.*no kind "Unicorn" is registered for version "v1" in scheme .*'),
    ([{"op": "add", "path": "data", "value": {}}], JSON, 422, r"the server rejected our request due to an error in our request"),
    ({}, JSON, 400, r"error decoding patch: json: cannot unmarshal object into Go value of type \[\]handlers\.jsonPatchOp"),
    ([], MERGE, 400, r"error decoding patch: json: cannot unmarshal array into Go value of type map\[string\]interface \{\}"),
    ([], STRATEGIC, 400, r"json: cannot unmarshal array into Go value of type map\[string\]interface \{\}"),
    ({"metadata": {"finalizers": ["nobody"]}}, MERGE, 422, r'.*metadata\.finalizers\[0\]: Invalid value: "nobody": name is neither '
     r"a standard finalizer name nor is it fully qualified"),
    ({"metadata": {"ownerReferences": [{"name": "x", "uid": "u"}]}}, MERGE, 422,
     r".*ownerReferences\[0\]\.apiVersion: Required value: must not be empty, .*ownerReferences\[0\]\.kind: Required value: .*"),
])
def test_patches_that_leave_nonsense(ns: Namespace, body: Any, kind: str, code: int, text: str) -> None:
    made = ns.make("configmaps", configmap("a"))
    refused(patch(ns, "/configmaps/a", body, kind), code, {400: "BadRequest", 422: "Invalid"}[code], text)
    assert ns.get("configmaps", "a") == made


def test_no_new_finalizer_on_what_is_going(ns: Namespace) -> None:
    body = configmap("a")
    body["metadata"]["finalizers"] = ["example.com/a"]
    ns.make("configmaps", body)
    ns.call("DELETE", "/configmaps/a")
    answer = patch(ns, "/configmaps/a", {"metadata": {"finalizers": ["example.com/a", "example.com/b"]}}, MERGE)
    refused(answer, 422, "Invalid", r".*metadata\.finalizers: Forbidden: no new finalizers can be added if the object is being "
            r'deleted, found new finalizers \[\]string\{"example\.com/b"\}')
    refused(ns.call("POST", "/configmaps", configmap("a")), 409, "AlreadyExists",
            r'object is being deleted: configmaps "a" already exists')
    assert patch(ns, "/configmaps/a", {"metadata": {"finalizers": None}}, MERGE).status_code == 200
    assert ns.call("GET", "/configmaps/a").status_code == 404


def test_a_put_needs_a_name(ns: Namespace) -> None:
    ns.make("configmaps", configmap("a"))
    refused(ns.call("PUT", "/configmaps/a", {"metadata": {}}), 400, "BadRequest",
            r"the name of the object \(a based on URL\) was undeterminable: name must be provided")


@pytest.mark.parametrize("path", ["/configmaps", "/configmaps/a"])
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_methods_that_no_resource_has(ns: Namespace, method: str, path: str) -> None:
    ns.make("configmaps", configmap("a"))
    assert ns.call(method, path).status_code == 405


@pytest.mark.parametrize(("field", "what", "may"), [("uid", "UID", "deleted and then recreated"),
                                                    ("resourceVersion", "ResourceVersion", "modified")])
def test_a_delete_of_another(ns: Namespace, field: str, what: str, may: str) -> None:
    ns.make("configmaps", configmap("a"))
    refused(ns.call("DELETE", "/configmaps/a", {"preconditions": {field: "1"}}), 409, "Conflict",
            rf'Operation cannot be fulfilled on ConfigMap "a": the {what} in the precondition \(1\) does not match the {what} in '
            rf"record \(.*\)\. The object might have been {may}")
