"""Records, and stores as rows: bytes and back."""
from __future__ import annotations

import random
from typing import Any

import pytest
from tinykube.store import (
    Compact,
    Compare,
    Damaged,
    Delete,
    Grant,
    KeyValue,
    Put,
    Range,
    Revoke,
    Store,
    StoreError,
    Txn,
)
from tinykube.store.records import decode, encode, frame, read_records, unframe

ALL = bytes(range(256))
NESTED = Txn((Compare(ALL, "value", "==", ALL), Compare(b"/a", "mod", "<", 7, b"/b")), (Put(b"/x", ALL, 3, True),),
             (Delete(b"/x", b"\x00"), Txn((), (Range(b"/x", None, 1, 2, True, True),), ())))


@pytest.mark.parametrize("command", [NESTED, Put(b"", b""), Compact(7), Grant(5, -3), Revoke(2**62), Txn(),
                                     Delete(b"Put", None), KeyValue(b"k", b"Compare", 1, 2, 3, 4)])
def test_commands_come_back(command: Any) -> None:
    body = encode(12, [command, command])
    assert b"\n" not in body
    assert decode(body) == (12, (command, command))


def test_a_record_is_whole_or_none() -> None:
    record = frame(encode(1, [NESTED]))
    assert unframe(b"xx" + record + b"yy", 2) == record[18:-1]
    assert all(unframe(record[:size], 0) is None for size in range(len(record)))
    for at in range(len(record)):
        for bit in range(8):
            flipped = record[:at] + bytes([record[at] ^ 1 << bit]) + record[at + 1:]
            assert unframe(flipped, 0) is None


def test_a_bad_record_before_good_ones_is_refused_and_the_last_one_is_not() -> None:
    records = [frame(encode(n, [Put(b"/k", b"%d" % n)])) for n in range(4)]
    data = b"".join(records)
    assert read_records(data, "x.log") == ([record[18:-1] for record in records], len(data))
    for index, start in enumerate([0, *(len(b"".join(records[:n])) for n in range(1, 4))]):
        broken = bytearray(data)
        broken[start + 30] ^= 4
        if index < 3:
            with pytest.raises(Damaged, match=rf"x\.log is damaged at byte {start}:"):
                read_records(bytes(broken), "x.log")
        else:
            assert read_records(bytes(broken), "x.log")[1] == start


def random_command(dice: random.Random) -> Any:
    key = b"/%d" % dice.randrange(12)
    rare = [Delete(key), Delete(b"/1", b"/3"), Grant(dice.randrange(2, 100)), Revoke(dice.randrange(1, 8)),
            Put(key, b"leased", lease=dice.randrange(1, 8)), Compact(dice.randrange(1, 60)),
            Txn((Compare(key, "version", ">", 1),), (Put(key, b"yes"), Delete(b"/99")), (Put(b"/0", b"no"),))]
    return dice.choice([*rare, *[Put(key, b"%d" % dice.randrange(100))] * 5])


def do(store: Store, command: Any) -> Any:
    try:
        return store.apply(command)
    except StoreError as error:
        return str(error)


def inside(store: Store) -> Any:
    """All that decides what a store answers."""
    versions = {key: tuple(found) for key, found in store._versions.items()}
    return (store.revision, store.compacted, dict(store._live), list(store._live_keys.between(b"", b"\x00")), versions,
            list(store._all_keys.between(b"", b"\x00")), store._history.first, list(store._history.changes),
            dict(store.leases.ttls), store.leases.last, {id: store.leases.keys(id) for id in store.leases.ttls})


@pytest.mark.parametrize("seed", range(40))
def test_a_store_comes_back_from_its_rows(seed: int) -> None:
    dice, store = random.Random(seed), Store()
    for _ in range(dice.randrange(120)):
        do(store, random_command(dice))
    rows = [decode(encode(row))[0] for row in store.dump()]
    again = Store.load(iter(rows))
    assert inside(again) == inside(store)
    for _ in range(30):
        command = random_command(dice)
        assert do(store, command) == do(again, command)
    assert inside(again) == inside(store)
