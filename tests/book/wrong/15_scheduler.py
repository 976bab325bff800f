"""Answers that people would give to the exercises of "Where should this pod run?", and what they should be told."""

from __future__ import annotations

from typing import Any

from bookkit.exercises import wrong

Pod = dict[str, Any]
TAKEN = ["node(s) didn't have free ports for the requested pod ports"]


def ports(pod: Pod) -> list[dict[str, Any]]:
    return [port for container in pod["spec"]["containers"] for port in container["ports"]]


@wrong("ports_free", says="Only hostPort is the node's")
def every_port(pod: Pod, there: list[Pod]) -> list[str]:
    def mine(port: dict[str, Any]) -> set[int]:
        return {port["containerPort"], port.get("hostPort", 0)} - {0}
    wanted = set().union(*map(mine, ports(pod)))
    return TAKEN if any(wanted & mine(port) for each in there for port in ports(each)) else []


@wrong("ports_free", says="takes nothing of the node")
def none_is_equal_to_none(pod: Pod, there: list[Pod]) -> list[str]:
    wanted = {(port.get("hostPort"), port.get("protocol", "TCP")) for port in ports(pod)}
    taken = {(port.get("hostPort"), port.get("protocol", "TCP")) for each in there for port in ports(each)}
    return TAKEN if wanted & taken else []


@wrong("ports_free", says="two ports")
def without_protocol(pod: Pod, there: list[Pod]) -> list[str]:
    wanted = {port["hostPort"] for port in ports(pod) if "hostPort" in port}
    return TAKEN if any(port.get("hostPort") in wanted for each in there for port in ports(each)) else []


@wrong("most_allocated", says="half of the node is promised")
def the_emptier_the_better(requested: int, wanted: int, allocatable: int) -> float:
    return 100 * (allocatable - requested) / allocatable if allocatable else 0


@wrong("most_allocated", says="what this pod would add")
def the_pod_alone(requested: int, wanted: int, allocatable: int) -> float:
    return min(100, 100 * max(requested * 2, wanted) / allocatable) if allocatable else 0


@wrong("most_allocated", says="no ZeroDivisionError")
def divides_by_zero(requested: int, wanted: int, allocatable: int) -> float:
    return 100 * (requested + wanted) / allocatable


def memory(pod: Pod) -> int:
    return int(pod["spec"]["containers"][0]["resources"]["requests"]["memory"].removesuffix("Mi"))


@wrong("promised", says="One of these pods has ended")
def counts_the_finished(pods: list[Pod], node: str) -> int:
    return sum(memory(pod) for pod in pods if pod["spec"].get("nodeName") == node)


@wrong("promised", says="promised all the same")
def counts_the_running(pods: list[Pod], node: str) -> int:
    return sum(memory(pod) for pod in pods if pod["spec"].get("nodeName") == node and pod["status"]["phase"] == "Running")


@wrong("promised", says="on another node")
def counts_everywhere(pods: list[Pod], node: str) -> int:
    return sum(memory(pod) for pod in pods if pod["status"]["phase"] not in ("Succeeded", "Failed"))
