"""Who watches what, and what each watcher has yet to be told. Pure.

A watcher keeps up while its events are handed to it as they happen (etcd: synced); one which begins in the
past, or which leaves more than `PENDING_MAX` batches untaken, reads the log by itself when it is asked for
(unsynced), so that a slow one costs neither time nor memory to those who write.
Ranges are found by the pieces of the key space into which all bounds cut it: one bisection, however many
watch elsewhere. Watchers of one range share it.

Source: etcd, server/storage/mvcc/{watchable_store,watcher_group}.go.
Left out: filters, fragments and watch ids, which are of a client's stream and not of the store.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Sequence

from kubelab.cluster.store.mvcc_keys import ALL_FROM_KEY, Keys, is_between
from kubelab.cluster.store.requests import KeyValue
from kubelab.cluster.store.service import CompactedError, Event, Progress

PENDING_MAX = 1000
SCAN_MAX = 2000  # Revisions of the log that one `take` looks through: 0.5 ms.

Range = tuple[bytes, bytes]
Batch = tuple[Event, ...]


class WatchHub:
    """The watchers that keep up, by what they watch."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self._all: dict[Watcher, None] = {}  # In the order in which they came.
        self._groups: dict[Range, _Group] = {}
        self._pieces = _Pieces()

    def watch(
        self,
        key: bytes,
        range_end: bytes = b"",
        *,
        start_revision: int = 0,
        prev_kv: bool = True,
        wake: Callable[[], None],
    ) -> "Watcher":
        """Watch from *start_revision* on (0: from now); *wake* is called when there is something to take.

        Raises:
            CompactedError: *start_revision* is no longer there.
        """
        if 0 < start_revision < self.keys.compact_revision:
            raise CompactedError(start_revision, self.keys.compact_revision)
        watcher = Watcher(self, (key, range_end), start_revision or self.keys.revision + 1, prev_kv, wake)
        self._all[watcher] = None
        return watcher

    @property
    def watchers(self) -> int:
        return len(self._all)

    def committed(self, changes: Sequence[KeyValue], replaced: Sequence[KeyValue | None]) -> None:
        """Tell those who watch the keys of one revision's *changes*."""
        if not self._groups:
            return
        if len(changes) == 1:  # Nearly always; and then all watchers share one tuple.
            groups = self._interested(changes[0].key)
            if groups:
                batch = (_event(changes[0], replaced[0]),)
                for group in groups:
                    group.offer(batch)
            return
        told: dict[_Group, list[Event]] = {}
        for kv in changes:
            if groups := self._interested(kv.key):
                event = _event(kv, self.keys.as_of(kv.key, kv.mod_revision - 1))
                for group in groups:
                    told.setdefault(group, []).append(event)
        for group, events in told.items():
            group.offer(tuple(events))

    def _interested(self, key: bytes) -> "tuple[_Group, ...]":
        ranges = self._pieces.at(key)
        single = self._groups.get((key, b""))
        return (*ranges, single) if single else ranges

    def logged(self, revision: int, watched: Range) -> Batch:
        """Return what *revision* changed of the range *watched*."""
        found = (kv for kv in self.keys.log[revision] if is_between(kv.key, *watched))
        return tuple(_event(kv, self.keys.as_of(kv.key, revision - 1)) for kv in found)

    def compacted(self) -> None:
        for watcher in self._all:
            watcher.compacted(self.keys.compact_revision)

    def move_to(self, keys: Keys) -> None:
        """Go on with *keys*, which take the place of those of before: all have the log to read there."""
        for watcher in self._all:
            watcher.fall_behind()
        self.keys = keys
        for watcher in self._all:
            watcher.wake()

    def join(self, watcher: "Watcher") -> None:
        group = self._groups.get(watcher.watched)
        if group is None:
            group = self._groups[watcher.watched] = _Group()
            if watcher.watched[1]:
                self._pieces.add(watcher.watched, group)
        group.watchers = (*group.watchers, watcher)

    def leave(self, watcher: "Watcher") -> None:
        group = self._groups[watcher.watched]
        group.watchers = tuple(each for each in group.watchers if each is not watcher)
        if not group.watchers:
            del self._groups[watcher.watched]
            if watcher.watched[1]:
                self._pieces.remove(watcher.watched, group)

    def forget(self, watcher: "Watcher") -> None:
        self._all.pop(watcher, None)


class Watcher:
    """One watch: `take` what it has yet to be told."""

    def __init__(
        self, hub: WatchHub, watched: Range, start: int, with_previous: bool, wake: Callable[[], None]
    ) -> None:
        self.watched = watched
        self.wake = wake
        self._hub = hub
        self._start = start
        self._with_previous = with_previous
        self._pending: deque[Batch] = deque()
        self._cursor: int | None = None  # The next revision to read in the log; None: it keeps up.
        self._wants_progress = False
        self._lost: CompactedError | None = None
        begin = max(start, hub.keys.log.first)  # Nothing made revision 1.
        if begin <= hub.keys.revision:
            self._cursor = begin
        else:
            hub.join(self)

    @property
    def is_behind(self) -> bool:
        """Whether `take` may have more though it returned None."""
        return self._cursor is not None and self._lost is None

    def take(self) -> Batch | Progress | None:
        """Return the next batch, the progress that was asked for, or None.

        Raises:
            CompactedError: it fell behind a compaction.
        """
        if self._pending:
            return self._as_asked(self._pending.popleft())
        if self._lost:
            raise self._lost
        if self._cursor is not None:
            batch = self._read_on(self._cursor)
            if batch or self._cursor is not None:
                return self._as_asked(batch) if batch else None
        if self._wants_progress:
            self._wants_progress = False
            return Progress(self._hub.keys.revision)
        return None

    def request_progress(self) -> None:
        """Have `take` return a `Progress` after what is there; not before the start, as in etcd."""
        if self._hub.keys.revision >= self._start - 1:
            self._wants_progress = True
            self.wake()

    def close(self) -> None:
        if self._cursor is None and self._lost is None:
            self._hub.leave(self)
        self._hub.forget(self)
        self._pending.clear()
        self._lost = None
        self._cursor = None

    def offer(self, batch: Batch) -> None:
        revision = batch[0].kv.mod_revision
        if revision < self._start:
            return
        if len(self._pending) < PENDING_MAX:
            self._pending.append(batch)
        else:
            self._hub.leave(self)
            self._cursor = revision
        self.wake()

    def compacted(self, revision: int) -> None:
        needed = self._pending[0][0].kv.mod_revision if self._pending else self._cursor
        if needed is not None and needed < revision and self._lost is None:
            self._pending.clear()
            self._lose(needed, revision)
            self.wake()

    def fall_behind(self) -> None:
        """Read the log from here on: everything up to now has been handed over."""
        if self._cursor is None and self._lost is None:
            self._hub.leave(self)
            self._cursor = max(self._start, self._hub.keys.revision + 1)

    def _lose(self, needed: int, compact_revision: int) -> None:
        if self._cursor is None:
            self._hub.leave(self)
        self._cursor = None
        self._lost = CompactedError(needed, compact_revision)

    def _read_on(self, cursor: int) -> Batch:
        """Return the next batch in the log, none if there is none in the next `SCAN_MAX` revisions."""
        keys = self._hub.keys
        if cursor < keys.compact_revision:
            self._lose(cursor, keys.compact_revision)
            raise CompactedError(cursor, keys.compact_revision)
        for revision in range(cursor, min(cursor + SCAN_MAX, keys.revision + 1)):
            self._cursor = revision + 1
            if batch := self._hub.logged(revision, self.watched):
                return batch
        if self._cursor is None or self._cursor > keys.revision:
            self._start = max(self._start, keys.revision + 1)
            self._cursor = None
            self._hub.join(self)
        return ()

    def _as_asked(self, batch: Batch) -> Batch:
        if self._with_previous:
            return batch
        return tuple(Event(event.type, event.kv, None) for event in batch)


def _event(kv: KeyValue, previous: KeyValue | None) -> Event:
    return Event("PUT" if kv.version else "DELETE", kv, previous)


class _Group:
    """Those who watch the same range."""

    def __init__(self) -> None:
        self.watchers: tuple[Watcher, ...] = ()

    def offer(self, batch: Batch) -> None:
        for watcher in self.watchers:
            watcher.offer(batch)


class _Pieces:
    """The key space, cut where ranges begin and end; each piece knows the groups that watch all of it."""

    def __init__(self) -> None:
        self._bounds: list[bytes] = [b""]
        self._groups: list[tuple[_Group, ...]] = [()]

    def at(self, key: bytes) -> tuple[_Group, ...]:
        return self._groups[bisect_right(self._bounds, key) - 1]

    def add(self, watched: Range, group: _Group) -> None:
        for piece in self._cut(watched):
            self._groups[piece] += (group,)

    def remove(self, watched: Range, group: _Group) -> None:
        for piece in self._cut(watched):
            self._groups[piece] = tuple(each for each in self._groups[piece] if each is not group)
        for bound in reversed(watched):
            self._mend(bound)

    def _cut(self, watched: Range) -> range:
        start, range_end = watched
        low = self._cut_at(start)
        if range_end == ALL_FROM_KEY:
            return range(low, len(self._bounds))
        return range(low, self._cut_at(range_end)) if range_end > start else range(low, low)

    def _cut_at(self, bound: bytes) -> int:
        index = bisect_left(self._bounds, bound)
        if index == len(self._bounds) or self._bounds[index] != bound:
            self._bounds.insert(index, bound)
            self._groups.insert(index, self._groups[index - 1])
        return index

    def _mend(self, bound: bytes) -> None:
        """Join the pieces before and after *bound* when the same groups watch both."""
        index = bisect_left(self._bounds, bound)
        is_bound = 0 < index < len(self._bounds) and self._bounds[index] == bound
        if is_bound and self._groups[index - 1] == self._groups[index]:
            del self._bounds[index], self._groups[index]
