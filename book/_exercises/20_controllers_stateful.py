"""Checks for the exercises of "What if the copies are not alike?"."""

from __future__ import annotations

from typing import Any

from bookkit.exercises import Answer, exercise


def node(name: str, *taints: str, **labels: str) -> dict[str, Any]:
    """A node on paper."""
    return {"name": name, "labels": labels, "taints": list(taints)}


@exercise
def daemons_on(answer: Answer) -> None:
    answer([node("bee"), node("ant")], {}).gives(["ant", "bee"], hint="Nothing is asked for, so every node fits. Sorted, please.")
    answer([node("ant", disk="ssd"), node("bee")], {"disk": "ssd"}).gives(["ant"], hint="The other has no such label.")
    answer([node("ant", disk="ssd", zone="a")], {"disk": "ssd"}).gives(["ant"], hint="A node may have more labels than are asked for.")
    answer([node("ant", "NoSchedule"), node("bee", "NoExecute")], {}).gives([], hint="Both effects keep new pods away.")
    answer([node("ant", "PreferNoSchedule")], {}).gives(["ant"], hint="PreferNoSchedule is a wish and not a wall.")
    answer([], {"disk": "ssd"}).gives([], hint="No nodes, no daemons.")


@exercise
def next_step(answer: Answer) -> None:
    answer(3, {}).gives(("create", 0), hint="None is there: begin with the first.")
    answer(3, {0: False}).gives(None, hint="The first is not ready: the second waits for it.")
    answer(3, {0: True}).gives(("create", 1), hint="The first is ready, the second is missing.")
    answer(3, {0: True, 2: True}).gives(("create", 1), hint="A gap in the middle is filled.")
    answer(1, {0: True, 1: True, 2: True}).gives(("delete", 2), hint="Two are too many, and the highest goes first.")
    answer(2, {0: True, 1: False, 2: True}).gives(None, hint="One of those wanted is not ready: nothing is ended before it is.")
    answer(2, {0: True, 1: True}).gives(None, hint="All is as it should be.")
    answer(0, {0: True}).gives(("delete", 0), hint="None is wanted.")


@exercise
def wanted_replicas(answer: Answer) -> None:
    answer([900, 700], 400).gives(4, hint="Twice the usage needs twice the pods.")
    answer([400, 400], 400).gives(2, hint="All is as it should be.")
    answer([420, 420], 400).gives(2, hint="Five percent are within a tenth: nothing changes.")
    answer([500, 500, 500, 300], 400).gives(5, hint="Four and a half pods would do: rounded up, that is five.")
    answer([50, 50], 400).gives(1, hint="A quarter of a pod would do: rounded up, that is one.")
    answer([700, 100], 400).gives(2, hint="The average counts, and not the busiest pod.")


@exercise
def due(answer: Answer) -> None:
    answer([3, 27, 51], 3, 20).gives(None, hint="The next time is still to come.")
    answer([3, 27, 51], 3, 27).gives(27, hint="It is time now.")
    answer([3, 27, 51], 3, 60).gives(51, hint="Two were missed: only the last is made up for.")
    answer([3, 27, 51], 27, 40).gives(None, hint="The Job of 27 has begun already.")
    answer([], 0, 99).gives(None, hint="A schedule without times is never due.")
