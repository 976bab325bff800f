"""The scheduler's picture of the cluster, kept by events: a decision never asks the server and never rescans pods.

Genuine counterpart: kube-scheduler's internal cache, with its assumed pods.
"""

from __future__ import annotations

from collections import defaultdict

from tinykube.machinery.objects import Object, name
from tinykube.scheduler.nodeinfo import NodeInfo, PodInfo


class Cache:
    """Nodes, and the pods on them, those included whose binding is still under way."""

    def __init__(self) -> None:
        self.nodes: dict[str, NodeInfo] = {}
        self.order: list[NodeInfo] = []                        # the same nodes, to walk along
        self.places: dict[str, str] = {}                       # pod's uid -> name of its node
        self.residents: defaultdict[str, dict[str, PodInfo]] = defaultdict(dict)     # node's name -> its pods
        self.assumed: set[str] = set()                         # uids that are placed by us, not yet by the server

    def set_node(self, node: Object) -> NodeInfo:
        """A node appeared or changed. Its pods may be known before it is."""
        info = self.nodes.get(name(node))
        if info:
            info.update(node)
            return info
        info = self.nodes[name(node)] = NodeInfo.of(node)
        for pod in self.residents[info.name].values():
            info.add(pod)
        self.order.append(info)
        return info

    def drop_node(self, node: Object) -> None:
        """A node is gone; what is known of its pods stays, until the server says that they are gone too."""
        info = self.nodes.pop(name(node), None)
        if info:
            self.order.remove(info)

    def place(self, pod: PodInfo, node: str) -> None:
        """A pod is on a node: count it there, once."""
        self.remove(pod.uid)
        self.places[pod.uid] = node
        self.residents[node][pod.uid] = pod
        if node in self.nodes:
            self.nodes[node].add(pod)

    def remove(self, uid: str) -> NodeInfo | None:
        """A pod is gone or finished: give back what it held, and say where."""
        self.assumed.discard(uid)
        place = self.places.pop(uid, None)
        if place is None:
            return None
        del self.residents[place][uid]
        info = self.nodes.get(place)
        if info:
            info.remove(uid)
        return info

    def assume(self, pod: PodInfo, node: str) -> None:
        """Count a pod as placed before the server has confirmed it, so that the next decision knows."""
        self.place(pod, node)
        self.assumed.add(pod.uid)

    def forget(self, pod: PodInfo) -> NodeInfo | None:
        """The binding failed: what was assumed is not so."""
        return self.remove(pod.uid) if pod.uid in self.assumed else None
