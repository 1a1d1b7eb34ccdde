"""Proposals on their way from a follower to its leader: each arrives once and in order, come what may. Pure.

A follower numbers what it forwards in a term, from 0 in each of its lives. The leader takes what is next in
the row, and says with each heartbeat how many it has taken; where that does not go on for an election
time-out, the follower sends again what is missing. So neither a message that is lost nor one that comes twice
or late loses a proposal of a leader who stays, or has it appended twice.
Source: go-back-N (A. Tanenbaum, *Computer Networks*, section 3.4.2). Unlike etcd/raft, which forgets what it
has forwarded.
"""

from collections.abc import Sequence

from kubelab.cluster.raft.messages import Entry, MemberId, Message


class Outbox:
    """What a follower has forwarded in its term and the leader has not confirmed."""

    __slots__ = ("_entries", "_first", "_sent", "_since_ticks")

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._first = 0  # The number of the first of them.
        self._sent = 0  # The number of the first that is to be sent.
        self._since_ticks = 0  # When the leader was last found to go on.

    @property
    def is_due(self) -> bool:
        return self._sent < self._first + len(self._entries)

    def add(self, entry: Entry, now_ticks: int) -> None:
        if not self._entries:
            self._since_ticks = now_ticks
        self._entries.append(entry)

    def take(self, bytes_max: int) -> tuple[int, tuple[Entry, ...]]:
        """Return what is to be sent next, at least one, behind the number of the first."""
        number, begin = self._sent, self._sent - self._first
        end, left_bytes = begin, bytes_max
        while end < len(self._entries) and (end == begin or len(self._entries[end].data) <= left_bytes):
            left_bytes -= len(self._entries[end].data)
            end += 1
        self._sent = self._first + end
        return number, tuple(self._entries[begin:end])

    def confirmed(self, count: int, now_ticks: int, patience_ticks: int) -> None:
        """The leader has *count* of them. What is missing after *patience_ticks* is to be sent again."""
        if count > self._first:
            del self._entries[: count - self._first]
            self._first, self._since_ticks = count, now_ticks
            self._sent = max(self._sent, count)
        elif self._entries and now_ticks - self._since_ticks >= patience_ticks:
            self._sent, self._since_ticks = self._first, now_ticks


class Inbox:
    """How many proposals of each follower a leader has taken in its term."""

    __slots__ = ("_lives", "_taken")

    def __init__(self) -> None:
        self._taken: dict[tuple[MemberId, int], int] = {}
        self._lives: dict[MemberId, int] = {}  # Those that were heard last.

    def new(self, message: Message) -> Sequence[Entry]:
        """Return the entries of *message* that are next in the row of its sender's life."""
        self._lives[message.sender] = message.life
        taken = self._taken.setdefault((message.sender, message.life), 0)
        return message.entries[taken - message.index :] if message.index <= taken else ()

    def take(self, message: Message) -> None:
        """One more entry of *message* is in the log, or was refused for good."""
        self._taken[message.sender, message.life] += 1

    def count(self, follower: MemberId) -> tuple[int, int]:
        """Return the follower's life, and how many of it were taken."""
        life = self._lives.get(follower, 0)
        return life, self._taken.get((follower, life), 0)
