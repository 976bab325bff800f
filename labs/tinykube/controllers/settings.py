"""What the controllers of one cluster have to be told, and cannot find out by asking its api-server.

Genuine counterpart: the command line of kube-controller-manager.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Where there is nothing to sign with, nothing is signed: who has the keys hands functions over, never the keys."""

    root_ca: str = ""                                                  # PEM: --root-ca-file
    cluster_cidr: str = "10.244.0.0/16"                                # --cluster-cidr
    named_in: Callable[[bytes], tuple[str, tuple[str, ...], tuple[str, ...]]] | None = None    # whom a request names
    sign: Callable[[bytes, list[str]], bytes] | None = None            # request and usages -> certificate, all PEM


DEFAULTS = Settings()
