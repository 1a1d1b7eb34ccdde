"""Which roles a member can have, and what takes it from one to another: the table that `Raft` walks. Pure.

Every change of role goes through `TRANSITIONS`; what is not there cannot happen. `kubelab docs raft` and
docs/raft.md draw it.
Source: Ongaro's thesis, figure 3.3 (the states of a server) and section 9.6 (pre-vote, whose candidates
figure 3.3 does not have); section 3.10 for transfers, 4.2.2 for a leader that is removed, 6.2 for one that
hears of no majority.
"""

from dataclasses import dataclass
from enum import Enum

from kubelab.language import Text


class Role(Enum):
    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


class Event(Enum):
    ELECTION_TIMEOUT = Text(
        es="no oye a ningún líder en un plazo de elección", en="no leader heard for an election time-out"
    )
    TIMEOUT_NOW = Text(es="el líder le cede el mando", en="the leader hands over")
    PRE_VOTE_WON = Text(es="una mayoría le votaría", en="a majority would vote for it")
    VOTE_WON = Text(es="una mayoría le ha votado", en="a majority voted for it")
    VOTE_LOST = Text(es="una mayoría se niega", en="a majority refused")
    LEADER_HEARD = Text(es="este mandato tiene un líder", en="this term has a leader")
    HIGHER_TERM = Text(es="alguien está en un mandato posterior", en="somebody is in a later term")
    QUORUM_LOST = Text(
        es="no oye a ninguna mayoría en un plazo de elección", en="no majority heard for an election time-out"
    )
    REMOVED = Text(es="se ha confirmado que ya no vota", en="it is committed that it votes no more")


@dataclass(frozen=True, slots=True)
class Transition:
    before: Role
    event: Event
    after: Role
    section: str


TABLE = (
    Transition(Role.FOLLOWER, Event.ELECTION_TIMEOUT, Role.PRE_CANDIDATE, "9.6"),
    Transition(Role.FOLLOWER, Event.TIMEOUT_NOW, Role.CANDIDATE, "3.10"),
    Transition(Role.FOLLOWER, Event.LEADER_HEARD, Role.FOLLOWER, "3.4"),
    Transition(Role.FOLLOWER, Event.HIGHER_TERM, Role.FOLLOWER, "3.3"),
    Transition(Role.PRE_CANDIDATE, Event.PRE_VOTE_WON, Role.CANDIDATE, "9.6"),
    Transition(Role.PRE_CANDIDATE, Event.VOTE_LOST, Role.FOLLOWER, "9.6"),
    Transition(Role.PRE_CANDIDATE, Event.ELECTION_TIMEOUT, Role.PRE_CANDIDATE, "9.6"),
    Transition(Role.PRE_CANDIDATE, Event.LEADER_HEARD, Role.FOLLOWER, "3.4"),
    Transition(Role.PRE_CANDIDATE, Event.HIGHER_TERM, Role.FOLLOWER, "3.3"),
    Transition(Role.CANDIDATE, Event.VOTE_WON, Role.LEADER, "3.4"),
    Transition(Role.CANDIDATE, Event.VOTE_LOST, Role.FOLLOWER, "3.4"),
    Transition(Role.CANDIDATE, Event.ELECTION_TIMEOUT, Role.PRE_CANDIDATE, "3.4"),
    Transition(Role.CANDIDATE, Event.LEADER_HEARD, Role.FOLLOWER, "3.4"),
    Transition(Role.CANDIDATE, Event.HIGHER_TERM, Role.FOLLOWER, "3.3"),
    Transition(Role.LEADER, Event.HIGHER_TERM, Role.FOLLOWER, "3.3"),
    Transition(Role.LEADER, Event.QUORUM_LOST, Role.FOLLOWER, "6.2"),
    Transition(Role.LEADER, Event.REMOVED, Role.FOLLOWER, "4.2.2"),
)
TRANSITIONS = {(transition.before, transition.event): transition.after for transition in TABLE}


class ImpossibleTransitionError(AssertionError):
    """A bug: the rules know no such change of role."""


def next_role(role: Role, event: Event) -> Role:
    try:
        return TRANSITIONS[role, event]
    except KeyError:
        raise ImpossibleTransitionError(f"a {role.value} cannot meet {event.name}") from None
