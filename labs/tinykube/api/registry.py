"""The objects of one resource in the storage: read, list, insert, replace, remove. No rules, no HTTP.

Genuine counterparts: k8s.io/apiserver/pkg/registry/generic/registry and pkg/storage/etcd3.
"""
from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tinykube.machinery.errors import ApiError, already_exists, internal, not_found
from tinykube.machinery.objects import Object
from tinykube.store import Compare, Delete, KeyValue, Put, Range, RangeResult, Storage, prefix_end

if TYPE_CHECKING:
    from tinykube.api.leases import SharedLeases
    from tinykube.api.resources import Resource

_encoder = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def encode(value: Any) -> bytes:
    """A JSON value as bytes, without spaces."""
    return _encoder.encode(value).encode("utf-8", "replace")


class Record:
    """One object as of one revision, and its JSON, which is made once however often it is sent."""

    __slots__ = ("_json", "key", "obj", "revision")

    def __init__(self, key: bytes, obj: Object, revision: int) -> None:
        self.key, self.obj, self.revision = key, with_version(obj, revision), revision
        self._json: bytes | None = None

    @property
    def json(self) -> bytes:
        if self._json is None:
            self._json = encode(self.obj)
        return self._json

    @property
    def item(self) -> bytes:
        """The JSON as lists have it: without kind and apiVersion, which the list tells for all."""
        head = b'{"kind":"%b","apiVersion":"%b",' % (self.obj["kind"].encode(), self.obj["apiVersion"].encode())
        return b"{" + self.json[len(head):] if self.json.startswith(head) else self.json


def with_version(obj: Object, revision: int) -> Object:
    """`obj` with its resourceVersion, which is the revision of the store that wrote it; 0 means none yet."""
    meta = {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}
    return {**obj, "metadata": {**meta, "resourceVersion": str(revision)} if revision else meta}


def decode_stored(kv: KeyValue) -> Object:
    """The object in a stored value. Raises ApiError 500 if somebody else wrote what is no object."""
    try:
        obj: Object = json.loads(kv.value)
        return obj if obj["metadata"]["name"] and obj["kind"] else {}
    except (ValueError, TypeError, KeyError) as error:
        raise internal(f"the value of {kv.key.decode(errors='replace')} is no object: {error!r}") from None


class Untold(ApiError):
    """500: what is stored can't be told in the version that is asked for."""


class Registry:
    """The objects of one resource. A write says what it expects to find, and does nothing if it finds another."""

    def __init__(self, storage: Storage, resource: Resource, leases: SharedLeases | None = None) -> None:
        self.storage, self.resource, self.leases = storage, resource, leases
        self.prefix = resource.prefix.encode()
        self._known: dict[bytes, Record] = {}

    def key(self, namespace: str, name: str = "") -> bytes:
        """The key of an object, or without a name the prefix of all objects of a namespace."""
        middle = f"{namespace}/" if self.resource.namespaced and namespace else ""
        return self.prefix + f"{middle}{name}".encode()

    def record(self, kv: KeyValue) -> Record:
        """What a key holds, decoded once a revision."""
        known = self._known.get(kv.key)
        if known is None or known.revision < kv.mod_revision:
            known = self._known[kv.key] = Record(kv.key, decode_stored(kv), kv.mod_revision)
        elif known.revision > kv.mod_revision:              # somebody reads the past
            return Record(kv.key, decode_stored(kv), kv.mod_revision)
        return known

    async def records(self, kvs: Sequence[KeyValue]) -> list[Record]:
        """What these keys hold. Raises ApiError 500 for what is no object."""
        return [self.record(kv) for kv in kvs]

    def forget(self, key: bytes) -> None:
        """The key is gone."""
        self._known.pop(key, None)

    async def find(self, namespace: str, name: str) -> Record | None:
        """The object of that name, or None."""
        found = await self.storage.range(self.key(namespace, name))
        return self.record(found.kvs[0]) if found.kvs else None

    async def get(self, namespace: str, name: str) -> Record:
        """The object of that name. Raises ApiError 404."""
        found = await self.find(namespace, name)
        if found is None:
            raise not_found(self.resource.plural, name, self.resource.group)
        return found

    async def range(self, namespace: str, start: bytes = b"", revision: int = 0, limit: int = 0) -> RangeResult:
        """Keys of a namespace (or of all), from `start` on, as of a revision."""
        prefix = self.key(namespace)
        return await self.storage.range(start or prefix, prefix_end(prefix), revision=revision, limit=limit)

    async def insert(self, obj: Object, *, dry_run: bool = False) -> Record:
        """Store a new object: if there is no key of that name, put it, as one step. Raises ApiError 409."""
        meta = obj["metadata"]
        key = self.key(meta.get("namespace", ""), meta["name"])
        if dry_run:
            exists, revision = bool((await self.storage.range(key)).kvs), 0
        else:
            answer = await self.storage.txn([Compare(key, "mod", "==", 0)], [await self._put(key, obj)])
            exists, revision = not answer.succeeded, answer.revision
        if exists:
            raise already_exists(self.resource.plural, meta["name"], self.resource.group)
        return self._remember(Record(key, obj, revision))

    def same(self, old: Record, obj: Object) -> bool:
        """Whether there is nothing to write."""
        return obj == old.obj

    async def replace(self, old: Record, obj: Object, *, dry_run: bool = False) -> Record | None:
        """Store `obj` in the place of `old`, or do nothing and return None if `old` is not there any more."""
        if dry_run:
            return Record(old.key, obj, old.revision)
        answer = await self.storage.txn([Compare(old.key, "mod", "==", old.revision)],
                                        [await self._put(old.key, obj)], [Range(old.key)])
        return self._remember(Record(old.key, obj, answer.revision)) if answer.succeeded else None

    async def remove(self, old: Record, obj: Object, *, dry_run: bool = False) -> Record | None:
        """Remove `old`; its last words are `obj`. Do nothing and return None if it is not there any more."""
        if dry_run:
            return Record(old.key, obj, old.revision)
        answer = await self.storage.txn([Compare(old.key, "mod", "==", old.revision)], [Delete(old.key)])
        if answer.succeeded:
            self.forget(old.key)
        return Record(old.key, obj, answer.revision) if answer.succeeded else None

    async def _put(self, key: bytes, obj: Object) -> Put:
        """What writes an object: on a lease, if its kind is kept for a while only."""
        lease = await self.leases.get(self.resource.kept_for) if self.leases else 0
        return Put(key, encode(with_version(obj, 0)), lease)

    def _remember(self, record: Record) -> Record:
        if record.revision:
            self._known[record.key] = record
        return record
