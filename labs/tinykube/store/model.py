"""What the store holds and what it is asked: keys with revisions, operations, answers, errors."""
from __future__ import annotations

from dataclasses import dataclass

END = b"\x00"                     # as a range_end: no upper end, as etcd has it
MOST_OPERATIONS = 128             # in one transaction, as etcd has it


@dataclass(frozen=True, slots=True)
class KeyValue:
    """One version of one key. Version 0 is a tombstone: the key was deleted at `mod_revision`."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """One change of one key, with what was there before (None if nothing was, or nobody asked)."""

    type: str                     # "PUT" or "DELETE"
    kv: KeyValue
    prev_kv: KeyValue | None = None


@dataclass(frozen=True, slots=True)
class WatchBatch:
    """Changes in order, whole revisions only. All that happened up to `revision` has now been told.

    Without events it is progress: nothing of interest has happened up to `revision`.
    """

    events: tuple[Event, ...]
    revision: int


@dataclass(frozen=True)
class Put:
    """Set a key."""

    key: bytes
    value: bytes
    lease: int = 0
    prev_kv: bool = False


@dataclass(frozen=True)
class Delete:
    """Remove a key, or all keys of a range."""

    key: bytes
    range_end: bytes | None = None
    prev_kv: bool = False


@dataclass(frozen=True)
class Range:
    """Read a key, or all keys of a range, now (revision 0) or as they were at a revision."""

    key: bytes
    range_end: bytes | None = None
    revision: int = 0
    limit: int = 0
    count_only: bool = False
    keys_only: bool = False


@dataclass(frozen=True)
class Compare:
    """A condition on what is stored: `target` is mod, create, version, value or lease; `op` is ==, !=, < or >.

    A key that is not there has the numbers 0. It has no value, so that no comparison of its value holds.
    """

    key: bytes
    target: str
    op: str
    value: int | bytes
    range_end: bytes | None = None


@dataclass(frozen=True)
class Txn:
    """If all compares hold, do `success`, else `failure`; nothing else happens in between."""

    compares: tuple[Compare, ...] = ()
    success: tuple[Operation, ...] = ()
    failure: tuple[Operation, ...] = ()


@dataclass(frozen=True)
class Compact:
    """Forget the versions that nobody needs who reads at `revision` or later."""

    revision: int


@dataclass(frozen=True)
class Grant:
    """Make a lease that lasts `ttl` seconds after it was renewed last. Id 0: the store chooses one."""

    ttl: int
    id: int = 0


@dataclass(frozen=True)
class Revoke:
    """End a lease, and delete all keys that hang on it, in one revision."""

    id: int


@dataclass(frozen=True)
class Alarm:
    """Say that there is no space, or that there is again. In between, nothing is done that takes some."""

    raised: bool


Operation = Put | Delete | Range | Txn
Command = Put | Delete | Txn | Compact | Grant | Revoke | Alarm


def grows(command: Command | Operation) -> bool:
    """Whether a command takes space: what puts or grants does, whatever its conditions say."""
    if isinstance(command, Txn):
        return any(map(grows, (*command.success, *command.failure)))
    return isinstance(command, Put | Grant)


@dataclass(frozen=True)
class RangeResult:
    """Keys in order. `count` is how many the range holds, however few a limit let through."""

    kvs: list[KeyValue]
    count: int
    revision: int

    @property
    def more(self) -> bool:
        """Whether a limit cut the list short."""
        return bool(self.kvs) and self.count > len(self.kvs)


@dataclass(frozen=True)
class PutResult:
    """The revision of the write, and what it replaced if asked."""

    revision: int
    prev_kv: KeyValue | None = None


@dataclass(frozen=True)
class DeleteResult:
    """How many keys went; the revision is the store's old one if none did."""

    revision: int
    deleted: int
    prev_kvs: tuple[KeyValue, ...] = ()


@dataclass(frozen=True)
class TxnResult:
    """Which branch was taken, and the result of each of its operations."""

    succeeded: bool
    revision: int
    responses: list[Result]


@dataclass(frozen=True)
class GrantResult:
    """The id of the new lease, and how long it was granted for, which may be longer than asked."""

    id: int
    ttl: int
    revision: int


@dataclass(frozen=True)
class LeaseLife:
    """For how many seconds a lease was granted, how many are left (-1: there is no such lease), and its keys."""

    granted: int
    remaining: int
    keys: tuple[bytes, ...] = ()


Result = PutResult | DeleteResult | RangeResult | TxnResult | GrantResult


class StoreError(Exception):
    """A request that the store refuses. The texts are etcd's own: its clients recognize errors by them."""


class Compacted(StoreError):
    """The revision asked for has been compacted away: read the present, and go on from there."""

    def __init__(self, compact_revision: int) -> None:
        super().__init__("etcdserver: mvcc: required revision has been compacted")
        self.compact_revision = compact_revision


class NoSpace(StoreError):
    """There is no space: the write did not happen. It can be tried again when there is."""

    def __init__(self) -> None:
        super().__init__("etcdserver: mvcc: database space exceeded")


class FutureRevision(StoreError):
    """The revision asked for does not exist yet."""

    def __init__(self) -> None:
        super().__init__("etcdserver: mvcc: required revision is a future revision")


def prefix_end(prefix: bytes) -> bytes:
    """The range_end that makes a range of all keys with this prefix: the prefix, its last byte one higher."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else END


def covers(key: bytes, range_end: bytes | None, wanted: bytes) -> bool:
    """Whether a range (one key, if it has no end) holds the key `wanted`."""
    if range_end is None:
        return wanted == key
    return key <= wanted and (range_end == END or wanted < range_end)
