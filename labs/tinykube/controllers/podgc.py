"""Pods that nobody else would ever remove: those of nodes that are no more, and the oldest of very many that have ended.

Genuine counterpart: pod-garbage-collector-controller.
"""
from __future__ import annotations

from tinykube.controllers.conditions import holds, set_condition
from tinykube.controllers.following import Following
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, dig, key_of, name, namespace, timestamp, uid

QUARANTINE = 40.0                      # seconds for which a node may be missing before its pods count as orphaned
TERMINATED = 12_500                    # pods that have ended, at most


def ended(pod: Object) -> bool:
    """Whether a pod has run to its end."""
    return dig(pod, "status", "phase") in ("Succeeded", "Failed")


def oldest(pods: list[Object], limit: int) -> list[Object]:
    """Those of the pods that have ended which are too many, the oldest first."""
    there = sorted(filter(ended, pods), key=lambda pod: (pod["metadata"]["creationTimestamp"], name(pod)))
    return there[:max(0, len(there) - limit)]


class PodGarbageCollector(Following):
    """Looks at each pod whose node is missing, that is being deleted without having one, or that has ended."""

    name, account = "pod-garbage-collector-controller", "pod-garbage-collector"
    threshold = TERMINATED

    def setup(self) -> None:
        """Watch pods and nodes."""
        self.missing: dict[str, float] = {}        # node -> since when it is missing
        self.pods = self.watch("pods")
        self.nodes = self.watch("nodes", lambda node: map(key_of, self.pods.by("node", name(node))))

    async def sync(self, key: str) -> None:
        """Look at one pod."""
        pod, now = self.pods.get(key), self.clock.monotonic()
        if pod is None:
            return
        node = dig(pod, "spec", "nodeName", default="")
        if node and not self.nodes.get(node):
            if (left := self.missing.setdefault(node, now) + QUARANTINE - now) > 0:
                return self.queue.add_after(key, left)
            if not await self.exists(node):
                await self.remove(pod)
            return
        self.missing.pop(node, None)
        if not node and pod["metadata"].get("deletionTimestamp"):
            await self.remove(pod)
        elif ended(pod) and len(self.pods.reflector.cache) > self.threshold:
            for each in oldest(self.pods.select(), self.threshold):
                await self.remove(each)

    async def exists(self, node: str) -> bool:
        """Whether the server has the node, whatever our copy says."""
        try:
            return bool(await self.client.get("nodes", node))
        except ApiError as error:
            if error.code != 404:
                raise
            return False

    async def remove(self, pod: Object) -> None:
        """Say that the pod has failed, unless it had ended, and delete it without waiting for a kubelet."""
        condition = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC", "lastProbeTime": None,
                     "message": "PodGC: node no longer exists", "lastTransitionTime": timestamp(self.clock)}
        wanted = [condition] if dig(pod, "spec", "nodeName") and not holds(pod, "DisruptionTarget") else []
        try:
            if not ended(pod):
                await set_condition(self.client, pod, *wanted, phase="Failed")
            await self.client.delete("pods", name(pod), namespace(pod), grace_seconds=0, uid=uid(pod))
        except ApiError as error:
            if error.code not in (404, 409):
                raise
