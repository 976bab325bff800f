"""Who may do what: the tiny api-server gives the answers of the genuine one."""
from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from bookkit.tiers import missing
from tinykube.api.resources import RESOURCES

from tests.behaviour.target import wait
from tests.seats.access import Side, genuine_side, tiny_side

pytestmark = [pytest.mark.skipif(bool(missing("genuine")), reason="; ".join(missing("genuine"))),
              pytest.mark.timeout(300), pytest.mark.xdist_group("genuine-access")]

RBAC = "/apis/rbac.authorization.k8s.io/v1"
API = "rbac.authorization.k8s.io"


def role(name: str, *rules: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name}, "rules": list(rules)}


def rule(verbs: str, resources: str, group: str = "", **more: Any) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split(), **more}


def binding(name: str, kind: str, ref: str, *subjects: dict[str, str]) -> dict[str, Any]:
    return {"metadata": {"name": name}, "roleRef": {"apiGroup": API, "kind": kind, "name": ref}, "subjects": list(subjects)}


def user(name: str, kind: str = "User") -> dict[str, str]:
    return {"kind": kind, "name": name, "apiGroup": API}


def pod(name: str, node: str) -> dict[str, Any]:
    volumes = [{"name": "s", "secret": {"secretName": f"{name}-secret"}},
               {"name": "p", "projected": {"sources": [{"configMap": {"name": f"{name}-projected"}}]}},
               {"name": "c", "persistentVolumeClaim": {"claimName": f"{name}-claim"}}]
    env = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": f"{name}-key", "key": "a"}}}]
    return {"metadata": {"name": name}, "spec": {
        "nodeName": node, "serviceAccountName": "robot", "automountServiceAccountToken": False, "volumes": volumes,
        "containers": [{"name": "main", "image": "box", "env": env, "envFrom": [{"configMapRef": {"name": f"{name}-map"}}]}]}}


MADE = [
    ("/api/v1/namespaces", {"metadata": {"name": "other"}}),
    ("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "robot"}}),
    ("/api/v1/nodes", {"metadata": {"name": "n1"}}),
    ("/api/v1/nodes", {"metadata": {"name": "n2"}}),
    ("/api/v1/namespaces/default/pods", pod("web", "n1")),
    ("/api/v1/namespaces/default/secrets", {"metadata": {"name": "web-secret"}, "data": {}}),
    (f"{RBAC}/namespaces/default/roles", role("reader", rule("get list watch", "pods"), rule("get", "*/log"))),
    (f"{RBAC}/namespaces/default/roles", role("one", rule("get update", "configmaps", resourceNames=["the-one"]))),
    (f"{RBAC}/clusterroles", role("metrics", {"nonResourceURLs": ["/metrics", "/debug/*"], "verbs": ["get"]})),
    (f"{RBAC}/namespaces/default/rolebindings", binding("reads", "Role", "reader", {
        "kind": "ServiceAccount", "name": "robot", "namespace": "default"})),
    (f"{RBAC}/namespaces/default/rolebindings", binding("one", "Role", "one", user("jane"))),
    (f"{RBAC}/namespaces/other/rolebindings", binding("edits", "ClusterRole", "edit", user("devs", "Group"))),
    (f"{RBAC}/clusterrolebindings", binding("metrics", "ClusterRole", "metrics", user("jane"))),
    (f"{RBAC}/clusterrolebindings", binding("dangling", "ClusterRole", "gone", user("joe"))),
    (f"{RBAC}/namespaces/default/roles", role("maker", rule("create update get", "roles rolebindings", API))),
    (f"{RBAC}/namespaces/default/rolebindings", binding("makes", "Role", "maker", user("jane")))]


@pytest.fixture(scope="module")
def sides() -> Iterator[tuple[Side, Side]]:
    flags = {"apiserver": ["--enable-bootstrap-token-auth"]}
    with tiny_side() as tiny, genuine_side(flags=flags) as genuine:
        for side in (tiny, genuine):
            for path, body in MADE:
                code, answer = side.ask("admin", "POST", path, body)
                assert code == 201, (side.name, path, answer)
            code, answer = side.ask("admin", "POST", "/api/v1/namespaces/default/serviceaccounts/robot/token", {"spec": {}})
            assert code == 201, answer
            side.tokens["robot"] = answer["status"]["token"]
        yield tiny, genuine


IN_DEFAULT = "/api/v1/namespaces/default"
READS = [
    "/healthz", "/livez", "/readyz", "/version", "/api", "/api/v1", "/apis", "/metrics", "/debug/x", "/nope",
    "/openid/v1/jwks", "/api/v1/nodes", "/api/v1/nodes/n1", "/api/v1/nodes/n2", "/api/v1/pods",
    "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1", "/api/v1/pods?fieldSelector=spec.nodeName%3Dn2",
    f"{IN_DEFAULT}/pods", f"{IN_DEFAULT}/pods/web", f"{IN_DEFAULT}/pods/none", f"{IN_DEFAULT}/pods/web/status",
    f"{IN_DEFAULT}/secrets", f"{IN_DEFAULT}/secrets/web-secret", f"{IN_DEFAULT}/secrets/web-key",
    f"{IN_DEFAULT}/secrets/other", "/api/v1/secrets", f"{IN_DEFAULT}/secrets?fieldSelector=metadata.name%3Dother",
    f"{IN_DEFAULT}/configmaps/web-map", f"{IN_DEFAULT}/configmaps/web-projected", f"{IN_DEFAULT}/configmaps/the-one",
    f"{IN_DEFAULT}/configmaps/another", f"{IN_DEFAULT}/persistentvolumeclaims/web-claim",
    f"{IN_DEFAULT}/persistentvolumeclaims/x", f"{IN_DEFAULT}/persistentvolumeclaims", "/api/v1/persistentvolumes/x",
    f"{IN_DEFAULT}/serviceaccounts/robot", f"{IN_DEFAULT}/serviceaccounts/none", f"{IN_DEFAULT}/serviceaccounts",
    f"{IN_DEFAULT}", "/api/v1/namespaces/other", "/api/v1/namespaces", "/api/v1/namespaces/other/pods",
    "/api/v1/namespaces/other/secrets", f"{RBAC}/clusterroles/none", f"{RBAC}/namespaces/default/roles/none",
    "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",
    "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1",
    "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n2",
    "/apis/coordination.k8s.io/v1/namespaces/default/leases/n1", "/apis/storage.k8s.io/v1/csinodes",
    "/apis/storage.k8s.io/v1/csinodes/n1", "/apis/storage.k8s.io/v1/csinodes/n2",
    "/apis/storage.k8s.io/v1/volumeattachments/v", "/apis/storage.k8s.io/v1/volumeattachments",
    "/apis/resource.k8s.io/v1/resourceslices", "/apis/resource.k8s.io/v1/resourceslices?fieldSelector=spec.nodeName%3Dn1",
    f"{IN_DEFAULT}/endpoints", "/api/v1/services", "/apis/apps/v1/deployments", "/apis/nope/v1/things",
    "/api/v1/watch/namespaces/default/secrets?timeoutSeconds=1", f"{IN_DEFAULT}/secrets/x/nope"]
SLICES = "/apis/resource.k8s.io/v1/resourceslices?fieldSelector=spec.nodeName%3Dn1"
PAGES_OF_THEIRS = ("/metrics", "/debug/x", SLICES)       # pages, and a field selector, that a tiny server has not
REFUSED_WRITES = [
    ("DELETE", f"{IN_DEFAULT}/pods/none"), ("DELETE", f"{IN_DEFAULT}/secrets/web-secret"), ("POST", f"{IN_DEFAULT}/secrets"),
    ("PUT", f"{IN_DEFAULT}/configmaps/another"), ("DELETE", f"{IN_DEFAULT}/secrets"), ("DELETE", "/api/v1/nodes/n9"),
    ("POST", "/api/v1/namespaces"), ("PUT", f"{IN_DEFAULT}/services/x/status"), ("POST", f"{RBAC}/clusterroles"),
    ("POST", "/api/v1/namespaces/default/serviceaccounts/none/token"),
    ("PATCH", "/apis/apps/v1/namespaces/default/deployments/x/scale")]
EVERYBODY = ["admin", "token", "nobody", "wrong", "robot", "scheduler", "controller-manager", "node:n1", "node:n2",
             "fake-node", "jane", "joe"]


def told(code: int, body: Any) -> tuple[Any, ...]:
    """What of an answer has to be the same: of a refusal everything, of a success that it is one."""
    if isinstance(body, dict) and code in (401, 403):
        message = body["message"]
        parts = sorted(message.partition("[")[2].rstrip("]").split(", ")) if "RBAC: [" in message else message
        return code, parts, body.get("reason"), body.get("details")
    return (code,)


@pytest.mark.parametrize("who", EVERYBODY)
def test_everybody_reads_what_they_may(sides: tuple[Side, Side], who: str) -> None:
    tiny, genuine = sides
    wrong = []
    for path in READS:
        ours, theirs = (told(*side.ask(who, "GET", path)) for side in (tiny, genuine))
        if ours != theirs and not (path in PAGES_OF_THEIRS and theirs[0] == 200):
            wrong.append(f"{path}\n   tiny    {ours}\n   genuine {theirs}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("who", [each for each in EVERYBODY if each not in ("admin", "token", "controller-manager")])
def test_everybody_is_refused_the_same_writes(sides: tuple[Side, Side], who: str) -> None:
    wrong = []
    for method, path in REFUSED_WRITES:
        ours, theirs = (told(*side.ask(who, method, path, {} if method != "DELETE" else None)) for side in sides)
        if ours != theirs and (ours[0] == 403) | (theirs[0] == 403):
            wrong.append(f"{method} {path}\n   tiny    {ours}\n   genuine {theirs}")
    assert not wrong, "\n".join(wrong)


WHO = [("system:kube-scheduler", ["system:authenticated"]), ("system:kube-controller-manager", ["system:authenticated"]),
       ("system:kube-proxy", ["system:authenticated"]), ("system:node:n1", ["system:nodes", "system:authenticated"]),
       ("system:serviceaccount:default:robot", ["system:serviceaccounts", "system:authenticated"]),
       ("system:serviceaccount:kube-system:deployment-controller", ["system:authenticated"]),
       ("system:serviceaccount:kube-system:generic-garbage-collector", ["system:authenticated"]),
       ("system:serviceaccount:kube-system:namespace-controller", ["system:authenticated"]),
       ("jane", ["devs", "system:authenticated"]), ("joe", []), ("anybody", ["system:authenticated"]),
       ("system:anonymous", ["system:unauthenticated"]), ("boss", ["system:masters"]),
       ("", ["system:bootstrappers"]), ("system:bootstrap:abc", ["system:bootstrappers", "system:authenticated"])]
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "bind", "impersonate", "approve")
RARE = ("escalate", "sign", "attest", "use", "proxy", "request-serviceaccounts-token-audience", "*")


def test_a_sample_of_all_rights(sides: tuple[Side, Side]) -> None:
    """A thousand of the questions that one can ask of the whole table, the same ones each time."""
    lots, wrong, yes = random.Random(10), [], 0
    for _ in range(1000):
        (name, groups), row = lots.choice(WHO), lots.choice(RESOURCES)
        about = {"verb": lots.choice(VERBS), "group": row.group, "resource": row.plural,
                 "subresource": lots.choice(["", "", *row.subresources]), "name": lots.choice(["", "n1", "web", "kube-scheduler"]),
                 "namespace": lots.choice(["", "default", "other", "kube-system"]) if row.namespaced else ""}
        ours, theirs = (side.may(name, groups, **about) for side in sides)
        yes += ours[0]
        if ours[0] != theirs[0] or (ours[1] != theirs[1] and "RBAC: allowed" not in ours[1]):
            wrong.append(f"{name} {about}\n   tiny    {ours}\n   genuine {theirs}")
    assert not wrong, "\n".join(wrong[:20])
    assert 100 < yes < 900, "the sample has both answers in it"


ROLES = ("cluster-admin", "admin", "edit", "view")
WHOLE = [*WHO, *((each, ["system:authenticated"]) for each in ROLES)]
THINGS: list[dict[str, str]] = [{"group": row.group, "resource": row.plural, "subresource": part}
                                for row in RESOURCES for part in ("", *row.subresources)] + [
    {"group": group, "resource": resource, "subresource": "", "name": name} for group, resource, name in (
        ("", "users", "jane"), ("", "groups", "system:masters"), ("", "serviceaccounts", "robot"),
        ("certificates.k8s.io", "signers", "kubernetes.io/kube-apiserver-client-kubelet"), ("metrics.k8s.io", "pods", ""),
        ("authentication.k8s.io", "userextras", "x"), ("authentication.k8s.io", "uids", "7"),
        ("rbac.authorization.k8s.io", "clusterroles", "admin"), ("", "bindings", ""), ("*", "*", ""))]


@pytest.fixture(scope="module")
def roles_given(sides: tuple[Side, Side]) -> None:
    """Four users who are called like the role that they have everywhere."""
    for side in sides:
        for each in ROLES:
            given = binding(f"is-{each}", "ClusterRole", each, user(each))
            code, answer = side.ask("admin", "POST", f"{RBAC}/clusterrolebindings", given)
            assert code == 201, answer
        wait(lambda side=side: side.may("view", verb="list", resource="pods")[0], "the roles")


@pytest.mark.parametrize("who", WHOLE, ids=lambda who: who[0] or "bootstrappers")
@pytest.mark.usefixtures("roles_given")
def test_the_whole_matrix_of_rights(sides: tuple[Side, Side], who: tuple[str, list[str]]) -> None:
    """For each resource and subresource the verbs that rules speak of, each in its turn with this one or that."""
    lots, wrong = random.Random(who[0]), []
    for thing in THINGS:
        for verb in lots.sample((*VERBS, *RARE), 2):
            about = {**thing, "verb": verb, "namespace": lots.choice(["", "default"])}
            ours, theirs = (side.may(*who, **about) for side in sides)
            if ours[0] != theirs[0]:
                wrong.append(f"{who[0]} {about}\n   tiny    {ours}\n   genuine {theirs}")
    assert not wrong, "\n".join(wrong[:20])


def test_the_first_roles_are_those_of_the_genuine_server(sides: tuple[Side, Side]) -> None:
    """The table of roles and bindings with which ours begins is fresh."""
    from genuine.policy import FILE, policy
    theirs = policy(lambda path: sides[1].ask("admin", "GET", path)[1])
    assert json.loads(FILE.read_text())["items"] == theirs


ACTING: list[tuple[str, dict[str, str], str]] = [
    ("admin", {"Impersonate-User": "jane"}, f"{IN_DEFAULT}/pods"), ("admin", {"Impersonate-Group": "g"}, f"{IN_DEFAULT}/pods"),
    ("admin", {"Impersonate-User": "jane", "Impersonate-Group": "devs"}, "/api/v1/namespaces/other/pods"),
    ("scheduler", {"Impersonate-User": "jane"}, f"{IN_DEFAULT}/pods"), ("scheduler", {"Impersonate-User": "jane"}, "/api"),
    ("jane", {"Impersonate-User": "system:serviceaccount:default:robot"}, f"{IN_DEFAULT}/pods"),
    ("jane", {"Impersonate-User": "system:node:n1"}, f"{IN_DEFAULT}/pods"),
    ("joe", {"Impersonate-Uid": "7"}, f"{IN_DEFAULT}/pods"),
    ("admin", {"Impersonate-User": "system:anonymous"}, f"{IN_DEFAULT}/pods"),
    ("admin", {"Impersonate-User": "system:serviceaccount:default:robot"}, f"{IN_DEFAULT}/pods"),
    ("nobody", {"Impersonate-User": "jane"}, f"{IN_DEFAULT}/pods"), ("wrong", {"Impersonate-User": "jane"}, "/healthz")]


def test_acting_as_somebody_else(sides: tuple[Side, Side]) -> None:
    for who, headers, path in ACTING:
        ours, theirs = (side.ask(who, "GET", path, headers=headers) for side in sides)
        assert told(*ours) == told(*theirs), (who, headers)
        if ours[0] >= 400:
            assert ours[1]["message"] == theirs[1]["message"]
    review = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    for headers in ({"Impersonate-User": "jane", "Impersonate-Uid": "3", "Impersonate-Extra-Scopes": "a"},
                    {"Impersonate-User": "system:serviceaccount:default:robot"},
                    {"Impersonate-User": "x", "Impersonate-Group": "y"}):
        ours, theirs = (side.ask("admin", "POST", review, {}, headers)[1]["status"] for side in sides)
        assert ours == theirs


ROBOT = "system:serviceaccount:default:robot"
SHOES: list[tuple[dict[str, str], str]] = [
    ({"User": "joe"}, f"{IN_DEFAULT}/pods"), ({"User": "joe"}, f"{IN_DEFAULT}/secrets"), ({"User": "joe"}, "/api"),
    ({"User": "joe", "Group": "x"}, f"{IN_DEFAULT}/pods"), ({"User": "joe", "Group": "system:masters"}, f"{IN_DEFAULT}/pods"),
    ({"User": "joe", "Uid": "3"}, f"{IN_DEFAULT}/pods"), ({"User": "joe", "Extra-A": "3"}, f"{IN_DEFAULT}/pods"),
    ({"User": "joe", "Extra-Acme.io%2fa": "3"}, f"{IN_DEFAULT}/pods"), ({"User": ROBOT}, f"{IN_DEFAULT}/pods"),
    ({"User": ROBOT, "Group": "system:masters"}, f"{IN_DEFAULT}/pods"), ({"User": ROBOT, "Uid": "3"}, f"{IN_DEFAULT}/pods"),
    ({"User": "system:node:n1"}, f"{IN_DEFAULT}/pods"), ({"User": "system:node:"}, f"{IN_DEFAULT}/pods"),
    ({"User": "system:node:n1", "Group": "system:masters"}, f"{IN_DEFAULT}/pods"),
    ({"User": "system:node:n1"}, f"{IN_DEFAULT}/pods?fieldSelector=spec.nodeName%3Dn1")]


def test_acting_as_somebody_else_within_bounds(sides: tuple[Side, Side]) -> None:
    """Who may act as a node, an account or a user, and only list pods as such, gets no group with it."""
    on = [f"impersonate-on:{mode}:list" for mode in ("arbitrary-node", "serviceaccount", "user-info")]
    bounds = role("bounds", rule("impersonate:arbitrary-node", "nodes", "authentication.k8s.io"),
                  rule("impersonate:serviceaccount", "serviceaccounts", "authentication.k8s.io"),
                  rule("impersonate:user-info", "users", "authentication.k8s.io"), rule(" ".join(on), "pods"))
    answers = []
    for side in sides:
        assert side.ask("admin", "POST", f"{RBAC}/clusterroles", bounds)[0] == 201
        bound = binding("bounds", "ClusterRole", "bounds", user("clerk"))
        assert side.ask("admin", "POST", f"{RBAC}/clusterrolebindings", bound)[0] == 201
        wait(lambda side=side: side.may("clerk", verb="impersonate-on:user-info:list", resource="pods")[0], "the role to count")
        before = len(side.audit())
        said = [told(*side.ask("clerk", "GET", path, headers={"User-Agent": "probe", **{
            f"Impersonate-{name}": value for name, value in shoes.items()}})) for shoes, path in SHOES]
        modes = [event.get("authenticationMetadata") for event in wait_for_events(side, before, len(SHOES))]
        answers.append([*zip(SHOES, said, modes, strict=True)])
    for ours, theirs in zip(*answers, strict=True):
        assert ours == theirs
    assert {code for _, (code, *_), _ in answers[0]} == {200, 403}


ESCALATIONS = [
    ("roles", role("r", rule("update get list", "pods deployments", "zz"), rule("delete", "b a", "apps", resourceNames=["x", "y"]),
                   rule("create", "b", "apps", resourceNames=["y"]), {"nonResourceURLs": ["/b", "/a"], "verbs": ["get", "post"]})),
    ("roles", role("own", rule("get", "roles", API))),
    ("rolebindings", binding("b", "ClusterRole", "view", user("jane"))), ("rolebindings", binding("b", "Role", "none", user("x"))),
    ("rolebindings", binding("c", "Role", "maker", user("x")))]


def test_nobody_gives_away_what_they_do_not_have(sides: tuple[Side, Side]) -> None:
    for plural, body in ESCALATIONS:
        answers = [side.ask("jane", "POST", f"{RBAC}/namespaces/default/{plural}", body) for side in sides]
        shown = [(code, sorted(answer["message"].split("\n")) if code >= 400 else "") for code, answer in answers]
        assert shown[0] == shown[1], body


def test_whose_token_is_this(sides: tuple[Side, Side]) -> None:
    def review(side: Side, token: str, *audiences: str) -> Any:
        spec = {"token": token, **({"audiences": audiences} if audiences else {})}
        code, answer = side.ask("admin", "POST", "/apis/authentication.k8s.io/v1/tokenreviews", {"spec": spec})
        assert code == 201, answer
        status = answer["status"]
        status.get("user", {}).pop("uid", None)
        for key, values in status.get("user", {}).get("extra", {}).items():
            values[:] = [values[0].partition("=")[0]] if "=" in values[0] or key.endswith("uid") else values
        return status

    def fresh(side: Side, **spec: Any) -> str:
        path = "/api/v1/namespaces/default/serviceaccounts/robot/token"
        return str(side.ask("admin", "POST", path, {"spec": spec})[1]["status"]["token"])

    reviews = []
    for side in sides:
        bound = fresh(side, boundObjectRef={"kind": "Pod", "name": "web", "apiVersion": "v1"})
        secret = fresh(side, boundObjectRef={"kind": "Secret", "name": "web-secret", "apiVersion": "v1"})
        vault = fresh(side, audiences=["vault"])
        reviews.append([review(side, side.tokens["token"]), review(side, side.tokens["token"], "a"), review(side, "x"),
                        review(side, side.tokens["robot"]), review(side, side.tokens["robot"], "vault"), review(side, vault),
                        review(side, vault, "x", "vault"), review(side, vault[:-8] + "AAAAAAAA"), review(side, bound),
                        review(side, secret)])
        for each in reviews[-1]:
            each.get("user", {}).get("extra", {}).pop("authentication.kubernetes.io/pod-uid", None)
            each.get("user", {}).get("extra", {}).pop("authentication.kubernetes.io/node-uid", None)
    assert reviews[0] == reviews[1]


TOKEN_REQUESTS: list[tuple[str, Any]] = [
    ("robot", {"spec": {"expirationSeconds": 5}}), ("robot", {"spec": {"expirationSeconds": 1 << 33}}), ("none", {}),
    ("robot", {"metadata": {"name": "x"}}), ("robot", {"spec": {"boundObjectRef": {"kind": "Pod", "name": "none"}}}),
    ("robot", {"spec": {"boundObjectRef": {"kind": "ConfigMap", "name": "a", "apiVersion": "v1"}}}),
    ("robot", {"spec": {"boundObjectRef": {"kind": "Node", "name": "none", "apiVersion": "v1"}}}),
    ("default", {"spec": {"boundObjectRef": {"kind": "Pod", "name": "web", "apiVersion": "v1"}}}),
    ("robot", {"spec": {"boundObjectRef": {"kind": "Secret", "name": "web-secret", "apiVersion": "v1", "uid": "z"}}})]


def test_tokens_that_are_not_given(sides: tuple[Side, Side]) -> None:
    sides[0].ask("admin", "POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    for name, body in TOKEN_REQUESTS:
        ours, theirs = (side.ask("admin", "POST", f"/api/v1/namespaces/default/serviceaccounts/{name}/token", body)
                        for side in sides)
        assert ours[0] >= 400, body
        assert (ours[0], ours[1]["message"], ours[1].get("details")) == (theirs[0], theirs[1]["message"], theirs[1].get("details"))


REVIEWS: list[tuple[str, Any]] = [
    ("selfsubjectaccessreviews", {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}),
    ("selfsubjectaccessreviews", {"spec": {}}), ("subjectaccessreviews", {"spec": {"resourceAttributes": {"verb": "get"}}}),
    ("subjectaccessreviews", {"spec": {"user": "jane", "nonResourceAttributes": {"verb": "get", "path": "/metrics"}}}),
    ("subjectaccessreviews", {"spec": {"user": "jane", "nonResourceAttributes": {"verb": "get", "path": "/x"},
                                       "resourceAttributes": {"verb": "get", "resource": "pods"}}}),
    ("subjectaccessreviews", {"spec": {"user": "joe", "resourceAttributes": {"verb": "get", "resource": "pods"}}}),
    ("selfsubjectrulesreviews", {"spec": {}})]


def test_reviews_in_all_their_words(sides: tuple[Side, Side]) -> None:
    for plural, body in REVIEWS:
        ours, theirs = (side.ask("admin", "POST", f"/apis/authorization.k8s.io/v1/{plural}", body) for side in sides)
        theirs[1]["metadata"].pop("managedFields", None)
        ours[1]["metadata"].pop("managedFields", None)
        assert ours == theirs, (plural, body)
    local = {"spec": {"user": "jane", "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "other"}}}
    path = "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews"
    ours, theirs = (side.ask("admin", "POST", path, local) for side in sides)
    assert ours == theirs


def test_what_may_i(sides: tuple[Side, Side]) -> None:
    for who in ("scheduler", "jane", "robot", "node:n1", "joe", "admin"):
        rules = []
        for side in sides:
            code, answer = side.ask(who, "POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
                                    {"spec": {"namespace": "default"}})
            assert code == 201, answer
            rules.append({key: sorted(map(str, value)) if isinstance(value, list) else value
                          for key, value in answer["status"].items()})
        assert rules[0] == rules[1], who


def test_a_bootstrap_token_introduces_a_node(sides: tuple[Side, Side]) -> None:
    def secret(token: str, **more: str) -> dict[str, Any]:
        said = {"token-id": token, "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true", **more}
        return {"metadata": {"name": f"bootstrap-token-{token}"}, "type": "bootstrap.kubernetes.io/token",
                "data": {key: base64.b64encode(value.encode()).decode() for key, value in said.items()}}

    answers = []
    for side in sides:
        for each in (secret("abcdef", **{"auth-extra-groups": "system:bootstrappers:lab"}),
                     secret("bbbbbb", expiration="2020-01-01T00:00:00Z"),
                     secret("cccccc", **{"usage-bootstrap-authentication": "no"})):
            assert side.ask("admin", "POST", "/api/v1/namespaces/kube-system/secrets", each)[0] == 201
        side.tokens |= {name: f"{name}.0123456789abcdef" for name in ("abcdef", "bbbbbb", "cccccc")}
        side.tokens["guess"] = "abcdef.0123456789abcdee"
        review = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        answers.append([told(*side.ask(who, "POST", review, {})) for who in ("abcdef", "bbbbbb", "cccccc", "guess")]
                       + [side.ask("abcdef", "POST", review, {})[1]["status"]])
    assert answers[0] == answers[1]


def test_the_audit_log(sides: tuple[Side, Side]) -> None:
    events = []
    for side in sides:
        before = len(side.audit())
        side.ask("jane", "GET", f"{IN_DEFAULT}/secrets", headers={"User-Agent": "probe"})
        side.ask("wrong", "GET", "/api", headers={"User-Agent": "probe"})
        side.ask("admin", "POST", f"{IN_DEFAULT}/configmaps", {"metadata": {"name": "audited"}}, {"User-Agent": "probe"})
        side.ask("admin", "DELETE", f"{IN_DEFAULT}/configmaps/audited", headers={"User-Agent": "probe"})
        side.ask("admin", "GET", f"{IN_DEFAULT}/pods", headers={"User-Agent": "probe", "Impersonate-User": "joe"})
        side.ask("nobody", "GET", "/version", headers={"User-Agent": "probe"})
        side.ask("robot", "GET", f"{IN_DEFAULT}/pods?watch=true&timeoutSeconds=1", headers={"User-Agent": "probe"})
        side.ask("wrong", "POST", f"{IN_DEFAULT}/configmaps", {"metadata": {"name": "unseen"}}, {"User-Agent": "probe"})
        side.ask("wrong", "GET", f"{IN_DEFAULT}/pods?watch=true", headers={"User-Agent": "probe", "Audit-ID": "mine"})
        side.ask("admin", "GET", f"{IN_DEFAULT}/pods", headers={"User-Agent": "probe", "Impersonate-User": "joe",
                                                               "Impersonate-Extra-Scopes": "a"})
        side.ask("admin", "GET", f"{IN_DEFAULT}/pods", headers={"User-Agent": "probe", "Impersonate-User": "joe"})
        events.append([plain(event) for event in wait_for_events(side, before, 12)])
    for ours, theirs in zip(*events, strict=True):
        assert ours == theirs


def wait_for_events(side: Side, before: int, count: int) -> list[dict[str, Any]]:
    def mine() -> list[dict[str, Any]]:
        return [event for event in side.audit()[before:] if event.get("userAgent") == "probe"]
    return list(wait(lambda: len(found := mine()) >= count and found, "events in the audit log"))


def plain(event: dict[str, Any]) -> dict[str, Any]:
    """An event without what differs from run to run; the order of its fields is part of the format."""
    event = {**event, "auditID": "", "requestReceivedTimestamp": "", "stageTimestamp": ""}
    for who in (event["user"], event.get("impersonatedUser", {})):
        who.pop("uid", None)
        who["extra"] = sorted(who.get("extra", {}))
    (event["responseStatus"].get("details") or {}).pop("uid", None)
    return {"fields": list(event), **event}
