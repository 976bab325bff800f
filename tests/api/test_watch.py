"""Watches: nothing missed, nobody held up, nothing left."""

from __future__ import annotations

import asyncio
import json

from tests.api.conftest import CONFIGMAPS, MERGE, Api


async def label(api: Api, name: str, value: str) -> None:
    status, told = await api("PATCH", f"{CONFIGMAPS}/{name}", {"metadata": {"labels": {"n": value}}}, content_type=MERGE)
    assert status == 200, told


async def version(api: Api) -> str:
    """The resourceVersion of the present."""
    found: str = (await api("GET", CONFIGMAPS))[1]["metadata"]["resourceVersion"]
    return found


async def test_a_watch_from_a_list_misses_nothing(api: Api) -> None:
    _, listed = await api("GET", CONFIGMAPS)
    await api("POST", CONFIGMAPS, {"metadata": {"name": "a"}})
    await label(api, "a", "1")
    await api("DELETE", f"{CONFIGMAPS}/a")
    watching = asyncio.create_task(
        api.events(f"{CONFIGMAPS}?watch=1&timeoutSeconds=5&resourceVersion={listed['metadata']['resourceVersion']}"))
    await api.clock.advance(6)
    assert [event["type"] for event in await watching] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in await watching]
    assert versions == sorted(set(versions))


async def test_a_slow_watcher_is_cut_off_and_holds_nobody_up(api: Api) -> None:
    await api("POST", CONFIGMAPS, {"metadata": {"name": "a"}})
    now = await version(api)
    slow = [await api.answer("GET", f"{CONFIGMAPS}?watch=1&resourceVersion={now}") for _ in range(1000)]
    for number in range(1200):
        await label(api, "a", str(number))
    await api.clock.settle()
    assert not api.server.caches["", "configmaps"].watchers
    for answer in slow:
        await answer.body.aclose()  # type: ignore[union-attr]
    assert (await api("GET", f"{CONFIGMAPS}/a"))[1]["metadata"]["labels"] == {"n": "1199"}
    await api.clock.settle()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "watch timer"]


async def test_one_event_is_encoded_once(api: Api) -> None:
    now = await version(api)
    streams = [await api.answer("GET", f"{CONFIGMAPS}?watch=1&resourceVersion={now}") for _ in range(3)]
    await api("POST", CONFIGMAPS, {"metadata": {"name": "a"}})
    await api.clock.settle()
    lines = [watcher.lines[0] for watcher in api.server.caches["", "configmaps"].watchers]
    assert len(lines) == 3
    assert len({id(line) for line in lines}) == 1
    for stream in streams:
        await stream.body.aclose()  # type: ignore[union-attr]


async def test_forgotten_by_the_store_and_by_the_cache(api: Api) -> None:
    cache = api.server.caches["", "configmaps"]
    await api("POST", CONFIGMAPS, {"metadata": {"name": "a"}})
    await cache.load()
    events = await api.events(f"{CONFIGMAPS}?watch=1&resourceVersion=2")
    assert [(e["type"], e["object"]["code"], e["object"]["reason"]) for e in events] == [("ERROR", 410, "Expired")]


async def test_a_page_whose_revision_is_compacted_can_go_on_in_the_present(api: Api) -> None:
    for name in "abc":
        await api("POST", CONFIGMAPS, {"metadata": {"name": name}})
    _, first = await api("GET", f"{CONFIGMAPS}?limit=1")
    await label(api, "c", "new")
    await api.server.storage.compact(int((await api("GET", CONFIGMAPS))[1]["metadata"]["resourceVersion"]))
    status, told = await api("GET", f"{CONFIGMAPS}?limit=1&continue={first['metadata']['continue']}")
    assert (status, told["reason"]) == (410, "Expired")
    status, rest = await api("GET", f"{CONFIGMAPS}?limit=9&continue={told['metadata']['continue']}")
    assert [item["metadata"]["name"] for item in rest["items"]] == ["b", "c"]


async def test_what_is_no_object_does_not_stop_the_watch(api: Api) -> None:
    from tinykube.store import Put
    await api.server.storage.txn([], [Put(b"/registry/configmaps/default/ghost", b"\xff")])
    await api("POST", CONFIGMAPS, {"metadata": {"name": "a"}})
    await api.clock.settle()
    assert [json.loads(record.json)["metadata"]["name"] for record in api.server.caches["", "configmaps"].state.values()] \
        == ["a"]
    assert (await api("GET", f"{CONFIGMAPS}/ghost"))[0] == 500
