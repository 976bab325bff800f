"""The versions of a template that an object has had, each kept as a ControllerRevision to go back to.

Genuine counterpart: pkg/controller/history of kube-controller-manager.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from tinykube.client.informer import SharedInformer
from tinykube.client.rest import Client
from tinykube.controllers.owners import Claimer, candidates, deleting, owner_reference
from tinykube.controllers.template import template_hash
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, dig, labels, name, namespace, uid
from tinykube.machinery.selectors import selector_of


def revision_data(owner: Object) -> Object:
    """What a revision keeps: a patch that puts the template back, its keys in the order of the alphabet."""
    patch = {"spec": {"template": {**owner["spec"]["template"], "$patch": "replace"}}}
    ordered: Object = json.loads(json.dumps(patch, sort_keys=True))
    return ordered


class Revisions:
    """The revisions of one kind of object. `label` is where the hash of the template stands on them."""

    def __init__(self, client: Client, owners: str, informer: SharedInformer, label: str) -> None:
        self.client, self.informer, self.label = client, informer, label
        self.claimer = Claimer(client, owners, "controllerrevisions")

    async def own(self, owner: Object) -> list[Object]:
        """Those of the owner, oldest first."""
        found = await self.claimer.claim(owner, selector_of(owner["spec"]["selector"]), candidates(self.informer, owner))
        return sorted(found, key=lambda each: (each["revision"], name(each)))

    async def current(self, owner: Object, revisions: list[Object]) -> Object:
        """The revision of the template as it is now: found, moved to the end if it is an old one, or made."""
        data, highest = revision_data(owner), revisions[-1]["revision"] if revisions else 0
        same = [each for each in revisions if each["data"] == data]
        if not same:
            return await self.create(owner, data, highest + 1)
        if same[-1]["revision"] == highest:
            return same[-1]
        return await self.client.update("controllerrevisions", {**same[-1], "revision": highest + 1})

    async def create(self, owner: Object, data: Object, revision: int) -> Object:
        """Make a revision. One made before a crash is found by its name; a stranger of that name is avoided."""
        template = owner["spec"]["template"]
        for collisions in range(100):
            short = template_hash(template, collisions)
            meant: Object = {
                "apiVersion": "apps/v1", "kind": "ControllerRevision", "data": data, "revision": revision, "metadata": {
                    "name": f"{name(owner)}-{short}", "namespace": namespace(owner),
                    "labels": {**labels(template), self.label: short},
                    "annotations": dig(owner, "metadata", "annotations", default={}),
                    "ownerReferences": [owner_reference(owner)]}}
            try:
                return await self.client.create("controllerrevisions", meant)
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
            found = await self.client.get("controllerrevisions", name(meant), namespace(meant))
            if found["data"] == data and uid(owner) in [each["uid"] for each in found["metadata"].get("ownerReferences", [])]:
                return found
        raise RuntimeError(f"no name is free for a revision of {name(owner)}")

    async def forget_old(self, owner: Object, revisions: list[Object], used: Iterable[str]) -> None:
        """Delete the oldest of those that are not in use, beyond as many as the owner wants kept."""
        in_use = set(used)
        idle = [each for each in revisions if name(each) not in in_use and not deleting(each)]
        for each in idle[:max(0, len(idle) - owner["spec"].get("revisionHistoryLimit", 10))]:
            try:
                await self.client.delete("controllerrevisions", name(each), namespace(each), uid=uid(each))
            except ApiError as error:
                if error.code not in (404, 409):
                    raise
