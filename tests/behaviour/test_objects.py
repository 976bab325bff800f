"""Objects and verbs: create, read, replace, delete, and what each says when it can't."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.behaviour.target import Namespace, Target, configmap, pod


def refused(answer: Any, code: int, reason: str, message: str) -> None:
    """The answer is a Status with this code, reason and message (a regular expression, matched whole)."""
    assert answer.status_code == code, answer.text
    status = answer.json()
    assert (status["kind"], status["apiVersion"], status["status"]) == ("Status", "v1", "Failure")
    assert status["code"] == code
    assert status.get("reason", "") == reason, status
    assert re.fullmatch(message, status["message"], re.S), status["message"]


def test_create_fills_in_what_the_server_owns(ns: Namespace) -> None:
    made = ns.make("configmaps", configmap("a", color="red"))
    meta = made["metadata"]
    assert made["kind"] == "ConfigMap"
    assert made["apiVersion"] == "v1"
    assert made["data"] == {"color": "red"}
    assert meta["namespace"] == ns.name
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", meta["uid"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", meta["creationTimestamp"])
    assert meta["resourceVersion"].isdigit()


def test_what_was_created_is_what_is_read(ns: Namespace) -> None:
    made = ns.make("configmaps", configmap("a", color="red"))
    assert ns.get("configmaps", "a") == made


def test_create_twice(ns: Namespace) -> None:
    ns.make("configmaps", configmap("a"))
    refused(ns.call("POST", "/configmaps", configmap("a")), 409, "AlreadyExists", r'configmaps "a" already exists')


def test_names_are_free_again_after_delete_with_another_uid(ns: Namespace) -> None:
    first = ns.make("configmaps", configmap("a"))
    ns.call("DELETE", "/configmaps/a")
    assert ns.make("configmaps", configmap("a"))["metadata"]["uid"] != first["metadata"]["uid"]


def test_read_what_is_not_there(ns: Namespace) -> None:
    answer = ns.call("GET", "/configmaps/nope")
    refused(answer, 404, "NotFound", r'configmaps "nope" not found')
    assert answer.json()["details"] == {"name": "nope", "kind": "configmaps"}


def test_create_in_a_namespace_that_is_not_there(target: Target) -> None:
    answer = target.call("POST", "/api/v1/namespaces/no-such-place/configmaps", configmap("a"))
    refused(answer, 404, "NotFound", r'namespaces "no-such-place" not found')


def test_generate_name(ns: Namespace) -> None:
    body = configmap("a")
    body["metadata"] = {"generateName": "many-"}
    names = {ns.make("configmaps", body)["metadata"]["name"] for _ in range(5)}
    assert len(names) == 5
    assert all(re.fullmatch(r"many-[a-z0-9]{5}", name) for name in names)


def test_no_name_at_all(ns: Namespace) -> None:
    body = configmap("a")
    del body["metadata"]["name"]
    refused(ns.call("POST", "/configmaps", body), 422, "Invalid",
            r'ConfigMap "" is invalid: metadata\.name: Required value: name or generateName is required')


@pytest.mark.parametrize("name", ["Upper", "under_score", "-dash", "dot.", "a" * 254, "white space"])
def test_names_have_rules(ns: Namespace, name: str) -> None:
    answer = ns.call("POST", "/configmaps", configmap(name))
    refused(answer, 422, "Invalid", r'ConfigMap ".*" is invalid: metadata\.name: Invalid value: .*')
    assert answer.json()["details"]["causes"][0]["field"] == "metadata.name"


def test_label_values_have_rules(ns: Namespace) -> None:
    answer = ns.call("POST", "/configmaps", configmap("a", labels={"tier": "not allowed"}))
    refused(answer, 422, "Invalid", r'ConfigMap "a" is invalid: metadata\.labels: Invalid value: "not allowed": .*')


def test_configmap_keys_have_rules(ns: Namespace) -> None:
    answer = ns.call("POST", "/configmaps", configmap("a") | {"data": {"a b": "c"}})
    refused(answer, 422, "Invalid", r'ConfigMap "a" is invalid: data\[a b\]: Invalid value: "a b": .*')


def test_put_replaces_and_moves_the_resource_version(ns: Namespace) -> None:
    made = ns.make("configmaps", configmap("a", color="red", size="3"))
    made["data"] = {"color": "blue"}
    answer = ns.call("PUT", "/configmaps/a", made)
    assert answer.status_code == 200
    assert answer.json()["data"] == {"color": "blue"}
    assert int(answer.json()["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])


def test_put_of_the_same_changes_nothing(ns: Namespace) -> None:
    made = ns.make("configmaps", configmap("a", color="red"))
    answer = ns.call("PUT", "/configmaps/a", made)
    assert answer.status_code == 200
    assert answer.json()["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_put_with_an_old_resource_version(ns: Namespace) -> None:
    made = ns.make("configmaps", configmap("a", color="red"))
    assert ns.call("PUT", "/configmaps/a", made | {"data": {"color": "blue"}}).status_code == 200
    refused(ns.call("PUT", "/configmaps/a", made | {"data": {"color": "green"}}), 409, "Conflict",
            r'Operation cannot be fulfilled on configmaps "a": the object has been modified; '
            r'please apply your changes to the latest version and try again')
    assert ns.get("configmaps", "a")["data"] == {"color": "blue"}


def test_put_without_a_resource_version_wins(ns: Namespace) -> None:
    ns.make("configmaps", configmap("a", color="red"))
    assert ns.call("PUT", "/configmaps/a", configmap("a", color="blue")).status_code == 200
    assert ns.get("configmaps", "a")["data"] == {"color": "blue"}


def test_put_keeps_uid_and_creation_time(ns: Namespace) -> None:
    made = ns.make("configmaps", configmap("a"))
    fresh = configmap("a", color="blue")
    fresh["metadata"]["creationTimestamp"] = "2001-01-01T00:00:00Z"
    put = ns.call("PUT", "/configmaps/a", fresh).json()
    for name in ("uid", "creationTimestamp"):
        assert put["metadata"][name] == made["metadata"][name]


def test_put_with_a_strangers_uid(ns: Namespace) -> None:
    ns.make("configmaps", configmap("a"))
    fresh = configmap("a")
    fresh["metadata"]["uid"] = "11111111-2222-3333-4444-555555555555"
    answer = ns.call("PUT", "/configmaps/a", fresh)
    refused(answer, 409, "Conflict", r'Operation cannot be fulfilled on configmaps "a": .*[Pp]recondition failed.*')


def test_put_to_a_name_that_is_not_there(ns: Namespace) -> None:
    refused(ns.call("PUT", "/configmaps/a", configmap("a")), 404, "NotFound", r'configmaps "a" not found')


def test_put_creates_a_lease(ns: Namespace) -> None:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{ns.name}/leases/a"
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"},
            "spec": {"holderIdentity": "me", "leaseDurationSeconds": 15}}
    assert ns.target.call("PUT", path, body).status_code == 201
    refused(ns.target.call("PUT", path, body), 422, "Invalid", r'leases\.coordination\.k8s\.io "a" is invalid: '
            r"metadata\.resourceVersion: Invalid value: 0: must be specified for an update")
    assert ns.target.call("DELETE", path).status_code == 200


def test_put_under_another_name(ns: Namespace) -> None:
    ns.make("configmaps", configmap("a"))
    refused(ns.call("PUT", "/configmaps/a", configmap("b")), 400, "BadRequest",
            r"the name of the object \(b\) does not match the name on the URL \(a\)")


def test_body_of_another_namespace(ns: Namespace) -> None:
    body = configmap("a")
    body["metadata"]["namespace"] = "default"
    refused(ns.call("POST", "/configmaps", body), 400, "BadRequest",
            r"the namespace of the provided object does not match the namespace sent on the request")


def test_body_of_another_kind(ns: Namespace) -> None:
    refused(ns.call("POST", "/configmaps", pod("a")), 400, "BadRequest",
            r'Pod in version "v1" cannot be handled as a ConfigMap:.*')


def test_body_of_an_unknown_version(ns: Namespace) -> None:
    answer = ns.call("POST", "/configmaps", configmap("a") | {"apiVersion": "v9"})
    refused(answer, 400, "BadRequest",
            r'the API version in the data \(v9\) does not match the expected API version \(v1\)|.*no kind.*')


def test_body_without_kind_is_taken_for_what_the_path_says(ns: Namespace) -> None:
    made = ns.make("configmaps", {"metadata": {"name": "a"}, "data": {"x": "y"}})
    assert made["kind"] == "ConfigMap"


@pytest.mark.parametrize("body", ["{", "[]", "null garbage", '{"metadata": }', "\x00\x01"])
def test_malformed_json(ns: Namespace, body: str) -> None:
    answer = ns.call("POST", "/configmaps", body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["reason"] == "BadRequest"


def test_field_of_another_type(ns: Namespace) -> None:
    answer = ns.call("POST", "/configmaps", configmap("a") | {"data": {"x": 3}})
    refused(answer, 400, "BadRequest",
            r'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go '
            r'struct field ConfigMap\.data of type string')


def test_yaml_body(ns: Namespace) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  color: red\n"
    answer = ns.call("POST", "/configmaps", text, kind="application/yaml")
    assert answer.status_code == 201, answer.text
    assert ns.get("configmaps", "a")["data"] == {"color": "red"}


def test_media_type_that_nobody_speaks(ns: Namespace) -> None:
    answer = ns.call("POST", "/configmaps", "a,b", kind="text/csv")
    assert answer.status_code == 415
    assert answer.json()["reason"] == "UnsupportedMediaType"


def test_body_of_ten_megabytes(ns: Namespace) -> None:
    answer = ns.call("POST", "/configmaps", configmap("a", big="x" * 10_000_000))
    refused(answer, 413, "RequestEntityTooLarge", r".*(limit|large).*")


def test_delete_answers_with_what_was_deleted(ns: Namespace) -> None:
    made = ns.make("configmaps", configmap("a"))
    answer = ns.call("DELETE", "/configmaps/a")
    assert answer.status_code == 200
    status = answer.json()
    assert status["status"] == "Success"
    assert status["details"] == {"name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"]}
    assert ns.call("GET", "/configmaps/a").status_code == 404


def test_delete_what_is_not_there(ns: Namespace) -> None:
    refused(ns.call("DELETE", "/configmaps/a"), 404, "NotFound", r'configmaps "a" not found')


def test_delete_only_if_it_is_the_one_i_mean(ns: Namespace) -> None:
    made = ns.make("configmaps", configmap("a"))
    stranger = "11111111-2222-3333-4444-555555555555"
    answer = ns.call("DELETE", "/configmaps/a", {"preconditions": {"uid": stranger}})
    uid = made["metadata"]["uid"]
    refused(answer, 409, "Conflict", r'Operation cannot be fulfilled on ConfigMap "a": the UID in the '
            rf"precondition \({stranger}\) does not match the UID in record \({uid}\)\. "
            r"The object might have been deleted and then recreated")
    assert ns.call("DELETE", "/configmaps/a", {"preconditions": {"uid": uid}}).status_code == 200


def test_finalizer_keeps_an_object_until_it_is_taken_off(ns: Namespace) -> None:
    body = configmap("a")
    body["metadata"]["finalizers"] = ["example.com/not-yet"]
    ns.make("configmaps", body)
    assert ns.call("DELETE", "/configmaps/a").status_code == 200
    dying = ns.get("configmaps", "a")
    assert dying["metadata"]["deletionTimestamp"]
    dying["metadata"]["finalizers"] = []
    assert ns.call("PUT", "/configmaps/a", dying).status_code == 200
    assert ns.call("GET", "/configmaps/a").status_code == 404


def test_delete_collection_by_label(ns: Namespace) -> None:
    for name, color in {"a": "red", "b": "red", "c": "blue"}.items():
        ns.make("configmaps", configmap(name, labels={"color": color}))
    assert ns.call("DELETE", "/configmaps", labelSelector="color=red").status_code == 200
    left = {item["metadata"]["name"] for item in ns.call("GET", "/configmaps").json()["items"]}
    assert left & {"a", "b", "c"} == {"c"}


def test_dry_run_leaves_no_trace(ns: Namespace) -> None:
    answer = ns.call("POST", "/configmaps", configmap("a"), dryRun="All")
    assert answer.status_code == 201, answer.text
    assert ns.call("GET", "/configmaps/a").status_code == 404


@pytest.mark.parametrize(("method", "path"), [("POST", "/configmaps/a"), ("PUT", "/configmaps"), ("PATCH", "/configmaps")])
def test_verbs_that_a_path_does_not_have(ns: Namespace, method: str, path: str) -> None:
    refused(ns.call(method, path, configmap("a")), 405, "MethodNotAllowed",
            r"the server does not allow this method on the requested resource")


@pytest.mark.parametrize("path", ["/api/v1/unicorns", "/apis/nowhere.example.com/v1/things", "/api/v2/pods",
                                  "/api/v1/namespaces/default/pods/a/unicorn"])
def test_paths_that_lead_nowhere(target: Target, path: str) -> None:
    assert target.call("GET", path).status_code == 404


def test_field_validation_strict(ns: Namespace) -> None:
    answer = ns.call("POST", "/configmaps", configmap("a") | {"colour": "red"}, fieldValidation="Strict")
    refused(answer, 400, "BadRequest", r'.*strict decoding error: unknown field "colour"')


def test_field_validation_warn(ns: Namespace) -> None:
    answer = ns.call("POST", "/configmaps", configmap("a") | {"colour": "red"}, fieldValidation="Warn")
    assert answer.status_code == 201
    assert 'unknown field \\"colour\\"' in answer.headers["Warning"]


FULL = {"cpu": "1", "memory": "1Gi"}
CLASSES: list[tuple[list[dict[str, Any]], str]] = [
    ([{}], "BestEffort"), ([{}, {}], "BestEffort"), ([{"limits": {"example.com/gpu": "1"}}], "BestEffort"),
    ([{"requests": {"cpu": "0"}}], "BestEffort"), ([{"limits": {"cpu": "0", "memory": "0"}}], "BestEffort"),
    ([{"requests": {"cpu": "1m"}}], "Burstable"), ([{"limits": FULL | {"cpu": "0"}}], "Burstable"),
    ([{"limits": FULL}], "Guaranteed"), ([{"limits": FULL, "requests": {"cpu": "1000m", "memory": "1024Mi"}}], "Guaranteed"),
    ([{"limits": FULL, "requests": {"cpu": "500m"}}], "Burstable"), ([{"limits": {"memory": "1Gi"}}], "Burstable"),
    ([{"limits": FULL}, {}], "Burstable"), ([{"limits": FULL}, {"limits": FULL}], "Guaranteed"),
    ([{"limits": FULL}, {"requests": {"cpu": "0"}}], "Burstable"), ([{"requests": FULL}, {"limits": FULL}], "Burstable")]


@pytest.mark.parametrize(("asked", "expected"), CLASSES)
def test_the_class_of_a_pod(ns: Namespace, asked: list[dict[str, Any]], expected: str) -> None:
    """How firmly a pod said what it needs; it does not matter which container is an init container."""
    every = [{"name": f"c{at}", "image": "box", "resources": each} for at, each in enumerate(asked)]
    for first in range(len(every)):
        spec = {"initContainers": every[:first], "containers": every[first:]}
        made = ns.call("POST", "/pods", {"metadata": {"name": "web"}, "spec": spec}, dryRun="All")
        assert made.status_code == 201, made.text
        assert made.json()["status"]["qosClass"] == expected
