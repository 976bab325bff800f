"""The scheduler's picture of the cluster, kept by events: a decision never asks the server and never rescans pods.

Genuine counterpart: kube-scheduler's internal cache, with its assumed pods.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from tinykube.machinery.objects import Object, labels, name, uid
from tinykube.scheduler.index import Index
from tinykube.scheduler.nodeinfo import NodeInfo, PodInfo


class Cache:
    """Nodes, and the pods on them, those included whose binding is still under way."""

    def __init__(self) -> None:
        self.nodes: dict[str, NodeInfo] = {}
        self.order: list[NodeInfo] = []                        # the same nodes, to walk along
        self.places: dict[str, str] = {}                       # pod's uid -> name of its node
        self.residents: defaultdict[str, dict[str, PodInfo]] = defaultdict(dict)     # node's name -> its pods
        self.assumed: set[str] = set()                         # uids that are placed by us, not yet by the server
        self.index = Index()
        self.nominated: defaultdict[str, dict[str, PodInfo]] = defaultdict(dict)     # node's name -> who waits for it
        self.waits_for: dict[str, str] = {}                    # pod's uid -> name of the node that it waits for
        self.objects: defaultdict[str, dict[str, Object]] = defaultdict(dict)        # namespaces, volumes and so on
        self.images: Counter[str] = Counter()                  # name of an image -> on how many nodes it is
        self.known: dict[Any, Any] = {}                        # what rules have found since a node last changed

    def set_node(self, node: Object) -> NodeInfo:
        """A node appeared or changed. Its pods may be known before it is."""
        self.known.clear()
        info = self.nodes.get(name(node))
        if info:
            self.images.subtract(info.images.keys())
            info.update(node)
        else:
            info = self.nodes[name(node)] = NodeInfo.of(node)
            for pod in self.residents[info.name].values():
                info.add(pod)
            self.order.append(info)
        self.images.update(info.images.keys())
        return info

    def drop_node(self, node: Object) -> NodeInfo | None:
        """A node is gone; what is known of its pods stays, until the server says that they are gone too."""
        self.known.clear()
        info = self.nodes.pop(name(node), None)
        if info:
            self.order.remove(info)
            self.images.subtract(info.images.keys())
        return info

    def place(self, pod: PodInfo, node: str) -> None:
        """A pod is on a node: count it there, once."""
        self.remove(pod.uid)
        self.places[pod.uid] = node
        self.residents[node][pod.uid] = pod
        self.index.add(pod, node)
        if node in self.nodes:
            self.nodes[node].add(pod)

    def pod(self, uid: str) -> PodInfo | None:
        """A pod that has a node."""
        return self.residents[self.places[uid]][uid] if uid in self.places else None

    def remove(self, uid: str) -> PodInfo | None:
        """A pod is gone or finished: give back what it held, and say what that was."""
        self.assumed.discard(uid)
        place = self.places.pop(uid, None)
        if place is None:
            return None
        pod = self.residents[place].pop(uid)
        self.index.remove(pod, place)
        if place in self.nodes:
            self.nodes[place].remove(uid)
        return pod

    def assume(self, pod: PodInfo, node: str) -> None:
        """Count a pod as placed before the server has confirmed it, so that the next decision knows."""
        self.place(pod, node)
        self.assumed.add(pod.uid)

    def confirm(self, obj: Object, node: str) -> PodInfo:
        """The server says that a pod is on a node. What was assumed of it, and is so, need not be counted anew."""
        pod = self.pod(uid(obj))
        if pod and uid(obj) in self.assumed and self.places[pod.uid] == node and pod.labels == labels(obj):
            self.assumed.discard(pod.uid)
            pod.pod = obj
        else:
            pod = PodInfo.of(obj)
            self.place(pod, node)
        self.nominate(pod, "")
        return pod

    def forget(self, pod: PodInfo) -> PodInfo | None:
        """The binding failed: what was assumed is not so."""
        return self.remove(pod.uid) if pod.uid in self.assumed else None

    def nominate(self, pod: PodInfo, node: str) -> None:
        """A pod waits for room that is being made on a node; an empty name: it waits for none any more."""
        self.nominated[self.waits_for.pop(pod.uid, "")].pop(pod.uid, None)
        if node:
            self.waits_for[pod.uid] = node
            self.nominated[node][pod.uid] = pod
