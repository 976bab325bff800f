"""The shared informer: one copy, many handlers, indexes, tombstones, resync; then random histories with faults."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
from tinykube.client.informer import SharedInformer, Tombstone, by_owner
from tinykube.client.reflector import Reflector
from tinykube.client.rest import Client
from tinykube.machinery.clock import FakeClock
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.objects import Object, key_of

sys.path.insert(0, str(Path(__file__).parent))
from collection import END, Collection


class Told:
    """A handler that writes down what it hears, and notices a story that makes no sense."""

    def __init__(self, clock: FakeClock | None = None, pace: float = 0) -> None:
        self.clock, self.pace = clock, pace
        self.objects: dict[str, Object] = {}
        self.words: list[str] = []

    async def pause(self) -> None:
        if self.clock and self.pace:
            await self.clock.sleep(self.pace)

    async def added(self, obj: Object) -> None:
        assert key_of(obj) not in self.objects, "added twice"
        self.note("+", obj)
        self.objects[key_of(obj)] = obj
        await self.pause()

    async def updated(self, old: Object, new: Object) -> None:
        assert self.objects[key_of(new)] == old, "the old object is the one that was told last"
        assert version(new) >= version(old), "time goes forward"
        self.note("=" if old is new else "~", new)
        self.objects[key_of(new)] = new
        await self.pause()

    async def deleted(self, obj: Object) -> None:
        last = self.objects.pop(key_of(obj))
        assert (last == obj) if isinstance(obj, Tombstone) else version(obj) >= version(last)
        self.note("x" if isinstance(obj, Tombstone) else "-", obj)
        await self.pause()

    def note(self, sign: str, obj: Object) -> None:
        self.words.append(sign + obj["metadata"]["name"])


def version(obj: Object) -> int:
    return int(obj["metadata"]["resourceVersion"])


@asynccontextmanager
async def following(collection: Collection, clock: FakeClock, seed: int = 0,
                    resync: float = 0) -> AsyncIterator[tuple[SharedInformer, EventLog]]:
    log = EventLog(clock)
    reflector = Reflector(Client(collection), "pods", clock=clock, random=Random(seed), log=log)
    informer = SharedInformer(reflector, resync=resync)
    try:
        yield informer, log
    finally:
        await informer.stop()
        assert not collection.streams, "a stream was left open"


def listen(informer: SharedInformer, told: Told) -> None:
    informer.add_handler(told.added, told.updated, told.deleted)


async def test_handlers_hear_and_latecomers_catch_up() -> None:
    clock, collection = FakeClock(), Collection(Random(0))
    collection.create("a")
    async with following(collection, clock) as (informer, _):
        first, late = Told(), Told()
        listen(informer, first)
        informer.start()
        await clock.settle()
        await asyncio.wait_for(informer.wait_synced(), 5)
        assert first.words == ["+a"], "synced means: told"
        collection.create("b")
        collection.update("default/a", "bee")
        await clock.settle()
        listen(informer, late)
        collection.delete("default/b")
        await clock.settle()
        await asyncio.wait_for(informer.wait_synced(), 5)
        assert first.words == ["+a", "+b", "~a", "-b"]
        assert late.words == ["+a", "+b", "-b"]
        assert len(collection.requests) == 1, "one watch, however many listen"


async def test_a_slow_handler_holds_nobody_up() -> None:
    clock, collection = FakeClock(), Collection(Random(0))
    async with following(collection, clock) as (informer, _):
        quick, slow = Told(), Told(clock, 60)
        listen(informer, quick)
        listen(informer, slow)
        informer.start()
        await clock.settle()
        for name in "abc":
            collection.create(name)
        await clock.settle()
        assert (quick.words, slow.words) == (["+a", "+b", "+c"], ["+a"])
        assert len(informer.select()) == 3, "the copy does not wait either"
        await clock.advance(180)
        assert slow.words == quick.words


async def test_a_handler_that_fails_is_logged_and_hears_the_next() -> None:
    clock, collection = FakeClock(), Collection(Random(0))
    async with following(collection, clock) as (informer, log):
        heard = []

        def fails(obj: Object) -> None:
            heard.append(obj["metadata"]["name"])
            raise ZeroDivisionError("in a handler")
        informer.add_handler(fails)
        informer.start()
        await clock.settle()
        collection.create("a")
        collection.create("b")
        await clock.settle()
        assert heard == ["a", "b"]
        assert [r["error"] for r in log.records if r["verb"] == "handler-failed"] == [
            "ZeroDivisionError: in a handler"] * 2
        assert not any(r["verb"] == "retry" for r in log.records), "the watch does not suffer"


async def test_a_missed_deletion_is_told_as_a_tombstone() -> None:
    clock, collection = FakeClock(), Collection(Random(0))
    collection.create("a")
    collection.create("b")
    async with following(collection, clock) as (informer, _):
        told = Told()
        listen(informer, told)
        informer.start()
        await clock.settle()
        collection.refuse = 1
        collection.cut()
        collection.delete("default/a")
        collection.compact()
        await clock.advance(30)
        assert told.words == ["+a", "+b", "xa"]


async def test_resync_repeats_what_is_there_without_a_request() -> None:
    clock, collection = FakeClock(), Collection(Random(0))
    collection.create("a")
    async with following(collection, clock, resync=60) as (informer, _):
        told = Told()
        listen(informer, told)
        informer.start()
        await clock.advance(121)
        assert told.words == ["+a", "=a", "=a"]
        assert len(collection.requests) == 1


async def test_a_handler_that_is_removed_hears_no_more() -> None:
    clock, collection = FakeClock(), Collection(Random(0))
    async with following(collection, clock) as (informer, _):
        told = Told()
        handler = informer.add_handler(told.added)
        informer.start()
        await clock.settle()
        await informer.remove_handler(handler)
        collection.create("a")
        await clock.settle()
        assert (told.words, informer.get("default/a") is not None) == ([], True)


async def test_it_is_asked_by_namespace_label_node_and_owner() -> None:
    clock, collection = FakeClock(), Collection(Random(0))
    collection.create("a", app="web")
    collection.create("b", node="bee", app="web")
    collection.create("c", "lab", node="", app="db")
    async with following(collection, clock) as (informer, _):
        informer.start()
        await clock.settle()

        def names(objects: list[Object]) -> list[str]:
            return [obj["metadata"]["name"] for obj in objects]
        assert names(informer.select()) == ["a", "b", "c"]
        assert names(informer.select("lab")) == ["c"]
        assert names(informer.select(selector="app=web")) == ["a", "b"]
        assert names(informer.select("lab", "app=web")) == []
        assert [names(informer.by("node", node)) for node in ("ant", "bee", "cat", "")] == [["a"], ["b"], [], []]
        collection.update("default/a", "bee")
        await clock.settle()
        assert [names(informer.by("node", node)) for node in ("ant", "bee")] == [[], ["b", "a"]]
    assert by_owner({"metadata": {"ownerReferences": [{"uid": "u"}, {"uid": "v"}]}}) == ["u", "v"]


async def history(seed: int) -> list[list[str]]:
    """Change, cut, compact and refuse at random; at the end compare everything. What each handler heard."""
    random, clock = Random(seed), FakeClock()
    collection = Collection(random, watch_list=random.random() < 0.7)
    async with following(collection, clock, seed, resync=random.choice([0, 30])) as (informer, log):
        handlers = [Told(), Told(clock, 0.3), Told(clock, 2)]
        for told in handlers[:2]:
            listen(informer, told)
        informer.start()
        for step in range(120):
            act = random.random()
            if act < 0.35 or not collection.objects:
                name = random.choice("abcdefgh")
                if f"default/{name}" not in collection.objects:
                    collection.create(name, node=random.choice(["ant", "bee"]))
            elif act < 0.6:
                collection.update(random.choice(sorted(collection.objects)), random.choice(["ant", "bee", "cat"]))
            elif act < 0.75:
                collection.delete(random.choice(sorted(collection.objects)))
            elif act < 0.85:
                collection.cut(random.choice([None, END]))
            elif act < 0.92:
                collection.compact()
            else:
                collection.refuse = random.randrange(3)
            if step == 60:
                listen(informer, handlers[2])
            await clock.advance(random.choice([0, 0, 0.05, 0.5, 3]))
        collection.refuse = 0
        await clock.advance(600)
        for _ in range(100):               # a slow one may have a resync before it
            await clock.advance(0.5)
            if all(each.waiting.empty() for each in informer.handlers):
                break
        assert informer.reflector.cache == collection.objects
        for told in handlers:
            assert told.objects == collection.objects
        for node in ("ant", "bee", "cat"):
            assert {key_of(obj) for obj in informer.by("node", node)} == {
                key for key, obj in collection.objects.items() if obj["spec"]["nodeName"] == node}
        assert not [r for r in log.records if r["verb"] == "handler-failed"], "a story that makes no sense"
        return [told.words for told in handlers]


@pytest.mark.parametrize("seed", range(15))
async def test_any_history(seed: int) -> None:
    await history(seed)


async def test_a_seed_replays() -> None:
    first, again, other = await history(3), await history(3), await history(4)
    assert first == again != other
    stories = [await history(seed) for seed in range(5)]
    assert any(word[0] == "x" for story in stories for words in story for word in words), "some deletion is missed"
