"""What a controller did and its copy does not show yet, so that it does not do it twice.

Genuine counterpart: UIDTrackingControllerExpectations of kube-controller-manager.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tinykube.machinery.clock import Clock

PATIENCE = 300.0        # seconds: what has not been seen by then will not be seen


@dataclass
class Expected:
    """What one object's controller waits to see."""

    since: float
    creations: int = 0
    deletions: set[str] = field(default_factory=set)       # uids


class Expectations:
    """For each key: how many creations and which deletions we asked for and have not seen yet."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.expected: dict[str, Expected] = {}

    def expect(self, key: str, creations: int = 0, deletions: Iterable[str] = ()) -> None:
        """Before asking for them: that many objects will appear, and these uids will go."""
        self.expected[key] = Expected(self.clock.monotonic(), creations, set(deletions))

    def created(self, key: str) -> None:
        """One of the expected objects appeared, or will not."""
        if expected := self.expected.get(key):
            expected.creations -= 1

    def deleted(self, key: str, uid: str) -> None:
        """An object went, or is not there to be deleted."""
        if expected := self.expected.get(key):
            expected.deletions.discard(uid)

    def satisfied(self, key: str) -> bool:
        """Whether the copy shows all that we did for this key, or has had time enough to."""
        expected = self.expected.get(key)
        if expected is None or (expected.creations <= 0 and not expected.deletions):
            return True
        return self.clock.monotonic() - expected.since > PATIENCE

    def forget(self, key: str) -> None:
        """The object itself is gone."""
        self.expected.pop(key, None)
