"""One member of a store as its clients see it: etcd's services, whoever answers.

Members of the lab's own store answer it, and so does a client of a real etcd: the API server, the gRPC
server and the tests cannot tell the difference.
Source: etcd, api/etcdserverpb/rpc.proto (KV, Watch, Lease, Cluster, Maintenance) and
api/v3rpc/rpctypes/error.go, whose errors these are.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from kubelab.cluster.store.requests import (
    Alarm,
    AlarmType,
    Compaction,
    DeleteRange,
    DeleteRangeResponse,
    KeyValue,
    LeaseGrant,
    Put,
    PutResponse,
    Range,
    RangeResponse,
    Txn,
    TxnResponse,
)


class StoreError(Exception):
    """A refusal, in etcd's words. The request surely did nothing, but for `StoreTimeoutError`."""


class CompactedError(StoreError):
    def __init__(self, revision: int, compact_revision: int) -> None:
        super().__init__("etcdserver: mvcc: required revision has been compacted")
        self.revision = revision
        self.compact_revision = compact_revision


class FutureRevisionError(StoreError):
    def __init__(self, revision: int, store_revision: int) -> None:
        super().__init__("etcdserver: mvcc: required revision is a future revision")
        self.revision = revision
        self.store_revision = store_revision


class EmptyKeyError(StoreError):
    def __init__(self) -> None:
        super().__init__("etcdserver: key is not provided")


class KeyNotFoundError(StoreError):
    def __init__(self) -> None:
        super().__init__("etcdserver: key not found")


class DuplicateKeyError(StoreError):
    def __init__(self) -> None:
        super().__init__("etcdserver: duplicate key given in txn request")


class TooManyOperationsError(StoreError):
    def __init__(self) -> None:
        super().__init__("etcdserver: too many operations in txn request")


class ValueProvidedError(StoreError):
    def __init__(self) -> None:
        super().__init__("etcdserver: value is provided")


class LeaseProvidedError(StoreError):
    def __init__(self) -> None:
        super().__init__("etcdserver: lease is provided")


class LeaseTtlTooLargeError(StoreError):
    def __init__(self) -> None:
        super().__init__("etcdserver: too large lease TTL")


class LeaseNotFoundError(StoreError):
    def __init__(self) -> None:
        super().__init__("etcdserver: requested lease not found")


class LeaseExistsError(StoreError):
    def __init__(self) -> None:
        super().__init__("etcdserver: lease already exists")


class NoSpaceError(StoreError):
    def __init__(self) -> None:
        super().__init__("etcdserver: mvcc: database space exceeded")


class CorruptError(StoreError):
    def __init__(self) -> None:
        super().__init__("etcdserver: corrupt cluster")


class NoLeaderError(StoreError):
    def __init__(self) -> None:
        super().__init__("etcdserver: no leader")


class StoreTimeoutError(StoreError):
    """Nobody knows whether the request was carried out."""

    def __init__(self) -> None:
        super().__init__("etcdserver: request timed out")


class MemberError(StoreError):
    """A change of the membership that is not allowed now; the text says why, as etcd does."""


@dataclass(frozen=True, slots=True)
class Event:
    """For DELETE, `kv` has the key, an empty value and the revision of the deletion."""

    type: Literal["PUT", "DELETE"]
    kv: KeyValue
    prev_kv: KeyValue | None


@dataclass(frozen=True, slots=True)
class Progress:
    """All events up to `revision` have been delivered (etcd: a WatchResponse without events)."""

    revision: int


class Watch(Protocol):
    """Yields the events of one revision together, in order, none lost and none twice, and `Progress` when it
    was asked for; raises CompactedError when it fell behind a compaction."""

    def __aiter__(self) -> AsyncIterator[tuple[Event, ...] | Progress]: ...

    def request_progress(self) -> None:
        """Have it yield a `Progress` once everything of before has been delivered."""


@dataclass(frozen=True, slots=True)
class LeaseState:
    """`ttl_s`: what is left, -1 for a lease that is not there. `keys`: what it ends, when they were asked."""

    id: int
    ttl_s: int
    granted_ttl_s: int
    keys: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class MemberState:
    """A member of the cluster; its `name` is empty until it has started for the first time."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...] = ()
    is_learner: bool = False


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """`leader` is 0 while the member knows none. Indices and terms are Raft's."""

    member: int
    version: str
    db_size_bytes: int
    db_size_in_use_bytes: int
    leader: int
    raft_term: int
    raft_index: int
    raft_applied_index: int
    is_learner: bool = False
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AlarmState:
    member: int
    alarm: AlarmType


class KeyValueService(Protocol):
    """All raise NoLeaderError, StoreTimeoutError and what is named."""

    @property
    def revision(self) -> int:
        """The newest revision that this member has applied."""

    async def range(self, request: Range) -> RangeResponse:
        """Linearizable unless `serializable`. Raises CompactedError, FutureRevisionError, EmptyKeyError."""

    async def put(self, request: Put) -> PutResponse:
        """Raises EmptyKeyError, KeyNotFoundError (with ignore_*), LeaseNotFoundError, NoSpaceError."""

    async def delete_range(self, request: DeleteRange) -> DeleteRangeResponse:
        """Raises EmptyKeyError."""

    async def txn(self, request: Txn) -> TxnResponse:
        """Raises what its operations do, and DuplicateKeyError."""

    async def compact(self, request: Compaction) -> int:
        """Return the store's revision. Raises CompactedError, FutureRevisionError."""

    def watch(
        self, key: bytes, range_end: bytes = b"", *, start_revision: int = 0, prev_kv: bool = True
    ) -> AbstractAsyncContextManager[Watch]:
        """Watch from *start_revision* on, inclusive (0: from now). Raises CompactedError, on entering too."""


@runtime_checkable
class AnswersNow(Protocol):
    """What some services can do beside."""

    def range_now(self, request: Range) -> RangeResponse | None:
        """Answer as `range` does, without waiting; None if that cannot be done right now."""


class LeaseService(Protocol):
    async def lease_grant(self, request: LeaseGrant) -> LeaseState:
        """`id` 0: the member chooses. Raises LeaseExistsError."""

    async def lease_revoke(self, lease: int) -> None:
        """Delete the lease and its keys. Raises LeaseNotFoundError."""

    async def lease_keep_alive(self, lease: int) -> int:
        """Return the whole time to live in seconds, which begins anew. Raises LeaseNotFoundError."""

    async def lease_time_to_live(self, lease: int, *, keys: bool = False) -> LeaseState: ...

    async def leases(self) -> tuple[int, ...]: ...


class ClusterService(Protocol):
    """Changes raise MemberError."""

    @property
    def cluster_id(self) -> int: ...

    @property
    def member_id(self) -> int: ...

    @property
    def raft_term(self) -> int: ...

    async def members(self, *, linearizable: bool = True) -> tuple[MemberState, ...]: ...

    async def member_add(self, peer_urls: tuple[str, ...], *, is_learner: bool = False) -> MemberState: ...

    async def member_remove(self, member: int) -> None: ...

    async def member_update(self, member: int, peer_urls: tuple[str, ...]) -> None: ...

    async def member_promote(self, member: int) -> None: ...


class MaintenanceService(Protocol):
    async def status(self) -> MemberStatus: ...

    async def alarm(self, request: Alarm) -> tuple[AlarmState, ...]:
        """Return the alarms that are on, or that this request changed."""

    async def defragment(self) -> None: ...

    async def hash_kv(self, revision: int = 0) -> tuple[int, int]:
        """Return a checksum of the store at *revision* (0: now), alike on all members, and the oldest
        revision that is in it."""

    def snapshot(self) -> AsyncIterator[bytes]:
        """Yield the whole store in pieces, its checksum last."""

    async def move_leader(self, target: int) -> None:
        """Raises MemberError: this member does not lead, or *target* cannot."""


class Service(KeyValueService, LeaseService, ClusterService, MaintenanceService, Protocol):
    """All that a member answers."""
