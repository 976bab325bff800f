"""Checks for the exercises of "The ship of Theseus"."""

from __future__ import annotations

from bookkit.exercises import Answer, exercise


def one_letter(ships: list[str]) -> bool:
    """Whether each differs from the one before in exactly one letter."""
    return all(sum(a != b for a, b in zip(one, two, strict=True)) == 1 for one, two in zip(ships, ships[1:], strict=False))


@exercise
def route(answer: Answer) -> None:
    answer(1).gives(["T", "G"], hint="One seat: two ships, the tiny one first.")
    for seats in (2, 4):
        answer(seats).satisfies(lambda ships, n=seats: ships[0] == "T" * n, f"{'T' * seats} first",
                                hint="The voyage begins with the ship that is tiny altogether.")
        answer(seats).satisfies(lambda ships, n=seats: len(ships) == len(set(ships)) == 2 ** n,
                                f"{2 ** seats} different ships", hint="Each ship once, and none left out.")
        answer(seats).satisfies(one_letter, "one swap from each to the next",
                                hint="Somewhere more than one letter changes at once. Reverse the second half.")


@exercise
def writes_needed(answer: Answer) -> None:
    answer(500, 1).gives(499, hint="The key itself takes the next number: after 499 writes the store is at 500, and the "
                                   "key gets 501.")
    answer(7, 6).gives(1, hint="At 6, the first key would get 7, which the old store has given away.")
    answer(7, 7).gives(0, hint="At 7 the first key gets 8: larger than all that the old store gave.")
    answer(3, 9).gives(0, hint="The new store is far ahead. There is no such thing as fewer than no writes.")


@exercise
def leader(answer: Answer) -> None:
    lease = {"holder": "old", "renewed": 100, "seconds": 15}
    answer(lease, 110, ["new"]).gives("old", hint="The Lease is good until 115.")
    answer(lease, 116, ["new", "newer"]).gives("new", hint="It was not renewed by 115: the first who waits may take it.")
    answer({**lease, "holder": ""}, 101, ["new"]).gives("new", hint="It was given back: nobody has to wait for its end.")
    answer(lease, 116, []).gives(None, hint="It has run out, and nobody stands by.")
    answer(lease, 110, []).gives("old", hint="Nobody stands by, but the holder is still there.")
