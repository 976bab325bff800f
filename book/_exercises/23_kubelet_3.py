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


@exercise
def cpus_used(answer: Answer) -> None:
    answer((100, 5), (110, 10)).gives(0.5, hint="Five seconds of CPU time in ten seconds: half a CPU.")
    answer((100, 5), (110, 35)).gives(3.0, hint="Several CPUs may work for one container.")
    answer((100, 5), (110, 5)).gives(0.0, hint="It slept: that is known, and it is none.")
    answer((100, 5), (100, 6)).gives(None, hint="No time has passed, so there is nothing to divide by.")
    answer((100, 5), (110, 1)).gives(None, hint="A counter that has fallen is that of another start: nothing can be said.")


@exercise
def first_to_go(answer: Answer) -> None:
    def pod(name: str, priority: int, asked: int, used: int) -> dict[str, object]:
        return {"name": name, "priority": priority, "asked": asked, "used": used}
    answer([pod("a", 0, 0, 5)]).gives("a", hint="There is one only.")
    answer([pod("a", 0, 10, 9), pod("b", 0, 0, 1)]).gives("b", hint="b uses more than it asked for, a does not, although it uses more.")
    answer([pod("a", 5, 0, 9), pod("b", 0, 10, 9)]).gives(
        "a", hint="Who keeps to what it asked for stays longer than one that does not, whatever their priorities.")
    answer([pod("a", 5, 0, 9), pod("b", 0, 0, 1)]).gives("b", hint="Both use too much: the lower priority goes first.")
    answer([pod("a", 0, 8, 9), pod("b", 0, 0, 5)]).gives("b", hint="Beyond what it asked for, b uses 5 and a only 1.")
    answer([pod("a", 0, 9, 9), pod("b", 0, 9, 3)]).gives("a", hint="Neither uses too much, and a is nearer to it.")
