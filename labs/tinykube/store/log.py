"""The log: commands on a disk, in order, before anybody is told that they are done. And images, so that it ends.

Genuine counterpart: etcd's wal and snap directories.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Protocol

from tinykube.store.model import Command, StoreError
from tinykube.store.mvcc import Store
from tinykube.store.records import Damaged, decode, encode, frame, read_records

SMALLEST = 16 << 20               # bytes of log before an image is made; then twice the size of the last image


class Disk(Protocol):
    """One directory, as a log needs it. Each call blocks until it is done; those that fail raise OSError."""

    def names(self) -> list[str]:
        """The files that there are."""

    def read(self, name: str) -> bytes:
        """All of a file."""

    def append(self, name: str, data: bytes, *, sync: bool = True) -> None:
        """Add to the end of a file, made if need be; with `sync`, it is on the disk when this returns."""

    def cut(self, name: str, size: int) -> None:
        """Leave the first `size` bytes of a file."""

    def replace(self, name: str, parts: Iterable[bytes]) -> None:
        """Write a whole file: afterwards it is there with all its parts, or, after a crash, not there."""

    def remove(self, name: str) -> None:
        """Remove a file."""

    def hold(self) -> None:
        """Hold some space back, for what has to be written when the disk is full."""

    def release(self) -> None:
        """Give up what was held back."""

    def close(self) -> None:
        """Let go of all files."""


class Log:
    """Batches of commands on a disk. `note` is told what a person should hear about it."""

    def __init__(self, disk: Disk, note: Callable[..., object] = lambda *_, **__: None) -> None:
        self.disk, self.note = disk, note
        self.next = 0                                 # the number of the next batch
        self._name, self._size, self._image = "", 0, 0
        self._dirty = False                           # there may be half a record at the end of the file
        self.full = True                              # the disk is: no space is held back

    def recover(self) -> Store:
        """The store as it was: the last image, and what the log says happened since. Raises Damaged."""
        names = sorted(self.disk.names())
        image = max((name for name in names if name.endswith(".image")), default="")
        store = self._load(image) if image else Store()
        self.next = int(image[:16] or "0", 16)
        logs = [name for name in names if name.endswith(".log") and name[:16] >= image[:16]]
        if image and f"{image[:16]}.log" not in logs:
            raise Damaged(f"{image[:16]}.log is missing: what was written after {image} is not there.")
        for name in logs:
            self._replay(store, name, last=name == logs[-1])
        if logs:
            self._forget(image[:16])
        else:
            self.rotate()
        with suppress(OSError):
            self.reclaim()
        return store

    def give_way(self) -> bool:
        """The disk is full: give up the space that was held back for that. False if that was done before."""
        if self.full:
            return False
        self.disk.release()
        self.full = True
        return True

    def reclaim(self) -> None:
        """Hold space back again. Raises OSError while there is none."""
        self.disk.hold()
        self.full = False

    def append(self, commands: Sequence[Command]) -> None:
        """Put a batch on the disk: when this returns, it is there. Raises OSError, and the log is as it was."""
        if not commands:
            return
        self._clean()
        record = frame(encode(self.next, commands))
        self._dirty = True
        self.disk.append(self._name, record)
        self._size += len(record)
        self.next += 1
        with suppress(OSError):                       # it only tells a cut record from a damaged one
            mark = frame(encode(self.next - 1))
            self.disk.append(self._name, mark, sync=False)
            self._size += len(mark)
            self._dirty = False

    @property
    def due(self) -> bool:
        """Whether the log is long enough for an image."""
        return self._size > max(SMALLEST, 2 * self._image)

    def save(self, store: Store) -> None:
        """Make an image of the store, and forget the log before it. Without space for one, the log goes on."""
        self.give_way()                               # until the next batch
        try:
            self.rotate()
            parts = [frame(encode(row)) for row in store.dump()]
            self.disk.replace(f"{self.next:016x}.image", parts)
            self._image = sum(map(len, parts))
            self._forget(f"{self.next:016x}")
        except OSError as error:
            self.note("store", "no image", error=str(error))

    def rotate(self) -> None:
        """Go on in a new file."""
        self._clean()
        name = f"{self.next:016x}.log"
        for each in filter(None, (self._name, name)):     # the last mark has to be there before a new file is
            self.disk.append(each, b"")
        self._name, self._size = name, 0

    def _load(self, name: str) -> Store:
        data = self.disk.read(name)
        bodies, self._image = read_records(data, name)
        if self._image < len(data):
            raise Damaged(f"{name} is damaged at byte {self._image}. Restore this directory from a copy.")
        return Store.load(decode(body)[0] for body in bodies)

    def _replay(self, store: Store, name: str, *, last: bool) -> None:
        data = self.disk.read(name)
        bodies, end = read_records(data, name)
        for body in bodies:
            number, *batches = decode(body)
            if number != self.next - (not batches):
                raise Damaged(f"{name} has batch {number} where {self.next} should be: a file before it is missing.")
            for command in batches[0] if batches else ():
                with suppress(StoreError):            # it was refused then, it is refused now
                    store.apply(command)
            self.next += len(batches)
        if end < len(data):
            if not last:
                raise Damaged(f"{name} ends at byte {end} in the middle of a record, and there is a file after it.")
            self.note("store", "cut", file=name, at=end, bytes=len(data) - end)
            self.disk.cut(name, end)
        self._name, self._size = name, end

    def _clean(self) -> None:
        if self._dirty:
            self.disk.cut(self._name, self._size)
            self._dirty = False

    def _forget(self, before: str) -> None:
        for name in self.disk.names():
            if name[:16] < before:
                self.disk.remove(name)
