"""What the controllers of one cluster have to be told, and cannot find out by asking its api-server.

Genuine counterpart: the command line of kube-controller-manager.
"""
from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class Asked:
    """What a request for a certificate asks for: a common name, organizations, and which kinds of other names (DNS, IP, ...)."""

    name: str
    groups: tuple[str, ...] = ()
    alternatives: frozenset[str] = frozenset()


class Authority(Protocol):
    """Who has the key to sign with. It hands out what it signs, and never the key. All that is passed in bytes is PEM."""

    def asked(self, request: bytes) -> Asked:
        """What a request asks for. Raises ValueError for what is none."""

    def sign(self, request: bytes, usages: list[str], seconds: int | None, now: datetime) -> bytes:
        """The certificate that a request asks for, good for so many seconds, or for as long as it is usual."""

    def ends(self, certificate: bytes) -> datetime:
        """When a certificate runs out."""


@dataclass(frozen=True)
class Settings:
    """What is handed in. Without an authority nothing is approved or signed."""

    root_ca: str = ""                                                  # PEM: --root-ca-file
    cluster_cidr: str = "10.244.0.0/16"                                # --cluster-cidr
    authority: Authority | None = None                                 # --cluster-signing-key-file


DEFAULTS = Settings()
