"""Checks for the exercises of the chapter on etcd's own words."""

from __future__ import annotations

from bookkit.exercises import Answer, exercise

STORE = {2: [b"/p/a", b"/p/b", b"/p/b\x00", b"/p/c", b"/p/d"], 3: [b"/p/a", b"/p/b", b"/p/b\x00", b"/p/c", b"/p/c1", b"/p/d"]}


class Pages:
    """A store that gets one more key after its first page was read."""

    def __init__(self) -> None:
        self.now, self.calls = 2, 0

    def __call__(self, key: bytes, end: bytes, limit: int, revision: int) -> tuple[list[bytes], int, int]:
        self.calls += 1
        if self.calls > 20:
            raise RuntimeError(f"ask was called 20 times for {len(STORE[2])} keys, this time for {key!r}")
        seen, self.now = revision or self.now, 3
        keys = [each for each in STORE[seen] if key <= each < end]
        return keys[:limit], len(keys), 2 if seen == 2 and not revision else 3

    def __repr__(self) -> str:
        return "ask"


@exercise
def fields(answer: Answer) -> None:
    """A message taken apart."""
    answer(b"").gives([], hint="A message without fields is no bytes at all.")
    answer(b"\x18\x02").gives([(3, 2)], hint="0x18 is 3 << 3 | 0: field 3, a number.")
    answer(b"\x0a\x02hi").gives([(1, b"hi")], hint="0x0a is 1 << 3 | 2: field 1, and a length comes before its bytes.")
    answer(b"\x0a\x00\x18\x05").gives([(1, b""), (3, 5)], hint="A length may be 0.")
    answer(b"\x18\xac\x02").gives([(3, 300)], hint="A byte with its eighth bit set is not the last one of its number; the lowest "
                                                   "seven bits come first.")
    answer(b"\x0a\xc8\x01" + b"x" * 200).gives([(1, b"x" * 200)], hint="A length of more than 127 takes two bytes.")
    answer(b"\x82\x04\x01y").gives([(64, b"y")], hint="The number in front is a varint, too: field 64 takes two bytes.")
    answer(b"\x18\x01\x18\x02").gives([(3, 1), (3, 2)], hint="The same field may come again: that is how lists are written.")


@exercise
def everything(answer: Answer) -> None:
    """A list in pages."""
    answer(Pages(), b"/p/", b"/p0", 10).gives(STORE[2], hint="All of it may fit on the first page.")
    answer(Pages(), b"/p/", b"/p0", 2).gives(STORE[2], hint="The next page begins right after the last key: the key itself and a zero "
                                             "byte. And each page has to be of the same revision, that of the first one.")
    answer(Pages(), b"/p/", b"/p0", 1).gives(STORE[2], hint="With pages of one key it ends as well.")
    answer(Pages(), b"/q/", b"/q0", 2).gives([], hint="There may be nothing.")


@exercise
def resume(answer: Answer) -> None:
    """Where a watch goes on."""
    answer(5, []).gives(5, hint="Nothing came: it begins where it would have begun.")
    answer(5, [(7, [5, 7])]).gives(8, hint="After the last event that was told.")
    answer(5, [(5000, [6, 9])]).gives(10, hint="An etcd that is catching up has a header far ahead of what it has told: events count.")
    answer(5, [(7, [7]), (40, [])]).gives(41, hint="An answer without events says: up to here, that was all.")
    answer(9, [(4, [])]).gives(9, hint="A watch that begins in the future does not go back.")
