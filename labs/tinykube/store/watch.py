"""Who wants to hear of which keys: what happened, an index that a write can ask, a cursor for each watcher."""
from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator

from tinykube.store.model import Compacted, Event, WatchBatch, covers, prefix_end

LONGEST_QUEUE = 1_000             # batches that wait for a slow watcher before it has to read the history instead
CATCH_UP = 1_000                  # revisions that a watcher reads from the history at a time

Span = tuple[bytes, bytes | None]
Changes = tuple[Event, ...]       # what one revision changed


class History:
    """The changes of each revision since the last compaction."""

    def __init__(self, compacted: int = -1, first: int = 2) -> None:
        self.compacted = compacted            # -1: no compaction yet
        self.first = first                    # an empty store is at revision 1, so the first change makes 2
        self.changes: list[Changes] = []

    @property
    def revision(self) -> int:
        """The newest revision."""
        return self.first + len(self.changes) - 1

    def append(self, changes: Changes) -> None:
        """Add what the next revision changed."""
        self.changes.append(changes)

    def read(self, revision: int, most: int) -> tuple[list[Changes], int]:
        """The changes of up to `most` revisions from `revision` on, and the revision to go on from."""
        if revision < self.compacted:
            raise Compacted(self.compacted)
        start = max(revision, self.first)
        changes = self.changes[start - self.first:start - self.first + most]
        return changes, max(revision, start + len(changes))

    def forget(self, revision: int) -> set[bytes]:
        """Drop what happened before `revision`, and return the keys that changed up to it."""
        self.compacted = revision
        gone = max(0, revision - self.first)
        keys = {event.kv.key for changes in self.changes[:gone + 1] for event in changes}
        del self.changes[:gone]
        self.first += gone
        if self.first == revision and self.changes:
            self.changes[0] = without_previous(self.changes[0])
        return keys


def without_previous(changes: Changes) -> Changes:
    """The same changes for those who did not ask for what was there before."""
    return tuple(Event(event.type, event.kv) for event in changes)


class Cursor:
    """One watcher's place in the history. It never holds up a write, however slow its reader is.

    Take what there is with `take`; `wake` is called when there may be more. A reader that falls far behind
    continues from the history, and gets Compacted if its place there is gone. Call `close` at the end.
    """

    def __init__(self, span: Span, start: int, prev_kv: bool, history: History, watchers: Watchers) -> None:
        self.span, self.revision, self.prev_kv = span, start, prev_kv     # revision: the next one to be told
        self.wake: Callable[[], None] = lambda: None
        self._history, self._watchers = history, watchers
        self._queue: deque[WatchBatch] = deque()
        self._progress_wanted = self._closed = False

    def take(self) -> WatchBatch | None:
        """The next batch, or None if there is nothing yet. Raises Compacted when changes were missed for good."""
        if self._queue:
            return self._queue.popleft()
        while not self._closed and not self._watchers.follows(self):
            changes, self.revision = self._history.read(self.revision, CATCH_UP)
            if not changes:
                self._watchers.add(self)
            elif events := self._select(changes):
                return WatchBatch(events, self.revision - 1)
        if self._progress_wanted:
            self._progress_wanted = False
            return WatchBatch((), max(self._history.revision, self.revision - 1))
        return None

    def push(self, batch: WatchBatch) -> None:
        """Queue a batch of the revision that was written just now."""
        if batch.revision < self.revision:
            return
        if len(self._queue) >= LONGEST_QUEUE:
            self._watchers.discard(self)
            self.revision = batch.revision
        else:
            self._queue.append(batch)
            self.revision = batch.revision + 1
        self.wake()

    def request_progress(self) -> None:
        """Ask for a batch without events, which says up to where everything has been told."""
        self._progress_wanted = True
        self.wake()

    def close(self) -> None:
        """Want nothing more."""
        self._closed = True
        self._watchers.discard(self)
        self._queue.clear()
        self.wake()

    def _select(self, changes: list[Changes]) -> Changes:
        events = tuple(event for each in changes for event in each if covers(*self.span, event.kv.key))
        return events if self.prev_kv else without_previous(events)


class Watchers:
    """All cursors that are up to date, found by the keys that they watch."""

    def __init__(self) -> None:
        self._groups: dict[Span, dict[Cursor, None]] = {}
        self._prefix_lengths: Counter[int] = Counter()
        self._other_spans: set[Span] = set()

    def __len__(self) -> int:
        return sum(map(len, self._groups.values()))

    def follows(self, cursor: Cursor) -> bool:
        """Whether the cursor hears of changes as they are made."""
        return cursor in self._groups.get(cursor.span, ())

    def add(self, cursor: Cursor) -> None:
        """Let the cursor hear of all changes from now on."""
        key, range_end = span = cursor.span
        if span not in self._groups:
            self._groups[span] = {}
            if range_end == prefix_end(key):
                self._prefix_lengths[len(key)] += 1
            elif range_end is not None:
                self._other_spans.add(span)
        self._groups[span][cursor] = None

    def discard(self, cursor: Cursor) -> None:
        """Forget the cursor, if it is known."""
        key, range_end = span = cursor.span
        self._groups.get(span, {}).pop(cursor, None)
        if self._groups.get(span) == {}:
            del self._groups[span]
            if range_end == prefix_end(key):
                self._prefix_lengths[len(key)] -= 1
                self._prefix_lengths += Counter()         # drops lengths that are down to zero
            self._other_spans.discard(span)

    def tell(self, changes: Changes, revision: int) -> None:
        """Hand the changes of one revision to all who watch a changed key: one batch for each span of keys."""
        wanted: dict[Span, list[Event]] = {}
        for event in changes:
            for span in self._spans_of(event.kv.key):
                wanted.setdefault(span, []).append(event)
        for span, events in wanted.items():
            full = WatchBatch(tuple(events), revision)
            bare = WatchBatch(without_previous(full.events), revision)
            for cursor in list(self._groups[span]):
                cursor.push(full if cursor.prev_kv else bare)

    def _spans_of(self, key: bytes) -> Iterator[Span]:
        if (key, None) in self._groups:
            yield key, None
        for length in self._prefix_lengths:
            prefix = key[:length]
            if len(key) >= length and (prefix, prefix_end(prefix)) in self._groups:
                yield prefix, prefix_end(prefix)
        yield from (span for span in self._other_spans if covers(*span, key))
