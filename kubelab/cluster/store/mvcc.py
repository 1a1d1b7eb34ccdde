"""etcd's state machine: requests go in as the log has them, answers and events come out. Pure.

Every member that applies the same requests comes to the same state and the same answers, refusals too: there
is no clock and no chance in here, and a refused request leaves nothing behind but its place in the log
(`applied_index`). All that could be refused is checked before the first change, against the state before the
request, as in etcd.

What a member decides for itself, and then proposes, is with the member: that a lease is over (`lessor`), and
that the quota is used up (`check_quota`; whoever is refused proposes an `Alarm`, from which on all members
refuse what takes room). `allocated_bytes` grows with what is kept and shrinks by `defragment` alone, as the
file of etcd does, because the tables in memory are like that.

Source: etcd, server/etcdserver/apply/{backend,capped,corrupt,quota}.go, server/etcdserver/txn/, server/
storage/mvcc/, server/storage/quota.go. Left out: authentication, checkpoints of leases.
"""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field

from kubelab.cluster.store.mvcc_checks import check
from kubelab.cluster.store.mvcc_image import Header, Image
from kubelab.cluster.store.mvcc_keys import Keys
from kubelab.cluster.store.mvcc_range import check_revision, read_range
from kubelab.cluster.store.mvcc_txn import Plan, cost_bytes, plan, taken
from kubelab.cluster.store.requests import (
    Alarm,
    AlarmAction,
    AlarmType,
    Compaction,
    DeleteRange,
    DeleteRangeResponse,
    KeyValue,
    LeaseGrant,
    LeaseRevoke,
    Membership,
    Put,
    PutResponse,
    Range,
    RangeResponse,
    Txn,
    TxnResponse,
    Write,
)
from kubelab.cluster.store.service import (
    AlarmState,
    CompactedError,
    CorruptError,
    EmptyKeyError,
    FutureRevisionError,
    KeyNotFoundError,
    LeaseExistsError,
    LeaseNotFoundError,
    LeaseState,
    NoSpaceError,
)
from kubelab.cluster.store.watch_hub import Watcher, WatchHub

DEFAULT_QUOTA_BYTES = 2 * 1024**3  # As etcd's --quota-backend-bytes.
EMPTY_BYTES = 20 * 1024  # An empty etcd's file.
LEASE_TTL_MIN_S = 2  # As etcd's at its default election timeout of one second.
TRIM_STEP = 250  # Revisions forgotten with each request after a compaction: 0.5 ms.

Answer = (
    PutResponse
    | DeleteRangeResponse
    | TxnResponse
    | LeaseState
    | tuple[AlarmState, ...]
    | int  # The store's revision after a compaction or a lease's revocation.
    | None
)


@dataclass(slots=True)
class Lease:
    id: int
    ttl_s: int
    keys: set[bytes] = field(default_factory=set)


class Mvcc:
    def __init__(self, *, quota_bytes: int = DEFAULT_QUOTA_BYTES) -> None:
        self.applied_index = 0
        self.quota_bytes = quota_bytes
        self.leases: dict[int, Lease] = {}
        self.alarms: set[tuple[int, AlarmType]] = set()
        self.members: dict[int, Membership] = {}
        self._keys = Keys()
        self._hub = WatchHub(self._keys)
        self._allocated_bytes = 0

    @property
    def revision(self) -> int:
        return self._keys.revision

    @property
    def compact_revision(self) -> int:
        """The oldest revision that can be read; -1: all can."""
        return self._keys.compact_revision

    @property
    def in_use_bytes(self) -> int:
        return EMPTY_BYTES + self._keys.in_use_bytes

    @property
    def allocated_bytes(self) -> int:
        return EMPTY_BYTES + max(self._allocated_bytes, self._keys.in_use_bytes)

    def get(self, key: bytes) -> KeyValue | None:
        return self._keys.live.get(key)

    def range(self, request: Range) -> RangeResponse:
        """Raises CompactedError, FutureRevisionError, EmptyKeyError."""
        if not request.key:
            raise EmptyKeyError
        return read_range(self._keys, request)

    def read_txn(self, request: Txn) -> TxnResponse:
        """Answer a transaction that `is_read_only`, as `apply` would. Raises what `range` does."""
        check(request)
        succeeded, steps = taken(self._keys, request)
        responses = [read_range(self._keys, step) for step in steps if isinstance(step, Range)]
        return TxnResponse(self._keys.read_revision, succeeded, tuple(responses))

    def apply(self, request: Write, index: int = 0) -> Answer:
        """Carry *request* out, which is the log's entry at *index*, and tell the watchers.

        Raises:
            StoreError: it is refused, on all members alike; nothing has changed but `applied_index`.
        """
        self.applied_index = index or self.applied_index
        check(request)
        if self.alarms:
            self._check_alarms(request)
        answer, keys = self._carry_out(request), self._keys
        if keys.has_changes:
            self._hub.committed(*keys.commit())
        if keys.log.first < keys.compact_revision:
            keys.trim(TRIM_STEP)
        if keys.in_use_bytes > self._allocated_bytes:
            self._allocated_bytes = keys.in_use_bytes
        return answer

    def _carry_out(self, request: Write) -> Answer:
        match request:
            case Put():
                return self._put_alone(request)
            case Txn():
                return self._txn(request)
            case DeleteRange():
                return self._delete_range(request)
            case Compaction():
                return self._compact(request.revision)
            case LeaseGrant():
                return self._grant(request)
            case LeaseRevoke():
                return self._revoke(request.id)
            case Alarm():
                return self._alarm(request)
            case Membership():
                self._membership(request)
                return None

    def trim(self, revisions: int) -> bool:
        """Forget at most so many of the revisions that were compacted; return whether there are more.

        Requests do it in passing; this is for whoever has the time. It changes nothing that can be read.
        """
        return self._keys.trim(revisions)

    # Keys

    def _txn(self, request: Txn) -> TxnResponse:
        planned = plan(self._keys, request)
        for operation in planned.operations():
            if isinstance(operation, Put):
                self._check_put(operation)
            elif isinstance(operation, Range):
                check_revision(self._keys, operation.revision)
        return self._carry_out_plan(planned)

    def _carry_out_plan(self, planned: Plan) -> TxnResponse:
        responses = tuple(map(self._carry_out_step, planned.steps))
        return TxnResponse(self._keys.read_revision, planned.succeeded, responses)

    def _carry_out_step(
        self, step: Range | Put | DeleteRange | Plan
    ) -> RangeResponse | PutResponse | DeleteRangeResponse | TxnResponse:
        match step:
            case Put():
                return self._put(step)
            case Range():
                return read_range(self._keys, step)
            case DeleteRange():
                return self._delete_range(step)
            case Plan():
                return self._carry_out_plan(step)

    def _check_put(self, request: Put) -> None:
        if request.lease and request.lease not in self.leases:
            raise LeaseNotFoundError
        if (request.ignore_value or request.ignore_lease) and request.key not in self._keys.live:
            raise KeyNotFoundError

    def _put_alone(self, request: Put) -> PutResponse:
        """Carry out a put that is all of its revision."""
        if request.lease or request.ignore_value or request.ignore_lease:
            self._check_put(request)
            return self._put(request)
        kv, old = self._keys.put_alone(request.key, request.value)
        if old is not None and old.lease:
            self._attach(kv.key, old.lease, 0)
        self._hub.committed((kv,), (old,))
        return PutResponse(kv.mod_revision, old if request.prev_kv else None)

    def _put(self, request: Put) -> PutResponse:
        keys = self._keys
        old = keys.live.get(request.key)
        value, lease = request.value, request.lease
        if old is not None:
            value = old.value if request.ignore_value else value
            lease = old.lease if request.ignore_lease else lease
        kv = keys.put(request.key, value, lease)
        if lease or (old is not None and old.lease):
            self._attach(kv.key, old.lease if old else 0, lease)
        return PutResponse(kv.mod_revision, old if request.prev_kv else None)

    def _delete_range(self, request: DeleteRange) -> DeleteRangeResponse:
        deleted = self._delete(request.key, request.range_end)
        previous = tuple(deleted) if request.prev_kv else ()
        return DeleteRangeResponse(self._keys.read_revision, len(deleted), previous)

    def _delete(self, key: bytes, range_end: bytes = b"") -> list[KeyValue]:
        deleted = self._keys.delete(key, range_end)
        for kv in deleted:
            if kv.lease:
                self._attach(kv.key, kv.lease, 0)
        return deleted

    def _compact(self, revision: int) -> int:
        keys = self._keys
        if revision <= keys.compact_revision:
            raise CompactedError(revision, keys.compact_revision)
        if revision > keys.revision:
            raise FutureRevisionError(revision, keys.revision)
        keys.compact(revision)
        self._hub.compacted()
        return keys.revision

    # Leases

    def _grant(self, request: LeaseGrant) -> LeaseState:
        if request.id in self.leases:
            raise LeaseExistsError
        ttl_s = max(request.ttl_s, LEASE_TTL_MIN_S)
        self.leases[request.id] = Lease(request.id, ttl_s)
        return LeaseState(request.id, ttl_s, ttl_s)

    def _revoke(self, lease: int) -> int:
        if lease not in self.leases:
            raise LeaseNotFoundError
        for key in sorted(self.leases[lease].keys):  # In the same order on all members.
            self._delete(key)
        del self.leases[lease]
        return self._keys.read_revision

    def _attach(self, key: bytes, old: int, new: int) -> None:
        if old == new:
            return
        if old:
            self.leases[old].keys.discard(key)
        if new:
            self.leases[new].keys.add(key)

    # Alarms, quota and members

    def check_quota(self, request: Write) -> None:
        """Refuse what might not fit in. For the one who would propose it; `apply` does not look.

        Raises:
            NoSpaceError: the quota would be exceeded.
        """
        cost = cost_bytes(request)
        if cost and self.allocated_bytes + cost >= self.quota_bytes:
            raise NoSpaceError

    def _check_alarms(self, request: Write) -> None:
        """Refuse what an alarm forbids; reads are answered even from a corrupt cluster, as etcd does."""
        if isinstance(request, Alarm | Membership):
            return
        if self._is_raised(AlarmType.CORRUPT):
            raise CorruptError
        if cost_bytes(request) and self._is_raised(AlarmType.NOSPACE):
            raise NoSpaceError

    def _is_raised(self, alarm: AlarmType) -> bool:
        return any(raised == alarm for _, raised in self.alarms)

    def raised_alarms(self, alarm: AlarmType = AlarmType.NONE) -> tuple[AlarmState, ...]:
        """Return the alarms that are on, or only those of one kind."""
        return tuple(
            AlarmState(member, raised)
            for member, raised in sorted(self.alarms)
            if alarm in (AlarmType.NONE, raised)
        )

    def _alarm(self, request: Alarm) -> tuple[AlarmState, ...]:
        named = (request.member, request.alarm)
        if request.action == AlarmAction.GET:
            return self.raised_alarms(request.alarm)
        if request.action == AlarmAction.ACTIVATE and request.alarm != AlarmType.NONE:
            self.alarms.add(named)
            return (AlarmState(*named),)
        if request.action == AlarmAction.DEACTIVATE and named in self.alarms:
            self.alarms.remove(named)
            return (AlarmState(*named),)
        return ()

    def _membership(self, request: Membership) -> None:
        if request.is_gone:
            self.members.pop(request.id, None)
        else:
            self.members[request.id] = request

    # Watches

    def watch(
        self,
        key: bytes,
        range_end: bytes = b"",
        *,
        start_revision: int = 0,
        prev_kv: bool = True,
        wake: Callable[[], None],
    ) -> Watcher:
        """Watch as `WatchHub.watch` says. Raises CompactedError."""
        return self._hub.watch(key, range_end, start_revision=start_revision, prev_kv=prev_kv, wake=wake)

    # The whole of it

    def image(self) -> Image:
        """Return the state as it is now, to be encoded or summed up while requests go on being applied."""
        leases = [(lease.id, lease.ttl_s) for lease in self.leases.values()]
        return Image(self._keys, self.applied_index, leases, self.alarms, self.members.values())

    def hash_kv(self, revision: int = 0) -> Generator[None, None, tuple[int, int]]:
        """Return, after as many steps as it takes, a checksum of what can be read up to *revision* (0: now),
        and the compacted revision.

        Raises:
            CompactedError: *revision* is no longer there.
            FutureRevisionError: *revision* is not there yet.
        """
        check_revision(self._keys, revision)
        image = self.image()
        checksum = yield from image.hash(revision or image.revision)
        return checksum, image.compact_revision

    def defragment(self) -> None:
        """Give back what deletions and compactions have left empty: on this member, and nowhere else."""
        self._keys.rebuild()
        self._allocated_bytes = self._keys.in_use_bytes

    def restore_header(self, header: Header) -> None:
        """Begin to take over an image, into a store that is empty. `mvcc_restore` brings its parts."""
        self.applied_index = header.applied_index
        self.alarms = set(header.alarms)
        self.members = {member.id: member for member in header.members}
        self._keys.begin_restoring(header.first_revision, header.compact_revision)

    def restore_leases(self, leases: Iterable[tuple[int, int]]) -> None:
        self.leases.update((lease, Lease(lease, ttl_s)) for lease, ttl_s in leases)

    def restore_before(self, kvs: Iterable[KeyValue]) -> None:
        self._keys.restore_before_log(kvs)

    def restore_revisions(self, revisions: Iterable[Iterable[KeyValue]]) -> None:
        for kvs in revisions:
            self._keys.restore_revision(kvs)

    def restore_end(self) -> None:
        for kv in self._keys.live.values():
            if kv.lease:
                self._attach(kv.key, 0, kv.lease)

    def replace(self, restored: "Mvcc") -> None:
        """Become *restored*, which nobody uses after that; watchers go on from where they were."""
        self.applied_index = restored.applied_index
        self.leases.clear()
        self.leases.update(restored.leases)
        self.alarms = restored.alarms
        self.members = restored.members
        self._keys = restored._keys
        self._allocated_bytes = restored._keys.in_use_bytes
        self._hub.move_to(self._keys)
