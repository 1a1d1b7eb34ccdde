"""All keys with their versions: what is there now, what was there, and what each revision changed. Pure.

A write takes three steps: any number of `put` and `delete`, which are seen at once by reads of now, and one
`commit`, which makes them the next revision. Nothing here refuses; whoever writes has checked before.
Compacting sets the oldest revision that may be read, at once; what only older ones saw is forgotten in steps
(`trim`), so that a large compaction does not hold anybody up. What has been forgotten shows nowhere but in
`in_use_bytes`.

Source: etcd, server/storage/mvcc/{kvstore,kvstore_txn,index,key_index}.go. An empty store is at revision 1.
As there, a deletion is a version of its own (a tombstone, version 0). Unlike there, the values are kept in
the index itself, and the events of the compacted revision keep their `prev_kv`.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from operator import attrgetter

from kubelab.cluster.store.requests import KeyValue

ALL_FROM_KEY = b"\0"
NEVER_COMPACTED = -1  # As in etcd, where revision 0 can be compacted once.
RECORD_OVERHEAD_BYTES = 64  # Of one version in etcd's file: a page's element, a revision as key, field tags.

_mod_revision = attrgetter("mod_revision")


class RevisionLog:
    """What each revision changed, from `first` on. Taking away at the front is cheap, and so is a look."""

    def __init__(self, first: int) -> None:
        self.first = first
        self._entries: list[tuple[KeyValue, ...]] = []
        self._head = 0  # Where `first` is in the list; what is before has been taken away.

    def __len__(self) -> int:
        return len(self._entries) - self._head

    def __getitem__(self, revision: int) -> tuple[KeyValue, ...]:
        return self._entries[self._head + revision - self.first]

    def __iter__(self) -> Iterator[tuple[KeyValue, ...]]:
        return iter(self._entries[self._head :])

    def append(self, kvs: tuple[KeyValue, ...]) -> None:
        self._entries.append(kvs)

    def pop_first(self) -> tuple[KeyValue, ...]:
        kvs = self._entries[self._head]
        self._entries[self._head] = ()
        self._head += 1
        self.first += 1
        if self._head * 2 > len(self._entries):
            del self._entries[: self._head]
            self._head = 0
        return kvs


class Keys:
    def __init__(self) -> None:
        self.revision = 1
        self.compact_revision = NEVER_COMPACTED
        self.live: dict[bytes, KeyValue] = {}
        self.log = RevisionLog(first=2)
        self.in_use_bytes = 0
        self._live_keys: list[bytes] = []  # Sorted. insort moves 8 bytes a key: 10 us at 100,000 keys.
        self._known_keys: list[bytes] = []  # Sorted: live ones, and those of which a past is kept.
        self._past: dict[bytes, list[KeyValue]] = {}  # Versions in order, but for the live one.
        self._changes: list[KeyValue] = []
        self._replaced: list[KeyValue | None] = []  # What was there before each change.

    @property
    def read_revision(self) -> int:
        """The revision that reads of now see: the next one from the first change on."""
        return self.revision + 1 if self._changes else self.revision

    def put(self, key: bytes, value: bytes, lease: int) -> KeyValue:
        kv, old = self._replace(key, value, lease)
        self._changes.append(kv)
        self._replaced.append(old)
        return kv

    def put_alone(self, key: bytes, value: bytes) -> tuple[KeyValue, KeyValue | None]:
        """Make a revision of one `put`, as nearly all are; return it beside what it replaced."""
        change = self._replace(key, value, 0)
        self.revision += 1
        self.log.append(change[:1])
        return change

    def _replace(self, key: bytes, value: bytes, lease: int) -> tuple[KeyValue, KeyValue | None]:
        """Return what is at *key* from the next revision on, and what was there."""
        revision, old = self.revision + 1, self.live.get(key)
        if old is None:
            kv = KeyValue(key, value, revision, revision, 1, lease)
            insort(self._live_keys, key)
            if key not in self._past:
                insort(self._known_keys, key)
        else:
            kv = KeyValue(old.key, value, old.create_revision, revision, old.version + 1, lease)
            past = self._past.get(old.key)
            if past is None:
                self._past[old.key] = [old]
            else:
                past.append(old)
        self.live[kv.key] = kv
        self.in_use_bytes += RECORD_OVERHEAD_BYTES + len(key) + len(value)
        return kv, old

    def delete(self, key: bytes, range_end: bytes = b"") -> list[KeyValue]:
        """Delete what is there; return what it was."""
        low, high = _bounds(self._live_keys, key, range_end)
        deleted = [self.live.pop(each) for each in self._live_keys[low:high]]
        del self._live_keys[low:high]
        for old in deleted:
            tombstone = KeyValue(old.key, b"", 0, self.revision + 1, 0)
            self._past.setdefault(old.key, []).extend((old, tombstone))
            self._changes.append(tombstone)
            self._replaced.append(old)
            self.in_use_bytes += record_bytes(tombstone)
        return deleted

    @property
    def has_changes(self) -> bool:
        return bool(self._changes)

    def commit(self) -> tuple[list[KeyValue], list[KeyValue | None]]:
        """Make the changes, of which there are some, the next revision; return them beside what they
        replaced."""
        changes, replaced = self._changes, self._replaced
        self._changes, self._replaced = [], []
        self.revision += 1
        self.log.append(tuple(changes))
        return changes, replaced

    def page(self, key: bytes, range_end: bytes, limit: int) -> tuple[list[KeyValue], int]:
        """Return the first *limit* (0: all) of what is there now, and how much there is."""
        if not range_end:
            kv = self.live.get(key)
            return ([kv], 1) if kv is not None else ([], 0)
        low, high = _bounds(self._live_keys, key, range_end)
        keys = self._live_keys[low : min(low + limit, high) if limit else high]
        return list(map(self.live.__getitem__, keys)), high - low

    def page_as_of(
        self, key: bytes, range_end: bytes, limit: int, revision: int
    ) -> tuple[list[KeyValue], int]:
        """Return what `page` did at *revision*, which is neither compacted nor to come."""
        low, high = _bounds(self._known_keys, key, range_end)
        found = (self.as_of(each, revision) for each in self._known_keys[low:high])
        kvs = [kv for kv in found if kv is not None]
        return kvs[: limit or None], len(kvs)

    def count(self, key: bytes, range_end: bytes) -> int:
        low, high = _bounds(self._live_keys, key, range_end)
        return high - low

    def as_of(self, key: bytes, revision: int) -> KeyValue | None:
        live = self.live.get(key)
        if live is not None and live.mod_revision <= revision:
            return live
        past = self._past.get(key, ())
        index = bisect_right(past, revision, key=_mod_revision) - 1
        return past[index] if index >= 0 and past[index].version else None

    def compact(self, revision: int) -> None:
        self.compact_revision = revision

    def trim(self, revisions: int) -> bool:
        """Forget at most so many *revisions* of what a compaction has left; return whether more is left."""
        left = self.compact_revision - self.log.first
        for _ in range(min(revisions, left)):
            for kv in self.log.pop_first():
                self._forget_before(kv)
        return left > revisions

    def _forget_before(self, kv: KeyValue) -> None:
        """Forget the versions which *kv* replaced, and itself if it is a tombstone."""
        past = self._past.get(kv.key)
        if past is None:
            return
        oldest_kept = bisect_left(past, kv.mod_revision + (not kv.version), key=_mod_revision)
        self.in_use_bytes -= sum(map(record_bytes, past[:oldest_kept]))
        del past[:oldest_kept]
        if not past:
            del self._past[kv.key]
            if kv.key not in self.live:
                del self._known_keys[bisect_left(self._known_keys, kv.key)]

    def before_log(self) -> list[KeyValue]:
        """Return what was there before the first revision in the log, in no order."""
        first = self.log.first
        replaced = [past[0] for past in self._past.values() if past[0].mod_revision < first]
        return replaced + [kv for kv in self.live.values() if kv.mod_revision < first]

    def known_keys(self) -> list[bytes]:
        """Return all keys that are in the log or before it, in order."""
        return self._known_keys.copy()

    def begin_restoring(self, first_revision: int, compact_revision: int) -> None:
        """Expect what was there before *first_revision*, and then what it and later ones changed."""
        self.revision = first_revision - 1
        self.compact_revision = compact_revision
        self.log = RevisionLog(first_revision)

    def restore_before_log(self, kvs: Iterable[KeyValue]) -> None:
        """Take over what was there before the log, in the keys' order, into a space that is empty."""
        for kv in kvs:
            self.live[kv.key] = kv
            self._live_keys.append(kv.key)
            self._known_keys.append(kv.key)
            self.in_use_bytes += record_bytes(kv)

    def restore_revision(self, kvs: Iterable[KeyValue]) -> None:
        """Take over what the revision after `revision` changed."""
        for kv in kvs:
            if kv.version:
                self.put(kv.key, kv.value, kv.lease)
            else:
                self.delete(kv.key)
        self.commit()

    def rebuild(self) -> None:
        """Give back the room that what was deleted has left in tables and lists."""
        self.live = dict(self.live)
        self._past = {key: past.copy() for key, past in self._past.items()}
        self._live_keys = self._live_keys.copy()
        self._known_keys = self._known_keys.copy()


def record_bytes(kv: KeyValue) -> int:
    return RECORD_OVERHEAD_BYTES + len(kv.key) + len(kv.value)


def is_between(key: bytes, start: bytes, range_end: bytes) -> bool:
    """Whether *key* is of the range that *start* and *range_end* name."""
    if not range_end:
        return key == start
    return start <= key and (range_end == ALL_FROM_KEY or key < range_end)


def _bounds(keys: list[bytes], key: bytes, range_end: bytes) -> tuple[int, int]:
    """Return where in the sorted *keys* the range begins and ends."""
    low = bisect_left(keys, key)
    if not range_end:
        return low, low + (low < len(keys) and keys[low] == key)
    if range_end == ALL_FROM_KEY:
        return low, len(keys)
    return low, max(low, bisect_left(keys, range_end, lo=low)) if range_end > key else low
