"""Checks for the exercises of "What does a node decide by itself?"."""

from __future__ import annotations

from bookkit.exercises import Answer, exercise


@exercise
def end_and_start(answer: Answer) -> None:
    answer({}, {}).gives(([], []), hint="Two lists, both empty: there is nothing to do.")
    answer({"web": "a"}, {}).gives(([], ["web"]), hint="A file whose pod does not run: start it.")
    answer({}, {"web": "a"}).gives((["web"], []), hint="A pod whose file is gone: end it.")
    answer({"web": "a"}, {"web": "a"}).gives(([], []), hint="It runs as its file says.")
    answer({"web": "b"}, {"web": "a"}).gives((["web"], []), hint="The content changed: the old one has to end before the new one starts.")
    answer({"b": "1", "a": "2"}, {"d": "3", "c": "4"}).gives((["c", "d"], ["a", "b"]), hint="Both lists are sorted.")
