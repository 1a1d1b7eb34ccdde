"""An etcd in memory: every key with its history, a log of revisions, and watchers that read along.

Source: etcd, server/storage/mvcc/{kvstore,kvstore_txn,watchable_store}.go. As there, an empty store is at
revision 1, every transaction that writes makes one revision, and compacting at a revision keeps what can be
seen from that revision on.
Left out: durability (it dies with the process), leases, reads that wait for a future revision.

Everything happens between two awaits, so a transaction is atomic because asyncio is cooperative: use one
store from one event loop.
"""

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from operator import attrgetter

from kubelab.cluster.store.protocol import (
    CompactedError,
    Compare,
    Delete,
    Event,
    FutureRevisionError,
    KeyValue,
    Put,
    RangeResult,
    TxnResult,
)

COMPACT_STEP = 1000  # Revisions forgotten at once: 2 ms, then the loop's other tasks have their turn.

_mod_revision = attrgetter("mod_revision")


class MemoryStore:
    def __init__(self) -> None:
        self._revision = 1
        self._compact_revision = 0
        self._live: dict[str, KeyValue] = {}
        self._live_keys: list[str] = []  # Sorted. insort moves 8 bytes a key: 3 us at 10,000 keys.
        self._histories: dict[str, list[KeyValue]] = {}  # Versions in order; a deletion has version 0.
        self._known_keys: list[
            str
        ] = []  # Sorted, those with a history: live ones and not yet forgotten ones.
        self._log: deque[tuple[Event, ...]] = deque()  # One entry a revision, the last one is `_revision`'s.
        self._watchers: dict[str, list[_Watcher]] = {}  # By prefix.

    @property
    def revision(self) -> int:
        return self._revision

    async def get(self, key: str, *, revision: int = 0) -> KeyValue | None:
        if revision in (0, self._revision):
            return self._live.get(key)
        self._check_readable(revision)
        return self._as_of(key, revision)

    async def range(self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0) -> RangeResult:
        if revision in (0, self._revision):
            return self._range_now(prefix, start, limit)
        self._check_readable(revision)
        low, high = _bounds(self._known_keys, prefix, start)
        found = (self._as_of(key, revision) for key in self._known_keys[low:high])
        kvs = tuple(kv for kv in found if kv)
        return RangeResult(kvs[: limit or None], self._revision, len(kvs))

    def _range_now(self, prefix: str, start: str, limit: int) -> RangeResult:
        low, high = _bounds(self._live_keys, prefix, start)
        page = self._live_keys[low : min(low + limit, high) if limit else high]
        return RangeResult(tuple(map(self._live.__getitem__, page)), self._revision, high - low)

    async def txn(self, compare: Sequence[Compare], success: Sequence[Put | Delete]) -> TxnResult:
        if len({operation.key for operation in success}) < len(success):
            raise ValueError("duplicate key given in txn request")
        if not all(self._holds(comparison) for comparison in compare):
            present = (self._live.get(key) for key in dict.fromkeys(c.key for c in compare))
            return TxnResult(False, self._revision, tuple(kv for kv in present if kv))
        events = tuple(event for operation in success if (event := self._event(operation)))
        if events:
            self._apply(events)
        return TxnResult(True, self._revision)

    @asynccontextmanager
    async def watch(
        self, prefix: str, *, start_revision: int = 0
    ) -> AsyncIterator[AsyncIterator[tuple[Event, ...]]]:
        if 0 < start_revision < self._compact_revision:
            raise CompactedError(start_revision, self._compact_revision)
        watcher = _Watcher(start_revision)
        for events in self._logged_since(start_revision or self._revision + 1):
            if matching := _matching(events, prefix):
                watcher.offer(matching)
        self._watchers.setdefault(prefix, []).append(watcher)
        try:
            yield watcher
        finally:
            watcher.close()
            self._forget_watcher(prefix, watcher)

    async def compact(self, revision: int) -> None:
        if revision <= self._compact_revision:
            raise CompactedError(revision, self._compact_revision)
        if revision > self._revision:
            raise FutureRevisionError(revision, self._revision)
        while self._compact_revision < revision:
            self._compact_to(min(revision, max(self._first_logged, self._compact_revision) + COMPACT_STEP))
            await asyncio.sleep(0)

    def _compact_to(self, revision: int) -> None:
        for key in self._trim_log(revision):
            self._trim_history(key, revision)
        self._compact_revision = revision
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.compact(revision)

    def _holds(self, comparison: Compare) -> bool:
        kv = self._live.get(comparison.key)
        return comparison.mod_revision == (kv.mod_revision if kv else 0)

    def _event(self, operation: Put | Delete) -> Event | None:
        """Return what *operation* will do at the next revision; None for deleting what is not there."""
        key, revision = operation.key, self._revision + 1
        previous = self._live.get(key)
        if isinstance(operation, Put):
            created, version = (previous.create_revision, previous.version) if previous else (revision, 0)
            return Event("PUT", KeyValue(key, operation.value, created, revision, version + 1), previous)
        return Event("DELETE", KeyValue(key, b"", 0, revision, 0), previous) if previous else None

    def _apply(self, events: tuple[Event, ...]) -> None:
        self._revision += 1
        self._log.append(events)
        for event in events:
            self._remember(event)
        for prefix, watchers in self._watchers.items():
            if matching := _matching(events, prefix):
                for watcher in watchers:
                    watcher.offer(matching)

    def _remember(self, event: Event) -> None:
        kv, key = event.kv, event.kv.key
        history = self._histories.setdefault(key, [])
        if not history:
            insort(self._known_keys, key)
        history.append(kv)
        if event.type == "DELETE":
            del self._live[key]
            del self._live_keys[bisect_left(self._live_keys, key)]
            return
        if event.prev_kv is None:
            insort(self._live_keys, key)
        self._live[key] = kv

    def _as_of(self, key: str, revision: int) -> KeyValue | None:
        history = self._histories.get(key, ())
        index = bisect_right(history, revision, key=_mod_revision) - 1
        return history[index] if index >= 0 and history[index].version else None

    def _check_readable(self, revision: int) -> None:
        if revision < self._compact_revision:
            raise CompactedError(revision, self._compact_revision)
        if revision > self._revision:
            raise FutureRevisionError(revision, self._revision)

    @property
    def _first_logged(self) -> int:
        return self._revision - len(self._log) + 1

    def _logged_since(self, revision: int) -> Iterator[tuple[Event, ...]]:
        return islice(self._log, max(0, revision - self._first_logged), None)

    def _trim_log(self, revision: int) -> set[str]:
        """Drop the log before *revision*; return the keys that were written up to and at *revision*.

        The entry of *revision* itself stays: a watch may start there.
        """
        written = islice(self._log, max(0, revision - self._first_logged + 1))
        touched = {event.kv.key for events in written for event in events}
        for _ in range(revision - self._first_logged):
            self._log.popleft()
        return touched

    def _trim_history(self, key: str, revision: int) -> None:
        """Keep of *key* what *revision* and later ones see: its version then, and what came after."""
        history = self._histories.get(key)
        if not history:
            return
        newest = bisect_right(history, revision, key=_mod_revision) - 1
        keep_from = newest + 1 if newest >= 0 and not history[newest].version else max(newest, 0)
        del history[:keep_from]
        if not history:
            del self._histories[key]
            del self._known_keys[bisect_left(self._known_keys, key)]

    def _forget_watcher(self, prefix: str, watcher: "_Watcher") -> None:
        watchers = self._watchers[prefix]
        watchers.remove(watcher)
        if not watchers:
            del self._watchers[prefix]


class _Watcher:
    """What one watch has yet to deliver: references into the log, so a slow watcher costs the writers nothing
    and keeps only what a compaction will take from it."""

    def __init__(self, start_revision: int) -> None:
        self._start_revision = start_revision
        self._pending: deque[tuple[Event, ...]] = deque()
        self._woken = asyncio.Event()
        self._lost: CompactedError | None = None
        self._closed = False

    def offer(self, events: tuple[Event, ...]) -> None:
        if events[0].kv.mod_revision >= self._start_revision and self._lost is None:
            self._pending.append(events)
            self._woken.set()

    def compact(self, revision: int) -> None:
        if self._pending and (behind := self._pending[0][0].kv.mod_revision) < revision:
            self._lost = CompactedError(behind, revision)
            self._pending.clear()
            self._woken.set()

    def close(self) -> None:
        self._closed = True
        self._woken.set()

    def __aiter__(self) -> "_Watcher":
        return self

    async def __anext__(self) -> tuple[Event, ...]:
        while not self._pending:
            if self._lost:
                raise self._lost
            if self._closed:
                raise StopAsyncIteration
            self._woken.clear()
            await self._woken.wait()
        return self._pending.popleft()


def _matching(events: tuple[Event, ...], prefix: str) -> tuple[Event, ...]:
    if len(events) == 1:  # Nearly always; and then all watchers share one tuple.
        return events if events[0].kv.key.startswith(prefix) else ()
    return tuple(event for event in events if event.kv.key.startswith(prefix))


def _bounds(keys: list[str], prefix: str, start: str) -> tuple[int, int]:
    """Return where in the sorted *keys* those begin and end that have *prefix* and are not before *start*."""
    low = bisect_left(keys, max(prefix, start))
    end = _prefix_end(prefix)
    return low, max(low, bisect_left(keys, end)) if end else len(keys)


def _prefix_end(prefix: str) -> str:
    """Return the first string after all that begin with *prefix*, "" if there is none (GetPrefixRangeEnd)."""
    stem = prefix.rstrip("\U0010ffff")
    return stem[:-1] + chr(ord(stem[-1]) + 1) if stem else ""
