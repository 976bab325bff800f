"""The namespace controller: empties a namespace that is to go, then lets it go.

Genuine counterpart: k8s.io/kubernetes/pkg/controller/namespace.
"""
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tinykube.client.discovery import Served, preferred_resources
from tinykube.controllers.following import Following, NotYet
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, dig, timestamp

FINALIZER = "kubernetes"
PATIENCE = 15                       # seconds that whoever has a finalizer may take before we look again
FINE = {                            # condition -> reason and message while nothing is wrong
    "NamespaceDeletionDiscoveryFailure": ("ResourcesDiscovered", "All resources successfully discovered"),
    "NamespaceDeletionGroupVersionParsingFailure": ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
    "NamespaceDeletionContentFailure": (
        "ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
    "NamespaceContentRemaining": ("ContentRemoved", "All content successfully removed"),
    "NamespaceFinalizersRemaining": ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
}


@dataclass
class Emptied:
    """What an attempt to empty a namespace has left."""

    pods: int = 0                                                  # still there; nothing else is touched until then
    remaining: Counter[str] = field(default_factory=Counter)       # resource -> objects that are still there
    finalizers: Counter[str] = field(default_factory=Counter)      # finalizer -> objects that wait for it
    unknown: dict[str, str] = field(default_factory=dict)          # group version -> why it could not be asked
    errors: list[str] = field(default_factory=list)
    wait: int = 0                                                  # seconds that what remains may take

    def note(self, served: Served, namespace: str, items: list[Object]) -> None:
        """Take down what is left of a resource after its deletion."""
        held = Counter(name for item in items for name in dig(item, "metadata", "finalizers", default=[]))
        grace = 0
        if served.qualified == "pods.":
            self.pods = len(items)
            grace = max((dig(item, "spec", "terminationGracePeriodSeconds", default=0) for item in items
                         if dig(item, "spec", "nodeName")), default=0)
        elif items:
            self.remaining[served.qualified] += len(items)
            self.finalizers += held
        self.wait = max(self.wait, grace or (PATIENCE if held else 0))
        if items and not grace and not held:
            where = f"{served.group}/{served.version}, Resource={served.plural}"
            self.errors.append(f"unexpected items still remain in namespace: {namespace} for gvr: {where}")


def found(left: Emptied) -> dict[str, tuple[str, str]]:
    """The conditions that are true of a namespace: type -> reason and message."""
    told: dict[str, tuple[str, str]] = {}
    if left.unknown:
        why = ", ".join(f"{version}: {error}" for version, error in sorted(left.unknown.items()))
        told["NamespaceDeletionDiscoveryFailure"] = (
            "DiscoveryFailed", f"Discovery failed for some groups, {len(left.unknown)} failing: unable to retrieve the "
            f"complete list of server APIs: {why}")
    if left.errors:
        told["NamespaceDeletionContentFailure"] = (
            "ContentDeletionFailed", f"Failed to delete all resource types, {len(left.errors)} remaining: "
            + ", ".join(sorted(left.errors)))
    if left.remaining and not left.errors:
        told["NamespaceContentRemaining"] = "SomeResourcesRemain", "Some resources are remaining: " + ", ".join(
            f"{name} has {count} resource instances" for name, count in sorted(left.remaining.items()))
    if left.finalizers:
        told["NamespaceFinalizersRemaining"] = (
            "SomeFinalizersRemain", "Some content in the namespace has finalizers remaining: " + ", ".join(
                f"{name} in {count} resource instances" for name, count in sorted(left.finalizers.items())))
    return told


def conditions(old: list[Object], true: dict[str, tuple[str, str]], now: str) -> list[Object]:
    """The five conditions of a namespace that goes; the time is that of the last change from True to False or back."""
    known, new = {each["type"]: each for each in old}, []
    for kind, fine in FINE.items():
        status = "True" if kind in true else "False"
        before = known.pop(kind, {})
        since = before["lastTransitionTime"] if before.get("status") == status else now
        reason, message = true.get(kind, fine)
        new.append({"type": kind, "status": status, "lastTransitionTime": since, "reason": reason, "message": message})
    return [*known.values(), *new]


class NamespaceController(Following):
    """Deletes all that is in a namespace whose deletion has been asked for, whatever kinds there are."""

    name = "namespace-controller"

    def setup(self) -> None:
        """Look at namespaces; and again when the last pod of one that goes has stopped."""
        self.watch("namespaces")
        self.watch("pods", lambda pod: pod["metadata"]["namespace"] if pod["metadata"].get("deletionTimestamp") else None)

    async def sync(self, key: str) -> None:
        """Bring one namespace nearer to its end."""
        namespace = self.copy_of("namespaces").get(key)
        if namespace is None or not namespace["metadata"].get("deletionTimestamp"):
            return None
        namespace = await self.client.get("namespaces", key)
        if FINALIZER not in dig(namespace, "spec", "finalizers", default=[]):
            return None
        left = await self.empty(key)
        told = conditions(dig(namespace, "status", "conditions", default=[]), found(left), timestamp(self.clock))
        if left.pods or left.remaining or left.errors or left.unknown:
            if told != dig(namespace, "status", "conditions"):
                status = {**namespace.get("status", {}), "phase": "Terminating", "conditions": told}
                await self.client.update("namespaces", {**namespace, "status": status}, subresource="status")
            if left.errors or left.unknown or not left.wait:
                raise NotYet(f"{key} is not empty")
            return self.queue.add_after(key, left.wait / 2 + 1)
        spec = {**namespace["spec"], "finalizers": [each for each in namespace["spec"]["finalizers"] if each != FINALIZER]}
        await self.client.update("namespaces", {**namespace, "spec": spec}, subresource="finalize")
        return None

    async def empty(self, name: str) -> Emptied:
        """Delete everything in a namespace. Pods first: while one runs, what it uses stays."""
        left = Emptied()
        resources, left.unknown = await preferred_resources(self.client, ("list", "delete"))
        inside = sorted((each for each in resources if each.namespaced), key=lambda each: each.qualified != "pods.")
        for served in inside:
            await self.delete_all(served, name, left)
            if left.pods:
                break
        return left

    async def delete_all(self, served: Served, namespace: str, left: Emptied) -> None:
        """Delete the objects of one resource, and see what is left of them."""
        client = served.of(self.client)
        path = client.path(served.plural, namespace)
        try:
            if "deletecollection" in served.verbs:
                await client.call("DELETE", path, None, {"kind": "DeleteOptions", "apiVersion": "v1",
                                                         "propagationPolicy": "Background"})
            items = (await client.list(served.plural, namespace)).get("items") or []
            left.note(served, namespace, items)
        except ApiError as error:
            if error.code not in (404, 405):
                left.errors.append(error.message)
