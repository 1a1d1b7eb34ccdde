"""Linearizable reads that wait: for a round that confirms the leader, and until its index is applied.

All that come before the next round share it. A round whose answer was lost is asked for anew; it can be
answered twice, which does no harm.
Source: etcd, server/etcdserver/v3_server.go (linearizableReadLoop); thesis, section 6.4.
"""

import asyncio
from collections import deque

from kubelab.cluster.store.service import NoLeaderError, StoreTimeoutError

Waiting = asyncio.Future[None]


class WaitingReads:
    def __init__(self, first_round: int) -> None:
        """*first_round* is of chance: a round's name must not be that of another member's, or of one that
        this member asked for in an earlier life."""
        self._round = first_round
        self._new: list[Waiting] = []
        self._asked: dict[bytes, tuple[list[Waiting], int]] = {}
        self._confirmed: list[tuple[int, list[Waiting]]] = []
        self._deadlines: deque[tuple[float, Waiting]] = deque()

    def add(self, deadline_s: float) -> Waiting:
        waiting: Waiting = asyncio.get_running_loop().create_future()
        self._new.append(waiting)
        self._deadlines.append((deadline_s, waiting))
        return waiting

    @property
    def has_new(self) -> bool:
        return bool(self._new)

    @property
    def is_asking(self) -> bool:
        """Whether a round has been asked for that is not confirmed yet, or is to be asked for."""
        return bool(self._new or self._asked)

    def next_round(self) -> bytes:
        """Return the name of the round that those wait for who have come up to now."""
        return ((self._round + 1) % (1 << 64)).to_bytes(8, "big")

    def asked(self, ticks: int) -> None:
        """The next round has been asked for."""
        name = self.next_round()
        self._round += 1
        self._asked[name] = (self._new, ticks)
        self._new = []

    def ask_again(self, before_ticks: int) -> None:
        """Give up the rounds that were asked for before *before_ticks*: have the next one for their reads."""
        for name in [name for name, (_, asked) in self._asked.items() if asked < before_ticks]:
            reads, _ = self._asked.pop(name)
            self._new += [read for read in reads if not read.done()]

    def confirmed(self, name: bytes, index: int) -> int | None:
        """Return when that round was asked for, None if it was given up."""
        reads, ticks = self._asked.pop(name, ([], None))
        if reads:
            self._confirmed.append((index, reads))
        return ticks

    def applied(self, index: int) -> None:
        """Let those go on who wait for nothing after *index*."""
        if not self._confirmed:
            return
        waiting, self._confirmed = self._confirmed, []
        for needed, reads in waiting:
            if needed > index:
                self._confirmed.append((needed, reads))
                continue
            for read in reads:
                if not read.done():
                    read.set_result(None)

    def expire(self, now_s: float, *, has_leader: bool) -> None:
        while self._deadlines and (self._deadlines[0][1].done() or self._deadlines[0][0] <= now_s):
            _, waiting = self._deadlines.popleft()
            if not waiting.done():
                waiting.set_exception(StoreTimeoutError() if has_leader else NoLeaderError())

    def end(self) -> None:
        self.expire(float("inf"), has_leader=False)
