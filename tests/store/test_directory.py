"""The log on the disk of this machine."""
from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tinykube.machinery.clock import SystemClock
from tinykube.machinery.eventlog import EventLog
from tinykube.store import Damaged, Put
from tinykube.store import directory as directory_module
from tinykube.store import log as log_module
from tinykube.store.directory import Directory, open_storage

from tests.store.test_records import inside

LOG = "0000000000000000.log"


async def test_what_was_written_is_there_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "SMALLEST", 3000)
    storage = open_storage(tmp_path / "deep" / "store", SystemClock(), EventLog())
    await asyncio.gather(*(storage.txn((), [Put(b"/%d" % n, bytes(range(256)))]) for n in range(100)))
    await asyncio.gather(*(storage.txn((), [Put(b"/%d" % n, b"x")]) for n in range(100)))
    await storage.aclose()
    again = open_storage(tmp_path / "deep" / "store", SystemClock(), EventLog())
    assert inside(again.store) == inside(storage.store)
    await again.aclose()
    assert {each.suffix for each in (tmp_path / "deep" / "store").iterdir()} == {"", ".log", ".image"}


def test_a_second_process_is_refused_in_a_sentence(tmp_path: Path) -> None:
    disk = Directory(tmp_path)
    program = f"from pathlib import Path; from tinykube.store.directory import Directory; Directory(Path({str(tmp_path)!r}))"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert f"OSError: {tmp_path} is the store of another process that runs" in other.stderr
    disk.close()
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0


async def test_a_torn_end_is_cut_with_a_note_and_damage_is_refused(tmp_path: Path) -> None:
    storage = open_storage(tmp_path, SystemClock(), EventLog())
    for number in range(5):
        await storage.txn((), [Put(b"/a", b"%d" % number)])
    await storage.aclose()
    whole = (tmp_path / LOG).read_bytes()
    (tmp_path / LOG).write_bytes(whole + b"00000123 12345678 [5,[[\"Pu")
    events = EventLog()
    again = open_storage(tmp_path, SystemClock(), events)
    assert (again.store.revision, (tmp_path / LOG).read_bytes()) == (6, whole)
    assert [(r["component"], r["verb"], r["file"], r["at"]) for r in events.records] == [("store", "cut", LOG, len(whole))]
    await again.aclose()
    (tmp_path / LOG).write_bytes(whole[:40] + b"!" + whole[41:])
    with pytest.raises(Damaged, match=f"{LOG} is damaged at byte 0"):
        open_storage(tmp_path, SystemClock(), events)
    Directory(tmp_path).close()                            # nothing holds it


def test_a_draft_of_an_image_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "draft").write_bytes(b"half")
    disk = Directory(tmp_path)
    assert disk.names() == []
    disk.replace("0000000000000001.image", [b"a", b"b"])
    assert disk.read("0000000000000001.image") == b"ab"
    disk.append("x.log", b"12345")
    disk.cut("x.log", 2)
    disk.append("x.log", b"6", sync=False)
    assert disk.read("x.log") == b"126"
    disk.remove("x.log")
    assert disk.names() == ["0000000000000001.image"]
    disk.close()


def test_some_space_is_held_back_and_a_draft_that_did_not_fit_is_removed(tmp_path: Path) -> None:
    disk = Directory(tmp_path)
    disk.hold()
    assert (tmp_path / "reserve").stat().st_size == directory_module.RESERVE
    assert disk.names() == []
    disk.release()
    disk.release()

    def parts() -> Iterator[bytes]:
        yield b"some"
        raise OSError(28, "No space left on device")
    with pytest.raises(OSError, match="No space"):
        disk.replace("0000000000000001.image", parts())
    assert [each.name for each in tmp_path.iterdir()] == ["lock"]
    disk.close()
