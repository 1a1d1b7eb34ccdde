"""What most voters have, and whether most have said yes; of both majorities in joint consensus. Pure.

Source: D. Ongaro, *Consensus: Bridging Theory and Practice* (2014), sections 3.4 (a majority elects), 3.6 (a
majority commits) and 4.3 (joint consensus: of the old and of the new); etcd/raft, quorum/, which knows the
same three results of a vote.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum, auto

from kubelab.cluster.raft.messages import Configuration, MemberId


class VoteResult(Enum):
    PENDING = auto()
    WON = auto()
    LOST = auto()


def committed(configuration: Configuration, index_of: Callable[[MemberId], int]) -> int:
    """Return the highest number that a majority (each of the two, in joint consensus) has reached."""
    reached = _reached(configuration.voters, index_of)
    return min(reached, _reached(configuration.outgoing, index_of)) if configuration.outgoing else reached


def _reached(voters: tuple[MemberId, ...], index_of: Callable[[MemberId], int]) -> int:
    if not voters:
        return 0  # Nobody decides nothing; no change leaves a cluster without voters.
    return sorted(map(index_of, voters))[(len(voters) - 1) // 2]


def has_majority(configuration: Configuration, holds: Callable[[MemberId], bool]) -> bool:
    return committed(configuration, holds) == 1


def tally(configuration: Configuration, votes: Mapping[MemberId, bool]) -> VoteResult:
    """Count *votes*; who has not answered may still say either."""
    if has_majority(configuration, lambda member: votes.get(member, False)):
        return VoteResult.WON
    if not has_majority(configuration, lambda member: votes.get(member, True)):
        return VoteResult.LOST
    return VoteResult.PENDING


def electors(configuration: Configuration) -> Iterable[MemberId]:
    """Return everybody whose vote counts, in a fixed order."""
    return sorted({*configuration.voters, *configuration.outgoing})
