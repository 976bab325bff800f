"""What a namespace uses of its quotas, counted anew when something goes.

Genuine counterpart: resourcequota-controller. What comes is charged by admission, in the api-server.
"""
from __future__ import annotations

from decimal import Decimal

from tinykube.controllers.following import Following
from tinykube.machinery.objects import Object, dig, key_of, namespace
from tinykube.machinery.quota import in_scope, text, usage

COUNTED = {"pods": "", "services": "", "persistentvolumeclaims": "", "configmaps": "", "secrets": "", "replicationcontrollers": "",
           "resourcequotas": "", "deployments": "apps", "replicasets": "apps", "statefulsets": "apps", "daemonsets": "apps",
           "jobs": "batch", "cronjobs": "batch", "leases": "coordination.k8s.io"}     # resource -> its group


class ResourceQuotaController(Following):
    """Keeps the sums of each quota true."""

    name = "resourcequota-controller"

    def setup(self) -> None:
        """Watch quotas, and all that they count; what has merely changed counts as before, but for pods that end."""
        self.watch("resourcequotas")
        for resource in COUNTED:
            if resource != "resourcequotas":
                self.follow(resource, self.ignore, self.changed, self.touch)

    def ignore(self, obj: Object) -> None:
        """Something came: whoever let it in has charged it."""

    def changed(self, before: Object, after: Object) -> None:
        """Something changed: a pod that has ended gives back what it had."""
        if usage("pods", "", before) != usage("pods", "", after) or dig(before, "spec", "type") != dig(after, "spec", "type"):
            self.touch(after)

    def touch(self, obj: Object) -> None:
        """Count the quotas of a namespace anew."""
        for quota in self.copy_of("resourcequotas").by("namespace", namespace(obj)):
            self.queue.add(key_of(quota))

    async def sync(self, key: str) -> None:
        """Count for one quota."""
        quota = self.copy_of("resourcequotas").get(key)
        if quota is None:
            return
        hard = dig(quota, "spec", "hard", default={})
        status = {"hard": hard, "used": self.used(quota, hard)}
        if status != {"hard": dig(quota, "status", "hard", default={}), "used": dig(quota, "status", "used", default={})}:
            await self.client.update("resourcequotas", {**quota, "status": status}, subresource="status")

    def used(self, quota: Object, hard: Object) -> dict[str, str]:
        """What is used of each thing that the quota limits, by our copies."""
        sums = dict.fromkeys(hard, Decimal(0))
        for resource, group in COUNTED.items():
            for obj in self.copy_of(resource).by("namespace", namespace(quota)):
                counted = {"kind": "Pod", **obj} if resource == "pods" else obj
                for what, amount in usage(resource, group, counted).items() if in_scope(quota, counted) else ():
                    if what in sums:
                        sums[what] += amount
        return {what: text(amount, what) for what, amount in sums.items()}
