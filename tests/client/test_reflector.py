"""The reflector against a server whose every answer the test decides: what it asks, and what it survives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from random import Random

import pytest
from tinykube.client.reflector import INITIAL_EVENTS_END, Reflector
from tinykube.client.rest import Client
from tinykube.machinery.clock import FakeClock
from tinykube.machinery.errors import ApiError, bad_request, future_revision, too_old
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.objects import Object
from tinykube.machinery.wire import Request, Response

END = object()          # in a script: the server ends the stream


def pod(name: str, version: int) -> Object:
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "resourceVersion": str(version)}}


def event(type: str, name: str, version: int) -> Object:
    return {"type": type, "object": pod(name, version)}


def bookmark(version: int, end: bool = False) -> Object:
    notes = {INITIAL_EVENTS_END: "true"} if end else {}
    return {"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": {"resourceVersion": str(version),
                                                                       "annotations": notes}}}


class Script:
    """A server that answers each request with the next item: an error, an object, or a live stream."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answers: asyncio.Queue[Exception | Object | asyncio.Queue[object]] = asyncio.Queue()
        self.open_streams = 0

    def stream(self, *events: object) -> asyncio.Queue[object]:
        """Answer the next request with a watch; further events can be put into it."""
        live: asyncio.Queue[object] = asyncio.Queue()
        for each in events:
            live.put_nowait(each)
        self.answers.put_nowait(live)
        return live

    async def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        answer = await self.answers.get()
        if isinstance(answer, ApiError):
            return Response(answer.code, answer.status())
        if isinstance(answer, Exception):
            raise answer
        return Response(200, self.flow(answer) if isinstance(answer, asyncio.Queue) else answer)

    async def flow(self, live: asyncio.Queue[object]) -> AsyncIterator[bytes]:
        self.open_streams += 1
        try:
            while (each := await live.get()) is not END:
                if isinstance(each, Exception):
                    raise each
                line = json.dumps(each).encode() + b"\n"
                yield line[:7]           # chunks know nothing of lines
                yield line[7:]
        finally:
            self.open_streams -= 1


class Following:
    """A reflector on a script, and what its handlers were told."""

    def __init__(self) -> None:
        self.script, self.clock, self.log = Script(), FakeClock(), EventLog(FakeClock())
        self.told: list[str] = []
        self.reflector = Reflector(Client(self.script), "pods", clock=self.clock, random=Random(0), log=self.log)

    def start(self) -> None:
        self.reflector.start(lambda obj: self.note("+", obj), lambda old, new: self.note("~", new),
                             lambda obj: self.note("-", obj))

    def note(self, sign: str, obj: Object) -> None:
        self.told.append(f"{sign}{obj['metadata']['name']}@{obj['metadata']['resourceVersion']}")

    async def settle(self, seconds: float = 0) -> None:
        await self.clock.advance(seconds)

    def asked(self) -> list[dict[str, str]]:
        """What was asked for; that each watch may last from five to ten minutes is looked at here, and left out."""
        found = [dict(request.query) for request in self.script.requests]
        assert all(300 <= int(each.pop("timeoutSeconds")) < 600 for each in found if "watch" in each)
        return found


@pytest.fixture
async def following():  # type: ignore[no-untyped-def]
    it = Following()
    yield it
    await it.reflector.stop()
    assert it.script.open_streams == 0, "a stream was left open"


async def test_watch_list_fills_the_cache_then_follows(following: Following) -> None:
    live = following.script.stream(event("ADDED", "a", 1), event("ADDED", "b", 2))
    following.start()
    await following.settle()
    assert not following.reflector.synced.is_set()
    assert following.told == [], "nothing is told before the collection is whole"
    for each in (bookmark(2, end=True), event("MODIFIED", "a", 3), event("DELETED", "b", 4), event("ADDED", "c", 5)):
        live.put_nowait(each)
    await asyncio.wait_for(following.reflector.wait_synced(), 5)
    await following.settle()
    assert following.told == ["+a@1", "+b@2", "~a@3", "-b@4", "+c@5"]
    assert sorted(following.reflector.cache) == ["default/a", "default/c"]
    assert following.asked() == [{"allowWatchBookmarks": "true", "sendInitialEvents": "true", "watch": "true",
                                  "resourceVersionMatch": "NotOlderThan"}]


async def test_a_broken_watch_goes_on_where_it_was(following: Following) -> None:
    live = following.script.stream(event("ADDED", "a", 1), bookmark(1, end=True), bookmark(7))
    following.start()
    await following.settle()
    live.put_nowait(ConnectionResetError("cut"))
    following.script.stream(event("ADDED", "b", 8))
    await following.settle(10)
    assert following.told == ["+a@1", "+b@8"]
    assert following.asked()[1]["resourceVersion"] == "7", "the bookmark moved it on"


async def test_a_watch_that_the_server_ends_is_renewed_without_waiting(following: Following) -> None:
    live = following.script.stream(bookmark(1, end=True))
    following.start()
    await following.settle(300)
    live.put_nowait(END)
    following.script.stream(event("ADDED", "b", 8))
    await following.settle()
    assert following.told == ["+b@8"]


@pytest.mark.parametrize("error", [too_old(1, 50), future_revision(9, 2)])
async def test_a_version_that_the_server_does_not_know_means_starting_over(
        following: Following, error: ApiError) -> None:
    live = following.script.stream(event("ADDED", "a", 1), event("ADDED", "b", 1), bookmark(1, end=True))
    following.start()
    await following.settle()
    live.put_nowait({"type": "ERROR", "object": error.status()})
    following.script.stream(event("ADDED", "b", 60), event("ADDED", "c", 61), bookmark(61, end=True))
    await following.settle(10)
    assert following.told == ["+a@1", "+b@1", "-a@1", "~b@60", "+c@61"], "handlers hear the difference only"
    assert "resourceVersion" not in following.asked()[1]


async def test_a_server_without_watch_list_is_listed(following: Following) -> None:
    following.script.answers.put_nowait(bad_request("sendInitialEvents is forbidden for watch"))
    following.script.answers.put_nowait({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "5"},
                                         "items": [{"metadata": pod("a", 4)["metadata"]}]})
    following.script.stream(event("MODIFIED", "a", 6))
    following.start()
    await following.settle(10)
    assert following.told == ["+a@4", "~a@6"]
    assert following.asked()[1] == {}
    assert following.asked()[2]["resourceVersion"] == "5"
    assert following.reflector.cache["default/a"]["kind"] == "Pod"


async def test_retries_slow_down_and_are_told(following: Following) -> None:
    for _ in range(6):
        following.script.answers.put_nowait(ConnectionRefusedError("nobody there"))
    following.start()
    await following.settle(100)
    delays = [record["delay"] for record in following.log.records if record["verb"] == "retry"]
    assert len(delays) == 6
    assert all(0.2 * 2 ** n <= delay <= 0.4 * 2 ** n for n, delay in enumerate(delays))
    assert "nobody there" in following.log.records[0]["error"]


async def test_idle_means_no_requests_as_long_as_a_watch_may_last(following: Following) -> None:
    following.script.stream(bookmark(1, end=True))
    following.start()
    await following.settle(299)
    assert len(following.script.requests) == 1


async def test_a_watch_that_nobody_ends_is_dead_and_is_begun_anew_where_it_was(following: Following) -> None:
    """The line is cut in a way that neither side hears of: no end comes, and no event."""
    live = following.script.stream(bookmark(1, end=True))
    following.start()
    await following.settle(1)
    seconds = int(dict(following.script.requests[0].query)["timeoutSeconds"])
    following.script.stream(event("ADDED", "a", 2))
    await following.settle(seconds + 20)
    assert len(following.script.requests) == 1
    await following.settle(15)
    live.put_nowait(event("ADDED", "from-the-dead", 2))
    await following.settle(1)
    assert following.told == ["+a@2"]
    assert dict(following.script.requests[1].query)["resourceVersion"] == "1"


async def test_a_handler_that_raises_is_logged_and_the_reflector_lives_on(following: Following) -> None:
    following.script.stream(event("ADDED", "a", 1), bookmark(1, end=True), event("MODIFIED", "a", 2))
    following.script.stream(event("MODIFIED", "a", 3))

    def broken(before: Object, after: Object) -> None:
        if after["metadata"]["resourceVersion"] == "2":
            raise ZeroDivisionError("in a handler")
        following.note("~", after)
    following.reflector.start(updated=broken)
    await following.settle(10)
    assert following.told == ["~a@3"]
    assert any("ZeroDivisionError" in record.get("error", "") for record in following.log.records)
