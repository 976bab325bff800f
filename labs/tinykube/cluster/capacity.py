"""What the nodes of a cluster offer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Capacity = str | Mapping[str, str]
DEFAULT_CAPACITY = {"cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "20Gi"}


def node_capacities(nodes: int | Iterable[str] | Mapping[str, Capacity]) -> dict[str, dict[str, str]]:
    """What each node offers: from a number of nodes, their names, or names with memory (a str) or all amounts."""
    if isinstance(nodes, int):
        nodes = {f"node-{number}": {} for number in range(1, nodes + 1)}
    if not isinstance(nodes, Mapping):
        nodes = {name: {} for name in nodes}
    return {name: DEFAULT_CAPACITY | ({"memory": given} if isinstance(given, str) else dict(given))
            for name, given in nodes.items()}
