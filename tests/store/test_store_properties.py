"""Random operations against a model that keeps every state whole, and what watchers must be told."""
from __future__ import annotations

import random
from typing import Any

import pytest
from tinykube.store import Compacted, Delete, FutureRevision, Put, Store, Txn, prefix_end
from tinykube.store import keys as keys_module
from tinykube.store import watch as watch_module
from tinykube.store.keys import SortedKeys
from tinykube.store.watch import Cursor

NAMES = [b"/%c/%d" % (letter, n) for letter in b"abc" for n in range(4)]
SPANS: list[tuple[bytes, bytes | None]] = [
    (b"/a/1", None), (b"/a/", b"/a0"), (b"/", b"0"), (b"/a/2", b"/c/1"), (b"\x00", b"\x00"), (b"/b/3", b"\x00")]


class Model:
    """Every state that there was, as a dict from key to value."""

    def __init__(self) -> None:
        self.states: list[dict[bytes, bytes]] = [{}, {}]

    def write(self, change: dict[bytes, bytes | None]) -> None:
        now = {key: value for key, value in (self.states[-1] | change).items() if value is not None}
        if now != self.states[-1] or any(value is not None for value in change.values()):
            self.states.append(now)


def within(span: tuple[bytes, bytes | None], key: bytes) -> bool:
    low, high = span
    return key == low if high is None else low <= key and (high == b"\x00" or key < high)


def random_change(dice: random.Random, store: Store) -> dict[bytes, bytes | None]:
    chosen = dice.sample(NAMES, dice.choice([1, 1, 1, 3]))
    change = {key: None if dice.random() < 0.3 else b"%d" % dice.randrange(5) for key in chosen}
    operations = [Delete(key) if value is None else Put(key, value) for key, value in change.items()]
    store.apply(operations[0] if len(operations) == 1 else Txn((), tuple(operations)))
    return change


@pytest.mark.parametrize("seed", range(30))
def test_every_state_can_be_read_until_it_is_compacted(seed: int) -> None:
    dice, store, model = random.Random(seed), Store(), Model()
    for _ in range(150):
        model.write(random_change(dice, store))
        assert store.revision == len(model.states) - 1
        if dice.random() < 0.03 and store.revision > store.compacted:
            store.compact(dice.randint(store.compacted + 1, store.revision))
        span, revision = dice.choice(SPANS), dice.randint(1, store.revision)
        if revision < store.compacted:
            with pytest.raises(Compacted):
                store.range(*span, revision=revision)
            continue
        for asked, state in ((revision, model.states[revision]), (0, model.states[-1])):
            wanted = sorted((key, value) for key, value in state.items() if within(span, key))
            found = store.range(*span, revision=asked)
            assert [(kv.key, kv.value) for kv in found.kvs] == wanted
            assert found.count == store.range(*span, revision=asked, count_only=True).count == len(wanted)
            few = store.range(*span, revision=asked, limit=2)
            assert (few.kvs, few.count, few.more) == (found.kvs[:2], found.count, found.count > 2)
    with pytest.raises(FutureRevision):
        store.range(b"/", b"0", revision=store.revision + 1)


def take_all(cursor: Cursor) -> list[Any]:
    return [event for batch in iter(cursor.take, None) for event in batch.events]


@pytest.mark.parametrize("seed", range(20))
def test_watchers_are_told_everything_once_and_in_order(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "LONGEST_QUEUE", 4)      # so that slow ones fall behind, and catch up
    monkeypatch.setattr(watch_module, "CATCH_UP", 3)
    dice, store = random.Random(seed), Store()
    everything = store.watch(b"\x00", b"\x00", prev_kv=True)
    history, watching = [], []
    for _ in range(120):
        random_change(dice, store)
        history += take_all(everything)
        if dice.random() < 0.2:
            span, start = dice.choice(SPANS), dice.randint(1, store.revision + 3)
            watching.append((span, start, store.watch(*span, start_revision=start, prev_kv=True), []))
        for _, _, cursor, got in dice.sample(watching, min(2, len(watching))):
            got += take_all(cursor)
    for span, start, cursor, got in watching:
        got += take_all(cursor)
        assert got == [event for event in history if event.kv.mod_revision >= start and within(span, event.kv.key)]
        cursor.close()
    everything.close()
    assert len(store._watchers) == 0
    assert not store._watchers._groups
    assert not +store._watchers._prefix_lengths


def test_a_revision_is_never_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "CATCH_UP", 1)
    store = Store()
    for _ in range(5):
        store.apply(Txn((), tuple(Put(b"/%d" % n, b"") for n in range(10))))
    batches = list(iter(store.watch(b"/", b"0", start_revision=2).take, None))
    assert [len(batch.events) for batch in batches] == [10] * 5


def test_progress_comes_after_all_events() -> None:
    store = Store()
    cursor = store.watch(b"/a", None, start_revision=1)
    store.put(b"/a", b"")
    store.put(b"/b", b"")
    cursor.request_progress()
    first, second = cursor.take(), cursor.take()
    assert first is not None
    assert second is not None
    assert (first.revision, len(first.events), second.events, second.revision) == (3, 1, (), 3)
    store.put(b"/b", b"")
    cursor.request_progress()
    third = cursor.take()
    assert third is not None
    assert third.revision == store.revision
    assert cursor.take() is None


def test_a_write_that_nobody_watches_asks_nobody() -> None:
    store = Store()
    cursors = [store.watch(b"/%d/" % n, prefix_end(b"/%d/" % n)) for n in range(1000)]
    asked = []
    for cursor in cursors:
        cursor.wake = lambda cursor=cursor: asked.append(cursor)  # type: ignore[misc]
    store.put(b"/7/x", b"")
    assert asked == [cursors[7]]


def test_watchers_of_the_same_share_one_batch() -> None:
    store = Store()
    one, two = store.watch(b"/", b"0"), store.watch(b"/", b"0")
    store.put(b"/x", b"")
    assert one.take() is two.take()


@pytest.mark.parametrize("seed", range(10))
def test_sorted_keys(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "LONGEST_RUN", 8)
    dice, ours, model = random.Random(seed), SortedKeys(), set[bytes]()
    for _ in range(500):
        key = b"%02d" % dice.randrange(100)
        if key in model:
            ours.remove(key)
            model.remove(key)
        else:
            ours.add(key)
            model.add(key)
        low, high = (b"%02d" % dice.randrange(100) for _ in range(2))
        wanted = sorted(key for key in model if low <= key < high)
        assert list(ours.between(low, high)) == wanted
        assert list(ours.between(low, high, 3)) == wanted[:3]
        assert ours.count(low, high) == len(wanted)
        assert ours.count(low, b"\x00") == len([key for key in model if key >= low])
    assert len(ours) == len(model)


def test_two_stores_with_the_same_commands_are_the_same() -> None:
    one, two, dice = Store(), Store(), random.Random(1)
    commands = [Put(dice.choice(NAMES), b"x") if dice.random() < 0.7 else Delete(dice.choice(NAMES)) for _ in range(99)]
    assert [one.apply(command) for command in commands] == [two.apply(command) for command in commands]
    assert one._versions == two._versions
