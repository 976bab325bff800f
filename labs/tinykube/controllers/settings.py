"""What the controllers of one cluster have to be told, and cannot find out by asking its api-server.

Genuine counterpart: the command line of kube-controller-manager.
"""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """What is handed in."""

    root_ca: str = ""                                                  # PEM: --root-ca-file
    cluster_cidr: str = "10.244.0.0/16"                                # --cluster-cidr


DEFAULTS = Settings()
