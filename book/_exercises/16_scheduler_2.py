"""Checks for the exercises of "Who has to go?"."""

from __future__ import annotations

from typing import Any

from bookkit.exercises import Answer, exercise
from tinykube.scheduler.nodeinfo import NodeInfo, PodInfo

FIGHT = ["node(s) had a pod of the same team"]


def pod(name: str, **labels: str) -> PodInfo:
    """A pod with some labels."""
    return PodInfo.of({"metadata": {"name": name, "uid": name, "labels": labels}, "spec": {"containers": [{"name": "main"}]}})


def node(*pods: PodInfo) -> NodeInfo:
    """A node with some pods."""
    info = NodeInfo.of({"metadata": {"name": "ant"}, "spec": {}})
    for each in pods:
        info.add(each)
    return info


@exercise
def may_go(answer: Answer) -> None:
    answer({"a": 1, "b": 1}, "a", 1).gives(True, hint="From even, one more is a skew of 1.")
    answer({"a": 2, "b": 1}, "a", 1).gives(False, hint="Zone a would have 3 and zone b 1: that is a skew of 2.")
    answer({"a": 1, "b": 1, "c": 0}, "b", 1).gives(False, hint="The emptiest zone counts, wherever it is.")
    answer({"a": 2, "b": 0}, "b", 1).gives(True, hint="Going to the emptiest zone makes nothing worse, however uneven it is.")
    answer({"a": 3, "b": 1}, "a", 3).gives(True, hint="A skew of exactly `most` is allowed.")
    answer({"a": 7}, "a", 1).gives(True, hint="With one zone it is the emptiest and the fullest at once.")


@exercise
def victims(answer: Answer) -> None:
    there: list[Any] = [("a", 10, 2), ("b", 10, 1), ("c", 100, 1)]
    answer(there, 0, 1000, 2).gives(["a"], hint="c comes back first, then a can't, then b can: only a has to go.")
    answer(there, 0, 1000, 9).gives(None, hint="The whole node has 4.")
    answer(there, 0, 10, 2).gives(None, hint="Nobody there is less important than this pod.")
    answer([("a", 10, 2), ("c", 100, 4)], 0, 50, 2).gives(["a"], hint="c is more important, and stays.")
    answer([("a", 1, 1), ("b", 5, 1)], 1, 9, 2).gives(["a"], hint="What is free counts, too: one of the two may stay, and it is b.")
    answer([("a", 1, 1), ("b", 5, 1)], 0, 9, 2).gives(["b", "a"], hint="Both go; the more important one is named first.")
    answer([("a", 1, 1)], 2, 9, 2).gives([], hint="It fits already: everybody may come back.")


@exercise
def one_of_a_team(answer: Answer) -> None:
    answer(pod("new", team="red"), node()).gives([], hint="An empty node suits everybody.")
    answer(pod("new", team="red"), node(pod("old", team="red"))).gives(FIGHT, hint="Both are of team red.")
    answer(pod("new", team="red"), node(pod("old", team="blue"))).gives([], hint="Two teams may share a machine.")
    answer(pod("new"), node(pod("old"))).gives([], hint="Pods without a team are no team: None is equal to None.")
    answer(pod("new", team="red"), node(pod("a"), pod("b", team="red"))).gives(FIGHT, hint="Look at all the pods that are there.")
