"""A set of keys that is always in order."""
from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from itertools import islice

from tinykube.store.model import END

LONGEST_RUN = 512


class SortedKeys:
    """Keys in order: a list of short sorted runs, which is a B-tree of two levels.

    Finding is a bisection. Adding shifts at most one run, however many keys there are.
    """

    def __init__(self) -> None:
        self._runs: list[list[bytes]] = [[]]
        self._firsts: list[bytes] = [b""]

    def __len__(self) -> int:
        return sum(map(len, self._runs))

    def add(self, key: bytes) -> None:
        """Put in a key that is not there yet."""
        index = self._run_of(key)
        run = self._runs[index]
        insort(run, key)
        if len(run) > LONGEST_RUN:
            half = len(run) // 2
            self._runs.insert(index + 1, run[half:])
            self._firsts.insert(index + 1, run[half])
            del run[half:]

    def remove(self, key: bytes) -> None:
        """Take out a key that is there."""
        index = self._run_of(key)
        run = self._runs[index]
        del run[bisect_left(run, key)]
        if not run and index:
            del self._runs[index], self._firsts[index]

    def between(self, key: bytes, range_end: bytes, limit: int | None = None) -> Iterator[bytes]:
        """The keys from `key` up to and without `range_end`, at most `limit` of them."""
        return islice(self._between(key, range_end), limit)

    def count(self, key: bytes, range_end: bytes) -> int:
        """How many keys there are from `key` up to and without `range_end`, without looking at each."""
        end = len(self) if range_end == END else self._rank(range_end)
        return max(0, end - self._rank(key))

    def _between(self, key: bytes, range_end: bytes) -> Iterator[bytes]:
        first = self._run_of(key)
        start = bisect_left(self._runs[first], key)
        for index in range(first, len(self._runs)):
            run = self._runs[index]
            stop = len(run) if range_end == END else bisect_left(run, range_end)
            yield from run[start:stop]
            if stop < len(run):
                return
            start = 0

    def _run_of(self, key: bytes) -> int:
        return bisect_right(self._firsts, key) - 1

    def _rank(self, key: bytes) -> int:
        index = self._run_of(key)
        return sum(map(len, self._runs[:index])) + bisect_left(self._runs[index], key)
