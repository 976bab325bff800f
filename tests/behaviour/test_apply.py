"""Server-side apply: who owns which field, who may take it, and what goes when an owner lets go."""

from __future__ import annotations

from typing import Any

import pytest

from tests.behaviour.target import Namespace, Object, configmap
from tests.behaviour.test_objects import refused

APPLY, MERGE = "application/apply-patch+yaml", "application/merge-patch+json"



class Applier:
    """Applies objects in a namespace, as one manager or another."""

    def __init__(self, ns: Namespace) -> None:
        self.ns = ns

    def path(self, obj: Object) -> str:
        group, plural = {"Deployment": ("apis/apps/v1", "deployments"), "Ingress": ("apis/networking.k8s.io/v1", "ingresses"),
                         "HorizontalPodAutoscaler": (f"apis/{obj['apiVersion']}", "horizontalpodautoscalers")}.get(
                             obj["kind"], ("api/v1", f"{obj['kind'].lower()}s"))
        return f"/{group}/namespaces/{self.ns.name}/{plural}/{obj['metadata']['name']}"

    def say(self, who: str, obj: Object, sub: str = "", **query: Any) -> Any:
        """The answer to an apply of an object by a manager."""
        return self.ns.target.call("PATCH", self.path(obj) + sub, obj, kind=APPLY, fieldManager=who, **query)

    def __call__(self, who: str, obj: Object, sub: str = "", **query: Any) -> Object:
        """Apply, and demand that it worked; the object as it is then."""
        answer = self.say(who, obj, sub, **query)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()  # type: ignore[no-any-return]

    def patch(self, obj: Object, change: Any, kind: str = MERGE, sub: str = "", **query: Any) -> Object:
        """Patch, and demand that it worked."""
        answer = self.ns.target.call("PATCH", self.path(obj) + sub, change, kind=kind, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    def get(self, obj: Object) -> Object:
        return self.ns.target.call("GET", self.path(obj)).json()  # type: ignore[no-any-return]


@pytest.fixture
def apply(ns: Namespace) -> Applier:
    return Applier(ns)


def owners(obj: Object) -> dict[tuple[str, str, str], Object]:
    """What each owns, by manager, operation and subresource."""
    return {(each["manager"], each["operation"], each.get("subresource", "")): each["fieldsV1"]
            for each in obj["metadata"].get("managedFields", [])}


def config(**data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}


def bare(**metadata: Any) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", **metadata}}


def deployment(**spec: Any) -> Object:
    found: Object = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}}
    return found | ({"spec": spec} if spec else {})


def whole(*containers: Object, **spec: Any) -> Object:
    return deployment(selector={"matchLabels": {"app": "a"}}, template={
        "metadata": {"labels": {"app": "a"}}, "spec": {"containers": list(containers) or [box()]}}, **spec)


def part(*containers: Object, **spec: Any) -> Object:
    """A Deployment of which only containers are said."""
    return deployment(template={"spec": {"containers": list(containers), **spec}})


def box(name: str = "main", **more: Any) -> Object:
    return {"name": name, "image": "kubernetes-by-hand/box:1", **more}


def service(*ports: Object, **spec: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": list(ports), **spec}}


def names(obj: Object) -> list[str]:
    return [each["name"] for each in obj["spec"]["template"]["spec"]["containers"]]


# ---- who owns

def test_apply_creates_and_owns_what_it_says(apply: Applier) -> None:
    answer = apply.say("ann", config(color="red"))
    assert answer.status_code == 201
    assert owners(answer.json()) == {("ann", "Apply", ""): {"f:data": {"f:color": {}}}}


def test_apply_of_the_same_changes_nothing(apply: Applier) -> None:
    first = apply("ann", config(color="red"))
    assert apply("ann", config(color="red")) == first


def test_two_who_agree_own_together(apply: Applier) -> None:
    apply("ann", config(color="red"))
    both = owners(apply("ben", config(color="red")))
    assert both["ann", "Apply", ""] == both["ben", "Apply", ""] == {"f:data": {"f:color": {}}}


def test_what_both_own_stays_until_both_let_go(apply: Applier) -> None:
    apply("ann", config(color="red", size="3"))
    apply("ben", config(color="red"))
    assert apply("ann", config(size="3"))["data"] == {"color": "red", "size": "3"}
    assert apply("ben", bare())["data"] == {"size": "3"}


def test_what_nobody_applies_any_more_goes(apply: Applier) -> None:
    apply("ann", config(color="red", size="3"))
    assert apply("ann", config(size="3"))["data"] == {"size": "3"}


def test_who_applies_nothing_is_forgotten(apply: Applier) -> None:
    apply("ann", config(color="red"))
    apply("ben", config(size="3"))
    assert set(owners(apply("ben", bare()))) == {("ann", "Apply", "")}


def test_what_others_wrote_stays(apply: Applier) -> None:
    apply("ann", config(color="red"))
    apply.patch(config(), {"data": {"size": "3"}}, fieldManager="ben")
    assert apply("ann", bare()).get("data") == {"size": "3"}


def test_an_update_takes_what_it_changes(apply: Applier) -> None:
    apply("ann", config(color="red", size="3"))
    after = owners(apply.patch(config(), {"data": {"color": "blue"}}, fieldManager="ben"))
    assert after == {("ann", "Apply", ""): {"f:data": {"f:size": {}}}, ("ben", "Update", ""): {"f:data": {"f:color": {}}}}


def test_an_update_that_changes_nothing_takes_nothing(apply: Applier) -> None:
    apply("ann", config(color="red"))
    after = apply.patch(config(), {"data": {"color": "red"}}, fieldManager="ben")
    assert set(owners(after)) == {("ann", "Apply", "")}


def test_what_an_update_removes_nobody_owns(apply: Applier) -> None:
    apply("ann", config(color="red", size="3"))
    after = apply.patch(config(), {"data": {"color": None}}, fieldManager="ben")
    assert owners(after) == {("ann", "Apply", ""): {"f:data": {"f:size": {}}}}


def test_applying_and_updating_are_two_managers_of_one_name(apply: Applier) -> None:
    apply("ann", config(color="red"))
    after = apply.patch(config(), {"data": {"size": "3"}}, fieldManager="ann")
    assert set(owners(after)) == {("ann", "Apply", ""), ("ann", "Update", "")}


def test_an_apply_can_take_over_from_an_update(apply: Applier) -> None:
    apply.ns.target.call("POST", f"{apply.ns.core}/configmaps", config(color="red"), fieldManager="ann")
    after = owners(apply("ben", config(color="red")))
    assert after == {("ann", "Update", ""): {"f:data": {".": {}, "f:color": {}}}, ("ben", "Apply", ""): {"f:data": {"f:color": {}}}}


# ---- conflicts

def test_a_conflict_names_who_and_what(apply: Applier) -> None:
    apply("ann", config(color="red"))
    answer = apply.say("ben", config(color="blue"))
    refused(answer, 409, "Conflict", r'Apply failed with 1 conflict: conflict with "ann": \.data\.color')
    assert answer.json()["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "ann"', "field": ".data.color"}]


def test_a_conflict_with_an_update_names_its_version(apply: Applier) -> None:
    apply.ns.target.call("POST", f"{apply.ns.core}/configmaps", config(color="red"), fieldManager="ann")
    refused(apply.say("ben", config(color="blue")), 409, "Conflict", r'.*conflict with "ann" using v1: \.data\.color')


def test_several_conflicts_are_listed_by_manager(apply: Applier) -> None:
    apply("ann", config(color="red"))
    apply("cleo", config(size="3", shape="round"))
    refused(apply.say("ben", config(color="blue", size="4", shape="flat")), 409, "Conflict",
            r'Apply failed with 3 conflicts: conflicts with "ann":\n- \.data\.color\nconflicts with "cleo":\n- \.data\.shape\n'
            r"- \.data\.size")


def test_a_conflict_changes_nothing(apply: Applier) -> None:
    first = apply("ann", config(color="red"))
    apply.say("ben", config(color="blue", size="4"))
    assert apply.get(config()) == first


def test_force_takes(apply: Applier) -> None:
    apply("ann", config(color="red", size="3"))
    after = apply("ben", config(color="blue"), force="true")
    assert after["data"] == {"color": "blue", "size": "3"}
    assert owners(after) == {("ann", "Apply", ""): {"f:data": {"f:size": {}}}, ("ben", "Apply", ""): {"f:data": {"f:color": {}}}}


def test_who_lost_all_is_forgotten(apply: Applier) -> None:
    apply("ann", config(color="red"))
    assert set(owners(apply("ben", config(color="blue"), force="true"))) == {("ben", "Apply", "")}


def test_who_was_robbed_meets_a_conflict(apply: Applier) -> None:
    apply("ann", config(color="red"))
    apply("ben", config(color="blue"), force="true")
    refused(apply.say("ann", config(color="red")), 409, "Conflict", r'.*conflict with "ben": \.data\.color')


def test_force_is_for_apply_alone(apply: Applier) -> None:
    apply("ann", config(color="red"))
    answer = apply.ns.target.call("PATCH", apply.path(config()), {}, kind=MERGE, force="true")
    refused(answer, 422, "Invalid", r".* is invalid: force: Forbidden: may not be specified for non-apply patch")


def test_apply_needs_a_manager(apply: Applier) -> None:
    answer = apply.ns.target.call("PATCH", apply.path(config()), config(), kind=APPLY)
    refused(answer, 422, "Invalid", r".* is invalid: fieldManager: Required value: is required for apply patch")


def test_a_dry_run_tells_and_keeps_nothing(apply: Applier) -> None:
    answer = apply.say("ann", config(color="red"), dryRun="All")
    assert answer.status_code == 201
    assert owners(answer.json()) == {("ann", "Apply", ""): {"f:data": {"f:color": {}}}}
    assert apply.get(config())["code"] == 404


# ---- lists by key

def test_items_by_key_are_each_somebodys(apply: Applier) -> None:
    apply("ann", whole(box("main")))
    after = apply("ben", part(box("side")))
    assert names(after) == ["main", "side"]
    key = 'k:{"name":"side"}'
    assert owners(after)["ben", "Apply", ""] == {"f:spec": {"f:template": {"f:spec": {"f:containers": {
        key: {".": {}, "f:image": {}, "f:name": {}}}}}}}


def test_an_item_goes_with_its_owner(apply: Applier) -> None:
    apply("ann", whole(box("main")))
    apply("ben", part(box("side")))
    assert names(apply("ben", deployment())) == ["main"]


def test_an_item_of_two_owners_loses_the_fields_of_one(apply: Applier) -> None:
    apply("ann", whole(box("main")))
    apply("ben", part(box("main", workingDir="/tmp")))
    (main,) = apply("ben", deployment())["spec"]["template"]["spec"]["containers"]
    assert "workingDir" not in main
    assert main["image"] == "kubernetes-by-hand/box:1"


def test_a_field_of_an_item_in_conflict(apply: Applier) -> None:
    apply("ann", whole(box("main")))
    refused(apply.say("ben", part({"name": "main", "image": "other:1"})), 409, "Conflict",
            r'.*conflict with "ann": \.spec\.template\.spec\.containers\[name="main"\]\.image')


def test_a_key_of_two_fields_with_a_default(apply: Applier) -> None:
    after = apply("ann", service({"port": 53, "name": "tcp"}, {"port": 53, "protocol": "UDP", "name": "udp"}))
    assert {(each["port"], each["protocol"]) for each in after["spec"]["ports"]} == {(53, "TCP"), (53, "UDP")}
    mine = owners(after)["ann", "Apply", ""]["f:spec"]["f:ports"]
    assert set(mine) == {'k:{"port":53,"protocol":"TCP"}', 'k:{"port":53,"protocol":"UDP"}'}


def test_a_changed_key_is_another_item(apply: Applier) -> None:
    apply("ann", service({"port": 80}))
    after = apply("ann", service({"port": 81}))
    assert [each["port"] for each in after["spec"]["ports"]] == [81]


def test_two_items_of_one_key(apply: Applier) -> None:
    answer = apply.say("ann", service({"port": 80, "name": "a"}, {"port": 80, "name": "b"}))
    assert answer.status_code == 500, answer.text
    assert '.spec.ports: duplicate entries for key [port=80,protocol="TCP"]' in answer.json()["message"]


def test_new_items_come_after_those_that_are_there(apply: Applier) -> None:
    apply("ann", whole(box("b")))
    assert names(apply("ben", part(box("a")))) == ["b", "a"]


def test_the_order_of_ones_own_items_is_kept(apply: Applier) -> None:
    apply("ann", whole(box("a"), box("b")))
    assert names(apply("ann", whole(box("b"), box("a")))) == ["b", "a"]


def test_a_merge_patch_of_a_list_takes_its_items(apply: Applier) -> None:
    apply("ann", whole(box("main")))
    both = [box("main"), box("side")]
    after = apply.patch(deployment(), {"spec": {"template": {"spec": {"containers": both}}}}, fieldManager="ben")
    theirs = owners(after)["ben", "Update", ""]["f:spec"]["f:template"]["f:spec"]["f:containers"]
    assert set(theirs) == {'k:{"name":"side"}'}


# ---- sets

def test_values_of_a_set_are_each_somebodys(apply: Applier) -> None:
    apply("ann", bare(finalizers=["example.com/a"]))
    after = apply("ben", bare(finalizers=["example.com/b"]))
    assert after["metadata"]["finalizers"] == ["example.com/a", "example.com/b"]
    assert owners(after)["ben", "Apply", ""] == {"f:metadata": {"f:finalizers": {'v:"example.com/b"': {}}}}
    assert apply("ann", bare())["metadata"]["finalizers"] == ["example.com/b"]
    apply("ben", bare())


def test_a_value_of_two_owners_stays_until_both_let_go(apply: Applier) -> None:
    apply("ann", bare(finalizers=["example.com/a"]))
    apply("ben", bare(finalizers=["example.com/a"]))
    assert apply("ann", bare())["metadata"]["finalizers"] == ["example.com/a"]
    assert "finalizers" not in apply("ben", bare())["metadata"]


def test_a_value_twice_in_a_set(apply: Applier) -> None:
    answer = apply.say("ann", bare(finalizers=["example.com/a", "example.com/a"]))
    assert answer.status_code == 500, answer.text
    assert '.metadata.finalizers: duplicate entries for key [="example.com/a"]' in answer.json()["message"]


# ---- what is owned as one

@pytest.mark.parametrize(("first", "second", "path"), [
    ({"tolerations": [{"key": "a", "operator": "Exists"}]}, {"tolerations": [{"key": "b", "operator": "Exists"}]}, "tolerations"),
    ({"nodeSelector": {"a": "1"}}, {"nodeSelector": {"b": "2"}}, "nodeSelector"),
])
def test_an_atomic_field_is_taken_as_one(apply: Applier, first: Object, second: Object, path: str) -> None:
    apply("ann", deployment(selector={"matchLabels": {"app": "a"}}, template={
        "metadata": {"labels": {"app": "a"}}, "spec": {"containers": [box()], **first}}))
    refused(apply.say("ben", deployment(template={"spec": second})), 409, "Conflict",
            rf'.*conflict with "ann": \.spec\.template\.spec\.{path}')
    after = apply("ben", deployment(template={"spec": second}), force="true")
    assert after["spec"]["template"]["spec"][path] == second[path]
    assert owners(after)["ben", "Apply", ""]["f:spec"]["f:template"]["f:spec"] == {f"f:{path}": {}}


def test_a_list_without_keys_is_one(apply: Applier) -> None:
    apply("ann", whole(box(command=["a", "b"])))
    refused(apply.say("ben", part({"name": "main", "command": ["a", "c"]})), 409, "Conflict",
            r'.*conflict with "ann": \.spec\.template\.spec\.containers\[name="main"\]\.command')


def test_a_selector_is_one(apply: Applier) -> None:
    apply("ann", service({"port": 80}, selector={"app": "a"}))
    refused(apply.say("ben", service({"port": 80}, selector={"tier": "front"})), 409, "Conflict",
            r'.*conflict with "ann": \.spec\.selector')


def test_rules_of_an_ingress_are_one(apply: Applier) -> None:
    def ingress(host: str) -> Object:
        backend = {"service": {"name": "a", "port": {"number": 80}}}
        path = {"path": "/", "pathType": "Prefix", "backend": backend}
        return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "a"},
                "spec": {"rules": [{"host": host, "http": {"paths": [path]}}]}}
    apply("ann", ingress("a.example.com"))
    refused(apply.say("ben", ingress("b.example.com")), 409, "Conflict", r'.*conflict with "ann": \.spec\.rules')


# ---- maps

def test_labels_are_each_somebodys(apply: Applier) -> None:
    apply("ann", bare(labels={"a": "1"}))
    after = apply("ben", bare(labels={"b": "2"}))
    assert after["metadata"]["labels"] == {"a": "1", "b": "2"}
    assert apply("ann", bare())["metadata"]["labels"] == {"b": "2"}


def test_an_empty_map_is_owned_itself(apply: Applier) -> None:
    after = apply("ann", bare(labels={}))
    assert owners(after) == {("ann", "Apply", ""): {"f:metadata": {"f:labels": {}}}}


def test_a_null_is_said_nothing_of(apply: Applier) -> None:
    apply("ann", config(color="red"))
    after = apply.say("ben", {**bare(), "data": None})
    assert after.status_code in (200, 409), after.text
    assert apply.get(config())["data"] == {"color": "red"}


# ---- subresources

def test_who_scales_owns_the_number_by_the_scale(apply: Applier) -> None:
    apply("ann", whole(replicas=1))
    apply.patch(deployment(), {"spec": {"replicas": 3}}, sub="/scale", fieldManager="ben")
    after = apply.get(deployment())
    assert owners(after)["ben", "Update", "scale"] == {"f:spec": {"f:replicas": {}}}
    assert after["spec"]["replicas"] == 3


def test_a_number_that_nobody_owned_stays_nobodys(apply: Applier) -> None:
    apply("ann", whole())
    apply.patch(deployment(), {"spec": {"replicas": 3}}, sub="/scale", fieldManager="ben")
    assert not any(manager == "ben" for manager, _, _ in owners(apply.get(deployment())))


def test_scaling_takes_from_who_applied(apply: Applier) -> None:
    apply("ann", whole(replicas=1))
    apply.patch(deployment(), {"spec": {"replicas": 3}}, sub="/scale", fieldManager="ben")
    refused(apply.say("ann", whole(replicas=1)), 409, "Conflict",
            r'.*conflict with "ben" with subresource "scale" using apps/v1: \.spec\.replicas')
    assert "f:replicas" not in owners(apply.get(deployment()))["ann", "Apply", ""]["f:spec"]


def test_a_status_is_applied_by_its_own_path(apply: Applier) -> None:
    apply("ann", whole())
    condition = {"type": "Mine", "status": "True", "lastUpdateTime": None, "lastTransitionTime": None}
    after = apply("ben", deployment() | {"status": {"conditions": [condition]}}, "/status")
    assert "Mine" in [each["type"] for each in after["status"]["conditions"]]
    mine = owners(after)["ben", "Apply", "status"]["f:status"]["f:conditions"]
    assert set(mine) == {'k:{"type":"Mine"}'}


def test_the_main_path_does_not_own_the_status(apply: Applier) -> None:
    after = apply("ann", whole() | {"status": {"replicas": 7}})
    assert "f:status" not in owners(after)["ann", "Apply", ""]
    assert after["status"].get("replicas", 0) != 7


def test_the_status_path_does_not_own_the_spec(apply: Applier) -> None:
    apply("ann", whole(replicas=1))
    after = apply("ben", deployment(replicas=5) | {"status": {"conditions": [{"type": "Mine", "status": "True"}]}}, "/status")
    assert after["spec"]["replicas"] == 1
    assert "f:spec" not in owners(after)["ben", "Apply", "status"]


def test_a_status_creates_no_object(apply: Applier) -> None:
    refused(apply.say("ann", deployment() | {"status": {"replicas": 1}}, "/status"), 404, "NotFound",
            r'deployments\.apps "a" not found')


def test_a_condition_goes_with_its_owner(apply: Applier) -> None:
    apply("ann", whole())
    apply("ben", deployment() | {"status": {"conditions": [{"type": "Mine", "status": "True"}]}}, "/status")
    apply("cleo", deployment() | {"status": {"conditions": [{"type": "Yours", "status": "True"}]}}, "/status")
    after = apply("ben", deployment(), "/status")
    kinds = [each["type"] for each in after["status"]["conditions"]]
    assert "Mine" not in kinds
    assert "Yours" in kinds


def test_labels_of_a_deployment_are_not_its_status(apply: Applier) -> None:
    apply("ann", whole())
    after = apply("ben", {**deployment(), "metadata": {"name": "a", "labels": {"x": "y"}, "annotations": {"x": "y"}}}, "/status")
    assert "labels" not in after["metadata"]
    assert after["metadata"]["annotations"]["x"] == "y"
    assert owners(after)["ben", "Apply", "status"] == {"f:metadata": {"f:annotations": {"f:x": {}}}}


# ---- versions

def test_an_owner_in_another_version(apply: Applier) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"}

    def scaler(version: str, most: int) -> Object:
        return {"apiVersion": f"autoscaling/{version}", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "a"},
                "spec": {"maxReplicas": most, "scaleTargetRef": target}}
    apply("ann", scaler("v1", 3))
    refused(apply.say("ben", scaler("v2", 4)), 409, "Conflict", r'.*conflict with "ann": \.spec\.maxReplicas')
    after = apply("ann", scaler("v2", 4))
    assert [each["apiVersion"] for each in after["metadata"]["managedFields"] if each["manager"] == "ann"] == ["autoscaling/v2"]


# ---- what can't be applied

@pytest.mark.parametrize(("body", "code", "text"), [
    ({"kind": "ConfigMap", "metadata": {"name": "a"}}, 400, r"invalid object type: /, Kind=ConfigMap"),
    ({**bare(), "kind": "Secret"}, 400, r"invalid object type: /v1, Kind=Secret"),
    (bare(managedFields=[]), 400, r"metadata\.managedFields must be nil"),
    ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}, 400,
     r"the name of the object \(b\) does not match the name on the URL \(a\)"),
    ([], 400, r"error decoding patch: .*cannot unmarshal array into Go value of type map\[string\]interface \{\}"),
    ({**bare(), "colour": "red"}, 500, r"failed to create typed patch object .*\.colour: field not declared in schema"),
    ({**bare(), "data": {"a": 1}}, 500, r"failed to create typed patch object .*\.data\.a: expected string, got .*"),
    (bare(uid="11111111-2222-3333-4444-555555555555"), 409, r".*uid mismatch: the provided object specified uid .*"),
    ({**bare(), "data": {"a b": "c"}}, 422, r'ConfigMap "a" is invalid: data\[a b\]: Invalid value: .*'),
])
def test_what_can_not_be_applied(apply: Applier, body: Any, code: int, text: str) -> None:
    answer = apply.ns.target.call("PATCH", apply.path(config()), body, kind=APPLY, fieldManager="ann")
    reason = {400: "BadRequest", 409: "Conflict", 422: "Invalid"}.get(code, "")
    refused(answer, code, reason, text)


def test_apply_with_an_old_resource_version(apply: Applier) -> None:
    first = apply("ann", config(color="red"))
    apply("ann", config(color="blue"))
    old = config(color="green")
    old["metadata"]["resourceVersion"] = first["metadata"]["resourceVersion"]
    refused(apply.say("ann", old), 409, "Conflict", r".*the object has been modified.*")


def test_an_empty_list_of_owners_starts_anew(apply: Applier) -> None:
    apply("ann", config(color="red"))
    after = apply.patch(config(), {"metadata": {"managedFields": [{}]}})
    assert "managedFields" not in after["metadata"]
    assert set(owners(apply("ben", config(color="red")))) >= {("ben", "Apply", "")}


def test_owners_that_are_nonsense_change_nothing(apply: Applier) -> None:
    first = apply("ann", config(color="red"))
    wrong = [{"manager": "x", "operation": "Fly", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {}}]
    assert apply.patch(config(), {"metadata": {"managedFields": wrong}}) == first


def test_more_than_ten_updaters_become_one(apply: Applier) -> None:
    apply("ann", config(color="red"))
    for number in range(13):
        apply.patch(config(), {"data": {f"n{number}": "x"}}, fieldManager=f"m{number}")
    known = owners(apply.get(config()))
    assert sum(operation == "Update" for _, operation, _ in known) <= 10
    assert ("ancient-changes", "Update", "") in known


def test_a_replace_owns_what_it_changes(apply: Applier) -> None:
    apply("ann", config(color="red", size="3"))
    answer = apply.ns.call("PUT", "/configmaps/a", configmap("a", color="red", size="4"), fieldManager="ben")
    assert answer.status_code == 200, answer.text
    after = owners(answer.json())
    assert after["ben", "Update", ""]["f:data"] == {"f:size": {}}
    assert after["ann", "Apply", ""] == {"f:data": {"f:color": {}}}
