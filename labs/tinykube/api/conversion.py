"""One kind in several versions: each object is stored in one of them, and told in any, as the definition says.

Genuine counterpart:
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tinykube.api.definitions import storage_version
from tinykube.api.listing import plain_error
from tinykube.api.registry import Record, Registry, Untold, decode_stored, with_version
from tinykube.api.structural import fill_in, prune
from tinykube.api.validation import validate_annotations, validate_labels
from tinykube.api.webhooks import post
from tinykube.machinery.objects import Object, copy, dig, new_uid
from tinykube.store import KeyValue, Storage

if TYPE_CHECKING:
    from tinykube.api.resources import Resource
    from tinykube.api.server import ApiServer

SECONDS = 30                             # that a webhook has for its answer
REVIEWS = ("v1", "v1beta1")              # the versions of the question that we can ask
NOT_YET: Object = {"uid": "", "convertedObjects": None, "result": {"metadata": {}}}


class Conversion:
    """How the versions of a kind become each other: only by name, or as a webhook says."""

    def __init__(self, server: ApiServer, crd: Object) -> None:
        self.server, self.webhook = server, crd["spec"]["conversion"].get("webhook")
        group = crd["spec"]["group"]
        self.stored = f"{group}/{storage_version(crd)}"
        self.schemas: dict[str, Object] = {f"{group}/{each['name']}": each["schema"]["openAPIV3Schema"]
                                           for each in crd["spec"]["versions"]}

    async def told(self, objects: Sequence[Object], version: str) -> list[Object]:
        """Objects in a version, without what that one doesn't know. Raises ValueError that says what went wrong."""
        others = [each for each in objects if each["apiVersion"] != version]
        converted = iter(await self.ask(others, version) if self.webhook and others else
                         [{**each, "apiVersion": version} for each in others])
        found = [each if each["apiVersion"] == version else next(converted) for each in objects]
        for each in found:
            list(prune(self.schemas[version], each, whole=True))
        return found

    async def ask(self, objects: list[Object], version: str) -> list[Object]:
        """Objects as the webhook converts them, all in one question."""
        what = f"conversion webhook for {objects[0]['apiVersion']}, Kind={objects[0]['kind']}"
        review = next(each for each in self.webhook["conversionReviewVersions"] if each in REVIEWS)
        form = {"kind": "ConversionReview", "apiVersion": f"apiextensions.k8s.io/{review}"}
        request = {"uid": new_uid(self.server.random), "desiredAPIVersion": version, "objects": objects}
        try:
            assert self.server.dial
            said = await post(self.server, self.webhook["clientConfig"], {**form, "request": request, "response": NOT_YET},
                              self.server.dial, SECONDS)
            found = converted_objects(said, str(request["uid"]), form)
        except (OSError, ValueError) as error:
            raise ValueError(f"{what} failed: {error}") from None
        if len(found) != len(objects):
            raise ValueError(f"{what} returned {len(found)} objects, expected {len(objects)}")
        for at, (old, new) in enumerate(zip(objects, found, strict=True)):
            if why := next(strange(old, new, version, at, "" if len(objects) == 1 else f" at index {at}"), ""):
                raise ValueError(f"{what} returned {why}")
        return [in_its_metadata(old, new) for old, new in zip(objects, found, strict=True)]


def converted_objects(said: Any, uid: str, form: Object) -> list[Any]:
    """The objects of an answer. Raises ValueError for one that is none, or that says that it did not work."""
    group, kind = (said.get(field) or "" for field in ("apiVersion", "kind")) if isinstance(said, dict) else ("", "")
    if (group, kind) != (form["apiVersion"], form["kind"]):
        raise ValueError(f"expected webhook response of {form['apiVersion']}, Kind={form['kind']}, got {group or '/'}, Kind={kind}")
    response = said.get("response")
    if not response:
        raise ValueError("no response provided")
    if response.get("uid") != uid:
        raise ValueError(f'expected response.uid="{uid}", got "{response.get("uid", "")}"')
    result = response.get("result") or {}
    if result.get("status") != "Success":
        raise ValueError(result.get("message") or f"response.result.status was '{result.get('status', '')}', not 'Success'")
    return response.get("convertedObjects") or []


def strange(old: Object, new: Any, version: str, number: int, at: str) -> Iterator[str]:
    """What a converted object may not be: of another kind or version than asked for, or another object."""
    if not isinstance(new, dict):
        yield f"invalid object at index {number}: it is no object"
        return
    group, kind = new.get("apiVersion", ""), new.get("kind", "")
    if group != version:
        yield f"invalid object at index {number}: invalid groupVersion (expected {version}, received {group})"
    if kind != old["kind"]:
        yield f"invalid object at index {number}: invalid kind (expected {old['kind']}, received {kind})"
    for field, word in (("name", "name"), ("namespace", "namespace"), ("uid", "UID")):
        was, now = (dig(each, "metadata", field, default="") for each in (old, new))
        if was != now:
            yield f"invalid {'converted ' if at else ''}object{at}: must have the same {word}: {was} != {now}"
    for field in ("labels", "annotations"):
        for key, value in (dig(new, "metadata", field) or {}).items():
            if not isinstance(value, str):
                yield f"invalid metadata{at and ' in object' + at}: metadata.{field}[{key}] must be a string, but is " \
                      f"{GO_NAMES.get(type(value), 'map[string]interface {}')} in converted object"
    for cause in [*validate_labels(dig(new, "metadata", "labels"), "metadata.labels"),
                  *validate_annotations(dig(new, "metadata", "annotations") or {})]:
        yield f"invalid metadata{at and ' in object' + at}: {cause['field']}: {cause['message']}"


GO_NAMES: dict[type, str] = {int: "int64", float: "float64", bool: "bool", list: "[]interface {}"}


def in_its_metadata(old: Object, new: Object) -> Object:
    """A converted object with the metadata that it had: a webhook may change labels and annotations alone."""
    said = new["metadata"]
    kept = {key: value for key, value in copy(old["metadata"]).items() if key not in ("labels", "annotations")}
    return {**new, "metadata": kept | {key: said[key] for key in ("labels", "annotations") if said.get(key)}}


class ConvertedRegistry(Registry):
    """The objects of a resource, all told in one version, whichever each is stored in."""

    def __init__(self, storage: Storage, resource: Resource, conversion: Conversion) -> None:
        super().__init__(storage, resource)
        self.conversion = conversion

    async def find(self, namespace: str, name: str) -> Record | None:
        """The object of that name, converted now, or None."""
        found = (await self.storage.range(self.key(namespace, name))).kvs[:1]
        try:
            return (await self.read(found))[0] if found else None
        except ValueError as error:
            short = self.key(namespace, name).decode().removeprefix("/registry")
            why = corrupt(short, found[0].mod_revision, str(error))
            raise Untold(500, f"Internal error occurred: {why}", "InternalError", {"causes": [{"message": why}]}) from None

    async def records(self, kvs: Sequence[KeyValue]) -> list[Record]:
        """What these keys hold; those that are not known yet are converted together."""
        new = [kv for kv in kvs if kv.key not in self._known or self._known[kv.key].revision != kv.mod_revision]
        try:
            converted = {record.key: record for record in await self.read(new)}
        except ValueError as error:
            raise self.unreadable(new, str(error)) from None
        return [converted.get(kv.key) or self._known[kv.key] for kv in kvs]

    async def read(self, kvs: Sequence[KeyValue]) -> list[Record]:
        """Keys' objects: with the defaults of the version in which they are stored, then converted. Raises ValueError."""
        objects = [self.filled_in(decode_stored(kv)) for kv in kvs]
        told = await self.conversion.told(objects, self.resource.api_version)
        found = [Record(kv.key, obj, kv.mod_revision) for kv, obj in zip(kvs, told, strict=True)]
        for record in found:
            if record.key not in self._known or self._known[record.key].revision < record.revision:
                self._known[record.key] = record
        return found

    def filled_in(self, obj: Object) -> Object:
        """A stored object, in place, with the defaults of its version."""
        fill_in(self.conversion.schemas.get(obj["apiVersion"], {}), obj)
        return obj

    def unreadable(self, kvs: Sequence[KeyValue], why: str) -> Untold:
        """500: a list that can't be told."""
        told = [(kv.key.decode(), corrupt(kv.key.decode(), kv.mod_revision, why)) for kv in kvs]
        plural, group = self.resource.plural, self.resource.group
        more = f" (and {len(told) - 1} more)" if len(told) > 1 else ""
        text = f"failed to read one or more {plural}.{group} from the storage: {told[0][1]}{more}"
        return Untold(500, text, "StorageReadError", {
            "name": "list", "group": group, "kind": plural,
            "causes": [{"reason": "UnexpectedServerResponse", "message": each, "field": key} for key, each in told]})

    async def insert(self, obj: Object, *, dry_run: bool = False) -> Record:
        """Store a new object in the version of all, and tell it as it is then."""
        return await self.retold(await super().insert(await self.stored(obj), dry_run=dry_run))

    def same(self, old: Record, obj: Object) -> bool:
        """Only the storage knows: what is equal here may have another form there."""
        return False

    async def replace(self, old: Record, obj: Object, *, dry_run: bool = False) -> Record | None:
        """Store `obj` in the place of `old`, in the version of all, unless it is there in exactly this form."""
        wanted, there = await self.stored(obj), (await self.storage.range(old.key)).kvs
        if there and there[0].mod_revision == old.revision and decode_stored(there[0]) == wanted:
            return old
        written = await super().replace(old, wanted, dry_run=dry_run)
        return await self.retold(written) if written else None

    async def stored(self, obj: Object) -> Object:
        """An object in the version in which all are stored. Raises ApiError 500."""
        try:
            return (await self.conversion.told([with_version(copy(obj), 0)], self.conversion.stored))[0]
        except ValueError as error:
            raise plain_error(500, str(error)) from None

    async def retold(self, written: Record) -> Record:
        """What was written, as it reads. Raises ApiError 500."""
        try:
            obj = self.filled_in(with_version(copy(written.obj), 0))
            told = (await self.conversion.told([obj], self.resource.api_version))[0]
        except ValueError as error:
            raise plain_error(500, str(error)) from None
        return Record(written.key, told, written.revision)

    def _remember(self, record: Record) -> Record:
        return record                    # which is in the version of all


def corrupt(key: str, revision: int, why: str) -> str:
    """That an object can't be read, as the genuine storage says it."""
    return (f"StorageError: corrupt object, Code: 7, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: object not decodable "
            f"revision={revision}: {why}")
