"""More at a time than a server takes: tiny and genuine send the same ones away with the same words, and recover."""
from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from bookkit.tiers import missing
from tinykube.api.overload import limit_concurrency
from tinykube.cluster.dialer import ask_webhook

from tests.behaviour.target import wait
from tests.behaviour.test_custom_resources import CRDS, definition, version
from tests.seats.access import Side, genuine_side, tiny_side
from tests.seats.test_webhooks import CONFIGS, Hooks, config, hook
from tests.seats.test_webhooks import hooks as hooks

pytestmark = [pytest.mark.skipif(bool(missing("genuine")), reason="; ".join(missing("genuine"))),
              pytest.mark.timeout(300), pytest.mark.xdist_group("genuine-overload")]

MOST, D = 2, "/api/v1/namespaces/default"
V1 = "/apis/book.example/v1/namespaces/default/ovens"
HELD = {"reads": ("GET", V1.replace("v1", "v2") + "/slow", None), "writes": ("POST", f"{D}/configmaps?dryRun=All", config("held"))}
SMALL = {"apiserver": [f"--max-requests-inflight={MOST}", f"--max-mutating-requests-inflight={MOST}",
                       "--enable-priority-and-fairness=false"]}
TRIED: list[tuple[str, str, str, Any]] = [
    ("jane", "GET", f"{D}/configmaps/none", None), ("jane", "GET", f"{D}/secrets", None), ("jane", "GET", "/api", None),
    ("jane", "GET", "/openapi/v3", None), ("jane", "POST", f"{D}/secrets?dryRun=All", {"metadata": {"name": "s"}}),
    ("jane", "DELETE", f"{D}/secrets/none", None), ("jane", "PATCH", f"{D}/secrets/none", {}),
    ("jane", "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": {"nonResourceAttributes": {
        "path": "/", "verb": "get"}}}),
    ("jane", "GET", f"{D}/secrets?watch=1&timeoutSeconds=30", None),
    ("jane", "GET", "/api/v1/watch/secrets?timeoutSeconds=30", None),
    ("jane", "GET", f"{D}/pods/none/log", None), ("jane", "GET", f"{D}/configmaps/log", None),
    ("jane", "GET", f"{D}/services/none/proxy/a", None), ("jane", "POST", f"{D}/pods/none/exec?command=a", None),
    ("joe", "GET", f"{D}/secrets", None), ("joe", "POST", f"{D}/secrets", {}), ("wrong", "GET", f"{D}/secrets", None),
    ("admin", "GET", f"{D}/secrets/none", None), ("admin", "DELETE", f"{D}/secrets/none", None),
    ("nobody", "GET", "/version", None), ("nobody", "GET", "/nowhere", None)]

SAID = ("Retry-After", "Content-Type", "X-Content-Type-Options")
HEALTH: list[tuple[str, str, str, Any]] = [("nobody", "GET", path, None) for path in ("/healthz", "/readyz", "/livez")]
LEVEL = "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations/global-default"


def send(side: Side, who: str, method: str, path: str, body: Any) -> Any:
    """What one request is told, on a connection of its own: the status, and of a refusal its headers and text."""
    kind = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
    token = {"Authorization": f"Bearer {side.tokens[who]}"} if who in side.tokens else {}
    with requests.request(method, side.url + path, json=body, timeout=60, verify=side.ca, stream=True, headers={**kind, **token},
                          cert=side.certificates.get(who)) as answer:
        if answer.status_code != 429:
            return (answer.status_code,)
        return 429, {name: answer.headers.get(name) for name in SAID}, answer.text


@pytest.fixture(scope="module")
def sides(hooks: Hooks) -> Iterator[tuple[Side, Side]]:
    with tiny_side(dial=ask_webhook, crowd=limit_concurrency(MOST, MOST)) as tiny, \
            genuine_side(components=("apiserver",), flags=SMALL) as genuine:
        for side in (tiny, genuine):
            prepare(side, hooks)
        yield tiny, genuine


def prepare(side: Side, hooks: Hooks) -> None:
    """Jane may do everything; ConfigMaps of a case, and ovens in their second version, are held until a hook answers."""
    group = "rbac.authorization.k8s.io"
    binding = {"metadata": {"name": "jane"}, "subjects": [{"kind": "User", "name": "jane", "apiGroup": group}],
               "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"}}
    loose = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    client = {"url": f"{hooks.url}/{side.name}/oven/converts-late", "caBundle": hooks.ca}
    ovens = definition("ovens", "Oven", versions=[version("v1", loose), version("v2", loose, storage=False)], conversion={
        "strategy": "Webhook", "webhook": {"clientConfig": client, "conversionReviewVersions": ["v1"]}})
    for path, body in ((f"/apis/{group}/v1/clusterrolebindings", binding), (CRDS, ovens), (
            f"{CONFIGS}validatingwebhookconfigurations", {"metadata": {"name": "held"}, "webhooks": [
                hook(hooks, side.name, "held", "allows-late", timeoutSeconds=30)]})):
        code, answer = side.ask("admin", "POST", path, body)
        assert code == 201, answer
    wait(lambda: side.ask("admin", "POST", V1, {"apiVersion": "book.example/v1", "kind": "Oven", "metadata": {
        "name": "slow"}})[0] in (201, 409), "ovens")
    hooks.release.set()
    wait(lambda: hooks.asked.get(f"/{side.name}/held/allows-late") or send(side, "jane", *HELD["writes"]) == (), "the hook")
    wait(lambda: send(side, "jane", *HELD["reads"]) == (200,), "the second version")


def story(side: Side, hooks: Hooks, full: str, most: int, tried: list[Any]) -> list[Any]:
    """What is answered while all places are taken, to those who took them, and afterwards."""
    path = f"/{side.name}/{'oven/converts' if full == 'reads' else 'held/allows'}-late"
    hooks.release.clear()
    hooks.asked[path] = []
    with ThreadPoolExecutor(most) as pool:
        try:
            held = [pool.submit(send, side, "jane", *HELD[full]) for _ in range(most)]
            wait(lambda: len(hooks.asked[path]) >= most, "the places to be taken")
            meanwhile = [(each[:3], send(side, *each)) for each in tried]
        finally:
            hooks.release.set()
        taken = [each.result() for each in held]
    return [*meanwhile, *taken, *[(each[:3], send(side, *each)) for each in tried]]


@pytest.mark.parametrize("full", HELD)
def test_both_send_the_same_away(sides: tuple[Side, Side], hooks: Hooks, full: str) -> None:
    ours, theirs = (story(side, hooks, full, MOST, TRIED) for side in sides)
    assert {answer[0] for _, answer in theirs[:len(TRIED)]} >= {200, 401, 404, 429}
    assert {answer[0] for _, answer in theirs[-len(TRIED):]} == {200, 201, 401, 403, 404, 503}
    assert ours == theirs


def test_health_is_told_however_full_it_is(sides: tuple[Side, Side], hooks: Hooks) -> None:
    """The genuine server as it is by default, with priority and fairness, and no queue: one seat for each sort of user."""
    with genuine_side(components=("apiserver",), flags={"apiserver": SMALL["apiserver"][:2]}) as fair:
        prepare(fair, hooks)
        code, answer = fair.ask("admin", "PATCH", LEVEL, {
            "metadata": {"annotations": {"apf.kubernetes.io/autoupdate-spec": "false"}}, "spec": {"limited": {
                "lendablePercent": 0, "borrowingLimitPercent": 0, "limitResponse": {"type": "Reject", "queuing": None}}}},
            kind="application/merge-patch+json")
        assert code == 200, answer
        told_of = [("jane", "GET", f"{D}/configmaps/none", None), *HEALTH, ("admin", "GET", f"{D}/configmaps/none", None)]
        wait(lambda: story(fair, hooks, "reads", 1, told_of[:1])[0][1][0] == 429, "the one seat to be the only one")
        theirs = story(fair, hooks, "reads", 1, told_of)
    assert [answer[0] for _, answer in theirs[:5]] == [429, 200, 200, 200, 404]
    assert theirs[:5] == story(sides[0], hooks, "reads", MOST, told_of)[:5]
