"""Raft with one rule broken at a time: the simulation must find what comes of each."""

from typing import Any

from msgspec.structs import replace

from kubelab.cluster.raft.config import Config
from kubelab.cluster.raft.configuration_change import ConfigurationChange, changed
from kubelab.cluster.raft.forwarding import Inbox
from kubelab.cluster.raft.leader import Leader
from kubelab.cluster.raft.messages import NOBODY, Configuration, HardState, MemberId, Message, MessageType
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

    def __init__(self, config: Config, *, hard_state: HardState, **kept: Any) -> None:
        forgotten = HardState(hard_state.term, NOBODY, hard_state.commit)
        super().__init__(config, hard_state=forgotten, **kept)


class AnswersBeforePersisting(Raft):
    """Answers go out while the disk is still busy (section 3.8)."""

    def ready(self) -> Ready:
        self._messages += self._after_persisting
        self._after_persisting = []
        return super().ready()


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

    def step(self, message: Message) -> None:
        log, last = self._log, message.index + len(message.entries)
        if (
            message.type is MessageType.APPEND
            and (message.term, message.sender) == (self.term, self.leader)
            and log.term(message.index) == message.log_term
            and max(log.commit, message.index) <= last < log.last_index
        ):
            log._truncate_from(last + 1)
        super().step(message)


class NoLogMatching(Raft):
    """Entries are taken over whatever is before them (section 3.5, step 2)."""

    def step(self, message: Message) -> None:
        before = self._log.term(message.index)
        if message.type is MessageType.APPEND and message.entries and before is not None:
            message = replace(message, log_term=before)
        super().step(message)


class TakesOldProposals(Raft):
    """What was proposed in an earlier term is taken in a later one, though its proposer takes it for lost."""

    def step(self, message: Message) -> None:
        if message.type is MessageType.PROPOSE and self._leadership and message.term < self.term:
            self._leadership.inbox = Inbox()
            message = replace(message, term=self.term, index=0)
        super().step(message)


class TakesProposalsTwice(Raft):
    """A leader does not remember what it has taken from its followers."""

    def step(self, message: Message) -> None:
        if message.type is MessageType.PROPOSE and self._leadership is not None:
            self._leadership.inbox = Inbox()
            message = replace(message, index=0)
        super().step(message)


class CommitIsAheadOnDisk(Raft):
    """The commit that is written says also what is written behind it, and may get lost (raft/raft.py)."""

    def _new_hard_state(self) -> HardState | None:
        hard_state = HardState(self.term, self.vote, self._log.commit)
        return None if hard_state == self._hard_state else hard_state


MUTANTS: dict[type[Raft], int] = {
    ForgetsItsVote: 387,
    AnswersBeforePersisting: 27,
    CountsItselfAtOnce: 1120,
    CommitIsAheadOnDisk: 75,
    VotesForAnyLog: 10,
    VotesTwice: 5,
    CommitsOldTerms: 54,
    TruncatesOnOldAppends: 4,
    NoLogMatching: 54,
    TakesOldProposals: 709,
    TakesProposalsTwice: 91,
    LeaseWithoutQuorum: 20,
    VotesDespiteLease: 98,
    LeaseOutlivesTransfer: 38,
    ForgetsItsPromise: 105,
    ReadsWithoutRound: 17,
    ReadsBeforeOwnTerm: 66,
    NoJointConsensus: 80,
    ChangesOverlap: 497,
}
"""With a seed that finds each in few steps; to look for others: `tests/raft/simulate_raft.py --mutants`."""
