"""The admission plugins of a whole cluster: the tiny api-server refuses and fills in what the genuine one does."""
from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from bookkit.tiers import missing
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.behaviour.target import wait
from tests.seats.access import Side, genuine_side, tiny_side
from tests.seats.test_access import RBAC, binding, role, rule, user

pytestmark = [pytest.mark.skipif(bool(missing("genuine")), reason="; ".join(missing("genuine"))),
              pytest.mark.timeout(300), pytest.mark.xdist_group("genuine-admission")]

Object = dict[str, Any]
D, MERGE = "/api/v1/namespaces/default", "application/merge-patch+json"
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
MIRROR = {"kubernetes.io/config.mirror": "abc"}
ON = ("NodeRestriction", "OwnerReferencesPermissionEnforcement")
Case = tuple[str, str, str, Any]         # who, method, path, body


def spec(**more: Any) -> Object:
    return {"containers": [{"name": "c", "image": "x"}], **more}


def pod(name: str, node: str = "", **more: Any) -> Object:
    return {"metadata": {"name": name}, "spec": spec(nodeName=node, automountServiceAccountToken=False, **more)}


MADE: list[tuple[str, Any]] = [
    ("/api/v1/nodes", {"metadata": {"name": "n1", "labels": {"old": "1"}}}), ("/api/v1/nodes", {"metadata": {"name": "n2"}}),
    (f"{D}/serviceaccounts", {"metadata": {"name": "robot"}, "imagePullSecrets": [{"name": "pull"}]}),
    (f"{D}/serviceaccounts", {"metadata": {"name": "silent"}, "automountServiceAccountToken": False}),
    (f"{D}/pods", pod("mine", "n1")), (f"{D}/pods", pod("other", "n2")), (f"{D}/pods", pod("free")),
    (f"{D}/pods", {"metadata": {"name": "token"}, "spec": spec(nodeName="n1", serviceAccountName="robot")}),
    (f"{D}/configmaps", {"metadata": {"name": "owned"}}),
    ("/apis/node.k8s.io/v1/runtimeclasses", {
        "metadata": {"name": "vm"}, "handler": "h", "overhead": {"podFixed": {"cpu": "100m", "memory": "10Mi"}},
        "scheduling": {"nodeSelector": {"a": "b"}, "tolerations": [{"key": "k", "operator": "Exists"}]}}),
    ("/apis/node.k8s.io/v1/runtimeclasses", {"metadata": {"name": "plain"}, "handler": "h"}),
    ("/apis/scheduling.k8s.io/v1/priorityclasses", {"metadata": {"name": "usual"}, "value": 5, "globalDefault": True}),
    ("/apis/scheduling.k8s.io/v1/priorityclasses", {"metadata": {"name": "rare"}, "value": 6}),
    (f"{RBAC}/clusterroles", role("writer", rule("get create update patch", "configmaps pods"),
                                  rule("get create update patch", "certificatesigningrequests "
                                       "certificatesigningrequests/approval certificatesigningrequests/status",
                                       "certificates.k8s.io"))),
    (f"{RBAC}/clusterrolebindings", binding("writer", "ClusterRole", "writer", user("joe"), user("jane"))),
    (f"{RBAC}/clusterroles", role("owner", rule("delete", "configmaps"),
                                  rule("update", "replicasets/finalizers", "apps", resourceNames=["rs"]),
                                  rule("approve", "signers", "certificates.k8s.io", resourceNames=["example.com/*"]),
                                  rule("sign", "signers", "certificates.k8s.io", resourceNames=[
                                      "kubernetes.io/kube-apiserver-client-kubelet"]))),
    (f"{RBAC}/clusterrolebindings", binding("owner", "ClusterRole", "owner", user("jane")))]


@pytest.fixture(scope="module")
def sides() -> Iterator[tuple[Side, Side]]:
    flags = {"apiserver": [f"--enable-admission-plugins={','.join(ON)}"]}
    with tiny_side(admission_on=(*ON, "ServiceAccount", "TaintNodesByCondition")) as tiny, genuine_side(flags=flags) as genuine:
        assert tiny.ask("admin", "POST", f"{D}/serviceaccounts", {"metadata": {"name": "default"}})[0] == 201
        for side in (tiny, genuine):
            for path, body in MADE:
                code, answer = side.ask("admin", "POST", path, body)
                assert code == 201, (side.name, path, answer)
            wait(lambda side=side: side.may("jane", verb="delete", resource="configmaps", namespace="default")[0], "the roles")
        yield tiny, genuine


def outcome(side: Side, case: Case, *kept: str) -> tuple[Any, ...]:
    """What an answer says: of a refusal all, of a success the fields that are named."""
    who, method, path, body = case
    body = body(side) if callable(body) else body
    dry = "?dryRun=All" if "?" not in path else ""
    code, answer = side.ask(who, method, path + dry, body, kind=MERGE if method == "PATCH" else "application/json")
    if code >= 400:
        return code, answer["message"].replace(side.uid, "UID"), answer.get("reason"), (answer.get("details") or {}).get("causes")
    return code, *[answer.get("spec", answer).get(field) for field in kept]


def compare(sides: tuple[Side, Side], cases: list[Case], *kept: str) -> list[int]:
    """Ask both sides all cases; the codes, once all answers are the same."""
    for side in sides:
        side.uid = side.ask("admin", "GET", "/api/v1/nodes/n1")[1]["metadata"]["uid"]
    wrong, codes = [], []
    for case in cases:
        ours, theirs = (outcome(side, case, *kept) for side in sides)
        codes.append(theirs[0])
        if ours != theirs:
            shown = str(case[3](sides[0]) if callable(case[3]) else case[3])
            wrong.append(f"{case[:3]} {shown[:300]}\n   tiny    {ours}\n   genuine {theirs}")
    assert not wrong, "\n".join(wrong)
    return codes


def mirror(owner: Object | None = None, node: str = "n1", **more: Any) -> Any:
    """A mirror of a static pod, owned by node n1 unless `owner` says otherwise."""
    def made(side: Side) -> Object:
        mine = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": side.uid, "controller": True, **(owner or {})}
        return {"metadata": {"name": "m", "annotations": MIRROR, "ownerReferences": [mine] if owner is not None else []},
                "spec": spec(nodeName=node, **more)}
    return made


def volume(**source: Any) -> Object:
    return {"volumes": [{"name": "v", **source}]}


N, P = "node:n1", f"{D}/pods"
STATUS = {"status": {"phase": "Running"}}
NODE_PODS: list[Case] = [
    (N, "POST", P, pod("m", "n1")), (N, "POST", P, mirror(node="n2")), (N, "POST", P, mirror()),
    (N, "POST", P, mirror({"controller": False})), (N, "POST", P, mirror({"blockOwnerDeletion": True})),
    (N, "POST", P, mirror({"kind": "Pod"})), (N, "POST", P, mirror({"name": "n2"})), (N, "POST", P, mirror({"uid": "z"})),
    (N, "POST", P, mirror({})), (N, "POST", P, mirror({}, serviceAccountName="robot")),
    (N, "POST", P, mirror({}, **volume(secret={"secretName": "s"}))),
    (N, "POST", P, mirror({}, **volume(configMap={"name": "s"}))),
    (N, "POST", P, mirror({}, **volume(persistentVolumeClaim={"claimName": "s"}))),
    (N, "POST", P, mirror({}, **volume(projected={"sources": [{"serviceAccountToken": {"path": "t"}}]}))),
    (N, "POST", P, mirror({}, resourceClaims=[{"name": "a", "resourceClaimName": "b"}])),
    *[(N, "PATCH", f"{P}/{name}/status", STATUS) for name in ("mine", "other", "free", "none")],
    (N, "PATCH", f"{P}/mine/status", {"metadata": {"labels": {"a": "b"}}}),
    (N, "PATCH", f"{P}/mine/status", {"status": {"resourceClaimStatuses": [{"name": "a"}]}}),
    *[(N, "DELETE", f"{P}/{name}", None) for name in ("other", "free", "none")],
    *[(N, "POST", f"{P}/{name}/eviction", {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}})
      for name in ("other", "free", "none")]]
LABELS = ["kubernetes.io/hostname", "topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
          "node.kubernetes.io/x", "x.kubelet.kubernetes.io/a", "kubernetes.io/x", "k8s.io/a", "ak8s.io/x", "x.k8s.io/x",
          "node-restriction.kubernetes.io/x", "node-role.kubernetes.io/worker", "topology.kubernetes.io/x", "plain",
          "beta.kubernetes.io/instance-type", "kubernetes.io/role"]
LEASES, SLICES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", "/apis/resource.k8s.io/v1/resourceslices"
NODE_OTHERS: list[Case] = [
    (N, "POST", "/api/v1/nodes", {"metadata": {"name": "n3"}}),
    (N, "POST", "/api/v1/nodes", {"metadata": {"name": "n1", "labels": {"x.k8s.io/b": "1", "x.k8s.io/a": "1", "q": "1"}}}),
    (N, "PATCH", "/api/v1/nodes/n2", {"metadata": {"labels": {"a": "b"}}}), (N, "PATCH", "/api/v1/nodes/n2/status", STATUS),
    *[(N, "PATCH", "/api/v1/nodes/n1", {"metadata": {"labels": {label: "1"}}}) for label in LABELS],
    (N, "PATCH", "/api/v1/nodes/n1", {"metadata": {"labels": {"zz.k8s.io/a": "1", "foo.kubernetes.io/c": "1"}}}),
    (N, "PATCH", "/api/v1/nodes/n1", {"metadata": {"ownerReferences": [{
        "apiVersion": "v1", "kind": "Node", "name": "x", "uid": "x"}]}}),
    (N, "PATCH", "/api/v1/nodes/n1", {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}),
    (N, "PATCH", "/api/v1/nodes/n1", {"spec": {"unschedulable": True}}),
    *[(N, "POST", LEASES, {"metadata": {"name": name}}) for name in ("n1", "n2")],
    *[(N, "POST", "/apis/storage.k8s.io/v1/csinodes", {"metadata": {"name": name}, "spec": {"drivers": []}})
      for name in ("n1", "n2")],
    *[(N, "POST", SLICES, {"metadata": {"name": "r"}, "spec": {"driver": "d.x", "nodeName": name, "pool": {
        "name": "p", "generation": 1, "resourceSliceCount": 1}}}) for name in ("n1", "n2")]]


def test_a_kubelet_keeps_to_its_pods(sides: tuple[Side, Side]) -> None:
    assert set(compare(sides, NODE_PODS)) == {200, 201, 403, 404}


def test_a_kubelet_keeps_to_its_node(sides: tuple[Side, Side]) -> None:
    assert set(compare(sides, NODE_OTHERS)) == {200, 201, 403}


def test_a_kubelet_gets_tokens_for_its_pods_only(sides: tuple[Side, Side]) -> None:
    path = f"{D}/serviceaccounts/robot/token"

    def bound(name: str, uid: str = "", **more: Any) -> Any:
        def made(side: Side) -> Object:
            found = side.ask("admin", "GET", f"{P}/{name}")[1]["metadata"].get("uid") if uid == "right" else uid
            return {"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": name, "uid": found}, **more}}
        return made
    cases: list[Case] = [
        (N, "POST", path, {"spec": {}}),
        (N, "POST", path, {"spec": {"boundObjectRef": {"kind": "Secret", "apiVersion": "v1", "name": "x", "uid": "x"}}}),
        (N, "POST", path, bound("token")), (N, "POST", path, bound("none", "x")), (N, "POST", path, bound("token", "x")),
        (N, "POST", path, bound("other", "right")), (N, "POST", path, bound("token", "right")),
        (N, "POST", path, bound("token", "right", audiences=["vault"])),
        (N, "POST", path, bound("token", "right", audiences=["https://kubernetes.default.svc.cluster.local"]))]
    assert set(compare(sides, cases)) == {201, 403, 404}


def test_nodes_are_born_tainted(sides: tuple[Side, Side]) -> None:
    assert compare(sides, [("admin", "POST", "/api/v1/nodes", {"metadata": {"name": "n9"}}),
                           ("admin", "POST", "/api/v1/nodes", {"metadata": {"name": "n9"}, "spec": {"taints": [
                               {"key": "a", "effect": "NoExecute"}]}})], "taints") == [201, 201]


def mounted(side: Side, body: Object) -> Any:
    """A pod as it would be, with a name in place of the generated one of its volume."""
    code, answer = side.ask("admin", "POST", f"{P}?dryRun=All", body)
    text = json.dumps(answer["spec"], sort_keys=True) if code == 201 else answer["message"]
    generated = [each["name"] for each in answer.get("spec", {}).get("volumes", []) if each["name"].startswith("kube-api")]
    return code, text.replace(generated[0], "GENERATED") if generated else text


def test_every_pod_is_somebody(sides: tuple[Side, Side]) -> None:
    elsewhere = {"name": "t", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    bodies: list[Object] = [
        {"metadata": {"name": "a"}, "spec": spec()}, {"metadata": {"name": "a"}, "spec": spec(serviceAccountName="none")},
        {"metadata": {"name": "a"}, "spec": spec(serviceAccountName="robot", initContainers=[{"name": "i", "image": "x"}])},
        {"metadata": {"name": "a"}, "spec": spec(serviceAccountName="silent")},
        {"metadata": {"name": "a"}, "spec": spec(serviceAccountName="silent", automountServiceAccountToken=True)},
        {"metadata": {"name": "a"}, "spec": spec(automountServiceAccountToken=False)},
        {"metadata": {"name": "a"}, "spec": spec(serviceAccountName="robot", imagePullSecrets=[{"name": "own"}])},
        {"metadata": {"name": "a"}, "spec": {"volumes": [{"name": "t", "emptyDir": {}}], "containers": [
            {"name": "c", "image": "x", "volumeMounts": [elsewhere]}, {"name": "d", "image": "x"}]}},
        {"metadata": {"name": "a", "annotations": MIRROR}, "spec": spec(nodeName="n1")},
        {"metadata": {"name": "a", "annotations": MIRROR}, "spec": spec(nodeName="n1", serviceAccountName="robot")}]
    for body in bodies:
        ours, theirs = (mounted(side, body) for side in sides)
        assert ours == theirs, body


RUNTIME: list[Case] = [("admin", "POST", P, {"metadata": {"name": "r"}, "spec": spec(automountServiceAccountToken=False, **more)})
                       for more in (
    {"runtimeClassName": "vm"}, {"runtimeClassName": "vm", "nodeSelector": {"a": "c"}}, {"runtimeClassName": "none"},
    {"runtimeClassName": "vm", "nodeSelector": {"z": "c"}, "overhead": {"cpu": "0.1", "memory": "10Mi"}, "tolerations": [
        {"key": "k", "operator": "Exists"}, {"key": "l", "operator": "Exists"}]},
    {"runtimeClassName": "vm", "overhead": {"cpu": "2"}}, {"overhead": {"cpu": "2"}}, {"runtimeClassName": "plain"},
    {"runtimeClassName": "plain", "overhead": {"cpu": "2"}})]


def test_a_runtime_class_has_its_price_and_its_place(sides: tuple[Side, Side]) -> None:
    assert set(compare(sides, RUNTIME, "overhead", "nodeSelector", "tolerations", "runtimeClassName")) == {201, 403}


CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"
PRIORITIES: list[Case] = [
    *[("admin", "POST", CLASSES, {"metadata": {"name": name}, "value": value, **more}) for name, value, more in (
        ("system-x", 1, {}), ("big", 1000000001, {}), ("p", 5, {"preemptionPolicy": "X"}), ("q", 5, {"globalDefault": True}),
        ("sys", 2000000000, {}), ("fine", -5, {"preemptionPolicy": "Never"}))],
    ("admin", "PATCH", f"{CLASSES}/rare", {"value": 7}), ("admin", "PATCH", f"{CLASSES}/rare", {"globalDefault": True}),
    ("admin", "PATCH", f"{CLASSES}/usual", {"description": "x"}),
    ("admin", "PATCH", f"{CLASSES}/rare", {"preemptionPolicy": "Never"}),
    *[(who, method, f"{CLASSES}/{name}", None) for name in ("system-node-critical", "system-cluster-critical")
      for who, method in (("admin", "DELETE"), ("admin", "GET"))],
    ("admin", "POST", P, pod("x")), ("admin", "POST", P, pod("x", priorityClassName="rare")),
    ("admin", "POST", P, pod("x", priorityClassName="none")), ("admin", "POST", P, pod("x", priority=7)),
    ("admin", "POST", P, pod("x", priorityClassName="system-node-critical"))]


def test_priorities(sides: tuple[Side, Side]) -> None:
    kept = ("value", "description", "globalDefault", "preemptionPolicy", "priority", "priorityClassName")
    assert set(compare(sides, PRIORITIES, *kept)) == {200, 201, 403, 422}


def owned(name: str = "x", **more: Any) -> Object:
    return {"metadata": {"name": name, "ownerReferences": [
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": "u", **more}]}}


C, BLOCK = f"{D}/configmaps", {"blockOwnerDeletion": True}
OWNERS: list[Case] = [
    *[(who, "POST", C, body) for who in ("joe", "jane", "admin") for body in (
        owned(), owned(**BLOCK), owned(name="other", **BLOCK),
        owned(apiVersion="no/v1", kind="Nope", **BLOCK))],
    *[(who, "PATCH", f"{C}/owned", body) for who in ("joe", "jane", "admin") for body in (
        owned("owned"), owned("owned", **BLOCK), {"metadata": {"labels": {"a": "b"}}})]]


def test_an_owner_is_a_right_to_delete(sides: tuple[Side, Side]) -> None:
    assert set(compare(sides, OWNERS)) == {200, 201, 403}


def asks(name: str, organizations: tuple[str, ...] = ()) -> str:
    """A request for a certificate, as it stands in an object."""
    parts = [*((NameOID.ORGANIZATION_NAME, each) for each in organizations), (NameOID.COMMON_NAME, name)]
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([x509.NameAttribute(*each) for each in parts])).sign(
        ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()


CLIENT, KUBELET = "kubernetes.io/kube-apiserver-client", "kubernetes.io/kube-apiserver-client-kubelet"
FINE, MASTERS, NODE1 = asks("x"), asks("x", ("system:masters",)), asks("system:node:n1", ("system:nodes",))
XX = base64.b64encode(b"xx").decode()


def wanted(request: str | None = FINE, signer: str | None = CLIENT, usages: Any = ("client auth",), **more: Any) -> Object:
    fields = {"request": request, "signerName": signer, "usages": list(usages), **more}
    return {"metadata": {"name": "r"}, "spec": {key: value for key, value in fields.items() if value is not None}}


ASKED: list[Case] = [
    ("admin", "POST", REQUESTS, body) for body in (
        wanted(), wanted(MASTERS), wanted(MASTERS, "example.com/foo", username="me", groups=["q"], uid="7"),
        wanted(signer="nodomain"), wanted(usages=()), wanted(usages=["nonsense"]), wanted(signer="kubernetes.io/legacy-unknown"),
        wanted(expirationSeconds=5), wanted(XX), wanted(XX, signer=None), wanted(None, usages=["client auth"] * 2))] + [
    (who, "POST", REQUESTS, body) for who in (N, "jane", "scheduler") for body in (
        wanted(NODE1, KUBELET), wanted(FINE, KUBELET), wanted(FINE, "kubernetes.io/kubelet-serving"), wanted(FINE),
        wanted(NODE1, KUBELET, username="boss", groups=["system:masters"], extra={"a": ["b"]}))]


def test_who_asks_for_a_certificate_stands_in_the_request(sides: tuple[Side, Side]) -> None:
    assert set(compare(sides, ASKED, "username", "groups", "uid", "usages")) == {201, 403, 422}


def decided(kind: str, status: str = "True", **more: Any) -> Object:
    return {"type": kind, "status": status, "reason": "r", **more}


def test_who_decides_and_who_signs(sides: tuple[Side, Side]) -> None:
    names = ("a", "b", "kubelets")
    for side in sides:
        for name in names:
            body = wanted(NODE1, KUBELET if name == "kubelets" else "example.com/nobody")
            assert side.ask("admin", "POST", REQUESTS, {**body, "metadata": {"name": name}})[0] == 201
        approved = {"status": {"conditions": [decided("Approved")]}}
        assert side.ask("admin", "PATCH", f"{REQUESTS}/b/approval", approved, kind=MERGE)[0] == 200
    certificate = base64.b64encode(sides[0].folder.joinpath("ca.crt").read_bytes()).decode()
    bodies: list[Object] = [
        {"conditions": [decided("Approved")]}, {"conditions": [decided("Denied")]}, {"conditions": []},
        {"conditions": [decided("Approved"), decided("Denied")]}, {"conditions": [decided("Approved", "False")]},
        {"conditions": [decided("Approved"), decided("Approved")]}, {"conditions": [decided("Failed")]},
        {"certificate": "eA=="}, {"certificate": certificate}]
    cases: list[Case] = [(who, "PATCH", f"{REQUESTS}/{name}/{part}", {"status": body}) for who in ("admin", "jane", "joe")
                         for name in names for part in ("approval", "status") for body in bodies]
    cases += [(who, "PATCH", f"{REQUESTS}/a{part}", {"metadata": {"labels": {"x": "y"}}, "spec": {"usages": ["server auth"]}})
              for who in ("admin", "joe") for part in ("", "/approval", "/status")]
    assert set(compare(sides, cases, "usages")) == {200, 403, 422}
