"""What a leader does for the length of its term: replicate, commit, confirm reads, change who belongs. Pure.

Appends are made when a Ready is taken (`flush`), not with each proposal: all that came meanwhile goes out in
one message to each follower.
Source: Ongaro's thesis; each rule names its section.
"""

from collections.abc import Callable, Sequence

from kubelab.cluster.raft.config import Config
from kubelab.cluster.raft.configuration_change import (
    ConfigurationChange,
    ConfigurationChangeError,
    LearnerNotReadyError,
    changed,
    context_of,
    encode_configuration,
    left,
    members,
)
from kubelab.cluster.raft.forwarding import Inbox
from kubelab.cluster.raft.log import Log
from kubelab.cluster.raft.messages import (
    NOBODY,
    Configuration,
    Entry,
    EntryType,
    MemberId,
    Message,
    MessageType,
)
from kubelab.cluster.raft.progress import Progress, ProgressState
from kubelab.cluster.raft.quorum import committed, has_majority
from kubelab.cluster.raft.reads import Read, Reads


class Leader:
    __slots__ = (
        "_config",
        "_configuration_committed_at",
        "_gave_up_lease",
        "_log",
        "_send",
        "_term",
        "_transfer_since",
        "inbox",
        "is_announced",
        "must_flush",
        "now",
        "progress",
        "reads",
        "transferee",
    )

    def __init__(
        self,
        config: Config,
        term: int,
        log: Log,
        now: int,
        send: Callable[[Message], None],
        *,
        is_alone: bool,
    ) -> None:
        """*is_alone*: its own vote, which the disk may not have yet, was enough."""
        self._config, self._term, self._log, self._send = config, term, log, send
        self.now = now
        self.progress: dict[MemberId, Progress] = {}
        self.reads = Reads()
        self.inbox = Inbox()
        self.transferee: MemberId = NOBODY
        self._transfer_since = 0
        self._gave_up_lease = False
        self._configuration_committed_at: int | None = None
        self.is_announced = not is_alone
        """Nobody may hear of a term before its vote is on disk (section 3.8): elected by itself alone, the
        leader is silent until its first entry is, which was written behind the vote."""
        self.must_flush = True
        self._follow_configuration()
        self.append((Entry(0, 0),))  # Commits what earlier terms left (sections 3.6.2 and 6.4, step 1).

    # The log

    def append(self, entries: Sequence[Entry]) -> None:
        """Add *entries*, of which type and data count."""
        log, term = self._log, self._term
        for entry in entries:
            log.append(Entry(log.last_index + 1, term, entry.data, entry.type))
        self.must_flush = True

    def append_data(self, data: bytes) -> None:
        """Add one entry for the state machine: what is appended nearly always."""
        log = self._log
        log.append(Entry(log.last_index + 1, self._term, data))
        self.must_flush = True

    def has_room(self) -> bool:
        return self._log.last_index - self._log.commit < self._config.max_uncommitted_entries

    def persisted(self) -> bool:
        """Count itself for what its disk has now; whether that committed anything."""
        if not self.is_announced and self._log.term(self._log.persisted) == self._term:
            self.is_announced = self.must_flush = True
        return self._commit()

    def _matched(self, member: MemberId) -> int:
        return self._log.persisted if member == self._config.id else self.progress[member].match

    def _commit(self) -> bool:
        """Commit what a majority has, but only if it is of this term: an entry of an earlier one can still be
        overwritten though a majority has it (section 3.6.2, figure 3.7; the paper's figure 8)."""
        index = committed(self._log.configuration, self._matched)
        if index <= self._log.commit or not self._may_commit(index):
            return False
        self._log.commit_to(index)
        self.must_flush = True
        self._leave_joint_configuration()
        return True

    def _may_commit(self, index: int) -> bool:
        return self._log.term(index) == self._term

    def has_committed_own_term(self) -> bool:
        """Until then its commit index may be behind what others have committed (section 6.4, step 1)."""
        return self._log.term(self._log.commit) == self._term

    # Replication

    def flush(self) -> list[Read]:
        """Send what is due; return the reads that are confirmed."""
        self.must_flush = False
        if not self.is_announced:
            return []
        if self.reads.need_round and self.has_committed_own_term():
            self.send_heartbeats()
        confirmed = self._take_confirmed_reads()
        for member, progress in tuple(self.progress.items()):
            self._replicate(member, progress)
        return confirmed

    def _replicate(self, member: MemberId, progress: Progress) -> None:
        """Send all that may be sent now (pipelining: section 10.2.2)."""
        if progress.state is ProgressState.REPLICATE:
            while progress.next <= self._log.last_index and not progress.is_full():
                if not self._send_append(member, progress):
                    return
            if progress.sent_commit < min(self._log.commit, progress.next - 1):
                self._send_append(member, progress, empty=True)
        elif progress.state is ProgressState.PROBE and not progress.is_waiting:
            self._send_append(member, progress)
        if progress.is_leaving and min(progress.match, progress.sent_commit) >= self._log.configuration_index:
            self._forget(member)

    def _send_append(self, member: MemberId, progress: Progress, *, empty: bool = False) -> bool:
        log = self._log
        previous = progress.next - 1
        previous_term = log.term(previous)
        if previous_term is None:
            self._send_snapshot(member, progress)
            return False
        entries = () if empty else log.page(previous, self._config.max_append_bytes)
        self._send(
            Message(
                MessageType.APPEND,
                self._config.id,
                member,
                self._term,
                previous,
                previous_term,
                log.commit,
                entries=entries,
            )
        )
        progress.sent(previous + len(entries), len(entries), log.commit)
        return True

    def _send_snapshot(self, member: MemberId, progress: Progress) -> None:
        """Send it to who is there to take it (section 5.1)."""
        if not progress.has_answered or self.now - progress.heard_at >= self._config.election_ticks:
            return
        snapshot = self._log.snapshot
        progress.send_snapshot(snapshot.index, self.now)
        self._send(Message(MessageType.SNAPSHOT, self._config.id, member, self._term, snapshot=snapshot))

    def send_heartbeats(self) -> None:
        """Start a round, which is also that of the reads that wait (section 6.4, step 3). Nobody is told of a
        commit that its log may not agree with."""
        number = self.reads.start_round(self.now, forget_before=self.now - self._config.election_ticks)
        if self.has_committed_own_term():
            self.reads.attach(self._log.commit)
        context = number.to_bytes(8, "big")
        for member, progress in self.progress.items():
            commit = min(progress.match, self._log.commit)
            life, taken = self.inbox.count(member)
            self._send(
                Message(
                    MessageType.HEARTBEAT,
                    self._config.id,
                    member,
                    self._term,
                    taken,
                    commit=commit,
                    context=context,
                    life=life,
                )
            )
            progress.sent_commit = max(progress.sent_commit, commit)

    # What followers answer

    def append_answered(self, message: Message) -> bool:
        """Take an answer to an append or a snapshot; whether more is committed now."""
        progress = self._heard(message.sender)
        if progress is None:
            return False
        if message.reject:
            self._back_up(progress, message)
            return False
        was_probe = progress.state is ProgressState.PROBE
        if not progress.acknowledge(message.index) and not (was_probe and message.index == progress.match):
            return False
        if was_probe or (
            progress.state is ProgressState.SNAPSHOT and progress.match + 1 >= self._log.first_index
        ):
            progress.replicate()
        self.must_flush |= self._is_due(progress)
        self._hand_over(message.sender)
        return self._commit()

    def _is_due(self, progress: Progress) -> bool:
        """Whether its follower has yet to be sent entries, or that some of its own are committed."""
        log = self._log
        return (
            progress.next <= log.last_index
            or progress.sent_commit < min(log.commit, progress.next - 1)
            or progress.is_leaving
        )

    def _back_up(self, progress: Progress, message: Message) -> None:
        """Find where the logs may agree, skipping all of a term that cannot (section 3.5)."""
        hint = message.reject_hint
        if message.log_term > 0 and hint >= self._log.first_index:
            hint, _ = self._log.where_terms_may_agree(min(hint, self._log.last_index), message.log_term)
        if progress.reject(message.index, hint):
            self.must_flush = True

    def heartbeat_answered(self, message: Message) -> None:
        progress = self._heard(message.sender)
        if progress is None:
            return
        number = int.from_bytes(message.context, "big")
        progress.acknowledged_round = max(progress.acknowledged_round, number)
        progress.is_waiting = False
        if progress.state is ProgressState.REPLICATE and progress.match < self._log.last_index:
            # What was sent may be lost: an append that may be empty brings a rejection in that case.
            self._send_append(message.sender, progress, empty=True)
        self.must_flush = True

    def _heard(self, member: MemberId) -> Progress | None:
        progress = self.progress.get(member)
        if progress is not None:
            progress.heard_at, progress.has_answered = self.now, True
        return progress

    def unreachable(self, member: MemberId) -> None:
        """Appends to *member* get lost: send no more than one at a time."""
        progress = self.progress.get(member)
        if progress is not None and progress.state is ProgressState.REPLICATE:
            progress.probe()

    def snapshot_reported(self, member: MemberId, *, ok: bool) -> None:
        """Wait for its answer, or try again after its next heartbeat."""
        progress = self.progress.get(member)
        if progress is None or progress.state is not ProgressState.SNAPSHOT:
            return
        if not ok:
            progress.snapshot_index = 0
        progress.probe()
        progress.is_waiting = True

    # Reads

    def _answered_round(self, member: MemberId) -> int:
        return self.reads.round if member == self._config.id else self.progress[member].acknowledged_round

    def ask_read(self, requester: MemberId, context: bytes) -> None:
        self.reads.ask(requester, context)
        self.must_flush = True

    def _take_confirmed_reads(self) -> list[Read]:
        return self.reads.take_confirmed(self._log.configuration, self._answered_round)

    def has_lease(self) -> bool:
        """Whether nobody else can have been elected yet (section 6.4.1). A leader that has told another to
        campaign has none for the rest of its term: that vote heeds no lease, however late it comes."""
        if not self._config.check_quorum or self._gave_up_lease or not self.is_announced:
            return False
        if self._is_alone():
            return True
        since = self.reads.lease_since(self._log.configuration, self._answered_round)
        return since is not None and self.now - since < self._config.lease_ticks

    def _is_alone(self) -> bool:
        configuration = self._log.configuration
        return configuration.voters == (self._config.id,) and not configuration.outgoing

    # Time

    def tick(self, now: int) -> None:
        self.now = now
        if self.transferee and now - self._transfer_since >= self._config.election_ticks:
            self.transferee = NOBODY  # Section 3.10: it takes too long, so clients are served again.
        for progress in self.progress.values():
            if (
                progress.state is ProgressState.SNAPSHOT
                and now - progress.snapshot_sent_at >= self._config.snapshot_ticks
            ):
                progress.snapshot_index = 0
                progress.probe()
        self._forget_the_gone()
        if self.is_announced and now % self._config.heartbeat_ticks == 0:
            self.send_heartbeats()
            self.must_flush = True

    def hears_majority(self) -> bool:
        """Whether a majority was heard within the last election time-out (section 6.2)."""

        def heard(member: MemberId) -> bool:
            if member == self._config.id:
                return True
            return self.now - self.progress[member].heard_at < self._config.election_ticks

        return has_majority(self._log.configuration, heard)

    # Leadership transfer (section 3.10)

    def transfer(self, target: MemberId) -> None:
        self.transferee, self._transfer_since = target, self.now
        self.must_flush = True
        self._hand_over(target)

    def _hand_over(self, member: MemberId) -> None:
        """Have the target campaign once it has all of the log."""
        if member != self.transferee or self.progress[member].match != self._log.last_index:
            return
        self.tell_to_campaign(member)

    def tell_to_campaign(self, member: MemberId) -> None:
        self._gave_up_lease = True
        self._send(Message(MessageType.TIMEOUT_NOW, self._config.id, member, self._term))

    # Who belongs (chapter 4)

    def change_configuration(self, change: ConfigurationChange) -> None:
        """Append what *change* makes of the configuration.

        Raises:
            ConfigurationChangeError: another change is under way, or this one is not allowed.
        """
        if not self.has_committed_own_term() or self._log.configuration_index > self._log.commit:
            # One at a time (section 4.1), and none before an entry of this term is committed: Ongaro's
            # correction of 2015, without which two changes of one voter can elect two leaders.
            raise ConfigurationChangeError("another change, or an election, is not over yet")
        new = changed(self._log.configuration, change)
        self._check_learners_are_ready(new)
        self._append_configuration(new, change.context)

    def _check_learners_are_ready(self, new: Configuration) -> None:
        """A learner that votes before it has caught up may hold up all commits (section 4.2.1)."""
        for member in set(new.voters) & set(self._log.configuration.learners):
            if self.progress[member].match * 10 < self._log.last_index * 9:
                raise LearnerNotReadyError(f"learner {member} is still too far behind to vote")

    def _append_configuration(self, configuration: Configuration, context: bytes) -> None:
        data = encode_configuration(configuration, context)
        self.append((Entry(0, 0, data, EntryType.CONFIGURATION),))
        self._configuration_committed_at = None
        self._follow_configuration()

    def _follow_configuration(self) -> None:
        """Count with the newest configuration, committed or not (section 4.1)."""
        configuration = self._log.configuration
        belong = members(configuration)
        for member in sorted(belong - {self._config.id}):
            if member not in self.progress:
                self.progress[member] = Progress(
                    self._log.last_index + 1, self._config.max_inflight, self.now
                )
        for member, progress in self.progress.items():
            progress.is_leaving = member not in belong
        if self.transferee and self.transferee not in configuration.voters:
            self.transferee = NOBODY

    def _leave_joint_configuration(self) -> None:
        """Once it is committed: the new configuration alone (section 4.3)."""
        log = self._log
        if log.configuration_index > log.commit:
            return
        if self._configuration_committed_at is None:
            self._configuration_committed_at = self.now
        if log.configuration.outgoing and self.has_committed_own_term():
            self._append_configuration(left(log.configuration), self._context_of_change())

    def _context_of_change(self) -> bytes:
        index = self._log.configuration_index
        if self._log.term(index) is None or index < self._log.first_index:
            return b""
        return context_of(self._log.between(index - 1, index)[0].data)

    def _forget(self, member: MemberId) -> None:
        del self.progress[member]

    def _forget_the_gone(self) -> None:
        """Who left and does not answer is not told for ever."""
        committed_at = self._configuration_committed_at
        if committed_at is None or self.now - committed_at < self._config.election_ticks:
            return
        for member in [member for member, progress in self.progress.items() if progress.is_leaving]:
            self._forget(member)

    def is_removed(self) -> bool:
        """Whether it is committed that this leader votes no more (section 4.2.2)."""
        log = self._log
        return (
            log.configuration_index <= log.commit
            and not log.configuration.outgoing
            and self._config.id not in log.configuration.voters
        )

    def best_successor(self) -> MemberId:
        """Return the voter with the most of the log."""
        return max(self._log.configuration.voters, key=lambda member: (self._matched(member), -member))
