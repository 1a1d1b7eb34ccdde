"""What the API server needs of a store: etcd's words and semantics, in eight small types.

Source: etcd, api/etcdserverpb/rpc.proto and https://etcd.io/docs/v3.5/learning/api/. The in-memory engine is
`memory.MemoryStore`; a replicated one and a real etcd come behind the same protocol.
Left out: leases, nested transactions.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class KeyValue:
    """`version` counts the writes since the key was created; a deleted key starts again at 1."""

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    version: int


@dataclass(frozen=True, slots=True)
class Event:
    """For DELETE, `kv` has the key, an empty value and the revision of the deletion."""

    type: Literal["PUT", "DELETE"]
    kv: KeyValue
    prev_kv: KeyValue | None


@dataclass(frozen=True, slots=True)
class RangeResult:
    """`revision` is the store's at the time of the read; `count` is of the whole range, not of a page."""

    kvs: tuple[KeyValue, ...]
    revision: int
    count: int

    @property
    def more(self) -> bool:
        return self.count > len(self.kvs)


@dataclass(frozen=True, slots=True)
class Compare:
    """True when the key's `mod_revision` is this one; 0 stands for a key that is not there."""

    key: str
    mod_revision: int


@dataclass(frozen=True, slots=True)
class Put:
    key: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Delete:
    key: str


@dataclass(frozen=True, slots=True)
class TxnResult:
    """`revision` is the write's when it succeeded, else the store's. `kvs`: the compared keys that exist,
    as they are after a failed transaction (so that the caller need not read again); empty on success."""

    succeeded: bool
    revision: int
    kvs: tuple[KeyValue, ...] = ()


class CompactedError(Exception):
    """The revision asked for has been compacted away (etcd: ErrCompacted). The read surely saw nothing."""

    def __init__(self, revision: int, compact_revision: int) -> None:
        super().__init__(f"revision {revision} is compacted; the oldest kept is {compact_revision}")
        self.compact_revision = compact_revision


class FutureRevisionError(Exception):
    """The revision asked for is not yet written (etcd: ErrFutureRev)."""

    def __init__(self, revision: int, store_revision: int) -> None:
        super().__init__(f"revision {revision} is in the future; the store is at {store_revision}")
        self.store_revision = store_revision


class Store(Protocol):
    async def get(self, key: str, *, revision: int = 0) -> KeyValue | None:
        """Return *key* as of *revision* (0: now); raises as `range` does."""

    async def range(self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0) -> RangeResult:
        """Return the keys under *prefix* in order, from *start* on (inclusive), at most *limit* (0: all).

        Raises:
            CompactedError: *revision* is no longer there.
            FutureRevisionError: *revision* is not there yet.
        """

    async def txn(self, compare: Sequence[Compare], success: Sequence[Put | Delete]) -> TxnResult:
        """Carry out all of *success* in one revision if every comparison holds, else nothing.

        Raises:
            ValueError: *success* names a key twice.
        """

    def watch(
        self, prefix: str, *, start_revision: int = 0
    ) -> AbstractAsyncContextManager[AsyncIterator[tuple[Event, ...]]]:
        """Watch *prefix* from *start_revision* on, inclusive (0: from now).

        Yields all events of one revision together, in order, none lost and none twice.

        Raises:
            CompactedError: on entering, or while iterating when the watcher fell behind a compaction.
        """

    async def compact(self, revision: int) -> None:
        """Forget what only revisions before *revision* could see; *revision* itself can still be read.

        Raises:
            CompactedError: that was done before, at this revision or a later one.
            FutureRevisionError: *revision* is not there yet.
        """

    @property
    def revision(self) -> int:
        """The revision of the last write."""
