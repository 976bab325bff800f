"""Which addresses the pods of a node get: to each node a range of the cluster's.

Genuine counterpart: node-ipam-controller with its range allocator.
"""
from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network
from itertools import islice

from tinykube.controllers.following import Following, NotYet
from tinykube.machinery.objects import Object, dig, name

NODE_PREFIX = 24                       # 254 pods a node


def free_range(cluster: IPv4Network, taken: Iterable[IPv4Network]) -> IPv4Network | None:
    """The first range for a node that overlaps none of those that are taken."""
    used = set(taken)
    odd = [each for each in used if each.prefixlen != NODE_PREFIX]
    count = len(used) + 1 + sum(max(1, each.num_addresses >> (32 - NODE_PREFIX)) for each in odd)
    for each in islice(cluster.subnets(new_prefix=max(NODE_PREFIX, cluster.prefixlen)), count):
        if each not in used and not any(each.overlaps(other) for other in odd):
            return each
    return None


class NodeIpamController(Following):
    """Gives each node that has none a range of addresses."""

    name, account = "node-ipam-controller", "node-controller"

    def setup(self) -> None:
        """Follow nodes. What was given away and is not in our copy yet is remembered."""
        self.given: dict[str, IPv4Network] = {}
        self.watch("nodes")

    async def sync(self, key: str) -> None:
        """Look at one node."""
        node = self.copy_of("nodes").get(key)
        if node is None or dig(node, "spec", "podCIDR"):
            self.given.pop(key, None)
            return
        nodes: list[Object] = self.copy_of("nodes").select()
        taken = [IPv4Network(each["spec"]["podCIDR"]) for each in nodes if dig(each, "spec", "podCIDR")]
        others = [given for other, given in self.given.items() if other != key]
        fresh = self.given.get(key) or free_range(IPv4Network(self.context.settings.cluster_cidr), [*taken, *others])
        if fresh is None:
            self.recorder.event(node, "Normal", "CIDRNotAvailable", f"Node {key} status is now: CIDRNotAvailable")
            raise NotYet(f"no range is free for {key}")
        self.given[key] = fresh
        patch = {"metadata": {"uid": node["metadata"]["uid"]}, "spec": {"podCIDR": str(fresh), "podCIDRs": [str(fresh)]}}
        await self.client.patch("nodes", name(node), patch)
