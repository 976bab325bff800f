"""Events are kept for an hour: on leases, which many of them share."""
from __future__ import annotations

from tinykube.api.leases import MOST_OBJECTS, SharedLeases
from tinykube.machinery.clock import FakeClock
from tinykube.store import LocalStorage

from tests.api.conftest import Api

EVENTS = "/api/v1/namespaces/default/events"


def event(name: str) -> dict[str, object]:
    return {"metadata": {"name": name}, "reason": "Tested", "message": "it was",
            "involvedObject": {"kind": "Pod", "name": "web", "namespace": "default"}}


async def test_an_event_is_gone_after_an_hour(api: Api) -> None:
    assert (await api("POST", EVENTS, event("a")))[0] == 201
    await api.clock.advance(1800)
    assert (await api("POST", EVENTS, event("b")))[0] == 201
    await api.clock.advance(1799)
    names = [each["metadata"]["name"] for each in (await api("GET", EVENTS))[1]["items"]]
    assert names == ["a", "b"]
    await api.clock.advance(120)
    assert [each["metadata"]["name"] for each in (await api("GET", EVENTS))[1]["items"]] == ["b"]
    assert (await api("GET", f"{EVENTS}/a"))[0] == 404
    await api.clock.advance(1800)
    assert (await api("GET", EVENTS))[1]["items"] == []


async def test_a_change_keeps_an_event_for_another_hour(api: Api) -> None:
    await api("POST", EVENTS, event("a"))
    await api.clock.advance(3000)
    status, _ = await api("PATCH", f"{EVENTS}/a", {"count": 2}, **{"content-type": "application/merge-patch+json"})
    assert status == 200
    await api.clock.advance(3000)
    assert (await api("GET", f"{EVENTS}/a"))[0] == 200
    await api.clock.advance(700)
    assert (await api("GET", f"{EVENTS}/a"))[0] == 404


async def test_other_kinds_stay(api: Api) -> None:
    await api("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "c"}})
    await api.clock.advance(100_000)
    assert (await api("GET", "/api/v1/namespaces/default/configmaps/c"))[0] == 200


async def test_many_objects_share_a_lease() -> None:
    clock = FakeClock()
    storage = LocalStorage(clock=clock)
    leases = SharedLeases(storage, clock)
    assert [await leases.get(3600) for _ in range(MOST_OBJECTS + 1)] == [1] * MOST_OBJECTS + [2]
    await clock.advance(60)
    assert await leases.get(3600) == 2
    await clock.advance(1)
    assert await leases.get(3600) == 3
    assert await leases.get(0) == 0
    assert (await storage.time_to_live(3)).granted == 3660
    await storage.aclose()
