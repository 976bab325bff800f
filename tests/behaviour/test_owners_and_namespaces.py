"""What goes when its owner goes, what every namespace has, and how a namespace ends: the work of controllers."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from tests.behaviour.target import Namespace, Object, Target, configmap, pod, wait

MERGE = "application/merge-patch+json"


@pytest.fixture(autouse=True)
def controllers(need: Callable[[str], None]) -> None:
    """All of this is done by controllers."""
    need("controller-manager")


def owned(name: str, *owners: Object, finalizers: list[str] | None = None, **more: object) -> Object:
    """A ConfigMap that belongs to others."""
    made = configmap(name)
    made["metadata"]["ownerReferences"] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": each["metadata"]["name"], "uid": each["metadata"]["uid"], **more}
        for each in owners]
    if finalizers:
        made["metadata"]["finalizers"] = finalizers
    return made


def gone(ns: Namespace, name: str, plural: str = "configmaps") -> Callable[[], bool]:
    """Whether an object is not there (any more)."""
    return lambda: ns.call("GET", f"/{plural}/{name}").status_code == 404


def delete(ns: Namespace, name: str, policy: str = "Background") -> None:
    """Delete a ConfigMap."""
    assert ns.call("DELETE", f"/configmaps/{name}", {"propagationPolicy": policy}).status_code in (200, 202)


def let_go(ns: Namespace, name: str) -> None:
    """Take all finalizers off a ConfigMap."""
    ns.call("PATCH", f"/configmaps/{name}", {"metadata": {"finalizers": None}}, kind=MERGE)


# --- owners

@pytest.mark.parametrize("policy", ["Background", "Foreground"])
def test_what_belongs_to_nobody_goes(ns: Namespace, policy: str) -> None:
    owner = ns.make("configmaps", configmap("owner"))
    ns.make("configmaps", owned("mine", owner))
    delete(ns, "owner", policy)
    wait(gone(ns, "owner"), "the owner to go")
    wait(gone(ns, "mine"), "what it owned to go")


def test_grandchildren_go_too(ns: Namespace) -> None:
    owner = ns.make("configmaps", configmap("owner"))
    child = ns.make("configmaps", owned("child", owner))
    ns.make("configmaps", owned("grandchild", child))
    delete(ns, "owner")
    wait(gone(ns, "grandchild"), "the grandchild to go")


def test_orphans_stay_and_forget_their_owner(ns: Namespace) -> None:
    owner = ns.make("configmaps", configmap("owner"))
    ns.make("configmaps", owned("mine", owner))
    delete(ns, "owner", "Orphan")
    wait(gone(ns, "owner"), "the owner to go")
    assert "ownerReferences" not in ns.get("configmaps", "mine")["metadata"]


def test_in_the_foreground_the_owner_waits_for_those_that_block_it(ns: Namespace) -> None:
    owner = ns.make("configmaps", configmap("owner"))
    ns.make("configmaps", owned("mine", owner, finalizers=["example.com/hold"], blockOwnerDeletion=True))
    delete(ns, "owner", "Foreground")
    wait(lambda: ns.get("configmaps", "mine")["metadata"].get("deletionTimestamp"), "the dependent's deletion to begin")
    assert ns.get("configmaps", "owner")["metadata"]["finalizers"] == ["foregroundDeletion"]
    let_go(ns, "mine")
    wait(gone(ns, "owner"), "the owner to go after its dependent")


def test_those_that_do_not_block_are_not_waited_for(ns: Namespace) -> None:
    owner = ns.make("configmaps", configmap("owner"))
    ns.make("configmaps", owned("mine", owner, finalizers=["example.com/hold"]))
    delete(ns, "owner", "Foreground")
    wait(gone(ns, "owner"), "the owner to go")
    wait(lambda: ns.get("configmaps", "mine")["metadata"].get("deletionTimestamp"), "the dependent's deletion to begin")
    let_go(ns, "mine")


def test_one_of_two_owners_is_enough(ns: Namespace) -> None:
    first, second = (ns.make("configmaps", configmap(name)) for name in ("first", "second"))
    ns.make("configmaps", owned("mine", first, second))
    delete(ns, "first")
    kept = wait(lambda: len(found := ns.get("configmaps", "mine")["metadata"]["ownerReferences"]) == 1 and found,
                "the reference to the owner that is gone to go")
    assert kept[0]["name"] == "second"
    delete(ns, "second")
    wait(gone(ns, "mine"), "it to go with its last owner")


def test_an_owner_that_waits_counts_for_nothing_beside_one_that_stays(ns: Namespace) -> None:
    first, second = (ns.make("configmaps", configmap(name)) for name in ("first", "second"))
    ns.make("configmaps", owned("mine", first, second, blockOwnerDeletion=True))
    delete(ns, "first", "Foreground")
    wait(gone(ns, "first"), "the first owner to go")
    assert [each["name"] for each in ns.get("configmaps", "mine")["metadata"]["ownerReferences"]] == ["second"]


def test_an_owner_that_never_was(ns: Namespace) -> None:
    nobody = {"metadata": {"name": "nobody", "uid": str(uuid.uuid4())}}
    ns.make("configmaps", owned("mine", nobody))
    wait(gone(ns, "mine"), "it to go")


def test_an_owner_of_a_kind_that_nobody_knows_is_left_alone(ns: Namespace) -> None:
    nobody = {"metadata": {"name": "nobody", "uid": str(uuid.uuid4())}}
    strange = owned("strange", nobody)
    strange["metadata"]["ownerReferences"][0] |= {"apiVersion": "example.com/v1", "kind": "Strange"}
    ns.make("configmaps", strange)
    ns.make("configmaps", owned("mine", nobody))
    wait(gone(ns, "mine"), "the other one to go")
    assert not gone(ns, "strange")()


def test_another_object_of_the_owners_name_is_not_the_owner(ns: Namespace) -> None:
    owner = ns.make("configmaps", configmap("owner"))
    owner["metadata"]["uid"] = str(uuid.uuid4())
    ns.make("configmaps", owned("mine", owner))
    wait(gone(ns, "mine"), "it to go")
    assert not gone(ns, "owner")()


def test_an_owner_in_another_namespace_is_none(ns: Namespace) -> None:
    owner = ns.make("configmaps", configmap("owner"))
    with Namespace(ns.target, f"{ns.name}-b") as other:
        other.make("configmaps", owned("mine", owner))
        wait(gone(other, "mine"), "it to go")
        told = wait(lambda: [each for each in other.call("GET", "/events").json()["items"]
                             if each["reason"] == "OwnerRefInvalidNamespace"], "an event")
        assert told[0]["message"] == (f"ownerRef [v1/ConfigMap, namespace: {other.name}, name: owner, uid: "
                                      f'{owner["metadata"]["uid"]}] does not exist in namespace "{other.name}"')
        assert told[0]["source"]["component"] == "garbage-collector-controller"


def test_kinds_own_other_kinds(ns: Namespace) -> None:
    owner = ns.make("pods", pod("owner"))
    mine = owned("mine", owner)
    mine["metadata"]["ownerReferences"][0]["kind"] = "Pod"
    ns.make("configmaps", mine)
    ns.call("DELETE", "/pods/owner", {"gracePeriodSeconds": 0})
    wait(gone(ns, "mine"), "it to go")


def test_custom_resources_own_and_are_owned(ns: Namespace) -> None:
    group = f"g{uuid.uuid4().hex[:8]}.example.com"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    definition = {"metadata": {"name": f"boxes.{group}"}, "spec": {
        "group": group, "scope": "Namespaced", "names": {"plural": "boxes", "kind": "Box"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}]}}
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert ns.target.call("POST", crds, definition).status_code == 201
    boxes = f"/apis/{group}/v1/namespaces/{ns.name}/boxes"
    try:
        wait(lambda: ns.target.call("GET", boxes).status_code == 200, "boxes to be served")
        made = ns.target.call("POST", boxes, {"apiVersion": f"{group}/v1", "kind": "Box", "metadata": {"name": "box"}}).json()
        inside = owned("inside", made)
        inside["metadata"]["ownerReferences"][0] |= {"apiVersion": f"{group}/v1", "kind": "Box"}
        ns.make("configmaps", inside)
        ns.target.call("DELETE", f"{boxes}/box", {"propagationPolicy": "Background"})
        wait(gone(ns, "inside"), "what was in the box to go", 60)
    finally:
        ns.target.call("DELETE", f"{crds}/boxes.{group}")


# --- what each namespace has

def test_each_namespace_has_an_account(ns: Namespace) -> None:
    made = wait(lambda: ns.call("GET", "/serviceaccounts/default").json(), "the account")
    assert set(made) == {"kind", "apiVersion", "metadata"}


def test_the_account_comes_back(ns: Namespace) -> None:
    before = ns.get("serviceaccounts", "default")["metadata"]["uid"]
    ns.call("DELETE", "/serviceaccounts/default")
    wait(lambda: ns.call("GET", "/serviceaccounts/default").json().get("metadata", {}).get("uid") not in (None, before),
         "another account")


def test_each_namespace_is_told_whom_to_trust(ns: Namespace) -> None:
    found = wait(lambda: (told := ns.call("GET", "/configmaps/kube-root-ca.crt")).status_code == 200 and told.json(), "the CA")
    assert found["data"]["ca.crt"].startswith("-----BEGIN CERTIFICATE-----")
    assert found["metadata"]["annotations"]["kubernetes.io/description"].startswith("Contains a CA bundle")


@pytest.mark.parametrize("patch", [{"data": {"ca.crt": "mine"}}, {"data": {"more": "x"}}, {"data": None}])
def test_the_ca_can_not_be_changed(ns: Namespace, patch: Object) -> None:
    before = wait(lambda: (told := ns.call("GET", "/configmaps/kube-root-ca.crt")).status_code == 200 and told.json(), "the CA")
    assert ns.call("PATCH", "/configmaps/kube-root-ca.crt", patch, kind=MERGE).status_code == 200
    wait(lambda: ns.get("configmaps", "kube-root-ca.crt").get("data") == before["data"], "the CA to be as it was")


def test_the_ca_comes_back(ns: Namespace) -> None:
    wait(lambda: not gone(ns, "kube-root-ca.crt")(), "the CA")
    delete(ns, "kube-root-ca.crt")
    wait(lambda: not gone(ns, "kube-root-ca.crt")(), "the CA to be back")


def secret_for(account: str, name: str = "token") -> Object:
    """A Secret that asks for a token."""
    return {"metadata": {"name": name, "annotations": {"kubernetes.io/service-account.name": account}},
            "type": "kubernetes.io/service-account-token"}


def test_a_token_goes_with_its_account(ns: Namespace) -> None:
    ns.make("serviceaccounts", {"metadata": {"name": "bob"}})
    ns.make("secrets", secret_for("bob"))
    ns.make("secrets", secret_for("default", "other"))
    ns.call("DELETE", "/serviceaccounts/bob")
    wait(gone(ns, "token", "secrets"), "the token to go")
    assert not gone(ns, "other", "secrets")()


def test_a_token_of_nobody_goes(ns: Namespace) -> None:
    ns.make("secrets", secret_for("nobody"))
    wait(gone(ns, "token", "secrets"), "the token to go")


# --- the end of a namespace

def ending(target: Target, *held: str) -> str:
    """A namespace whose end has begun, with ConfigMaps that finalizers hold; its name."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    with Namespace(target, name) as ns:
        for number, finalizer in enumerate(held):
            made = configmap(f"hold-{number}")
            made["metadata"]["finalizers"] = [finalizer]
            assert ns.call("POST", "/configmaps", made).status_code == 201
    return name


def conditions(target: Target, name: str) -> dict[str, Object]:
    """The conditions of a namespace, by their type."""
    found = target.call("GET", f"/api/v1/namespaces/{name}").json()
    return {each["type"]: each for each in found.get("status", {}).get("conditions") or []}


def test_a_namespace_says_what_holds_it_up(target: Target) -> None:
    name = ending(target, "example.com/a", "example.com/a", "example.com/b")
    told = wait(lambda: conditions(target, name), "conditions")
    assert told["NamespaceContentRemaining"]["message"] == "Some resources are remaining: configmaps. has 3 resource instances"
    assert told["NamespaceContentRemaining"]["reason"] == "SomeResourcesRemain"
    assert told["NamespaceFinalizersRemaining"]["message"] == (
        "Some content in the namespace has finalizers remaining: example.com/a in 2 resource instances, "
        "example.com/b in 1 resource instances")
    assert told["NamespaceFinalizersRemaining"]["reason"] == "SomeFinalizersRemain"
    for kind, reason in (("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered"),
                         ("NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions"),
                         ("NamespaceDeletionContentFailure", "ContentDeleted")):
        assert (told[kind]["status"], told[kind]["reason"]) == ("False", reason)
    for number in range(3):
        target.call("PATCH", f"/api/v1/namespaces/{name}/configmaps/hold-{number}", {"metadata": {"finalizers": None}}, kind=MERGE)
    wait(lambda: target.call("GET", f"/api/v1/namespaces/{name}").status_code == 404, "the namespace to go", 60)


@pytest.mark.parametrize(("path", "body"), [
    ("/api/v1/namespaces/{}/secrets", {"metadata": {"name": "x"}}),
    ("/apis/apps/v1/namespaces/{}/controllerrevisions", {"metadata": {"name": "x"}, "revision": 1, "data": {}}),
    ("/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles", {"metadata": {"name": "x"}, "rules": []}),
    ("/apis/coordination.k8s.io/v1/namespaces/{}/leases", {"metadata": {"name": "x"}}),
])
def test_whatever_kind_is_inside_goes(target: Target, path: str, body: Object) -> None:
    name = f"t-{uuid.uuid4().hex[:8]}"
    with Namespace(target, name):
        assert target.call("POST", path.format(name), body).status_code == 201
    wait(lambda: target.call("GET", f"/api/v1/namespaces/{name}").status_code == 404, "the namespace to go", 60)
    assert target.call("GET", path.format(name) + "/x").status_code == 404


def test_a_namespace_with_a_finalizer_of_somebody_else_stays(target: Target) -> None:
    name = f"t-{uuid.uuid4().hex[:8]}"
    path = f"/api/v1/namespaces/{name}"
    target.call("POST", "/api/v1/namespaces", {"metadata": {"name": name, "finalizers": ["example.com/hold"]}})
    target.call("DELETE", path)
    wait(lambda: "finalizers" not in target.call("GET", path).json().get("spec", {}), "Kubernetes to be done with it", 60)
    assert target.call("GET", path).json()["status"]["phase"] == "Terminating"
    target.call("PATCH", path, {"metadata": {"finalizers": None}}, kind=MERGE)
    assert target.call("GET", path).status_code == 404


# --- deletions

@pytest.mark.parametrize(("policy", "finalizers"), [
    ("Background", None), ("Foreground", ["foregroundDeletion"]), ("Orphan", ["orphan"])])
def test_a_policy_becomes_a_finalizer(ns: Namespace, policy: str, finalizers: list[str] | None) -> None:
    made = configmap("x")
    made["metadata"]["finalizers"] = ["example.com/hold"]
    ns.make("configmaps", made)
    left = ns.call("DELETE", "/configmaps/x", {"propagationPolicy": policy}).json()["metadata"]["finalizers"]
    assert left == ["example.com/hold", *(finalizers or [])]
    let_go(ns, "x")


def test_a_later_policy_replaces_an_earlier_one(ns: Namespace) -> None:
    made = configmap("x")
    made["metadata"]["finalizers"] = ["example.com/hold", "orphan"]
    ns.make("configmaps", made)
    left = ns.call("DELETE", "/configmaps/x", {"propagationPolicy": "Background"}).json()["metadata"]["finalizers"]
    assert left == ["example.com/hold"]
    let_go(ns, "x")


def test_a_policy_that_is_none(ns: Namespace) -> None:
    ns.make("configmaps", configmap("x"))
    told = ns.call("DELETE", "/configmaps/x", {"propagationPolicy": "Sideways"})
    assert told.status_code == 422
    assert told.json()["message"] == (
        'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "Sideways": supported values: '
        '"Foreground", "Background", "Orphan", "nil"')
