"""Raft with one rule broken at a time: the simulation must find what comes of each."""

from dataclasses import replace
from typing import Any

from kubelab.cluster.raft.configuration_change import ConfigurationChange, changed
from kubelab.cluster.raft.leader import Leader
from kubelab.cluster.raft.messages import NOBODY, Configuration, MemberId, Message
from kubelab.cluster.raft.raft import Raft
from kubelab.cluster.raft.reads import Read
from kubelab.cluster.raft.ready import Ready


class _CommitsOldTerms(Leader):
    def _may_commit(self, index: int) -> bool:
        return True


class CommitsOldTerms(Raft):
    """Entries of earlier terms are committed by counting (section 3.6.2)."""

    _leader_class = _CommitsOldTerms


class ForgetsItsVote(Raft):
    """The vote is not on disk when it is given (section 3.8)."""

    def ready(self) -> Ready:
        ready = super().ready()
        if ready.hard_state is None:
            return ready
        hard_state = type(ready.hard_state)(ready.hard_state.term, NOBODY, ready.hard_state.commit)
        return replace(ready, hard_state=hard_state)


class AnswersBeforePersisting(Raft):
    """Answers go out while the disk is still busy (section 3.8)."""

    def ready(self) -> Ready:
        ready = super().ready()
        messages = ready.messages + ready.messages_after_persisting
        return replace(ready, messages=messages, messages_after_persisting=())


class _CountsItselfAtOnce(Leader):
    def _matched(self, member: MemberId) -> int:
        return self._log.last_index if member == self._config.id else super()._matched(member)


class CountsItselfAtOnce(Raft):
    """A leader counts itself for what its disk does not have (section 10.2.1)."""

    _leader_class = _CountsItselfAtOnce


class VotesForAnyLog(Raft):
    """The candidate's log is not compared (section 3.6.1)."""

    def _is_up_to_date(self, message: Message) -> bool:
        return True


class VotesTwice(Raft):
    """A second candidate of the same term gets a vote too (section 3.4)."""

    def _may_vote_for(self, message: Message) -> bool:
        return True


class _LeaseWithoutQuorum(Leader):
    def has_lease(self) -> bool:
        return True


class LeaseWithoutQuorum(Raft):
    """A leader reads at once though nobody may hear it any more (section 6.4.1)."""

    _leader_class = _LeaseWithoutQuorum


class VotesDespiteLease(Raft):
    """Votes are given away while a leader relies on them (section 6.4.1)."""

    def _promised(self) -> bool:
        return False


class _LeaseOutlivesTransfer(Leader):
    def tell_to_campaign(self, member: MemberId) -> None:
        super().tell_to_campaign(member)
        self._gave_up_lease = False


class LeaseOutlivesTransfer(Raft):
    """A leader that told another to campaign still reads at once (sections 3.10 and 6.4.1)."""

    _leader_class = _LeaseOutlivesTransfer


class ForgetsItsPromise(Raft):
    """A member that was restarted votes at once, though it may have heard its leader right before."""

    def _restart_election_timer(self) -> None:
        if self._ticks == 0:
            self._leader_elapsed = self._config.election_ticks
        super()._restart_election_timer()


class _ReadsWithoutRound(Leader):
    def _take_confirmed_reads(self) -> list[Read]:
        self.reads.attach(self._log.commit)
        return [read for _, read in self._drain()]

    def _drain(self) -> list[tuple[int, Read]]:
        waiting = list(self.reads._waiting)
        self.reads._waiting.clear()
        return waiting


class ReadsWithoutRound(Raft):
    """A read is answered without asking whether there is another leader (section 6.4, step 3)."""

    _leader_class = _ReadsWithoutRound


class _ReadsBeforeOwnTerm(Leader):
    def has_committed_own_term(self) -> bool:
        return True


class ReadsBeforeOwnTerm(Raft):
    """A new leader reads, and changes members, before it knows what is committed (section 6.4, step 1)."""

    _leader_class = _ReadsBeforeOwnTerm


class _NoJointConsensus(Leader):
    def _append_configuration(self, configuration: Configuration, context: bytes) -> None:
        super()._append_configuration(Configuration(configuration.voters, configuration.learners), context)


class NoJointConsensus(Raft):
    """Several voters are exchanged at once (section 4.3)."""

    _leader_class = _NoJointConsensus


class _ChangesOverlap(Leader):
    def change_configuration(self, change: ConfigurationChange) -> None:
        self._append_configuration(changed(self._log.configuration, change), change.context)


class ChangesOverlap(Raft):
    """A change begins before the one before it is committed (section 4.1)."""

    _leader_class = _ChangesOverlap


class TruncatesOnOldAppends(Raft):
    """An append takes back what is behind its entries, also when it comes late (section 3.5, step 3)."""

    def _on_append(self, message: Message) -> None:
        log = self._log
        last = message.index + len(message.entries)
        if (
            log.term(message.index) == message.log_term
            and max(log.commit, message.index) <= last < log.last_index
        ):
            log._truncate_from(last + 1)
        super()._on_append(message)


class NoLogMatching(Raft):
    """Entries are taken over whatever is before them (section 3.5, step 2)."""

    def _on_append(self, message: Message) -> None:
        log = self._log
        if message.log_term != log.term(message.index) is not None and message.entries:
            prior = log.term(message.index)
            assert prior is not None
            message = Message(
                message.type,
                message.sender,
                message.receiver,
                message.term,
                message.index,
                prior,
                message.commit,
                entries=message.entries,
            )
        super()._on_append(message)


_CALM: dict[str, Any] = {
    "crash_rate": 0,
    "partition_rate": 0,
    "strand_rate": 0,
    "stall_rate": 0,
    "change_rate": 0,
    "transfer_rate": 0,
    "compact_rate": 0,
}

_BASE = _CALM | {
    "members": 3,
    "ticks": 40,
    "election_ticks": 4,
    "max_inflight": 8,
    "write_rate": 1,
    "read_rate": 0.3,
    "delay_ticks": 0.5,
    "sync_ticks": 0.3,
    "straggle": 0,
    "drop": 0,
    "duplicate": 0,
}

HARD_TIMES: dict[type[Raft], dict[str, Any]] = {
    ForgetsItsVote: _BASE | {"crash_rate": 0.1},
    AnswersBeforePersisting: _BASE | {"crash_rate": 0.1, "sync_ticks": 1},
    VotesForAnyLog: _BASE | {"strand_rate": 0.1},
    VotesTwice: _BASE | {"strand_rate": 0.1, "pre_vote": False},
    LeaseWithoutQuorum: _BASE | {"strand_rate": 0.1, "check_quorum": False},
    LeaseOutlivesTransfer: _BASE
    | {"spite": True, "check_quorum": True, "transfer_rate": 0.1, "write_rate": 3, "election_ticks": 8},
    ReadsWithoutRound: _BASE | {"strand_rate": 0.1, "check_quorum": False, "read_rate": 1},
}
"""Rules whose breach the simulation finds within some 20 runs, and the faults that help it; the others need
hundreds of runs, or are proven by a scenario (figure 8, the promise of a restarted member)."""

MUTANTS: tuple[type[Raft], ...] = (
    *HARD_TIMES,
    CommitsOldTerms,
    CountsItselfAtOnce,
    ReadsBeforeOwnTerm,
    VotesDespiteLease,
    ForgetsItsPromise,
    NoJointConsensus,
    ChangesOverlap,
    TruncatesOnOldAppends,
    NoLogMatching,
)
