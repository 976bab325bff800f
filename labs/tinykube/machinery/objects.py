"""Small helpers on Kubernetes objects, which are the JSON documents that they are: plain dicts."""
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

from tinykube.machinery.clock import Clock
from tinykube.machinery.wire import Object as Object

SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"     # no vowels, so that no suffix is a word
LONGEST_GENERATED = 63


def dig(obj: Any, *path: str | int, default: Any = None) -> Any:
    """Follow keys and indexes into nested dicts and lists; `default` where one is missing or null."""
    for step in path:
        try:
            obj = obj[step]
        except (KeyError, IndexError, TypeError):
            return default
    return default if obj is None else obj


def name(obj: Object) -> str:
    """The object's name, or an empty string."""
    return str(dig(obj, "metadata", "name", default=""))


def namespace(obj: Object) -> str:
    """The object's namespace; empty for objects of the whole cluster."""
    return str(dig(obj, "metadata", "namespace", default=""))


def uid(obj: Object) -> str:
    """The object's unique id: two objects that had one name at different times differ here."""
    return str(dig(obj, "metadata", "uid", default=""))


def labels(obj: Object) -> dict[str, str]:
    """The object's labels; an empty dict if it has none."""
    return dig(obj, "metadata", "labels", default={})  # type: ignore[no-any-return]


def annotations(obj: Object) -> dict[str, str]:
    """The object's annotations; an empty dict if it has none."""
    return dig(obj, "metadata", "annotations", default={})  # type: ignore[no-any-return]


def key_of(obj: Object) -> str:
    """`namespace/name`, or `name` alone: how caches and queues call an object, like MetaNamespaceKeyFunc."""
    return f"{namespace(obj)}/{name(obj)}" if namespace(obj) else name(obj)


def copy(value: Any) -> Any:
    """A deep copy of a JSON value, several times as fast as copy.deepcopy, which expects anything."""
    if isinstance(value, dict):
        return {key: copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copy(item) for item in value]
    return value


def new_uid(random: Random) -> str:
    """A fresh UUID (version 4) drawn from the given source of randomness."""
    return str(UUID(int=random.getrandbits(128), version=4))


def generated_name(prefix: str, random: Random) -> str:
    """What `generateName` becomes: the prefix, cut to fit, and five letters."""
    return prefix[:LONGEST_GENERATED - 5] + "".join(random.choices(SUFFIX_LETTERS, k=5))


def timestamp(clock: Clock) -> str:
    """Now, as `metadata.creationTimestamp` has it: RFC 3339 in UTC, whole seconds."""
    return format_time(clock.now())


def micro_timestamp(clock: Clock) -> str:
    """Now, as a Lease's `renewTime` has it: RFC 3339 in UTC, with microseconds."""
    return clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def format_time(moment: datetime) -> str:
    """A moment in RFC 3339, UTC, whole seconds: `2030-01-01T00:00:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """The moment that an RFC 3339 text names. Raises ValueError, naming the text, for anything else."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"not a time in RFC 3339, such as 2030-01-01T00:00:00Z: {text!r}") from None
    if moment.tzinfo is None:
        raise ValueError(f"a time in RFC 3339 ends in Z or an offset such as +02:00: {text!r}")
    return moment
