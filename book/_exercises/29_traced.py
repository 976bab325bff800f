"""Checks for the exercises of "One apply, traced"."""

from __future__ import annotations

from bookkit.exercises import Answer, exercise

CREATED = [("deployments", "created"), ("replicasets", "created"), ("pods", "created")]


@exercise
def count_requests(answer: Answer) -> None:
    got, done = {"auditID": "a", "stage": "RequestReceived"}, {"auditID": "a", "stage": "ResponseComplete"}
    began, ended = {"auditID": "b", "stage": "ResponseStarted"}, {"auditID": "b", "stage": "ResponseComplete"}
    answer([]).gives(0, hint="No events, no requests.")
    answer([got, done]).gives(1, hint="Two stages of one request: they share an auditID.")
    answer([got, began, done, ended]).gives(2, hint="A watch has two stages or three, and is one request.")
    answer([{"auditID": "c", "stage": "RequestReceived"}]).gives(1, hint="It was received and not answered yet: it counts.")


@exercise
def missing(answer: Answer) -> None:
    answer(CREATED[:1]).gives("deployment-controller", hint="There is no ReplicaSet, and its controller writes it.")
    answer(CREATED[:2]).gives("replicaset-controller", hint="The ReplicaSet is there and has no pod.")
    answer(CREATED).gives("scheduler", hint="The pod has no node.")
    bound = [*CREATED, ("pods/binding", "bound")]
    answer(bound).gives("kubelet", hint="It has a node, and nobody has said that it runs.")
    answer([*bound, ("pods/status", "Pending")]).gives("kubelet", hint="Pending is a report, and not the one we wait for.")
    answer([*bound, ("pods/status", "Running")]).gives(None, hint="It is Running: nobody is missing.")


@exercise
def answers(answer: Answer) -> None:
    answer(5, [("update", 5)]).gives([200], hint="It has read the version that there is.")
    answer(5, [("update", 5), ("update", 5)]).gives([200, 409], hint="The first success has raised the version to 6.")
    answer(5, [("update", 5), ("patch", None)]).gives([200, 200], hint="A patch names no version: it is not refused.")
    answer(5, [("patch", None), ("update", 5)]).gives([200, 409], hint="A patch raises the version, too.")
    answer(5, [("update", 4), ("update", 5)]).gives([409, 200], hint="A refused request changes nothing, nor the version.")
