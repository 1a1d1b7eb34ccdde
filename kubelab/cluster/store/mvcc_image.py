"""A store as it was at one moment, to be written to a snapshot, read back, or summed up. Pure.

Taking an image copies pointers (some 5 ms at 100,000 keys); the work that grows with the values is done by
the iterators, a small piece each step, while the store goes on. Two stores that applied the same requests
give the same bytes, however far either has got with forgetting what was compacted.

The format is a sequence of frames: four bytes of length, big-endian, then a MessagePack array whose first
element says what it is: one `Header`, then `Leases`, `Before` (what was there before the compacted revision,
in the keys' order) and `Revisions` (what each one from there on changed), and an `End` with the CRC-32 of
all that came before it. The pieces may be cut and joined in any way on their way.
Source: the format is this project's own; what it holds is what etcd keeps in its buckets key, lease, alarm,
members and meta (server/storage/schema/schema.go).
"""

import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import msgspec

from kubelab.cluster.store.mvcc_keys import Keys
from kubelab.cluster.store.requests import AlarmType, KeyValue, Membership

VERSION = 1
FRAME_KEYS = 200  # Each may be put between 100,000 others when it is restored: 10 ms for a frame.
FRAME_BYTES = 256 * 1024  # About; a frame ends with the first version that reaches it.
FOLD_STEP = 20_000  # Revisions forgotten by the image itself, at 0.3 us each.


class Header(msgspec.Struct, frozen=True, array_like=True, tag="kubelab-mvcc"):
    version: int
    revision: int
    compact_revision: int
    first_revision: int
    applied_index: int
    alarms: tuple[tuple[int, AlarmType], ...]
    members: tuple[Membership, ...]


class Leases(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Ids and granted times to live in seconds."""

    leases: tuple[tuple[int, int], ...]


class Before(msgspec.Struct, frozen=True, array_like=True, tag=True):
    kvs: list[KeyValue]


class Revisions(msgspec.Struct, frozen=True, array_like=True, tag=True):
    revisions: list[tuple[KeyValue, ...]]


class End(msgspec.Struct, frozen=True, array_like=True, tag=True):
    crc32: int


_Value = TypeVar("_Value")

Frame = Header | Leases | Before | Revisions | End

_encode = msgspec.msgpack.Encoder().encode
decode_frame = msgspec.msgpack.Decoder(type=Frame).decode


class Image:
    """What *keys* hold now, and beside them the rest of the state."""

    def __init__(
        self,
        keys: Keys,
        applied_index: int,
        leases: Iterable[tuple[int, int]],
        alarms: Iterable[tuple[int, AlarmType]],
        members: Iterable[Membership],
    ) -> None:
        self.revision = keys.revision
        self.compact_revision = keys.compact_revision
        self.applied_index = applied_index
        self._leases = sorted(leases)
        self._alarms = tuple(sorted(alarms))
        self._members = tuple(sorted(members, key=lambda member: member.id))
        self._keys = keys.known_keys()
        self._before_kvs = keys.before_log()
        self._log = list(keys.log)
        self._log_first = keys.log.first
        self._first = max(keys.compact_revision, self._log_first)

    def encode(self) -> Iterator[bytes]:
        """Yield the snapshot in pieces; an empty one only says that somebody else may have a turn."""
        crc32 = 0
        for frame in self.frames():
            piece = b""
            if frame is not None:
                body = _encode(frame)
                piece = len(body).to_bytes(4, "big") + body
                crc32 = zlib.crc32(piece, crc32)
            yield piece
        body = _encode(End(crc32))
        yield len(body).to_bytes(4, "big") + body

    def frames(self) -> Iterator[Frame | None]:
        """Yield what the store holds; None only says that somebody else may have a turn."""
        yield Header(
            VERSION,
            self.revision,
            self.compact_revision,
            self._first,
            self.applied_index,
            self._alarms,
            self._members,
        )
        for leases in _batches(self._leases, FRAME_KEYS * 10):
            yield Leases(tuple(leases))
        before = yield from self._fold(self._first)
        for kvs in _by_size(_present(before, self._keys)):
            yield Before(kvs) if kvs else None
        log = islice(self._log, self._first - self._log_first, None)
        yield from map(Revisions, _revisions_by_size(log))

    def hash(self, revision: int) -> Generator[None, None, int]:
        """Return, after as many steps as it takes, a checksum of all that can be read up to *revision*.

        It is the same on all members at the same revision and compacted revision, and is not etcd's number:
        that is of its file's records.
        """
        crc32 = 0
        before = yield from self._fold(max(self.compact_revision + 1, self._log_first))
        for kvs in _by_size(_present(before, self._keys)):
            crc32 = zlib.crc32(_encode(kvs), crc32)
            yield
        start = max(self.compact_revision + 1, self._log_first) - self._log_first
        for revisions in _revisions_by_size(islice(self._log, start, revision - self._log_first + 1)):
            crc32 = zlib.crc32(_encode(revisions), crc32)
            yield
        return crc32

    def _fold(self, first: int) -> Generator[None, None, dict[bytes, KeyValue]]:
        """Return what was there before revision *first*."""
        before: dict[bytes, KeyValue] = {}
        for kvs in _batches(self._before_kvs, FOLD_STEP):
            before.update((kv.key, kv) for kv in kvs)
            yield
        for index, changes in enumerate(islice(self._log, first - self._log_first)):
            for kv in changes:
                if kv.version:
                    before[kv.key] = kv
                else:
                    before.pop(kv.key, None)
            if index % FOLD_STEP == FOLD_STEP - 1:
                yield
        return before


def _present(before: dict[bytes, KeyValue], keys: Iterable[bytes]) -> Iterator[KeyValue | None]:
    return map(before.get, keys)


def _by_size(kvs: Iterable[KeyValue | None]) -> Iterator[list[KeyValue]]:
    """Yield what there is in batches; an empty one after many keys that are not there."""
    batch: list[KeyValue] = []
    seen = size_bytes = 0
    for kv in kvs:
        seen += 1
        if kv is not None:
            batch.append(kv)
            size_bytes += len(kv.value)
        if seen >= FRAME_KEYS or size_bytes >= FRAME_BYTES:
            yield batch
            batch, seen, size_bytes = [], 0, 0
    if batch:
        yield batch


def _revisions_by_size(log: Iterable[tuple[KeyValue, ...]]) -> Iterator[list[tuple[KeyValue, ...]]]:
    batch: list[tuple[KeyValue, ...]] = []
    versions = size_bytes = 0
    for changes in log:
        batch.append(changes)
        versions += len(changes)
        size_bytes += sum(len(kv.value) for kv in changes)
        if versions >= FRAME_KEYS or size_bytes >= FRAME_BYTES:
            yield batch
            batch, versions, size_bytes = [], 0, 0
    if batch:
        yield batch


def _batches(values: Sequence[_Value], size: int) -> Iterator[Sequence[_Value]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
