"""What members say to one another and keep: the values of Raft, encoded as MessagePack arrays. Pure.

They are structs and not dataclasses because they are made and read by the thousand: 0.5 us to encode one.
Members are numbers, as in etcd: unsigned, 64 bits, 0 is nobody.
Source: D. Ongaro, *Consensus: Bridging Theory and Practice* (2014), figures 3.1, 4.1 and 5.3; etcd,
raftpb/raft.proto, whose field names these are.
"""

from enum import IntEnum
from typing import TypeAlias

import msgspec

MemberId: TypeAlias = int
NOBODY: MemberId = 0


class EntryType(IntEnum):
    NORMAL = 0
    """`data` is for the state machine; empty: a new leader's first entry (thesis, section 6.4)."""
    CONFIGURATION = 1
    """`data` is an encoded `Configuration`; it counts as soon as it is in the log (section 4.1)."""


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    index: int
    term: int
    data: bytes = b""
    type: EntryType = EntryType.NORMAL


class HardState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What must be on disk before a member answers: currentTerm, votedFor and, as a hint, commitIndex."""

    term: int = 0
    vote: MemberId = NOBODY
    commit: int = 0


class Configuration(msgspec.Struct, frozen=True, array_like=True):
    """Who belongs. `outgoing`: the voters of before, while both majorities are asked (joint consensus,
    section 4.3); `learners` hear everything and vote on nothing (section 4.2.1)."""

    voters: tuple[MemberId, ...]
    learners: tuple[MemberId, ...] = ()
    outgoing: tuple[MemberId, ...] = ()


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """The state machine after `index`, and who belonged then; index 0 is no snapshot."""

    index: int
    term: int
    configuration: Configuration
    data: bytes = b""


class MessageType(IntEnum):
    PRE_VOTE = 1
    PRE_VOTE_ANSWER = 2
    VOTE = 3
    VOTE_ANSWER = 4
    APPEND = 5
    APPEND_ANSWER = 6
    HEARTBEAT = 7
    HEARTBEAT_ANSWER = 8
    SNAPSHOT = 9
    """Answered by an APPEND_ANSWER."""
    TIMEOUT_NOW = 10
    PROPOSE = 11
    """A follower hands a proposal on to its leader."""
    READ_INDEX = 12
    READ_INDEX_ANSWER = 13


class Message(msgspec.Struct, frozen=True, array_like=True):
    """`index` and `log_term` are prevLogIndex and prevLogTerm of an append, lastLogIndex and lastLogTerm of a
    request for votes, the last index that agrees in an answer. `context` says which read or which round of
    heartbeats an answer is for. In a proposal `index` is the number of its first entry among those that its
    sender has forwarded in this term and `life`; in a heartbeat, how many of them the leader has."""

    type: MessageType
    sender: MemberId
    receiver: MemberId
    term: int
    index: int = 0
    log_term: int = 0
    commit: int = 0
    reject: bool = False
    reject_hint: int = 0
    """Where the two logs may agree at the latest, in a rejection."""
    context: bytes = b""
    entries: tuple[Entry, ...] = ()
    snapshot: Snapshot | None = None
    is_forced: bool = False
    """A vote for a leader's transfer, which no lease refuses (section 4.2.3)."""
    life: int = 0
