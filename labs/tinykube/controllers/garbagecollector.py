"""The garbage collector: what belongs to nobody any more goes, whatever kind it is.

Genuine counterpart: https://kubernetes.io/docs/concepts/architecture/garbage-collection/
"""
from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping

from tinykube.client.discovery import Served, preferred_resources
from tinykube.client.informer import Handler, SharedInformer
from tinykube.controllers.conditions import holds
from tinykube.controllers.following import Following, NotYet
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, dig, name, namespace, uid

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
REMEMBERED = 500                       # owners that were asked for and are not there
IGNORED = {"events.", "events.events.k8s.io"}


def owners_of(obj: Object) -> list[Object]:
    """The references of an object to its owners."""
    return dig(obj, "metadata", "ownerReferences", default=[])  # type: ignore[no-any-return]


def going(obj: Object) -> bool:
    """Whether the deletion of an object has begun."""
    return bool(dig(obj, "metadata", "deletionTimestamp"))


def has_finalizer(obj: Object, finalizer: str) -> bool:
    """Whether a finalizer stands on an object."""
    return finalizer in dig(obj, "metadata", "finalizers", default=[])


def waits_for_dependents(obj: Object) -> bool:
    """Whether an object goes once those that it owns are gone."""
    return going(obj) and has_finalizer(obj, FOREGROUND)


def blocks(obj: Object, owner: str) -> bool:
    """Whether an owner that is deleted in the foreground has to wait for this object."""
    return any(each["uid"] == owner and each.get("blockOwnerDeletion") for each in owners_of(obj))


def decide(obj: Object, owners: Mapping[str, Object | None], has_dependents: bool) -> tuple[str, list[str]]:
    """What to do about an object: "keep" it, "disown" some owners (their uids), or "delete" it with a policy.

    `owners` says what has become of each owner, by uid: None of one that is gone.
    """
    waiting = [owner for owner, found in owners.items() if found and waits_for_dependents(found)]
    lost = [owner for owner, found in owners.items() if not found or owner in waiting]
    if len(lost) < len(owners):
        return ("disown", lost) if lost else ("keep", [])
    by_finalizer = "Orphan" if has_finalizer(obj, ORPHAN) else "Foreground" if has_finalizer(obj, FOREGROUND) else "Background"
    return "delete", ["Foreground" if waiting and has_dependents else by_finalizer]


def without_owners(obj: Object, gone: Iterable[str]) -> Object:
    """A merge patch that takes owners off an object, and fails if it is not the object that we looked at."""
    lost = set(gone)
    kept = [each for each in owners_of(obj) if each["uid"] not in lost]
    return {"metadata": {"uid": uid(obj), "resourceVersion": obj["metadata"]["resourceVersion"],
                         "ownerReferences": kept or None}}


def without_finalizer(obj: Object, finalizer: str) -> Object:
    """A merge patch that takes a finalizer off an object."""
    kept = [each for each in dig(obj, "metadata", "finalizers", default=[]) if each != finalizer]
    return {"metadata": {"uid": uid(obj), "resourceVersion": obj["metadata"]["resourceVersion"], "finalizers": kept or None}}


class GarbageCollector(Following):
    """Follows all objects of all kinds that can be deleted, and who owns whom. Its keys are uids."""

    name, account = "garbage-collector-controller", "generic-garbage-collector"

    def setup(self) -> None:
        """Begin with what the server serves; a new custom resource makes it look again."""
        self.served: dict[str, Served] = {}                # qualified name -> resource
        self.followed: dict[str, SharedInformer] = {}
        self.complete = asyncio.Event()
        self.places: dict[str, tuple[str, Object]] = {}    # uid -> qualified name, last known object
        self.absent: OrderedDict[str, None] = OrderedDict()
        self.crds = self.watch("customresourcedefinitions", lambda crd: "")
        self.queue.add("")

    async def sync(self, key: str) -> None:
        """Look at one object, or, for the key "", at what kinds there are."""
        if not key:
            return await self.discover()
        await self.complete.wait()
        place = self.places.get(key)
        if place is None:
            return None
        served, obj = self.served[place[0]], place[1]
        if going(obj) and has_finalizer(obj, ORPHAN):
            return await self.orphan(served, obj)
        if waits_for_dependents(obj):
            return await self.release(served, obj)
        if not going(obj) and not all(self.stands(each, obj) for each in owners_of(obj)):
            await self.attempt(served, obj)
        return None

    async def discover(self) -> None:
        """Follow each resource that can be listed, watched and deleted; leave those that are gone."""
        found, failed = await preferred_resources(self.client, ("list", "watch", "delete"))
        served = {each.qualified: each for each in found if each.qualified not in IGNORED}
        handlers = [self.begin(resource, served[resource]) for resource in served if resource not in self.served]
        for resource in [each for each in self.served if each not in served]:
            if self.served[resource].api_version not in failed:
                await self.context.drop(resource)
                del self.served[resource], self.followed[resource]
        if not self.complete.is_set():
            await asyncio.gather(*(handler.synced.wait() for handler in handlers))
            self.complete.set()
        missing = [name(crd) for crd in self.crds.select() if holds(crd, "Established") and name(crd) not in served]
        if missing or failed:
            raise NotYet(f"not served yet: {', '.join([*missing, *failed])}")

    def begin(self, resource: str, served: Served) -> Handler:
        """Listen to one resource: by the copy that other controllers have, or by one of its own."""
        client = self.context.clients("")
        shared = client.prefixes.get(served.plural) == served.prefix
        own = (resource, served.of(client), served.plural)
        informer = self.context.informer(served.plural) if shared else self.context.informer(*own)
        self.served[resource], self.followed[resource] = served, informer
        return informer.add_handler(lambda obj: self.seen(resource, obj, obj), lambda *both: self.seen(resource, *both), self.lost)

    def seen(self, resource: str, before: Object, obj: Object) -> None:
        """An object is new or has changed: so may be what has to become of it and of those that it owns."""
        self.places[uid(obj)] = resource, obj
        self.absent.pop(uid(obj), None)
        self.queue.add(uid(obj))
        for each in owners_of(before) if owners_of(before) != owners_of(obj) else ():
            self.queue.add(each["uid"])                    # one that waited for this object need not wait any more
        for each in self.dependents(uid(obj)) if waits_for_dependents(obj) else ():
            self.queue.add(uid(each))

    def lost(self, obj: Object) -> None:
        """An object is gone: those that it owned may have to go, and its own owner may have waited for it."""
        self.places.pop(uid(obj), None)
        self.remember(uid(obj))
        for each in (*map(uid, self.dependents(uid(obj))), *(owner["uid"] for owner in owners_of(obj))):
            self.queue.add(each)

    def remember(self, owner: str) -> None:
        """An owner is not there; uids do not come back."""
        self.absent[owner] = None
        if len(self.absent) > REMEMBERED:
            self.absent.popitem(last=False)

    def dependents(self, owner: str) -> list[Object]:
        """All objects that name this owner."""
        return [obj for informer in self.followed.values() for obj in informer.by("owner", owner)]

    def stands(self, reference: Object, obj: Object) -> bool:
        """Whether our own picture has an owner who is there to stay: then nobody need be asked."""
        if reference["uid"] not in self.places:
            return False
        owner = self.places[reference["uid"]][1]
        return namespace(owner) in ("", namespace(obj)) and not waits_for_dependents(owner)

    async def attempt(self, served: Served, obj: Object) -> None:
        """Delete an object if all its owners are gone or wait for it; else take off those that are."""
        client = served.of(self.client)
        try:
            live = await client.get(served.plural, name(obj), namespace(obj) or None)
        except ApiError as error:
            if error.code == 404:
                return
            raise
        if uid(live) != uid(obj) or going(live):
            return
        owners = {each["uid"]: await self.owner(each, live) for each in owners_of(live)}
        if not owners:
            return
        action, what = decide(live, owners, bool(self.dependents(uid(obj))))
        if action == "disown":
            await self.patch(served, live, without_owners(live, what))
        elif action == "delete":
            await self.delete(served.plural, live, what[0], served.of(self.client))

    async def owner(self, reference: Object, obj: Object) -> Object | None:
        """The owner that a reference names, or None if there is no such object (any more)."""
        wanted = reference["uid"]
        served = self.kind(reference)
        if wanted in self.places and namespace(self.places[wanted][1]) in ("", namespace(obj)):
            return self.places[wanted][1]
        if wanted in self.absent:
            return None
        if served.namespaced and wanted in self.places:
            self.recorder.event(obj, "Warning", "OwnerRefInvalidNamespace", (
                f"ownerRef [{reference['apiVersion']}/{reference['kind']}, namespace: {namespace(obj)}, name: "
                f'{reference["name"]}, uid: {wanted}] does not exist in namespace "{namespace(obj)}"'))
            return None
        try:
            found = await served.of(self.client).get(served.plural, reference["name"],
                                                     namespace(obj) if served.namespaced else None)
        except ApiError as error:
            if error.code != 404:
                raise
            found = {}
        if uid(found) == wanted:
            return found
        self.remember(wanted)
        return None

    def kind(self, reference: Object) -> Served:
        """The resource that a reference's kind names. Raises LookupError: of a kind we don't know nothing is deleted."""
        group = reference["apiVersion"].rpartition("/")[0]
        for served in self.served.values():
            if served.group == group and served.kind == reference["kind"]:
                return served
        raise LookupError(f'no matches for kind "{reference["kind"]}" in version "{reference["apiVersion"]}"')

    async def release(self, served: Served, obj: Object) -> None:
        """Let an owner go when nobody blocks it any more."""
        blocking = [each for each in self.dependents(uid(obj)) if blocks(each, uid(obj))]
        if not blocking:
            return await self.patch(served, obj, without_finalizer(obj, FOREGROUND))
        for each in blocking:
            self.queue.add(uid(each))
        return None

    async def orphan(self, served: Served, obj: Object) -> None:
        """Take an owner off all that it owns, then let it go."""
        for each in self.dependents(uid(obj)):
            await self.patch(self.served[self.places[uid(each)][0]], each, without_owners(each, [uid(obj)]))
        await self.patch(served, obj, without_finalizer(obj, ORPHAN))

    async def patch(self, served: Served, obj: Object, patch: Object) -> None:
        """Change an object, if it is still there and still what we looked at."""
        try:
            await served.of(self.client).patch(served.plural, name(obj), patch, namespace(obj) or None, type="merge")
        except ApiError as error:
            if error.code != 404:
                raise
