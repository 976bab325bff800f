"""The store: a state machine over keys, values and revisions. No clock, no thread, no disk."""
from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter, eq, gt, itemgetter, lt, ne
from typing import Any

from tinykube.store.keys import SortedKeys
from tinykube.store.lease import Leases
from tinykube.store.model import (
    MOST_OPERATIONS,
    Alarm,
    Command,
    Compact,
    Compacted,
    Compare,
    Delete,
    DeleteResult,
    Event,
    FutureRevision,
    Grant,
    GrantResult,
    KeyValue,
    NoSpace,
    Operation,
    Put,
    PutResult,
    Range,
    RangeResult,
    Result,
    Revoke,
    StoreError,
    Txn,
    TxnResult,
    covers,
    grows,
)
from tinykube.store.watch import Cursor, History, Watchers

COMPARISONS = {"==": eq, "!=": ne, "<": lt, ">": gt}
TARGETS = {"mod": "mod_revision", "create": "create_revision", "version": "version", "value": "value",
           "lease": "lease"}


@dataclass(frozen=True)
class Decided:
    """A transaction whose branch has been chosen."""

    succeeded: bool
    steps: list[Step]


Step = Put | Delete | Range | Decided


class Store:
    """Keys and values under one counter of revisions, with their past. The genuine counterpart is etcd's mvcc.

    Given the same commands in the same order, two stores are in the same state.
    """

    def __init__(self) -> None:
        self.revision = 1
        self.size, self.alarmed = 0, False                    # bytes of all versions; whether more may come
        self._live: dict[bytes, KeyValue] = {}                # the present
        self._live_keys = SortedKeys()
        self._versions: dict[bytes, list[KeyValue]] = {}      # the past that is not compacted, and the present
        self._all_keys = SortedKeys()
        self._changes: list[Event] = []                       # what the command at hand has changed so far
        self._history, self._watchers, self.leases = History(), Watchers(), Leases()

    @property
    def compacted(self) -> int:
        """The revision of the last compaction: nothing before it can be read any more."""
        return self._history.compacted

    def apply(self, command: Command) -> Result | None:
        """Do what the command says, all of it or, if it is refused (StoreError), nothing of it."""
        if self.alarmed and grows(command):
            raise NoSpace
        match command:
            case Alarm():
                self.alarmed = command.raised
                return None
            case Compact():
                self.compact(command.revision)
                return None
            case Grant():
                return self._grant(command)
            case Revoke():
                result: Result = self._revoke(command)
            case _:
                written_once((command,))
                result = self._perform(self._decide(command))
        self._commit()
        return result

    def put(self, key: bytes, value: bytes, *, lease: int = 0, prev_kv: bool = False) -> PutResult:
        """Set a key. The write gets the next revision."""
        result = self.apply(Put(key, value, lease, prev_kv))
        assert isinstance(result, PutResult)
        return result

    def delete_range(self, key: bytes, range_end: bytes | None = None, *, prev_kv: bool = False) -> DeleteResult:
        """Remove a key or a range of keys, all in one revision; none is spent if nothing was there."""
        result = self.apply(Delete(key, range_end, prev_kv))
        assert isinstance(result, DeleteResult)
        return result

    def txn(self, compares: tuple[Compare, ...], success: tuple[Operation, ...],
            failure: tuple[Operation, ...] = ()) -> TxnResult:
        """Do `success` if all compares hold, else `failure`, as one step with at most one new revision."""
        result = self.apply(Txn(tuple(compares), tuple(success), tuple(failure)))
        assert isinstance(result, TxnResult)
        return result

    def range(self, key: bytes, range_end: bytes | None = None, *, revision: int = 0, limit: int = 0,
              count_only: bool = False, keys_only: bool = False) -> RangeResult:
        """Read a key or a range of keys, in order, as of now or as of a past revision."""
        wanted = Range(key, range_end, revision, limit, count_only, keys_only)
        written_once((wanted,))
        self._decide(wanted)
        return self._range(wanted)

    def watch(self, key: bytes, range_end: bytes | None = None, *, start_revision: int = 0,
              prev_kv: bool = False) -> Cursor:
        """A cursor that tells all changes of a key or a range, from `start_revision` on, or from now."""
        if not key:
            raise StoreError("etcdserver: key is not provided")
        start = start_revision if start_revision > 0 else self.revision + 1
        cursor = Cursor((key, range_end), start, prev_kv, self._history, self._watchers)
        if start > self.revision:
            self._watchers.add(cursor)
        return cursor

    def compact(self, revision: int) -> None:
        """Forget what only readers of the time before `revision` could see."""
        if revision <= self.compacted:
            raise Compacted(self.compacted)
        if revision > self.revision:
            raise FutureRevision
        for key in self._history.forget(revision):
            self._trim(key, revision)

    def dump(self) -> Iterator[Any]:
        """All that this store is, in rows: the numbers, the old versions of each key, what each revision changed."""
        yield (self.revision, self.compacted, self._history.first, self.leases.last, tuple(self.leases.ttls.items()),
               self.alarmed)
        for versions in self._versions.values():
            if old := [kv for kv in versions if kv.mod_revision < self._history.first]:
                yield old
        for changes in self._history.changes:
            yield [event.kv for event in changes]

    @classmethod
    def load(cls, rows: Iterator[Any]) -> Store:
        """The store that was dumped."""
        store = cls()
        store.revision, compacted, first, store.leases.last, leases, store.alarmed = next(rows)
        for id, ttl in leases:
            store.leases.grant(ttl, id)
        store._history = History(compacted, first)
        for row in rows:
            for kv in row:
                store._record(kv)
            if row[0].mod_revision >= first:
                store._history.append(tuple(store._changes))
            store._changes = []
        for event in (event for changes in store._history.changes[:1] for event in changes):
            store._trim(event.kv.key, compacted)
        return store

    # What a command does: first everything is decided, and refused if need be, then everything is done

    def _decide(self, operation: Operation) -> Step:
        if isinstance(operation, Txn):
            succeeded = all(self._holds(compare) for compare in operation.compares)
            branch = operation.success if succeeded else operation.failure
            return Decided(succeeded, [self._decide(step) for step in branch])
        if isinstance(operation, Put):
            self.leases.check(operation.lease)
        if isinstance(operation, Range) and operation.revision > self.revision:
            raise FutureRevision
        if isinstance(operation, Range) and 0 < operation.revision < self.compacted:
            raise Compacted(self.compacted)
        return operation

    def _perform(self, step: Step) -> Result:
        match step:
            case Put():
                return self._put(step)
            case Delete():
                return self._delete(step)
            case Range():
                return self._range(step)
            case Decided(succeeded, steps):
                responses = [self._perform(each) for each in steps]
                return TxnResult(succeeded, self._visible, responses)

    def _put(self, put: Put) -> PutResult:
        before = self._live.get(put.key)
        created, version = (before.create_revision, before.version + 1) if before else (self.revision + 1, 1)
        self._record(KeyValue(put.key, put.value, created, self.revision + 1, version, put.lease))
        return PutResult(self.revision + 1, before if put.prev_kv else None)

    def _delete(self, delete: Delete) -> DeleteResult:
        gone = self._range(Range(delete.key, delete.range_end)).kvs
        for before in gone:
            self._record(KeyValue(before.key, b"", 0, self.revision + 1, 0))
        return DeleteResult(self._visible, len(gone), tuple(gone) if delete.prev_kv else ())

    def _grant(self, grant: Grant) -> GrantResult:
        id = self.leases.grant(grant.ttl, grant.id)
        return GrantResult(id, self.leases.ttls[id], self.revision)

    def _revoke(self, revoke: Revoke) -> DeleteResult:
        deleted = sum(self._delete(Delete(key)).deleted for key in self.leases.revoke(revoke.id))
        return DeleteResult(self._visible, deleted)

    def _holds(self, compare: Compare) -> bool:
        found = self._range(Range(compare.key, compare.range_end)).kvs
        if not found and compare.target == "value":
            return False
        field, holds = attrgetter(TARGETS[compare.target]), COMPARISONS[compare.op]
        nothing = KeyValue(compare.key, b"", 0, 0, 0)
        return all(holds(field(kv), compare.value) for kv in found or [nothing])

    def _record(self, kv: KeyValue) -> None:
        before = self._live.pop(kv.key, None)
        if kv.version:
            self._live[kv.key] = kv
        if bool(before) != bool(kv.version):
            (self._live_keys.add if kv.version else self._live_keys.remove)(kv.key)
        self.leases.move(kv.key, before.lease if before else 0, kv.lease)
        versions = self._versions.setdefault(kv.key, [])
        if not versions:
            self._all_keys.add(kv.key)
        versions.append(kv)
        self.size += len(kv.key) + len(kv.value)
        self._changes.append(Event("PUT" if kv.version else "DELETE", kv, before))

    def _commit(self) -> None:
        if not self._changes:
            return
        changes, self._changes = tuple(self._changes), []
        self.revision += 1
        self._history.append(changes)
        self._watchers.tell(changes, self.revision)

    # Reading

    @property
    def _visible(self) -> int:
        return self.revision + bool(self._changes)

    def _range(self, wanted: Range) -> RangeResult:
        if wanted.revision > 0 and wanted.revision != self._visible:
            kvs, count = self._past(wanted)
        else:
            kvs, count = self._present(wanted)
        if wanted.keys_only:
            kvs = [KeyValue(kv.key, b"", kv.create_revision, kv.mod_revision, kv.version, kv.lease) for kv in kvs]
        return RangeResult(kvs, count, self._visible)

    def _present(self, wanted: Range) -> tuple[list[KeyValue], int]:
        if wanted.range_end is None:
            kv = self._live.get(wanted.key)
            kvs = [kv] if kv else []
            return ([] if wanted.count_only else kvs), len(kvs)
        count = self._live_keys.count(wanted.key, wanted.range_end)
        if wanted.count_only:
            return [], count
        limit = wanted.limit if wanted.limit > 0 else None
        return [self._live[key] for key in self._live_keys.between(wanted.key, wanted.range_end, limit)], count

    def _past(self, wanted: Range) -> tuple[list[KeyValue], int]:
        end = wanted.key + b"\x00" if wanted.range_end is None else wanted.range_end
        keys = self._all_keys.between(wanted.key, end)
        then = [kv for key in keys if (kv := self._version_at(key, wanted.revision))]
        if wanted.count_only:
            return [], len(then)
        return then[:wanted.limit if wanted.limit > 0 else None], len(then)

    def _version_at(self, key: bytes, revision: int) -> KeyValue | None:
        versions = self._versions.get(key, [])
        index = bisect_right(versions, revision, key=attrgetter("mod_revision")) - 1
        return versions[index] if index >= 0 and versions[index].version else None

    def past(self, revision: int) -> list[tuple[int, int, KeyValue]]:
        """All that is remembered up to `revision`, in the order in which it was written: revision, place in it, version.

        What a compaction has left is here unless something newer had replaced it by then. (If nothing at all was there
        by then, it is here. etcd does so, and the hash of all this has to be the same. It is another one if a compaction
        left a key that was not the first to be changed in its revision: which place it had is forgotten.)
        """
        kept = {id(kv) for key in self._versions if (kv := self._version_at(key, revision))}
        old = [(kv.mod_revision, 0, kv) for each in self._versions.values() for kv in each
               if kv.mod_revision < self._history.first]
        new = [(main, place, event.kv) for main, changes in enumerate(self._history.changes, self._history.first)
               for place, event in enumerate(changes) if main <= revision]
        return [row for row in sorted(old, key=itemgetter(0)) + new
                if row[0] > self.compacted or not kept or id(row[2]) in kept]

    def _trim(self, key: bytes, revision: int) -> None:
        versions = self._versions.get(key, [])
        keep = bisect_right(versions, revision, key=attrgetter("mod_revision")) - 1
        if keep >= 0 and not versions[keep].version:
            keep += 1
        self.size -= sum(len(kv.key) + len(kv.value) for kv in versions[:max(keep, 0)])
        del versions[:max(keep, 0)]
        if not versions and key in self._versions:
            del self._versions[key]
            self._all_keys.remove(key)


def written_once(operations: tuple[Operation, ...]) -> tuple[set[bytes], list[Delete]]:
    """What the operations put and delete. Raises StoreError if one of them is malformed or meets another's key."""
    if len(operations) > MOST_OPERATIONS:
        raise StoreError("etcdserver: too many operations in txn request")
    puts: set[bytes] = set()
    deletes: list[Delete] = []
    for operation in operations:
        if isinstance(operation, Txn):
            branches = [written_once(operation.success), written_once(operation.failure)]
        elif not operation.key:
            raise StoreError("etcdserver: key is not provided")
        else:
            branches = [({operation.key} if isinstance(operation, Put) else set(),
                         [operation] if isinstance(operation, Delete) else [])]
        for more_puts, more_deletes in branches:
            if more_puts & puts or overlap(more_puts, deletes) or overlap(puts, more_deletes):
                raise StoreError("etcdserver: duplicate key given in txn request")
        for more_puts, more_deletes in branches:
            puts |= more_puts
            deletes += more_deletes
    return puts, deletes


def overlap(puts: set[bytes], deletes: list[Delete]) -> bool:
    """Whether a key that is put is also deleted."""
    return any(covers(delete.key, delete.range_end, key) for delete in deletes for key in puts)
