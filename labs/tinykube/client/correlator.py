"""What keeps events from drowning those who read them: similar ones become one, and a flood is cut off.

Genuine counterpart: client-go's EventCorrelator (tools/record), with its defaults.
"""

from __future__ import annotations

from tinykube.client.queue import Bucket
from tinykube.machinery.clock import Clock
from tinykube.machinery.objects import Object

SIMILAR, FORGOTTEN = 10, 600.0          # that many texts for one reason, none of them longer ago than these seconds
SPAM_BURST, SPAM_RATE = 25, 1 / 300     # events about one object: at once, and a second
COMBINED = "(combined from similar events): "
OBJECTS = 4096                          # as many objects, and as many reasons, are remembered

Key = tuple[str, ...]


def identity(about: Object) -> Key:
    """What tells one object from another, also from an earlier one of the same name."""
    meta = about["metadata"]
    return about.get("kind", ""), meta.get("namespace", ""), meta["name"], meta.get("uid", "")


class Correlator:
    """Remembers lately told events, object by object."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.buckets: dict[Key, Bucket] = {}
        self.similar: dict[Key, tuple[float, set[str]]] = {}

    def combine(self, group: Key, message: str) -> tuple[str, Key]:
        """The text to write, and by what to find the event again: from the tenth text on, one event takes them all."""
        now = self.clock.monotonic()
        last, texts = self.similar.pop(group, (now, set()))
        texts = texts if now - last <= FORGOTTEN else set()
        combined = len(texts | {message}) >= SIMILAR
        self.similar[group] = now, texts if combined else texts | {message}
        if len(self.similar) > OBJECTS:
            del self.similar[next(iter(self.similar))]
        return (COMBINED + message, group) if combined else (message, (*group, message))

    def allows(self, about: Key) -> bool:
        """Whether one more event about this object may be sent now."""
        bucket = self.buckets.setdefault(about, Bucket(self.clock, SPAM_RATE, SPAM_BURST))
        if len(self.buckets) > OBJECTS:
            del self.buckets[next(iter(self.buckets))]
        return bucket.take()
