"""The one table of resources: all that tells one kind from another, and the server itself knows none of it.

Genuine counterpart: the scheme and the registries of k8s.io/kubernetes/pkg/registry.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tinykube.api.strategy import (
    ConfigMapStrategy,
    EventStrategy,
    LeaseStrategy,
    NamespaceStrategy,
    NodeStrategy,
    PodStrategy,
    Strategy,
)

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
STATUS = {"status": ("get", "patch", "update")}


@dataclass(frozen=True)
class Resource:
    """One row of the table: where a kind is served, under which names, and by which rules."""

    kind: str
    plural: str
    strategy: Strategy
    group: str = ""
    version: str = "v1"
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stored_as: str = ""                  # the key's middle part, where it is not the plural
    kept_for: int = 0                    # seconds after the last write; 0 is until it is deleted

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def list_kind(self) -> str:
        return f"{self.kind}List"

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def prefix(self) -> str:
        """Below this key the objects are stored, where the genuine api-server has them, too."""
        return f"/registry/{self.stored_as or self.plural}/"


RESOURCES = [
    Resource("Pod", "pods", PodStrategy(), short_names=("po",), categories=("all",),
             subresources={**STATUS, "binding": ("create",), "log": ("get",)}),
    Resource("Node", "nodes", NodeStrategy(), namespaced=False, short_names=("no",), subresources=STATUS,
             stored_as="minions"),
    Resource("Namespace", "namespaces", NamespaceStrategy(), namespaced=False, short_names=("ns",),
             verbs=tuple(verb for verb in ALL_VERBS if verb != "deletecollection"),
             subresources={**STATUS, "finalize": ("update",)}),
    Resource("ConfigMap", "configmaps", ConfigMapStrategy(), short_names=("cm",)),
    Resource("Event", "events", EventStrategy(), short_names=("ev",), kept_for=3600),
    Resource("Lease", "leases", LeaseStrategy(), group="coordination.k8s.io"),
]
