"""Starts all of it: in one event loop, or one process a seat. Seat of kind and kubeadm."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinykube.cluster.blocking import Background as Background
    from tinykube.cluster.blocking import background as background
    from tinykube.cluster.cluster import Cluster as Cluster

HOMES = {"Cluster": "cluster", "Background": "blocking", "background": "blocking"}


def __getattr__(name: str) -> Any:
    """Bring a class in when it is first asked for: the process of one seat does not need all the others."""
    if name not in HOMES:
        raise AttributeError(f"module 'tinykube.cluster' has no attribute {name!r}")
    return getattr(importlib.import_module(f"tinykube.cluster.{HOMES[name]}"), name)
