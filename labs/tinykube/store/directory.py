"""The disk that a log is written to: a directory of this machine, held by one process."""
from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

from tinykube.machinery.clock import Clock
from tinykube.machinery.eventlog import EventLog
from tinykube.store.durable import DurableStorage
from tinykube.store.log import Log

RESERVE = 1 << 20                                    # bytes that are held back for a full disk
sync_data = getattr(os, "fdatasync", os.fsync)        # macOS has no fdatasync


class Directory:
    """A directory as a Disk. Raises OSError if another process has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[str, int] = {}
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise OSError(f"{path} is the store of another process that runs: stop it first, or use another "
                          "directory") from None

    def names(self) -> list[str]:
        return [each.name for each in self.path.iterdir() if each.suffix in (".log", ".image")]

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def append(self, name: str, data: bytes, *, sync: bool = True) -> None:
        file = self._open(name)
        while data:
            data = data[os.write(file, data):]
        if sync:
            sync_data(file)

    def cut(self, name: str, size: int) -> None:
        os.ftruncate(self._open(name), size)
        os.fsync(self._open(name))

    def replace(self, name: str, parts: Iterable[bytes]) -> None:
        draft = self.path / "draft"
        try:
            with draft.open("wb") as file:
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(self.path / name)
        finally:
            draft.unlink(missing_ok=True)
        self._sync_names()

    def remove(self, name: str) -> None:
        if name in self._files:
            os.close(self._files.pop(name))
        (self.path / name).unlink()

    def hold(self) -> None:
        if not (self.path / "reserve").exists():
            self.replace("reserve", [bytes(RESERVE)])

    def release(self) -> None:
        (self.path / "reserve").unlink(missing_ok=True)

    def close(self) -> None:
        for file in (*self._files.values(), self._lock):
            os.close(file)

    def _open(self, name: str) -> int:
        if name not in self._files:
            self._files[name] = os.open(self.path / name, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._sync_names()
        return self._files[name]

    def _sync_names(self) -> None:
        names = os.open(self.path, os.O_RDONLY)
        os.fsync(names)
        os.close(names)


def open_storage(path: Path, clock: Clock, events: EventLog) -> DurableStorage:
    """The storage in a directory, as it was left. Raises Damaged, or OSError if another process has it."""
    disk = Directory(path)
    try:
        return DurableStorage(Log(disk, events.add), clock)
    except BaseException:
        disk.close()
        raise
