"""What a log owes: nothing acknowledged is lost, nothing is half there, and damage is named. On a disk in memory."""
from __future__ import annotations

import asyncio
import random
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from tinykube.machinery.clock import FakeClock
from tinykube.store import Alarm, Damaged, Delete, DeleteResult, NoSpace, Put, Range, StoreError, Txn, TxnResult
from tinykube.store import log as log_module
from tinykube.store.keys import LONGEST_RUN
from tinykube.store.log import Log

from tests.store.disk import MemoryDisk, storage_on
from tests.store.test_records import inside, random_command

FIRST = "0000000000000000.log"


def written(batches: int) -> tuple[MemoryDisk, list[Any], list[int]]:
    """A disk with a log of some batches, the states after each of them, and where each ends in the file."""
    disk, states, ends = MemoryDisk(), [], []
    log, dice = Log(disk), random.Random(batches)
    store = log.recover()
    for _ in range(batches):
        states.append(inside(store))
        ends.append(len(disk.files.get(FIRST, b"")))
        commands = [Put(b"/%d" % dice.randrange(5), b"v%d" % dice.randrange(9)) for _ in range(dice.randrange(1, 4))]
        log.append(commands)
        for command in commands:
            store.apply(command)
    return disk, [*states, inside(store)], [*ends, len(disk.files[FIRST])]


def test_a_log_that_is_cut_at_any_byte_gives_whole_batches() -> None:
    disk, states, ends = written(6)
    data = disk.files[FIRST]
    for size in range(len(data) + 1):
        notes: list[Any] = []
        cut = MemoryDisk({FIRST: data[:size]})
        log = Log(cut, lambda *words, notes=notes, **facts: notes.append(facts))
        store = log.recover()
        # A batch is there when its record is; the mark after it may be cut.
        whole = max(n for n in range(len(states)) if n == 0 or size >= ends[n] - len(b"00000003 00000000 [n]\n"))
        assert inside(store) == states[whole]
        assert all(note["file"] == FIRST and note["at"] + note["bytes"] == size for note in notes)
        assert len(notes) <= 1
        log.append([Put(b"/more", b"")])
        store.put(b"/more", b"")
        assert inside(Log(MemoryDisk(cut.files)).recover()) == inside(store)


def test_no_flipped_bit_is_overlooked() -> None:
    disk, states, _ = written(5)
    data = disk.files[FIRST]
    refused = 0
    for at in range(len(data)):
        for bit in range(8):
            flipped = MemoryDisk({FIRST: data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1:]})
            try:
                store = Log(flipped).recover()
            except Damaged as error:
                refused += 1
                place = re.search(r"0000000000000000\.log is damaged at byte (\d+)", str(error))
                assert place
                assert int(place[1]) <= at
            else:
                assert inside(store) == states[-1]
    assert refused > 8 * (len(data) - 30)


def test_pages_of_the_last_write_may_be_missing_in_any_way() -> None:
    """A power cut may leave any part of what was not synced as zeros."""
    disk, states, ends = written(4)
    data, start = disk.files[FIRST], ends[3]
    for at in range(start, len(data)):
        for length in (1, 7, 64):
            torn = data[:at] + bytes(min(length, len(data) - at)) + data[at + length:]
            torn = torn[:len(data) - 22]                   # its mark is written after the sync
            store = Log(MemoryDisk({FIRST: torn})).recover()
            assert inside(store) in (states[3], states[4])


@pytest.mark.parametrize("seed", range(6))
async def test_a_power_cut_at_any_call_loses_nothing_that_was_acknowledged(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "SMALLEST", 300)       # an image every few writes
    dice, disk = random.Random(seed), MemoryDisk()
    for cut_after in range(120):
        storage = storage_on(disk, note=lambda *_, **__: None)
        disk.calls_left = cut_after % 23
        for _ in range(40):
            command = random_command(dice)
            try:
                await storage.apply(command)
            except StoreError as error:
                if "cannot be written" in str(error):
                    break
        await storage.aclose()
        # What was on its way to the disk may have reached it in part, and what was acknowledged is all there.
        disk = MemoryDisk({name: data[:dice.randint(disk.synced.get(name, 0), len(data))]
                           for name, data in disk.files.items()})
        recovered = Log(MemoryDisk(disk.files), lambda *_, **__: None).recover()
        if inside(recovered) != inside(storage.store):     # then it is the write that was not acknowledged
            with suppress(StoreError):
                storage.store.apply(command)
        assert inside(recovered) == inside(storage.store)


async def test_a_full_disk_refuses_loses_nothing_and_goes_on() -> None:
    disk = MemoryDisk()
    storage = storage_on(disk)
    await storage.txn((), [Put(b"/a", b"1")])
    used = sum(map(len, disk.files.values()))
    for free in range(0, 120, 7):
        disk.space = used + free
        with pytest.raises(NoSpace, match=r"^etcdserver: mvcc: database space exceeded$"):
            await storage.txn((), [Put(b"/a", b"x" * 200)])
        assert (await storage.range(b"/a")).kvs[0].value == b"1"
        assert inside(Log(MemoryDisk(disk.files)).recover()) == inside(storage.store)
    disk.space = 10**9
    await storage.txn((), [Put(b"/a", b"2")])
    assert (await storage.range(b"/a")).kvs[0].value == b"2"
    assert inside(Log(MemoryDisk(disk.files)).recover()) == inside(storage.store)
    await storage.aclose()


async def test_on_a_full_disk_deleting_and_compacting_make_space() -> None:
    """What is held back lets deletions through; a compaction makes an image, and the log before it goes."""
    disk = MemoryDisk()
    storage = storage_on(disk)
    for number in range(40):
        await storage.txn((), [Put(b"/%d" % number, b"x" * 5_000)])
    await storage.grant(600, 7)
    disk.space = disk.held + sum(map(len, disk.files.values())) + 100
    mixed = await asyncio.gather(storage.apply(Put(b"/a", b"x" * 200)), storage.apply(Delete(b"/0")),
                                 storage.apply(Txn((), (Delete(b"/1"),))), storage.grant(9), storage.revoke(7),
                                 return_exceptions=True)
    assert [type(each) for each in mixed] == [NoSpace, DeleteResult, TxnResult, NoSpace, int]
    assert inside(Log(MemoryDisk(disk.files)).recover()) == inside(storage.store)
    for number in range(2, 39):
        await storage.apply(Delete(b"/%d" % number))
    with pytest.raises(NoSpace):
        await storage.txn((), [Put(b"/a", b"x" * 200)])
    await storage.compact(storage.store.revision)
    await storage.txn((), [Put(b"/a", b"x" * 200)])
    assert (storage.store.range(b"/", b"0").count, len(disk.files)) == (2, 2)
    assert inside(Log(MemoryDisk(disk.files)).recover()) == inside(storage.store)
    await storage.aclose()


async def test_an_alarm_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "SMALLEST", 300)
    disk = MemoryDisk()
    storage = storage_on(disk)
    await storage.txn((), [Put(b"/a", b"1")])
    await storage.apply(Alarm(True))
    for operation in (Put(b"/a", b"2"), Txn((), (), (Put(b"/a", b"2"),))):
        with pytest.raises(NoSpace):
            await storage.txn((), [operation])
    for _ in range(20):                               # long enough for an image
        await storage.txn((), [Delete(b"/none")])
    assert any(name.endswith(".image") for name in disk.files)
    again = storage_on(MemoryDisk(disk.files))
    assert again.store.alarmed
    await again.apply(Alarm(False))
    await again.txn((), [Put(b"/a", b"2")])
    assert not storage_on(MemoryDisk(again._log.disk.files)).store.alarmed  # type: ignore[attr-defined]


async def test_without_space_for_an_image_the_log_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "SMALLEST", 300)
    notes: list[Any] = []
    disk = MemoryDisk()
    storage = storage_on(disk, note=lambda *words, **facts: notes.append((words, facts)))
    replace, disk.replace = disk.replace, lambda name, parts: (_ for _ in ()).throw(OSError(28, "full"))  # type: ignore[method-assign,assignment]
    for number in range(40):
        await storage.txn((), [Put(b"/%d" % number, b"x")])
    assert notes
    assert all(words == ("store", "no image") for words, _ in notes)
    assert inside(Log(MemoryDisk(disk.files)).recover()) == inside(storage.store)
    disk.replace = replace  # type: ignore[method-assign]
    for number in range(40):
        await storage.txn((), [Put(b"/%d" % number, b"y")])
    assert len(disk.files) == 2
    assert inside(Log(MemoryDisk(disk.files)).recover()) == inside(storage.store)
    await storage.aclose()


async def test_many_writers_share_one_sync_and_nobody_sees_what_is_not_synced() -> None:
    disk, gate, began = MemoryDisk(), asyncio.Event(), asyncio.Event()

    async def when_the_gate_opens(function: Callable[..., None], *arguments: Any) -> None:
        began.set()
        await gate.wait()
        function(*arguments)

    storage = storage_on(disk, blocking=when_the_gate_opens)
    cursor = storage.store.watch(b"/", b"0")
    before = disk.syncs
    writers = [asyncio.ensure_future(storage.txn((), [Put(b"/%d" % n, b"")])) for n in range(64)]
    await began.wait()
    assert (await storage.range(b"/", b"0")).count == 0
    assert cursor.take() is None
    assert not any(writer.done() for writer in writers)
    gate.set()
    results = await asyncio.gather(*writers)
    assert sorted(result.revision for result in results) == list(range(2, 66))
    assert disk.syncs == before + 1
    await storage.aclose()


async def test_a_writer_that_goes_away_harms_nobody() -> None:
    storage = storage_on(MemoryDisk())
    first = asyncio.ensure_future(storage.txn((), [Put(b"/a", b"")]))
    second = asyncio.ensure_future(storage.txn((), [Put(b"/b", b"")]))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).succeeded
    await storage.aclose()


async def test_reading_writes_nothing() -> None:
    disk = MemoryDisk()
    storage = storage_on(disk)
    before = dict(disk.files)
    await storage.txn((), [Range(b"/a")], [Txn((), (Range(b"/b"),))])
    assert disk.files == before
    await storage.aclose()


async def test_leases_survive_and_begin_anew() -> None:
    clock, disk = FakeClock(), MemoryDisk()
    storage = storage_on(disk, clock)
    for ttl in (10, 100):
        id = (await storage.grant(ttl)).id
        await storage.txn((), [Put(b"/%d" % ttl, b"", lease=id)])
    await clock.advance(8)
    await storage.aclose()
    await clock.advance(1000)
    again = storage_on(MemoryDisk(disk.files), clock)
    assert [kv.lease for kv in (await again.range(b"/", b"0")).kvs] == [1, 2]
    assert (await again.time_to_live(1)).remaining == 10
    await clock.advance(10)
    assert [kv.key for kv in (await again.range(b"/", b"0")).kvs] == [b"/100"]
    assert (await again.grant(5)).id == 3
    await again.aclose()


async def test_the_disk_breaks_for_a_while() -> None:
    disk = MemoryDisk()
    storage = storage_on(disk)
    append, disk.append = disk.append, lambda name, data, sync=True: (_ for _ in ()).throw(OSError(5, "I/O error"))  # type: ignore[method-assign,assignment,misc]
    with pytest.raises(StoreError, match=r"the log cannot be written: .*I/O error"):
        await storage.txn((), [Put(b"/a", b"")])
    disk.append = append  # type: ignore[method-assign]
    await storage.txn((), [Put(b"/b", b"")])
    assert [kv.key for kv in Log(disk).recover().range(b"/", b"0").kvs] == [b"/b"]
    await storage.aclose()


@pytest.mark.parametrize("missing", [".log", ".image"])
async def test_a_file_that_is_missing_is_missed(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "SMALLEST", 200)
    disk = MemoryDisk()
    storage = storage_on(disk)
    for number in range(20):
        await storage.txn((), [Put(b"/%d" % number, b"x" * 20)])
    monkeypatch.setattr(log_module, "SMALLEST", 10**9)
    await storage.txn((), [Put(b"/last", b"")])
    del disk.files[next(name for name in disk.files if name.endswith(missing))]
    with pytest.raises(Damaged, match="missing"):
        Log(disk).recover()
    await storage.aclose()


async def test_a_damaged_image_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "SMALLEST", 200)
    disk = MemoryDisk()
    storage = storage_on(disk)
    for number in range(20):
        await storage.txn((), [Put(b"/%d" % number, b"x" * 20)])
    await storage.aclose()
    name = next(name for name in disk.files if name.endswith(".image"))
    whole = disk.files[name]
    for at in range(0, len(whole), 5):
        disk.files[name] = whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1:]
        with pytest.raises(Damaged, match=f"{name} is damaged at byte"):
            Log(disk).recover()


async def test_the_log_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "SMALLEST", 2000)
    disk = MemoryDisk()
    storage = storage_on(disk)
    for number in range(2000):
        await storage.txn((), [Put(b"/%d" % (number % 5), b"%d" % number)])
        if number % 10 == 9:
            await storage.compact(storage.store.revision)
    assert sum(map(len, disk.files.values())) < 10_000
    assert inside(Log(MemoryDisk(disk.files)).recover()) == inside(storage.store)
    await storage.aclose()




async def test_what_a_write_costs_hardly_grows_with_what_is_stored() -> None:
    """Counted, not timed: calls of functions and bytes of log, for a write among 1,000 and among 100,000 keys.

    What is not a call of ours is a bisection (O(log n)) and the shift of one run, which has an upper limit.
    """
    cost: dict[int, tuple[int, int]] = {}
    disk = MemoryDisk()
    storage = storage_on(disk)
    for size in (1_000, 100_000):
        while (stored := len(storage.store._live)) < size:
            storage.store.put(b"/%08d" % (stored * 7919 % 1_000_003), b"")
        calls, before = [0], len(disk.files[FIRST])
        sys.setprofile(lambda *_, calls=calls: calls.__setitem__(0, calls[0] + 1))
        for number in range(50):
            await storage.apply(Put(b"/%08d/new" % (number * 9973), b"x"))
        sys.setprofile(None)
        cost[size] = calls[0], len(disk.files[FIRST]) - before
    assert cost[100_000][0] < 1.2 * cost[1_000][0]
    assert cost[100_000][1] < 1.1 * cost[1_000][1]
    assert max(map(len, storage.store._live_keys._runs)) <= LONGEST_RUN
    await storage.aclose()
