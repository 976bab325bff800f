"""Whose is this object? Owner references: to read them, to take in an orphan, to let go what no longer fits.

Genuine counterpart: ControllerRefManager of kube-controller-manager.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tinykube.client.informer import SharedInformer
from tinykube.client.rest import Client
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, dig, labels, name, namespace, uid
from tinykube.machinery.selectors import LabelSelector


def controller_of(obj: Object) -> Object | None:
    """The reference to the one owner that manages this object, or None: it is nobody's."""
    return next((each for each in dig(obj, "metadata", "ownerReferences", default=[]) if each.get("controller")), None)


def by_controller(obj: Object) -> list[str]:
    """Index an object by the uid of its controller; an orphan by its namespace, so that it can be found."""
    reference = controller_of(obj)
    return [reference["uid"] if reference else f"orphans of {namespace(obj)}"]


def owner_reference(owner: Object) -> Object:
    """What an object carries that belongs to `owner`."""
    return {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": name(owner), "uid": uid(owner),
            "controller": True, "blockOwnerDeletion": True}


def deleting(obj: Object) -> bool:
    """Whether somebody has asked for the object's end, and it is still there."""
    return dig(obj, "metadata", "deletionTimestamp") is not None


def candidates(informer: SharedInformer, owner: Object) -> list[Object]:
    """What is the owner's by reference, and what is nobody's in its namespace. Shared objects: look, don't change."""
    return informer.by("controller", uid(owner)) + informer.by("controller", f"orphans of {namespace(owner)}")


def claim(owner: Object, obj: Object, selector: LabelSelector) -> str:
    """What an owner does with an object: "keep" or "adopt" it, "release" it, or "leave" it alone."""
    reference, matches = controller_of(obj), selector.matches(labels(obj))
    if reference and reference["uid"] != uid(owner):
        return "leave"
    if reference and matches:
        return "keep"
    if deleting(owner) or (not reference and (not matches or deleting(obj))):
        return "leave"
    return "release" if reference else "adopt"


class Claimer:
    """Brings what an owner has in line with its selector: adopts orphans, releases strangers."""

    def __init__(self, client: Client, owners: str, resource: str) -> None:
        self.client, self.owners, self.resource = client, owners, resource

    async def claim(self, owner: Object, selector: LabelSelector, objects: Iterable[Object],
                    wanted: Callable[[Object], bool] = bool) -> list[Object]:
        """Those of the objects that are the owner's now. Only those that are `wanted` are taken in."""
        mine, checked = [], False
        for obj in objects:
            verdict = claim(owner, obj, selector)
            if verdict == "adopt" and not wanted(obj):
                continue
            if verdict == "adopt" and not checked:
                await self.check(owner)
                checked = True
            if verdict == "keep" or (verdict == "adopt" and await self.adopt(owner, obj)):
                mine.append(obj)
            elif verdict == "release":
                await self.release(owner, obj)
        return mine

    async def check(self, owner: Object) -> None:
        """Ask the server itself whether the owner is still there: our copy may be old, and an adoption stays."""
        fresh = await self.client.get(self.owners, name(owner), namespace(owner))
        if uid(fresh) != uid(owner):
            raise ApiError(409, f"original {owner['kind']} {namespace(owner)}/{name(owner)} is gone: got uid "
                           f"{uid(fresh)}, wanted {uid(owner)}")
        if deleting(fresh):
            raise ApiError(409, f"{namespace(owner)}/{name(owner)} has just been deleted at "
                           f"{fresh['metadata']['deletionTimestamp']}")

    async def adopt(self, owner: Object, obj: Object) -> bool:
        """Write the reference into an orphan; False when it is gone."""
        return await self.patch(obj, {"metadata": {"ownerReferences": [owner_reference(owner)], "uid": uid(obj)}})

    async def release(self, owner: Object, obj: Object) -> bool:
        """Take the reference out of an object that the selector no longer picks."""
        gone = {"$patch": "delete", "uid": uid(owner)}
        return await self.patch(obj, {"metadata": {"ownerReferences": [gone], "uid": uid(obj)}})

    async def patch(self, obj: Object, patch: Object) -> bool:
        """One patch; that the object is gone, or is another by now (its uid differs), is no failure."""
        try:
            await self.client.patch(self.resource, name(obj), patch, namespace(obj))
        except ApiError as error:
            if error.code not in (404, 422):
                raise
            return False
        return True
