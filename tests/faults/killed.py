"""kill -9, again and again: a store under load is killed at a random moment, recovered, and asked what it remembers.

`python -m tests.faults.killed --rounds 1000`. Each round a child opens the store in one directory and serves eight
clients, which tell through a pipe what they call and what they are answered. The parent kills it, opens the store
itself, and checks: each acknowledged write is there at its revision, transactions are whole, and the history of all
clients together with what is there now is linearizable.
"""
from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tinykube.machinery.clock import SystemClock
from tinykube.machinery.eventlog import EventLog
from tinykube.store import Compare, Put, Store
from tinykube.store import log as log_module
from tinykube.store.directory import open_storage

from tests.faults.linearizable import UNKNOWN, Operation, wrong_keys

CLIENTS, KEYS = 8, [b"/a", b"/b", b"/c"]


class Wrong(Exception):
    """The store has broken its word."""


async def client(storage: Any, name: int, dice: random.Random, pipe: int) -> None:
    """Work without end, and tell of it."""
    for number in range(10**9):
        key, value = dice.choice(KEYS), f"{os.getpid()}.{name}.{number}"
        what = dice.choice([["put", value], ["put", value], ["get"], ["swap", "", value], ["pair", value]])
        if what[0] == "swap":
            found = (await storage.range(key)).kvs
            what[1] = found[0].value.decode() if found else None
        os.write(pipe, json.dumps([name, key.decode(), what]).encode() + b"\n")
        match what:
            case ["put", _]:
                told: Any = [None, (await storage.txn((), [Put(key, value.encode())])).revision]
            case ["pair", _]:
                operations = [Put(b"/pair/1", value.encode()), Put(b"/pair/2", value.encode())]
                told = [None, (await storage.txn((), operations)).revision]
            case ["swap", expected, _]:
                seen = Compare(key, "version", "==", 0) if expected is None \
                    else Compare(key, "value", "==", expected.encode())
                answer = await storage.txn([seen], [Put(key, value.encode())])
                told = [answer.succeeded, answer.revision]
            case _:
                kvs = (await storage.range(key)).kvs
                told = [kvs[0].value.decode() if kvs else None, 0]
        os.write(pipe, json.dumps([name, *told]).encode() + b"\n")
        if dice.random() < 0.2:
            await asyncio.sleep(0)


async def serve(path: Path, seed: int, pipe: int) -> None:
    """What the child does until it is killed."""
    log_module.SMALLEST = 20_000                           # images often, so that they are met, too
    storage = open_storage(path, SystemClock(), EventLog())
    if storage.store.revision - storage.store.compacted > 500:
        await storage.compact(storage.store.revision)
    await asyncio.gather(*(client(storage, n, random.Random(f"{seed}/{n}"), pipe) for n in range(CLIENTS)))


def run_and_kill(path: Path, seed: int, dice: random.Random) -> list[Any]:
    """Start a child, let it work for a moment, kill it. Returns the lines that it told."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            asyncio.run(serve(path, seed, writing))
        except BaseException as error:
            os.write(writing, json.dumps({"fault": repr(error)}).encode() + b"\n")
        os._exit(1)
    os.close(writing)
    data = b"" if dice.random() < 0.2 else os.read(reading, 1 << 16)     # most are killed at work, some at the start
    until = time.monotonic() + dice.choice([0.005, 0.03, 0.1]) * (1 + dice.random())
    while (left := until - time.monotonic()) > 0:
        if select.select([reading], [], [], left)[0]:
            if not (more := os.read(reading, 1 << 16)):
                break
            data += more
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(reading, 1 << 16):
        data += more
    os.close(reading)
    return [json.loads(line) for line in data.split(b"\n")[:-1]]


def history_of(lines: list[Any]) -> tuple[list[Operation], list[tuple[list[str], str, int]]]:
    """The operations that the lines tell of, and the acknowledged writes: keys, value, revision."""
    waiting: dict[int, tuple[int, str, Any]] = {}
    history, written = [], []
    for now, line in enumerate(lines):
        if isinstance(line, dict):
            raise Wrong(f"the child failed: {line['fault']}")
        name, second, third = line
        if name not in waiting:
            waiting[name] = now, second, third
            continue
        called, key, what = waiting.pop(name)
        keys = ["/pair/1", "/pair/2"] if what[0] == "pair" else [key]
        history += [Operation(each, as_known(what), called, now, second) for each in keys]
        if third and second is not False:
            written.append((keys, what[-1], third))
    end = len(lines)
    for called, key, what in waiting.values():
        keys = ["/pair/1", "/pair/2"] if what[0] == "pair" else [key]
        history += [Operation(each, as_known(what), called, end, UNKNOWN) for each in keys]
    return history, written


def as_known(what: list[Any]) -> tuple[Any, ...]:
    """A write of a pair is, for each of its keys, a put."""
    return ("put", what[1]) if what[0] == "pair" else tuple(what)


def check(store: Store, lines: list[Any], before: dict[Any, Any]) -> dict[Any, Any]:
    """Raise Wrong unless the store remembers what it must. Returns what is there now."""
    history, written = history_of(lines)
    for keys, value, revision in written:
        for key in keys:
            found = store.range(key.encode(), revision=revision).kvs if revision <= store.revision else []
            if not found or found[0].value.decode() != value or found[0].mod_revision != revision:
                raise Wrong(f"{key}={value} was acknowledged at revision {revision}, and is {found}")
    now = {kv.key.decode(): kv.value.decode() for kv in store.range(b"/", b"0").kvs}
    if now.get("/pair/1") != now.get("/pair/2"):
        raise Wrong(f"half of a transaction: {now}")
    for changes in store._history.changes:
        if len({event.kv.key.startswith(b"/pair") for event in changes}) != 1 or \
                (changes[0].kv.key.startswith(b"/pair") and len({event.kv.value for event in changes}) + len(changes) != 3):
            raise Wrong(f"half of a transaction in the past: {changes}")
    end = len(lines) + 1
    for key in {str(operation.key) for operation in history} | set(before):
        history.append(Operation(key, ("get",), end, end + 1, now.get(key)))
    if wrong := wrong_keys(history, before):
        raise Wrong(f"no order explains what the clients of {wrong} were told")
    return now


def rounds(count: int, seed: int, path: Path, *, say: Any = lambda text: None) -> dict[str, int]:
    """Kill `count` times. Returns what was met on the way. Raises Wrong."""
    dice, now, met = random.Random(seed), dict[Any, Any](), {"rounds": 0, "acknowledged": 0, "torn": 0, "images": 0}
    for number in range(count):
        lines = run_and_kill(path, seed * 1_000_003 + number, dice)
        events = EventLog()
        asyncio.run(look(path, events, lines, now, met))
        met["torn"] += sum(record["verb"] == "cut" for record in events.records)
        met["images"] += any(each.suffix == ".image" for each in path.iterdir())
        met["rounds"] += 1
        if number % 100 == 99:
            say(f"{number + 1} rounds: {met}")
    return met


async def look(path: Path, events: EventLog, lines: list[Any], now: dict[Any, Any], met: dict[str, int]) -> None:
    """Open the store that was killed, check it, close it."""
    storage = open_storage(path, SystemClock(), events)
    try:
        after = check(storage.store, lines, dict(now))
        now.clear()
        now.update(after)
        met["acknowledged"] += len(history_of(lines)[1])
    finally:
        await storage.aclose()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    path, began = Path(tempfile.mkdtemp(prefix="killed-")), time.monotonic()
    print(f"seed {arguments.seed}", flush=True)
    try:
        met = rounds(arguments.rounds, arguments.seed, path, say=lambda text: print(text, flush=True))
    except Exception as error:
        print(f"WRONG, see {path}: {type(error).__name__}: {error}")
        return 1
    shutil.rmtree(path)
    print(f"all kept, in {time.monotonic() - began:.0f} s: {met}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
