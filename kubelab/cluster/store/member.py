"""A member of the replicated store: Raft, the log on disk, the state machine and the peers, as one service.

A write waits until its entry is committed and applied here; a linearizable read until this member has applied
what was committed when it was asked: at once on a leader whose lease holds, else after a round that confirms
the leader, which many reads share. Leases are the leader's affair: it renews them for whoever is asked, and
proposes that they end; a new leader lets all begin anew. When nobody leads, requests wait for the next leader
as long as their time-out allows, and so do writes that the last one has taken with it.
Source: etcd, server/etcdserver/{server,v3_server}.go and server/etcdserver/apply/.
Left out: authentication, downgrades, the check of members' data against each other (`hash_kv` tells it to
whoever asks), checkpoints of leases.
"""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

from kubelab.cluster.clock import Clock
from kubelab.cluster.errors import LabError
from kubelab.cluster.linux.background import background
from kubelab.cluster.linux.threads import in_thread
from kubelab.cluster.raft.configuration_change import ConfigurationChange, members
from kubelab.cluster.raft.messages import NOBODY, Entry, EntryType, MemberId, Message, Snapshot
from kubelab.cluster.raft.raft import ProposalDroppedError
from kubelab.cluster.raft.ready import ReadState
from kubelab.cluster.raft.states import Role
from kubelab.cluster.store.lessor import Lessor
from kubelab.cluster.store.member_changes import Changes
from kubelab.cluster.store.member_config import MemberConfig, first_snapshot, member_id
from kubelab.cluster.store.member_disk import MemberDisk, open_disk
from kubelab.cluster.store.member_driver import FOR_EVER, Driver
from kubelab.cluster.store.member_proposals import ID_BYTES, Proposal, Proposals
from kubelab.cluster.store.member_questions import (
    Change,
    Question,
    Renew,
    TimeLeft,
    decode_answer,
    decode_question,
    encode_answer,
    encode_question,
    encode_refusal,
)
from kubelab.cluster.store.member_reads import WaitingReads
from kubelab.cluster.store.member_snapshots import SnapshotKeeper
from kubelab.cluster.store.member_view import MemberView
from kubelab.cluster.store.member_watch import MemberWatches
from kubelab.cluster.store.mvcc import Answer
from kubelab.cluster.store.mvcc_checks import check
from kubelab.cluster.store.mvcc_txn import is_read_only
from kubelab.cluster.store.requests import (
    Alarm,
    AlarmAction,
    AlarmType,
    Compaction,
    DeleteRange,
    DeleteRangeResponse,
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
    decode,
)
from kubelab.cluster.store.service import (
    AlarmState,
    LeaseState,
    MemberError,
    MemberState,
    MemberStatus,
    NoLeaderError,
    NoSpaceError,
    StoreError,
    StoreTimeoutError,
    Watch,
)
from kubelab.cluster.store.transport import PeerUnreachableError, Transport
from kubelab.cluster.store.wal import Identity
from kubelab.language import Text

VERSION = "3.5.16"  # The etcd whose API this is.
HAND_OVER_TIMEOUT_S = 1.0
EXPIRY_TICKS = 20  # Between two looks for leases that are over.

_PLAIN_WRITES = frozenset({Put, DeleteRange, Txn})  # Nearly all.


class Member:
    """Made by `start_member`."""

    def __init__(self, config: MemberConfig, disk: MemberDisk, transport: Transport, clock: Clock) -> None:
        self.config = config
        self._clock = clock
        self._transport = transport
        self._mvcc = disk.mvcc
        self._mvcc.quota_bytes = config.quota_bytes
        self._applied = disk.snapshot.index
        self._driver = Driver(config, disk, transport, clock, self)
        self._raft = self._driver.raft
        self._proposals = Proposals(secrets.randbits(64))
        self._reads = WaitingReads(secrets.randbits(64))
        self._changes = Changes()
        self._lessor = Lessor()
        self._looked_for_expired_ticks = 0
        self._watches = MemberWatches(self._mvcc)
        self._snapshots = SnapshotKeeper(self._mvcc, self._driver, disk.snapshots, config.snapshot_entries)
        self._leader: MemberId = NOBODY
        self._transferee: MemberId = NOBODY
        self._news = asyncio.Event()
        self._is_killed = False
        self._removed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tell_peers()

    # KeyValueService

    @property
    def revision(self) -> int:
        return self._mvcc.revision

    def range_now(self, request: Range) -> RangeResponse | None:
        """Answer as `range` does, without waiting; None if that cannot be done right now."""
        driver = self._driver
        if not (
            request.serializable or driver.readable_until_s is FOR_EVER or driver.is_readable(self._applied)
        ):
            return None
        return self._mvcc.range(request)

    async def range(self, request: Range) -> RangeResponse:
        if (answer := self.range_now(request)) is not None:
            return answer
        await self._linearize()
        return self._mvcc.range(request)

    async def put(self, request: Put) -> PutResponse:
        answer = await self._propose(request)
        assert isinstance(answer, PutResponse)
        return answer

    async def delete_range(self, request: DeleteRange) -> DeleteRangeResponse:
        answer = await self._propose(request)
        assert isinstance(answer, DeleteRangeResponse)
        return answer

    async def txn(self, request: Txn) -> TxnResponse:
        if is_read_only(request):
            if not _is_serializable(request):
                await self._linearize()
            return self._mvcc.read_txn(request)
        answer = await self._propose(request)
        assert isinstance(answer, TxnResponse)
        return answer

    async def compact(self, request: Compaction) -> int:
        answer = await self._propose(request)
        assert isinstance(answer, int)
        return answer

    def watch(
        self, key: bytes, range_end: bytes = b"", *, start_revision: int = 0, prev_kv: bool = True
    ) -> AbstractAsyncContextManager[Watch]:
        return self._watches.watch(key, range_end, start_revision=start_revision, prev_kv=prev_kv)

    # LeaseService

    async def lease_grant(self, request: LeaseGrant) -> LeaseState:
        lease = request.id or secrets.randbelow((1 << 63) - 1) + 1
        answer = await self._propose(LeaseGrant(request.ttl_s, lease))
        assert isinstance(answer, LeaseState)
        return answer

    async def lease_revoke(self, lease: int) -> None:
        await self._propose(LeaseRevoke(lease))

    async def lease_keep_alive(self, lease: int) -> int:
        return await self._ask_leader(Renew(lease))

    async def lease_time_to_live(self, lease: int, *, keys: bool = False) -> LeaseState:
        await self._linearize()
        left_s = await self._ask_leader(TimeLeft(lease))
        granted = self._mvcc.leases.get(lease)
        if granted is None or left_s < 0:
            return LeaseState(lease, -1, 0)
        return LeaseState(lease, left_s, granted.ttl_s, tuple(sorted(granted.keys)) if keys else ())

    async def leases(self) -> tuple[int, ...]:
        await self._linearize()
        return tuple(sorted(self._mvcc.leases))

    # ClusterService

    @property
    def cluster_id(self) -> int:
        return self.config.cluster_id

    @property
    def member_id(self) -> int:
        return self.config.id

    @property
    def raft_term(self) -> int:
        return self._raft.term

    async def members(self, *, linearizable: bool = True) -> tuple[MemberState, ...]:
        if linearizable:
            await self._linearize()
        return self._members()

    async def member_add(self, peer_urls: tuple[str, ...], *, is_learner: bool = False) -> MemberState:
        if any(set(member.peer_urls) & set(peer_urls) for member in await self.members()):
            raise MemberError("etcdserver: Peer URLs already exists")
        added = member_id(secrets.token_hex(8), ",".join(peer_urls))
        await self._propose(Membership(added, "", peer_urls))  # First: all must know where to send to.
        change = ConfigurationChange(
            voters=() if is_learner else (added,), learners=(added,) if is_learner else ()
        )
        try:
            await self._change(change)
        except MemberError:
            await self._propose(Membership(added, "", is_gone=True))
            raise
        if added not in self._mvcc.members:  # A new leader took it for one that is gone.
            await self._propose(Membership(added, "", peer_urls))
        return MemberState(added, "", peer_urls, is_learner=is_learner)

    async def member_remove(self, member: int) -> None:
        await self._find(member)
        await self._change(ConfigurationChange(removed=(member,)))

    async def member_update(self, member: int, peer_urls: tuple[str, ...]) -> None:
        known = await self._find(member)
        await self._propose(Membership(member, known.name, peer_urls, known.client_urls))

    async def member_promote(self, member: int) -> None:
        if not (await self._find(member)).is_learner:
            raise MemberError("etcdserver: can only promote a learner member")
        await self._change(ConfigurationChange(voters=(member,)))

    # MaintenanceService

    async def status(self) -> MemberStatus:
        raft = self._raft.status()
        alarms = (
            f"{AlarmType(kind).name} of member {member:x}" for member, kind in sorted(self._mvcc.alarms)
        )
        return MemberStatus(
            member=self.config.id,
            version=VERSION,
            db_size_bytes=self._mvcc.allocated_bytes,
            db_size_in_use_bytes=self._mvcc.in_use_bytes,
            leader=raft.leader,
            raft_term=raft.term,
            raft_index=raft.commit,
            raft_applied_index=self._applied,
            is_learner=raft.is_learner,
            errors=(*alarms, *(() if raft.leader else ("etcdserver: no leader",))),
        )

    async def alarm(self, request: Alarm) -> tuple[AlarmState, ...]:
        if request.action is AlarmAction.GET:
            return self._mvcc.raised_alarms(request.alarm)
        answer = await self._propose(request)
        assert isinstance(answer, tuple)
        return answer

    async def defragment(self) -> None:
        self._mvcc.defragment()

    async def hash_kv(self, revision: int = 0) -> tuple[int, int]:
        await self._linearize()
        steps = self._mvcc.hash_kv(revision)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                checksum, oldest = end.value
                return checksum, oldest
            await asyncio.sleep(0)

    async def snapshot(self) -> AsyncIterator[bytes]:
        """Yield the store as `mvcc_image` encodes it, and the SHA-256 of all that."""
        digest = hashlib.sha256()
        for piece in self._mvcc.image().encode():
            digest.update(piece)
            if piece:
                yield piece
            await asyncio.sleep(0)
        yield digest.digest()

    async def move_leader(self, target: int) -> None:
        try:
            self._raft.transfer_leadership(target)
        except ProposalDroppedError as error:
            words = "not leader" if self._raft.role is not Role.LEADER else "bad leader transferee"
            raise MemberError(f"etcdserver: {words}") from error
        self._driver.wake()
        deadline_s = self._deadline_s()
        while self._raft.leader in (NOBODY, self.config.id):
            if self.leads and self._raft.transferee == NOBODY:
                raise MemberError("etcdserver: request timed out, leader transfer took too long")
            await self._next_news(deadline_s)

    # For live views, and for whoever runs it

    @property
    def leads(self) -> bool:
        return self._raft.role is Role.LEADER

    def view(self) -> MemberView:
        self._driver.catch_up()
        return MemberView(
            id=self.config.id,
            name=self.config.name,
            cluster_id=self.config.cluster_id,
            raft=self._raft.status(),
            members=self._members(),
            applied_index=self._applied,
            revision=self._mvcc.revision,
            compact_revision=self._mvcc.compact_revision,
            db_size_bytes=self._mvcc.allocated_bytes,
            db_size_in_use_bytes=self._mvcc.in_use_bytes,
            watches=self._watches.count,
            written_s=self._driver.writer.latencies_s,
        )

    async def ready(self) -> None:
        """Wait until this member can answer: somebody leads, and it has applied what was committed.

        Raises:
            NoLeaderError: it was killed or stopped.
        """
        while not self._is_killed:
            with suppress(NoLeaderError, StoreTimeoutError):
                await self._linearize()
                return
        raise NoLeaderError

    def kill(self) -> None:
        """Be as a process after SIGKILL: nothing is sent, written or answered from now on. To be called
        before the block of `start_member` is left."""
        self._is_killed = True
        self._driver.stop()

    # Receiver: what peers say

    def receive(self, messages: Sequence[Message]) -> None:
        self._driver.receive(messages)

    def unreachable(self, member: MemberId) -> None:
        self._raft.report_unreachable(member)

    def snapshot_sent(self, member: MemberId, *, is_delivered: bool) -> None:
        self._raft.report_snapshot(member, is_delivered)
        self._driver.wake()

    async def answer(self, question: bytes) -> bytes:
        try:
            return encode_answer(await self._answer(decode_question(question)))
        except StoreError as error:
            return encode_refusal(error)

    # StateMachine: what Raft has committed

    def apply(self, entries: Sequence[Entry]) -> None:
        answered = 0
        for entry in entries:
            if entry.type is EntryType.CONFIGURATION:
                self._changes.applied(entry)
                self._forget_the_gone()
                self._note_removal()
            elif entry.data:
                answered += self._apply_write(entry)
            else:
                self._begin_term(entry.term)
        if answered:
            self._proposals.answered_together = answered
        self._applied = entries[-1].index
        self._reads.applied(self._applied)
        self._snapshots.applied(self._applied)

    def _apply_write(self, entry: Entry) -> bool:
        """Return whether somebody here has asked for it."""
        proposal = self._proposals.pop(entry.data[:ID_BYTES])
        request = proposal.request if proposal is not None else decode(entry.data[ID_BYTES:])
        try:
            answer = self._mvcc.apply(request, entry.index)
        except StoreError as error:
            if proposal is not None:
                proposal.refuse(error)
            return proposal is not None
        if proposal is not None:
            proposal.answer(answer)
        if type(request) not in _PLAIN_WRITES:
            self._note(request, answer)
        return proposal is not None

    def _note(self, request: Write, answer: Answer) -> None:
        """See what *request* means for more than the state."""
        if isinstance(request, LeaseGrant | LeaseRevoke):
            granted_s = answer.granted_ttl_s if isinstance(answer, LeaseState) else 0
            self._lessor.applied(request, self._clock.monotonic_s(), granted_s)
        elif isinstance(request, Membership):
            self._tell_peers()

    def _begin_term(self, term: int) -> None:
        """A leader's first entry: all leases that were granted before are known by now."""
        self._proposals.put_off_before(term)
        self._changes.give_up_before(term)
        if self._leader != NOBODY:
            self._hand_over_put_off()
        if self.leads and term == self._raft.term:
            leases = [(lease.id, lease.ttl_s) for lease in self._mvcc.leases.values()]
            self._lessor.promote(leases, self._clock.monotonic_s())
            self._forget_the_gone()
            self._tell_news()

    def confirm(self, read: ReadState) -> None:
        asked_at_ticks = self._reads.confirmed(read.context, read.index)
        if asked_at_ticks is not None and self.leads:
            self._driver.confirmed(asked_at_ticks)
        self._reads.applied(self._applied)

    def install(self, snapshot: Snapshot) -> None:
        self._snapshots.install(snapshot)

    def installed(self, snapshot: Snapshot) -> None:
        self._applied = snapshot.index
        self._proposals.give_up_until(snapshot.term)
        self._tell_peers()
        self._reads.applied(self._applied)
        self._driver.installed(snapshot)

    def before_ready(self) -> None:
        if self._raft.leader != self._leader:
            self._note_leader()
        if self._reads.has_new:
            with suppress(ProposalDroppedError):  # The next leader will be asked.
                self._raft.read_index(self._reads.next_round())
                self._reads.asked(self._driver.ticks)

    def ticked(self) -> None:
        """See what is overdue, and which leases are over."""
        now_s = self._clock.monotonic_s()
        self._proposals.expire(now_s)
        if self._raft.transferee != self._transferee:
            self._transferee = self._raft.transferee
            self._tell_news()
        if self._proposals.has_put_off and self._leader != NOBODY:
            self._hand_over_put_off()  # It had no room, or was handing over and did not.
        self._reads.expire(now_s, has_leader=self._leader != NOBODY)
        self._reads.ask_again(self._driver.ticks - self.config.election_ticks)
        if self._lessor.is_primary and self._driver.ticks - self._looked_for_expired_ticks >= EXPIRY_TICKS:
            self._looked_for_expired_ticks = self._driver.ticks
            for lease in self._lessor.expired(now_s):
                self._propose_quietly(LeaseRevoke(lease))

    @property
    def is_asking(self) -> bool:
        return self._reads.is_asking

    def _note_leader(self) -> None:
        self._leader = self._raft.leader
        if not self.leads:
            self._lessor.demote()
        if self._leader != NOBODY:
            self._reads.ask_again(self._driver.ticks + 1)
            self._hand_over_put_off()
        self._tell_news()

    def _tell_news(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _next_news(self, deadline_s: float) -> None:
        """Wait until another one leads, or this one does in earnest, or has begun or given up to hand over.

        Raises:
            NoLeaderError: not until *deadline_s*.
        """
        left_s = deadline_s - self._clock.monotonic_s()
        try:
            async with asyncio.timeout(max(0.0, left_s)):
                await self._news.wait()
        except TimeoutError:
            raise NoLeaderError from None

    # Proposals and reads

    def _deadline_s(self) -> float:
        return self._clock.monotonic_s() + self.config.request_timeout_s

    def _propose(self, request: Write) -> "asyncio.Future[Answer]":
        """Raises what etcd refuses before it is proposed, also for want of room."""
        check(request)
        self._check_runs()
        try:
            self._mvcc.check_quota(request)
        except NoSpaceError:
            self._propose_quietly(Alarm(AlarmAction.ACTIVATE, self.config.id, AlarmType.NOSPACE))
            raise
        proposal = self._proposals.add(request, self._deadline_s())
        self._hand_over(proposal)
        return proposal.answered

    def _propose_quietly(self, request: Write) -> None:
        """Propose what nobody waits for; if it gets lost the occasion comes again."""
        proposal = self._proposals.add(request, self._deadline_s(), is_dispensable=True)
        proposal.answered.add_done_callback(_look_at)
        self._hand_over(proposal)

    def _hand_over_put_off(self) -> None:
        for proposal in self._proposals.take_put_off():
            self._hand_over(proposal)

    def _hand_over(self, proposal: Proposal) -> None:
        try:
            self._raft.propose(proposal.data)
        except ProposalDroppedError:
            self._proposals.put_off(proposal)
            return
        proposal.term = self._raft.term
        if self._proposals.is_single:
            self._driver.wake_at_once()
        else:
            self._driver.wake()

    def _check_runs(self) -> None:
        if self._is_killed:
            raise NoLeaderError

    async def _linearize(self) -> None:
        """Wait until what was committed before now is applied here."""
        if self._driver.is_readable(self._applied):
            return
        self._check_runs()
        waiting = self._reads.add(self._deadline_s())
        self._driver.wake()
        await waiting

    # What only the leader can answer

    async def _ask_leader(self, question: Question) -> int:
        deadline_s = self._deadline_s()
        while True:
            self._check_runs()
            leader = self._raft.leader
            if leader == self.config.id and self._lessor.is_primary:
                return await self._answer(question)
            if leader in (NOBODY, self.config.id):
                await self._next_news(deadline_s)
                continue
            try:
                async with asyncio.timeout(max(0.0, deadline_s - self._clock.monotonic_s())):
                    return decode_answer(await self._transport.call(leader, encode_question(question)))
            except TimeoutError:
                raise StoreTimeoutError from None
            except NoLeaderError:
                await self._clock.sleep(self.config.tick_s)  # It leads no more, or not yet in earnest.
            except PeerUnreachableError:
                if isinstance(question, Change):
                    raise StoreTimeoutError from None
                await self._clock.sleep(self.config.tick_s)
            if self._clock.monotonic_s() > deadline_s:
                raise StoreTimeoutError

    async def _answer(self, question: Question) -> int:
        """Answer as the leader. Raises NoLeaderError on others, and what the service's method raises."""
        if not (self.leads and self._lessor.is_primary) or self._is_killed:
            raise NoLeaderError
        now_s = self._clock.monotonic_s()
        match question:
            case Renew():
                return self._lessor.renew(question.lease, now_s)
            case TimeLeft():
                return self._lessor.remaining_s(question.lease, now_s)
            case Change():
                committed = self._changes.propose(self._raft, question.change)
                self._driver.wake()
                return await committed

    # Who belongs

    async def _change(self, change: ConfigurationChange) -> None:
        await self._ask_leader(Change(change))
        if self.config.id not in change.removed:
            await self._linearize()

    async def _find(self, member: MemberId) -> MemberState:
        for each in await self.members():
            if each.id == member:
                return each
        raise MemberError("etcdserver: member not found")

    def _members(self) -> tuple[MemberState, ...]:
        configuration = self._raft.configuration
        return tuple(
            self._member(identity, is_learner=identity in configuration.learners)
            for identity in sorted(members(configuration))
        )

    def _member(self, identity: MemberId, *, is_learner: bool) -> MemberState:
        known = self._mvcc.members.get(identity) or Membership(identity, "")
        return MemberState(identity, known.name, known.peer_urls, known.client_urls, is_learner)

    def _tell_peers(self) -> None:
        """Until it has read of itself, a member that joins goes by what it was told at its start, too: who
        leads may be younger than the snapshot with which it begins (etcd: AddRemote)."""
        known = {member.id: member.peer_urls for member in self._mvcc.members.values()}
        if self.config.id not in known:
            known = {member.id: member.peer_urls for member in self.config.cluster} | known
        known.pop(self.config.id, None)
        self._transport.set_peers(known)

    def _forget_the_gone(self) -> None:
        """Have all forget the addresses of those who belong no more; the leader sees to it."""
        if self.leads:
            for gone in sorted(self._mvcc.members.keys() - members(self._raft.configuration)):
                self._propose_quietly(Membership(gone, "", is_gone=True))

    def _note_removal(self) -> None:
        if self._raft.status().is_removed and not self._removed.done():
            self._removed.set_result(None)

    # Its life

    async def run(self) -> None:
        """Drive the member until cancelled.

        Raises:
            LabError: its disk refuses, or it was removed from the cluster.
        """
        self._driver.wake()
        async with background(
            self._driver.run_ticks(),
            self._driver.writer.run(),
            self._snapshots.run(self.installed),
            self._publish(),
        ):
            await self._removed
            raise LabError(_REMOVED.format(member=self.config.name))

    async def _publish(self) -> None:
        """Tell all what this member is called and where its clients find it (etcd: publishV3)."""
        own = Membership(self.config.id, self.config.name, self.config.peer_urls, self.config.client_urls)
        with suppress(NoLeaderError):
            await self.ready()
        known = self._mvcc.members.get(self.config.id)
        if known is not None and known.peer_urls:
            own = Membership(own.id, own.name, known.peer_urls, own.client_urls)
        while self._mvcc.members.get(self.config.id) != own and not self._is_killed:
            with suppress(NoLeaderError, StoreTimeoutError):
                await self._propose(own)

    async def stop(self) -> None:
        """Hand over, have the disk take everything, and answer nobody any more."""
        if not self._is_killed:
            with suppress(StoreError, TimeoutError):
                async with asyncio.timeout(HAND_OVER_TIMEOUT_S):
                    await self._hand_leadership_over()
            with suppress(LabError):  # `run` has told it.
                await self._driver.drained()
        self._is_killed = True
        self._driver.stop()
        self._proposals.end()
        self._reads.end()
        self._changes.end()
        self._watches.end()
        await self._driver.writer.close()

    async def _hand_leadership_over(self) -> None:
        followers = [each for each in self._raft.status().progress if not each.is_learner]
        if self.config.hands_over and followers:
            await self.move_leader(max(followers, key=lambda follower: follower.match).member)


@asynccontextmanager
async def start_member(
    config: MemberConfig, directory: Path, transport: Transport, clock: Clock
) -> AsyncIterator[Member]:
    """Run a member with its state in *directory*; `Member.ready` says when it can answer.

    Raises:
        LabError: what is in *directory* is damaged, in use or another's; later, on leaving the block early:
            the disk refuses, or the member was removed from the cluster.
    """
    identity = Identity(config.cluster_id, config.id)
    disk = await in_thread(open_disk, directory, identity, await in_thread(first_snapshot, config))
    try:
        member = Member(config, disk, transport, clock)
        async with transport.open(member), background(member.run()):
            try:
                yield member
            finally:
                await member.stop()
    finally:
        await in_thread(disk.wal.close)


def _is_serializable(txn: Txn) -> bool:
    operations = (*txn.success, *txn.failure)
    return bool(operations) and all(isinstance(each, Range) and each.serializable for each in operations)


def _look_at(answered: "asyncio.Future[Answer]") -> None:
    """Whether it was refused does not matter, but somebody must have looked."""
    if not answered.cancelled():
        answered.exception()


_REMOVED = Text(
    es="{member} ya no es del clúster del almacén: para que vuelva, borra su directorio y añádelo de nuevo "
    "con `etcdctl member add`.",
    en="{member} is no longer of the store's cluster: to have it back, delete its directory and add it anew "
    "with `etcdctl member add`.",
)
