"""A few rounds of kill -9; `make faults` does a thousand."""
from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tinykube.store import Store

from tests.faults.killed import Wrong, check

ROOT = Path(__file__).resolve().parents[2]


def test_killed_fifteen_times() -> None:
    done = subprocess.run([sys.executable, "-m", "tests.faults.killed", "--rounds", "15", "--seed", "4"], cwd=ROOT,
                          capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    met = re.search(r"'rounds': 15, 'acknowledged': (\d+)", done.stdout)
    assert met
    assert int(met[1]) > 50


def told(key: str, value: str, revision: int) -> list[object]:
    return [[0, key, ["put", value]], [0, None, revision]]


def test_the_harness_finds_what_is_lost_and_what_is_half() -> None:
    store = Store()
    store.put(b"/a", b"1")
    assert check(store, told("/a", "1", 2), {}) == {"/a": "1"}
    with pytest.raises(Wrong, match="was acknowledged at revision 3"):
        check(store, [*told("/a", "1", 2), *told("/a", "2", 3)], {})
    with pytest.raises(Wrong, match="no order explains"):
        check(store, told("/a", "1", 2), {"/b": "gone"})
    with pytest.raises(Wrong, match="the child failed: Damaged"):
        check(store, [{"fault": "Damaged()"}], {})
    store.put(b"/pair/1", b"x")
    with pytest.raises(Wrong, match="half of a transaction"):
        check(store, [], {"/a": "1"})
