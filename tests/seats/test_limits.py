"""How much a namespace may use, and how large a request may be: tiny and genuine draw the line at the same place."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from bookkit.tiers import missing

from tests.behaviour.target import wait
from tests.seats.access import Side, genuine_side, tiny_side

pytestmark = [pytest.mark.skipif(bool(missing("genuine")), reason="; ".join(missing("genuine"))),
              pytest.mark.timeout(300), pytest.mark.xdist_group("genuine-limits")]

Object = dict[str, Any]
MERGE = "application/merge-patch+json"
RANGE = [{"type": "Container", "default": {"cpu": "200m"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "1"},
          "min": {"cpu": "50m"}},
         {"type": "Pod", "max": {"memory": "1Gi"}}, {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}}]
HARD = {"pods": "1", "count/secrets": "2", "requests.cpu": "150m", "services.nodeports": "0"}


@pytest.fixture(scope="module")
def sides() -> Iterator[tuple[Side, Side]]:
    flags = {"apiserver": ["--disable-admission-plugins=ServiceAccount"]}
    with tiny_side() as tiny, genuine_side(flags=flags) as genuine:
        for side in (tiny, genuine):
            for name, plural, spec in (("ranged", "limitranges", {"limits": RANGE}), ("bounded", "resourcequotas", {"hard": HARD})):
                assert side.ask("admin", "POST", "/api/v1/namespaces", {"metadata": {"name": name}})[0] == 201
                assert side.ask("admin", "POST", f"/api/v1/namespaces/{name}/{plural}", {
                    "metadata": {"name": "l"}, "spec": spec})[0] == 201
        wait(lambda: genuine.ask("admin", "GET", "/api/v1/namespaces/bounded/resourcequotas/l")[1]["status"].get("hard") == HARD,
             "the quota to be counted")
        yield tiny, genuine


def pod(name: str = "p", **resources: Any) -> Object:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "x", "resources": resources}]}}


def claim(size: str) -> Object:
    return {"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}}


RANGED: list[tuple[str, Object]] = [
    *[("pods", pod(**each)) for each in (
        {"limits": {"memory": "1Gi"}}, {}, {"limits": {"cpu": "2", "memory": "1Gi"}},
        {"requests": {"cpu": "10m"}, "limits": {"memory": "1Gi"}}, {"limits": {"memory": "2Gi"}},
        {"requests": {"cpu": "10m"}, "limits": {"cpu": "3", "memory": "2Gi"}}, {"limits": {"cpu": "500m", "memory": "1Mi"}})],
    ("persistentvolumeclaims", claim("1Gi")), ("persistentvolumeclaims", claim("1Mi"))]


def test_limit_ranges_fill_in_and_refuse(sides: tuple[Side, Side]) -> None:
    for plural, body in RANGED:
        said = []
        for side in sides:
            code, answer = side.ask("admin", "POST", f"/api/v1/namespaces/ranged/{plural}?dryRun=All", body)
            said.append((code, answer["spec"].get("containers", [{}])[0].get("resources") if code == 201 else
                         sorted(answer["message"].partition(": ")[2].strip("[]").split(", "))))
        assert said[0] == said[1], body


def test_a_quota_is_used_up_and_given_back(sides: tuple[Side, Side]) -> None:
    stories = []
    for side in sides:
        where, story = "/api/v1/namespaces/bounded", []

        def tell(plural: str, body: Object, side: Side = side, where: str = where, story: list[Any] = story) -> int:
            code, answer = side.ask("admin", "POST", f"{where}/{plural}", body)
            story.append((code, answer.get("message") if code >= 400 else ""))
            return code
        tell("pods", pod("unsaid"))
        tell("pods", pod("large", requests={"cpu": "200m"}))
        tell("pods", pod("first", requests={"cpu": "100m"}))
        tell("pods", pod("second", requests={"cpu": "10m"}))
        tell("services", {"metadata": {"name": "s"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}})
        for name in ("a", "b", "c"):
            tell("secrets", {"metadata": {"name": name}})
        story.append(side.ask("admin", "GET", f"{where}/resourcequotas/l")[1]["status"])
        side.ask("admin", "DELETE", f"{where}/secrets/a")
        if side.name == "tiny":                       # no controller runs there: we count as it would
            counted = {"status": {"used": {"count/secrets": "1"}}}
            assert side.ask("admin", "PATCH", f"{where}/resourcequotas/l/status", counted, kind=MERGE)[0] == 200
        wait(lambda side=side, where=where: side.ask("admin", "GET", f"{where}/resourcequotas/l")[1]["status"]["used"][
            "count/secrets"] == "1", "the quota to be counted again")
        for name in ("d", "e"):
            tell("secrets", {"metadata": {"name": name}})
        stories.append(story)
    for ours, theirs in zip(*stories, strict=True):
        assert ours == theirs


def test_a_body_can_be_too_large(sides: tuple[Side, Side]) -> None:
    body = {"metadata": {"name": "big"}, "data": {"a": "x" * (3 << 20)}}
    ours, theirs = (side.ask("admin", "POST", "/api/v1/namespaces/default/configmaps", body) for side in sides)
    assert ours == theirs
    assert ours[0] == 413


def test_what_is_invalid_costs_nothing(sides: tuple[Side, Side]) -> None:
    for side in sides:
        def used(side: Side = side) -> Any:
            status = side.ask("admin", "GET", "/api/v1/namespaces/bounded/resourcequotas/l")[1].get("status", {})
            return status.get("used", {}).get("count/secrets", "0")
        before = used()
        assert side.ask("admin", "POST", "/api/v1/namespaces/bounded/secrets", {"metadata": {"name": "A_"}})[0] == 422
        assert used() == before
