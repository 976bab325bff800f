"""Checks for the exercises of "How does a new version get in without anybody noticing?"."""

from __future__ import annotations

from bookkit.exercises import Answer, exercise


@exercise
def least_serving(answer: Answer) -> None:
    answer(4, 1).gives(3, hint="One of four may be missing.")
    answer(4, "25%").gives(3, hint="A quarter of four is one.")
    answer(3, "25%").gives(3, hint="A quarter of three is not a whole pod: it is rounded down, so none may be missing.")
    answer(10, "33%").gives(7, hint="3.3 pods, rounded down, may be missing.")
    answer(2, 5).gives(0, hint="Nobody can be asked to have fewer than none.")
    answer(0, "100%").gives(0, hint="None is wanted.")


@exercise
def revisions(answer: Answer) -> None:
    answer("a").gives([1], hint="The first version.")
    answer("ab").gives([1, 2], hint="Two versions.")
    answer("aba").gives([2, 3], hint="The first template is back: its ReplicaSet has the number 3 now, and 1 is gone.")
    answer("aab").gives([1, 2], hint="The same template again is no new version.")
    answer("abab").gives([3, 4], hint="Back, and forth again: two ReplicaSets, and the two highest numbers.")
    answer("").gives([], hint="Nothing was ever rolled out.")


@exercise
def is_stuck(answer: Answer) -> None:
    answer([(0, 0)], 10).gives(False, hint="It has only begun.")
    answer([(0, 0), (10, 0)], 10).gives(False, hint="Ten seconds are not more than ten.")
    answer([(0, 0), (11, 0)], 10).gives(True, hint="Eleven seconds without a step forward.")
    answer([(0, 0), (8, 1), (16, 1)], 10).gives(False, hint="A step forward starts the time anew: only eight seconds have passed since.")
    answer([(0, 0), (8, 1), (19, 1)], 10).gives(True, hint="Eleven seconds since the last step forward.")
    answer([(0, 2), (8, 1), (16, 1)], 10).gives(True, hint="A pod that fell over is no step forward.")
    answer([(0, 2), (5, 1), (9, 2), (16, 2)], 10).gives(False, hint="One came back at nine: that is a step forward, too.")
