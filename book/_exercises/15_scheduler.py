"""Checks for the exercises of "Where should this pod run?"."""

from __future__ import annotations

from typing import Any

from bookkit.exercises import Answer, exercise

TAKEN = ["node(s) didn't have free ports for the requested pod ports"]


def pod(*containers: list[dict[str, Any]]) -> dict[str, Any]:
    """A pod whose containers have these ports."""
    return {"spec": {"containers": [{"name": f"c{n}", "ports": ports} for n, ports in enumerate(containers)]}}


def asking(memory: int, node: str | None = "ant", phase: str = "Running") -> dict[str, Any]:
    """A pod that asks for so many MiB."""
    spec: dict[str, Any] = {"containers": [{"resources": {"requests": {"memory": f"{memory}Mi"}}}]}
    return {"spec": spec | ({"nodeName": node} if node else {}), "status": {"phase": phase}}


@exercise
def ports_free(answer: Answer) -> None:
    web = pod([{"containerPort": 80, "hostPort": 8080}])
    answer(web, []).gives([], hint="An empty node has all its ports. A filter that lets pass returns an empty list.")
    answer(web, [pod([{"containerPort": 99, "hostPort": 8080}])]).gives(
        TAKEN, hint="Both want port 8080 of the node; what they call it inside is their own business.")
    answer(web, [pod([{"containerPort": 80, "hostPort": 9090}])]).gives(
        [], hint="Two pods may both listen on 80 inside: each has an address of its own. Only hostPort is the node's.")
    answer(web, [pod([], [{"containerPort": 1, "hostPort": 8080}])]).gives(
        TAKEN, hint="The port is taken by the second container of the pod that is there.")
    answer(pod([{"containerPort": 80}]), [pod([{"containerPort": 81}])]).gives(
        [], hint="A port without hostPort takes nothing of the node.")
    answer(web, [pod([{"containerPort": 80, "hostPort": 8080, "protocol": "UDP"}])]).gives(
        [], hint="8080 of UDP and 8080 of TCP are two ports. Without `protocol`, it is TCP.")
    answer(web, [web, web]).gives(TAKEN, hint="One reason is enough, however many have the port.")


@exercise
def most_allocated(answer: Answer) -> None:
    answer(0, 512, 1024).gives(50, hint="With the pod on it, half of the node is promised.")
    answer(512, 512, 1024).gives(100, hint="Filled to the last byte is what a packer likes best.")
    answer(1024, 512, 4096).gives(37.5, hint="Count what is promised already *and* what this pod would add.")
    answer(0, 0, 1024).gives(0, hint="An empty node and a pod that asks for nothing: nothing is promised.")
    answer(0, 512, 0).gives(0, hint="A node that offers nothing gets no points, and no ZeroDivisionError.")


@exercise
def promised(answer: Answer) -> None:
    answer([asking(100), asking(28)], "ant").gives(128, hint="Two pods run there; their requests add up.")
    answer([asking(100), asking(28, "bee")], "ant").gives(100, hint="One of these two is on another node.")
    answer([asking(100), asking(28, phase="Succeeded")], "ant").gives(
        100, hint="One of these pods has ended. It keeps its name, and gives back its memory.")
    answer([asking(100), asking(28, phase="Failed")], "ant").gives(100, hint="Failed is an end, too.")
    answer([asking(100), asking(28, phase="Pending")], "ant").gives(
        128, hint="Bound, and not started yet: its memory is promised all the same.")
    answer([asking(100, None, "Pending")], "ant").gives(0, hint="A pod without a node has been promised nothing.")
    answer([], "ant").gives(0, hint="No pods, nothing promised.")
