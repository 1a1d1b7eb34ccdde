"""Linearizable reads without an entry in the log: rounds of heartbeats, and the leader's lease. Pure.

Each heartbeat carries its round's number as its context, each answer brings it back. A read that came before
round n was sent is linearizable at the commit index of then, once a majority has answered n or a later one:
nobody else can have been elected before (Ongaro's thesis, section 6.4, steps 2 to 4). All reads that come
together share one round.
The same answers carry the lease: whoever answered a heartbeat votes for nobody for an election time-out, so
for a part of it, counted from when the round was *sent*, the leader is the only one and may read without
asking (section 6.4.1). The part that is left out is for clocks of different rates.
Unlike etcd's ReadOnlyLeaseBased, which trusts a leader for up to two time-outs after it was last heard.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from kubelab.cluster.raft.messages import Configuration, MemberId
from kubelab.cluster.raft.quorum import committed


@dataclass(frozen=True, slots=True)
class Read:
    """`requester` asked with `context`; it must see everything up to `index`."""

    requester: MemberId
    context: bytes
    index: int


class Reads:
    __slots__ = ("_asked", "_sent_at", "_waiting", "round")

    def __init__(self) -> None:
        self.round = 0
        self._asked: list[tuple[MemberId, bytes]] = []
        self._waiting: deque[tuple[int, Read]] = deque()
        self._sent_at: dict[int, int] = {}

    def ask(self, requester: MemberId, context: bytes) -> None:
        self._asked.append((requester, context))

    @property
    def need_round(self) -> bool:
        return bool(self._asked)

    def start_round(self, now: int, forget_before: int) -> int:
        """Return the number of a round that is sent *now*."""
        self.round += 1
        self._sent_at[self.round] = now
        for old in [number for number, at in self._sent_at.items() if at < forget_before]:
            del self._sent_at[old]
        return self.round

    def attach(self, commit: int) -> None:
        """Have all who asked wait for the newest round, to read at *commit*."""
        self._waiting.extend((self.round, Read(*asked, index=commit)) for asked in self._asked)
        self._asked.clear()

    def take_confirmed(self, configuration: Configuration, answered: Callable[[MemberId], int]) -> list[Read]:
        """Return the reads whose round, or a later one, a majority has answered."""
        if not self._waiting:
            return []
        confirmed = committed(configuration, answered)
        reads = []
        while self._waiting and self._waiting[0][0] <= confirmed:
            reads.append(self._waiting.popleft()[1])
        return reads

    def lease_since(self, configuration: Configuration, answered: Callable[[MemberId], int]) -> int | None:
        """Return when the newest round was sent that a majority has answered; None: too long ago."""
        return self._sent_at.get(committed(configuration, answered))
