"""A store of one member without Raft and without a disk: `Mvcc`, and what time does to leases.

It answers all that a member answers. Whatever the other members would have to agree to happens at once, and
all is gone with the process. Leases end while `run` does; who grants none need not run it.

Everything happens between two awaits, so a request is atomic because asyncio is cooperative: use one store
from one event loop.
"""

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import AbstractAsyncContextManager, suppress
from itertools import count
from typing import TypeVar, cast

from kubelab.cluster.clock import Clock, SystemClock
from kubelab.cluster.store.lessor import Lessor
from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.requests import (
    Alarm,
    AlarmAction,
    AlarmType,
    Compaction,
    DeleteRange,
    DeleteRangeResponse,
    LeaseGrant,
    LeaseRevoke,
    Put,
    PutResponse,
    Range,
    RangeResponse,
    Txn,
    TxnResponse,
)
from kubelab.cluster.store.service import (
    AlarmState,
    LeaseNotFoundError,
    LeaseState,
    MemberError,
    MemberState,
    MemberStatus,
    NoSpaceError,
    Watch,
)
from kubelab.cluster.store.watch import watching

MEMBER = MemberState(1, "memory", ("http://localhost:2380",), ("http://localhost:2379",))
ETCD_VERSION = "3.5.16"  # Whose API it answers.
TRIM_STEP = 1000  # Revisions forgotten at once: 2 ms, then the loop's other tasks have their turn.
LEASES_LOOK_S = 0.5  # As etcd's lessor.

_Result = TypeVar("_Result")


class MemoryStore:
    def __init__(self, *, clock: Clock | None = None, mvcc: Mvcc | None = None) -> None:
        self._mvcc = mvcc or Mvcc()
        self._clock = clock or SystemClock()
        self._lessor = Lessor()
        leases = [(lease.id, lease.ttl_s) for lease in self._mvcc.leases.values()]
        self._lessor.promote(leases, self._clock.monotonic_s())
        self._lease_ids = count(1)

    async def run(self) -> None:
        """Until cancelled, revoke the leases that are over."""
        while True:
            for lease in self._lessor.expired(self._clock.monotonic_s()):
                with suppress(LeaseNotFoundError):
                    await self.lease_revoke(lease)
            await self._clock.sleep(LEASES_LOOK_S)

    # Keys

    @property
    def revision(self) -> int:
        return self._mvcc.revision

    async def range(self, request: Range) -> RangeResponse:
        return self._mvcc.range(request)

    def range_now(self, request: Range) -> RangeResponse | None:
        return self._mvcc.range(request)

    async def put(self, request: Put) -> PutResponse:
        self._check_quota(request)
        return cast(PutResponse, self._mvcc.apply(request))

    async def delete_range(self, request: DeleteRange) -> DeleteRangeResponse:
        return cast(DeleteRangeResponse, self._mvcc.apply(request))

    async def txn(self, request: Txn) -> TxnResponse:
        self._check_quota(request)
        return cast(TxnResponse, self._mvcc.apply(request))

    async def compact(self, request: Compaction) -> int:
        revision = cast(int, self._mvcc.apply(request))
        await stepwise(self._trim())
        return revision

    def _trim(self) -> Generator[None, None, None]:
        while self._mvcc.trim(TRIM_STEP):
            yield

    def watch(
        self, key: bytes, range_end: bytes = b"", *, start_revision: int = 0, prev_kv: bool = True
    ) -> AbstractAsyncContextManager[Watch]:
        return watching(self._mvcc, key, range_end, start_revision=start_revision, prev_kv=prev_kv)

    def _check_quota(self, request: Put | Txn | LeaseGrant) -> None:
        try:
            self._mvcc.check_quota(request)
        except NoSpaceError:
            self._mvcc.apply(Alarm(AlarmAction.ACTIVATE, MEMBER.id, AlarmType.NOSPACE))
            raise

    # Leases

    async def lease_grant(self, request: LeaseGrant) -> LeaseState:
        if not request.id:
            free = next(each for each in self._lease_ids if each not in self._mvcc.leases)
            request = LeaseGrant(request.ttl_s, free)
        self._check_quota(request)
        lease = cast(LeaseState, self._mvcc.apply(request))
        self._lessor.applied(request, self._clock.monotonic_s(), lease.granted_ttl_s)
        return lease

    async def lease_revoke(self, lease: int) -> None:
        request = LeaseRevoke(lease)
        self._mvcc.apply(request)
        self._lessor.applied(request, self._clock.monotonic_s())

    async def lease_keep_alive(self, lease: int) -> int:
        return self._lessor.renew(lease, self._clock.monotonic_s())

    async def lease_time_to_live(self, lease: int, *, keys: bool = False) -> LeaseState:
        there = self._mvcc.leases.get(lease)
        if there is None:
            return LeaseState(lease, -1, 0)
        remaining_s = self._lessor.remaining_s(lease, self._clock.monotonic_s())
        return LeaseState(lease, remaining_s, there.ttl_s, tuple(sorted(there.keys)) if keys else ())

    async def leases(self) -> tuple[int, ...]:
        return tuple(sorted(self._mvcc.leases))

    # The cluster, which it is alone

    @property
    def cluster_id(self) -> int:
        return MEMBER.id

    @property
    def member_id(self) -> int:
        return MEMBER.id

    @property
    def raft_term(self) -> int:
        return 1

    async def members(self, *, linearizable: bool = True) -> tuple[MemberState, ...]:
        return (MEMBER,)

    async def member_add(self, peer_urls: tuple[str, ...], *, is_learner: bool = False) -> MemberState:
        raise MemberError("etcdserver: a store in memory is alone")

    async def member_remove(self, member: int) -> None:
        self._check_member(member)
        raise MemberError("etcdserver: re-configuration failed due to not enough started members")

    async def member_update(self, member: int, peer_urls: tuple[str, ...]) -> None:
        self._check_member(member)
        raise MemberError("etcdserver: a store in memory has no peers")

    async def member_promote(self, member: int) -> None:
        self._check_member(member)
        raise MemberError("etcdserver: can only promote a learner member")

    async def move_leader(self, target: int) -> None:
        if target != MEMBER.id:
            raise MemberError("etcdserver: bad leader transferee")

    @staticmethod
    def _check_member(member: int) -> None:
        if member != MEMBER.id:
            raise MemberError("etcdserver: member not found")

    # Maintenance

    async def status(self) -> MemberStatus:
        mvcc = self._mvcc
        return MemberStatus(
            member=MEMBER.id,
            version=ETCD_VERSION,
            db_size_bytes=mvcc.allocated_bytes,
            db_size_in_use_bytes=mvcc.in_use_bytes,
            leader=MEMBER.id,
            raft_term=self.raft_term,
            raft_index=mvcc.applied_index,
            raft_applied_index=mvcc.applied_index,
            errors=tuple(
                f"memberID:{alarm.member} alarm:{alarm.alarm.name}" for alarm in mvcc.raised_alarms()
            ),
        )

    async def alarm(self, request: Alarm) -> tuple[AlarmState, ...]:
        return cast(tuple[AlarmState, ...], self._mvcc.apply(request))

    async def defragment(self) -> None:
        self._mvcc.defragment()

    async def hash_kv(self, revision: int = 0) -> tuple[int, int]:
        return await stepwise(self._mvcc.hash_kv(revision))

    async def snapshot(self) -> AsyncIterator[bytes]:
        for piece in self._mvcc.image().encode():
            if piece:
                yield piece
            await asyncio.sleep(0)


async def stepwise(steps: Generator[None, None, _Result]) -> _Result:
    """Return what *steps* do at the end, and give way after each."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return cast(_Result, end.value)
        await asyncio.sleep(0)
