"""One member of Raft: terms, elections, and what a follower does with what its leader says. Pure.

Messages and ticks go in, a `Ready` comes out (kubelab.cluster.raft.ready is the contract with the driver).
What is a leader's alone is in kubelab.cluster.raft.leader; the roles are walked by the table in
kubelab.cluster.raft.states.
Source: D. Ongaro, *Consensus: Bridging Theory and Practice* (2014), whose sections the comments name, as
"section n"; etcd/raft, raft.go, for what the thesis leaves open.
What is proposed in a term comes into the log in that term, once, or never: a driver that has applied an entry
of a later term knows that what is missing is lost, and may propose it anew.
Left out: leases that depend on wall clocks, witnesses, and telling clients twice the same (section 6.3).
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from kubelab.cluster.raft.config import Config
from kubelab.cluster.raft.configuration_change import (
    ConfigurationChange,
    ConfigurationChangeError,
    decode_change,
    encode_change,
)
from kubelab.cluster.raft.forwarding import Outbox
from kubelab.cluster.raft.leader import Leader
from kubelab.cluster.raft.log import Log
from kubelab.cluster.raft.messages import (
    NOBODY,
    Configuration,
    Entry,
    EntryType,
    HardState,
    MemberId,
    Message,
    MessageType,
    Snapshot,
)
from kubelab.cluster.raft.quorum import VoteResult, electors, tally
from kubelab.cluster.raft.reads import Read
from kubelab.cluster.raft.ready import ReadState, Ready
from kubelab.cluster.raft.states import Event, Role, next_role
from kubelab.cluster.raft.status import PeerProgress, RaftStatus

LOG_TAIL_ENTRIES = 10
_FROM_LEADERS = frozenset({MessageType.APPEND, MessageType.HEARTBEAT, MessageType.SNAPSHOT})
_OUTSIDE_TERMS = frozenset({MessageType.PROPOSE, MessageType.READ_INDEX})


class ProposalDroppedError(Exception):
    """Nothing was proposed or read, surely; ask again, or another member."""


class Chance(Protocol):
    """Part of random.Random."""

    def randrange(self, start: int, stop: int, /) -> int: ...


class Raft:
    _leader_class = Leader  # The simulation proves on leaders with broken rules that it finds them.

    def __init__(
        self,
        config: Config,
        *,
        hard_state: HardState,
        snapshot: Snapshot,
        entries: Sequence[Entry],
        applied: int,
        chance: Chance,
    ) -> None:
        """Start with what was on disk; *applied* is what the state machine has."""
        self.id = config.id
        self.term, self.vote = hard_state.term, hard_state.vote
        self.leader: MemberId = NOBODY
        self.role = Role.FOLLOWER
        self._config = config
        self._chance = chance
        self._log = Log(snapshot, entries, commit=hard_state.commit, applied=applied)
        self._hard_state = hard_state
        self._handed_snapshot: Snapshot | None = None
        self._leadership: Leader | None = None
        self._votes: dict[MemberId, bool] = {}
        self._messages: list[Message] = []
        self._after_persisting: list[Message] = []
        self._read_states: list[ReadState] = []
        self._outbox = Outbox()
        self._ticks = 0
        self._heard_at: dict[MemberId, int] = {}
        # It may have answered a heartbeat right before it stopped, and so promised its vote to nobody for an
        # election time-out (section 6.4.1): a member that was ever in a term keeps that promise anew.
        self._leader_elapsed = 0 if hard_state.term else config.election_ticks
        self._restart_election_timer()

    # What the driver calls

    def tick(self) -> None:
        self._ticks += 1
        if self._leadership is not None:
            self._tick_leader(self._leadership)
            return
        self._elapsed += 1
        self._leader_elapsed += 1
        if self._elapsed >= self._election_timeout:
            self._restart_election_timer()
            if self._may_campaign():
                self._campaign()

    @property
    def ticks_until_due(self) -> int:
        """How many ticks there are until one may do more than count: a leader's next heartbeat, or for a
        follower when it has missed one. They need not come one by one, but all before the next `step`."""
        if self._leadership is not None:
            return self._config.heartbeat_ticks - self._ticks % self._config.heartbeat_ticks
        if self.leader == NOBODY:
            return 1
        return max(1, self._config.election_ticks - self._config.heartbeat_ticks - self._elapsed)

    def step(self, message: Message) -> None:
        """Take in what another member sent."""
        kind = message.type
        self._heard_at[message.sender] = self._ticks
        if kind not in _OUTSIDE_TERMS:
            if message.term > self.term:
                if self._ignores(message):
                    return
                self._enter_term_of(message)
            elif message.term < self.term:
                self._refuse_stale(message)
                return
        _HANDLERS[kind](self, message)

    def propose(self, data: bytes) -> None:
        """Have *data* appended to the log in this term, by the leader should that be another.

        Raises:
            ProposalDroppedError: there is no leader, it hands over, or too much is uncommitted.
        """
        leadership = self._leadership
        if leadership is not None and not leadership.transferee and leadership.has_room():
            leadership.append_data(data)
        else:
            self._propose(Entry(0, 0, data))

    def propose_configuration(self, change: ConfigurationChange) -> None:
        """Have the configuration changed; the entry comes back with the change's context.

        Raises:
            ProposalDroppedError: as for `propose`.
            ConfigurationChangeError: not this change, or not now; a leader tells nobody else.
        """
        self._propose(Entry(0, 0, encode_change(change), EntryType.CONFIGURATION))

    def read_index(self, context: bytes) -> None:
        """Ask what must be applied for a linearizable read (section 6.4); a ReadState answers, unless the
        leader or a message is lost.

        Raises:
            ProposalDroppedError: there is no leader.
        """
        if self._leadership is not None:
            self._leadership.ask_read(self.id, context)
        elif self.leader == NOBODY:
            raise ProposalDroppedError("no leader is known")
        else:
            self._send(Message(MessageType.READ_INDEX, self.id, self.leader, 0, context=context))

    def read_at_once(self) -> int | None:
        """Return the index at which a leader may serve linearizable reads now, None without a lease.

        The lease is counted in ticks: whoever was held up must tick for all that time before it asks.
        """
        leadership = self._leadership
        if leadership is None or not leadership.has_lease() or not leadership.has_committed_own_term():
            return None
        return self._log.commit

    def transfer_leadership(self, target: MemberId) -> None:
        """Hand over to *target* (section 3.10); given up after an election time-out.

        Raises:
            ProposalDroppedError: this is not the leader, or *target* cannot become it.
        """
        if self._leadership is None:
            raise ProposalDroppedError("only a leader can hand over")
        if target == self.id or target not in self._log.configuration.voters:
            raise ProposalDroppedError(f"member {target} cannot take over")
        self._leadership.transfer(target)

    @property
    def transferee(self) -> MemberId:
        """Whom a leader hands over to, NOBODY when it does not, or not any more."""
        return NOBODY if self._leadership is None else self._leadership.transferee

    def campaign(self) -> None:
        """Start an election as if the time-out had run out; not while a leader is heard."""
        if self._leadership is None and not self._promised() and self._may_campaign():
            self._restart_election_timer()
            self._campaign()

    def persisted(self, index: int, term: int) -> None:
        """Note that the disk has all entries up to *index*, which is of *term*, and all written before."""
        self._log.persisted_to(index, term)
        if self._leadership is not None:
            self._leadership.persisted()
            self._step_down_if_removed(self._leadership)

    def persisted_snapshot(self, index: int) -> None:
        """Note that the disk and the state machine have the snapshot of a Ready."""
        self._log.snapshot_persisted(index)

    def applied(self, index: int) -> None:
        self._log.applied_to(index)

    def compact(self, snapshot: Snapshot) -> None:
        """Note that the disk has *snapshot*, and drop what it holds but for a tail to catch up from.

        The log on disk must have reached its index before, or it would be newer than the term beside it.
        """
        self._log.compact(snapshot, self._config.catch_up_entries)

    def snapshot_at(self, index: int, data: bytes) -> Snapshot:
        """Return *data*, the state machine after *index*, with what Raft keeps beside it (section 5.1)."""
        term = self._log.term(index)
        if term is None:
            raise ValueError(f"entry {index} is not in the log")
        return Snapshot(index, term, self._log.configuration_at(index), data)

    def report_unreachable(self, member: MemberId) -> None:
        if self._leadership is not None:
            self._leadership.unreachable(member)

    def report_snapshot(self, member: MemberId, ok: bool) -> None:
        """Note what became of sending a snapshot."""
        if self._leadership is not None:
            self._leadership.snapshot_reported(member, ok=ok)

    @property
    def configuration(self) -> Configuration:
        """The newest in the log, which counts though it may not be committed (section 4.1)."""
        return self._log.configuration

    @property
    def is_removed(self) -> bool:
        """Whether it is committed that this member, which belonged, belongs no more: it may stop."""
        return self._log.has_removed(self.id)

    # Ready

    @property
    def has_ready(self) -> bool:
        log, leadership, before = self._log, self._leadership, self._hard_state
        return bool(
            self._messages
            or self._after_persisting
            or log.written < log.last_index
            or (log.applying < log.commit and log.can_apply())
            or (leadership is not None and leadership.must_flush)
            or self.term != before.term
            or self.vote != before.vote
            or self._read_states
            or (self._outbox.is_due and self.leader != NOBODY)
            or self._has_new_snapshot()
        )

    def ready(self) -> Ready:
        """Return what is to be done now; each thing is said once."""
        self._flush()
        hard_state, snapshot = self._new_hard_state(), self._take_snapshot()
        entries = self._log.take_unwritten()
        must_sync = bool(entries) or snapshot is not None
        if hard_state is not None:
            must_sync |= (hard_state.term, hard_state.vote) != (self._hard_state.term, self._hard_state.vote)
            self._hard_state = hard_state
        ready = Ready(
            hard_state=hard_state,
            snapshot=snapshot,
            entries=entries,
            messages=tuple(self._messages),
            messages_after_persisting=tuple(self._after_persisting),
            committed=self._log.take_committed(self._config.max_committed_entries),
            read_states=tuple(self._read_states),
            must_sync=must_sync,
        )
        self._messages, self._after_persisting, self._read_states = [], [], []
        return ready

    def _new_hard_state(self) -> HardState | None:
        """Return what is new. Its commit is a hint, which says only what earlier Readies have written: were
        this one torn behind it, it would have others' entries applied that stood there before."""
        before = self._hard_state
        commit = before.commit if self._has_new_snapshot() else min(self._log.commit, self._log.written)
        if before.commit == commit and before.term == self.term and before.vote == self.vote:
            return None
        return HardState(self.term, self.vote, commit)

    def _has_new_snapshot(self) -> bool:
        pending = self._log.pending_snapshot
        return pending is not None and pending is not self._handed_snapshot

    def _take_snapshot(self) -> Snapshot | None:
        if not self._has_new_snapshot():
            return None
        self._handed_snapshot = self._log.pending_snapshot
        return self._handed_snapshot

    def _flush(self) -> None:
        if self._leadership is not None:
            for read in self._leadership.flush():
                self._answer_read(read)
        if self._outbox.is_due and self.leader != NOBODY:
            number, entries = self._outbox.take(self._config.max_append_bytes)
            self._send(
                Message(
                    MessageType.PROPOSE,
                    self.id,
                    self.leader,
                    self.term,
                    number,
                    entries=entries,
                    life=self._config.life,
                )
            )

    def _send(self, message: Message) -> None:
        self._messages.append(message)

    # Terms (section 3.3)

    def _promised(self) -> bool:
        """Whether a leader was heard within the least election time-out (sections 4.2.3 and 6.4.1)."""
        return self._leadership is not None or self._leader_elapsed < self._config.election_ticks

    def _ignores(self, message: Message) -> bool:
        """Whether *message* asks to replace a leader that is there: by a removed member that does not know
        (section 4.2.3), or one that was cut off (9.6). A leader's transfer may (3.10)."""
        if message.type is MessageType.PRE_VOTE:
            return self._promised()
        return (
            message.type is MessageType.VOTE
            and self._config.check_quorum
            and not message.is_forced
            and self._promised()
        )

    def _enter_term_of(self, message: Message) -> None:
        """Follow into a later term; one that is only asked about is none yet (section 9.6)."""
        kind = message.type
        if kind is MessageType.PRE_VOTE or (kind is MessageType.PRE_VOTE_ANSWER and not message.reject):
            return
        self._become_follower(Event.HIGHER_TERM)
        self.term, self.vote, self._outbox = message.term, NOBODY, Outbox()

    def _refuse_stale(self, message: Message) -> None:
        """Tell a leader or candidate of an earlier term which term it is (section 3.3). A leader must know
        even when this member, cut off, was the only one to go ahead: it follows nobody until then."""
        if message.type in _FROM_LEADERS:
            self._answer(message, MessageType.APPEND_ANSWER, reject=True)
        elif message.type is MessageType.VOTE:
            self._answer(message, MessageType.VOTE_ANSWER, reject=True)
        elif message.type is MessageType.PRE_VOTE:
            self._answer(message, MessageType.PRE_VOTE_ANSWER, reject=True)

    def _answer(self, message: Message, kind: MessageType, *, reject: bool, term: int | None = None) -> None:
        self._after_persisting.append(
            Message(kind, self.id, message.sender, self.term if term is None else term, reject=reject)
        )

    def _become_follower(self, event: Event) -> None:
        self.role = next_role(self.role, event)
        if self._leadership is not None:
            self._leader_elapsed = self._config.election_ticks  # It heard no leader but itself.
        self._leadership, self.leader = None, NOBODY
        self._votes = {}
        self._restart_election_timer()

    def _restart_election_timer(self) -> None:
        """Wait for a time of chance, so that votes seldom split (section 3.4)."""
        self._elapsed = 0
        least = self._config.election_ticks
        self._election_timeout = self._chance.randrange(least, 2 * least)

    # Elections (section 3.4)

    def _may_campaign(self) -> bool:
        """Voters may; also one that a change which is not committed leaves out: the only log that has the
        change may be its own, and the others cannot win against it (section 4.2.2)."""
        log = self._log
        if log.pending_snapshot is not None:
            return False
        if self.id in electors(log.configuration):
            return True
        return log.configuration_index > log.commit and self.id in electors(log.previous_configuration)

    def _campaign(self) -> None:
        """Ask whether a majority would vote for it, before the term is raised for it (section 9.6)."""
        self.role = next_role(self.role, Event.ELECTION_TIMEOUT)
        self.leader = NOBODY
        self._votes = {self.id: True}
        if not self._config.pre_vote or self._tally() is VoteResult.WON:
            self._become_candidate(Event.PRE_VOTE_WON)
            return
        for member in self._others():
            self._send(self._request(MessageType.PRE_VOTE, member, self.term + 1))

    def _become_candidate(self, event: Event, *, is_forced: bool = False) -> None:
        self.role = next_role(self.role, event)
        self.term, self.vote, self.leader = self.term + 1, self.id, NOBODY
        self._votes, self._outbox = {self.id: True}, Outbox()
        self._restart_election_timer()
        if self._tally() is VoteResult.WON:
            self._become_leader(is_alone=True)
            return
        # Its own vote counts at once, since nobody is asked before that vote is on disk (section 3.8).
        for member in self._others():
            self._after_persisting.append(
                self._request(MessageType.VOTE, member, self.term, is_forced=is_forced)
            )

    def _others(self) -> list[MemberId]:
        return [member for member in electors(self._log.configuration) if member != self.id]

    def _request(self, kind: MessageType, member: MemberId, term: int, *, is_forced: bool = False) -> Message:
        log = self._log
        return Message(kind, self.id, member, term, log.last_index, log.last_term, is_forced=is_forced)

    def _tally(self) -> VoteResult:
        return tally(self._log.configuration, self._votes)

    def _on_request_for_votes(self, message: Message) -> None:
        """Vote for one in a term, whose log has all that this one may have committed (sections 3.4, 3.6.1).

        A learner votes too when it is asked: it may be a voter already and not know (etcd/raft, Step).
        """
        is_pre_vote = message.type is MessageType.PRE_VOTE
        kind = MessageType.PRE_VOTE_ANSWER if is_pre_vote else MessageType.VOTE_ANSWER
        if not self._may_vote_for(message) or not self._is_up_to_date(message):
            self._answer(message, kind, reject=True)
            return
        self._answer(message, kind, reject=False, term=message.term)
        if not is_pre_vote:
            self.vote = message.sender
            self._elapsed = 0

    def _may_vote_for(self, message: Message) -> bool:
        if message.type is MessageType.PRE_VOTE and message.term > self.term:
            return True
        return self.vote == message.sender or (self.vote == NOBODY and self.leader == NOBODY)

    def _is_up_to_date(self, message: Message) -> bool:
        return self._log.is_up_to_date(message.index, message.log_term)

    def _on_vote_answer(self, message: Message) -> None:
        """Count an answer, each member's first."""
        expected = Role.CANDIDATE if message.type is MessageType.VOTE_ANSWER else Role.PRE_CANDIDATE
        if self.role is not expected:
            return
        self._votes.setdefault(message.sender, not message.reject)
        result = self._tally()
        if result is VoteResult.LOST:
            self._become_follower(Event.VOTE_LOST)
        elif result is VoteResult.WON and expected is Role.CANDIDATE:
            self._become_leader(is_alone=False)
        elif result is VoteResult.WON:
            self._become_candidate(Event.PRE_VOTE_WON)

    def _on_timeout_now(self, message: Message) -> None:
        """Campaign at once, without a pre-vote and past all leases: its leader wants it so (section 3.10)."""
        if self.role is Role.FOLLOWER and self._may_campaign():
            self._become_candidate(Event.TIMEOUT_NOW, is_forced=True)

    # A leader

    def _become_leader(self, *, is_alone: bool) -> None:
        self.role = next_role(self.role, Event.VOTE_WON)
        self.leader = self.id
        self._leadership = self._leader_class(
            self._config, self.term, self._log, self._ticks, self._send, is_alone=is_alone
        )

    def _tick_leader(self, leadership: Leader) -> None:
        leadership.tick(self._ticks)
        if self._config.check_quorum and not leadership.hears_majority():
            self._become_follower(Event.QUORUM_LOST)

    def _step_down_if_removed(self, leadership: Leader) -> None:
        """Stay until the change without it is committed, then tell the others and go (section 4.2.2)."""
        if leadership.is_removed():
            self._flush()
            leadership.tell_to_campaign(leadership.best_successor())
            self._become_follower(Event.REMOVED)

    def _on_append_answer(self, message: Message) -> None:
        if self._leadership is not None and self._leadership.append_answered(message):
            self._step_down_if_removed(self._leadership)

    def _on_heartbeat_answer(self, message: Message) -> None:
        if self._leadership is not None:
            self._leadership.heartbeat_answered(message)

    def _propose(self, entry: Entry) -> None:
        leadership = self._leadership
        if leadership is None and self.leader == NOBODY:
            raise ProposalDroppedError("no leader is known")
        if leadership is None:
            self._outbox.add(entry, self._ticks)
            return
        if leadership.transferee:
            raise ProposalDroppedError("the leader is handing over")
        if not leadership.has_room():
            raise ProposalDroppedError("too much is not committed yet")
        if entry.type is EntryType.CONFIGURATION:
            leadership.change_configuration(decode_change(entry.data))
        else:
            leadership.append((entry,))

    def _on_propose(self, message: Message) -> None:
        """Take what a follower of this very term hands on; what comes later is dropped, surely."""
        if self._leadership is None or message.term != self.term:
            return
        inbox = self._leadership.inbox
        for entry in inbox.new(message):
            try:
                self._propose(entry)
            except ProposalDroppedError:
                return  # It is sent again.
            except ConfigurationChangeError:
                pass  # There is no answer that could say so.
            inbox.take(message)

    def _on_read_index(self, message: Message) -> None:
        if self._leadership is not None:
            self._leadership.ask_read(message.sender, message.context)

    def _answer_read(self, read: Read) -> None:
        if read.requester == self.id:
            self._read_states.append(ReadState(read.index, read.context))
            return
        answer = MessageType.READ_INDEX_ANSWER
        self._send(Message(answer, self.id, read.requester, self.term, read.index, context=read.context))

    def _on_read_index_answer(self, message: Message) -> None:
        self._read_states.append(ReadState(message.index, message.context))

    # A follower

    def _follow(self, leader: MemberId) -> None:
        assert self._leadership is None, f"term {self.term} has two leaders: {self.id} and {leader}"
        if self.leader != leader:
            self._become_follower(Event.LEADER_HEARD)
            self.leader = leader
        self._elapsed = self._leader_elapsed = 0

    def _on_append(self, message: Message) -> None:
        """Take over entries if the log agrees with what is before them (section 3.5)."""
        self._follow(message.sender)
        log = self._log
        if message.index < log.commit:
            self._acknowledge(message.sender, log.commit)  # An old one: up to there all agree anyway.
        elif log.term(message.index) == message.log_term:
            log.accept(message.entries)
            last = message.index + len(message.entries)
            log.commit_to(min(message.commit, last))
            self._acknowledge(message.sender, last)
        else:
            self._reject(message)

    def _acknowledge(self, leader: MemberId, index: int) -> None:
        """Vouch for all up to *index*, once it is on disk; the newest answer says it for those before."""
        answer = Message(MessageType.APPEND_ANSWER, self.id, leader, self.term, index)
        waiting = self._after_persisting
        if waiting and self._is_older_acknowledgement(waiting[-1], answer):
            waiting[-1] = answer
        else:
            waiting.append(answer)

    def _is_older_acknowledgement(self, last: Message, new: Message) -> bool:
        return (
            last.type is MessageType.APPEND_ANSWER
            and not last.reject
            and (last.receiver, last.term) == (new.receiver, new.term)
            and last.index <= new.index
        )

    def _reject(self, message: Message) -> None:
        log = self._log
        hint, term = log.where_terms_may_agree(min(message.index, log.last_index), message.log_term)
        self._after_persisting.append(
            Message(
                MessageType.APPEND_ANSWER,
                self.id,
                message.sender,
                self.term,
                message.index,
                term,
                reject=True,
                reject_hint=hint,
            )
        )

    def _on_heartbeat(self, message: Message) -> None:
        self._follow(message.sender)
        self._log.commit_to(message.commit)
        taken = message.index if message.life == self._config.life else 0
        self._outbox.confirmed(taken, self._ticks, self._config.election_ticks)
        answer = MessageType.HEARTBEAT_ANSWER
        self._send(Message(answer, self.id, message.sender, self.term, context=message.context))

    def _on_snapshot(self, message: Message) -> None:
        """Take over a snapshot that is ahead of all that this member knows to be committed (chapter 5)."""
        self._follow(message.sender)
        snapshot, log = message.snapshot, self._log
        assert snapshot is not None
        if snapshot.index > log.commit:
            if log.term(snapshot.index) == snapshot.term:
                log.commit_to(snapshot.index)  # It has all of it in its log: nothing is thrown away.
            else:
                log.restore(snapshot)
        self._acknowledge(message.sender, log.commit)

    # What others may see

    def status(self) -> RaftStatus:
        log, leadership = self._log, self._leadership
        return RaftStatus(
            id=self.id,
            role=self.role,
            term=self.term,
            vote=self.vote,
            leader=self.leader,
            commit=log.commit,
            applied=log.applied,
            persisted=log.persisted,
            first_index=log.first_index,
            last_index=log.last_index,
            snapshot_index=log.snapshot.index,
            configuration=log.configuration,
            configuration_index=log.configuration_index,
            is_learner=self.id in log.configuration.learners,
            is_removed=self.is_removed,
            transferee=self.transferee,
            election_elapsed_ticks=0 if leadership is not None else self._elapsed,
            has_lease=leadership is not None and leadership.has_lease(),
            progress=() if leadership is None else self._progress(leadership),
            heard_ticks=tuple(
                (member, self._ticks - at)
                for member, at in sorted(self._heard_at.items())
                if member != self.id
            ),
            log_tail=log.tail(LOG_TAIL_ENTRIES),
        )

    def _progress(self, leadership: Leader) -> tuple[PeerProgress, ...]:
        learners = self._log.configuration.learners
        return tuple(
            PeerProgress(
                member,
                progress.state,
                progress.match,
                progress.next,
                len(progress.inflight),
                self._ticks - progress.heard_at,
                member in learners,
            )
            for member, progress in sorted(leadership.progress.items())
        )


_HANDLERS: dict[MessageType, Callable[[Raft, Message], None]] = {
    MessageType.PRE_VOTE: Raft._on_request_for_votes,
    MessageType.PRE_VOTE_ANSWER: Raft._on_vote_answer,
    MessageType.VOTE: Raft._on_request_for_votes,
    MessageType.VOTE_ANSWER: Raft._on_vote_answer,
    MessageType.APPEND: Raft._on_append,
    MessageType.APPEND_ANSWER: Raft._on_append_answer,
    MessageType.HEARTBEAT: Raft._on_heartbeat,
    MessageType.HEARTBEAT_ANSWER: Raft._on_heartbeat_answer,
    MessageType.SNAPSHOT: Raft._on_snapshot,
    MessageType.TIMEOUT_NOW: Raft._on_timeout_now,
    MessageType.PROPOSE: Raft._on_propose,
    MessageType.READ_INDEX: Raft._on_read_index,
    MessageType.READ_INDEX_ANSWER: Raft._on_read_index_answer,
}
