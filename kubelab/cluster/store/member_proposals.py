"""Requests on their way through the log, and who waits for them.

An entry's data is an 8-byte id and the encoded request. Whoever proposed it knows the id, and is told when
the entry is applied. What a leader's death swallowed is never applied: once the next leader's first entry is,
nothing that was proposed in an earlier term will come any more (raft/raft.py). So it is proposed anew, once
more and no more than once, and whoever waits for it does not notice but by the clock. What a snapshot may
hold is another matter: nobody knows, and that is what its proposers are told.
Source: etcd, server/etcdserver/v3_server.go (processInternalRaftRequestOnce) and pkg/wait/wait.go. Unlike
etcd, which tells clients of a change of leaders that nobody knows.
"""

import asyncio
from collections.abc import Iterator

import msgspec

from kubelab.cluster.store.mvcc import Answer
from kubelab.cluster.store.requests import Write, encode
from kubelab.cluster.store.service import NoLeaderError, StoreError, StoreTimeoutError

ID_BYTES = 8
_ID_MASK = (1 << 8 * ID_BYTES) - 1


class Proposal(msgspec.Struct):
    """`term` is the one it was handed to Raft in, 0 before. `is_dispensable`: nobody waits for it, and it may
    be wrong under another leader."""

    id: bytes
    request: Write
    answered: asyncio.Future[Answer]
    deadline_s: float
    is_dispensable: bool = False
    term: int = 0

    @property
    def data(self) -> bytes:
        return self.id + encode(self.request)

    def answer(self, answer: Answer) -> None:
        if not self.answered.done():  # Else whoever asked has gone.
            self.answered.set_result(answer)

    def refuse(self, error: StoreError) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)


class Proposals:
    def __init__(self, first_id: int) -> None:
        """*first_id* is of chance, so that no two members, and no two lives of one, use the same."""
        self._next_id = first_id
        self._create_future = asyncio.get_running_loop().create_future
        self._waiting: dict[bytes, Proposal] = {}  # In the order of their deadlines.
        self._unproposed: list[Proposal] = []
        self.answered_together = 0
        """How many were answered the last time that some were."""

    def add(self, request: Write, deadline_s: float, *, is_dispensable: bool = False) -> Proposal:
        self._next_id = (self._next_id + 1) & _ID_MASK
        identity = self._next_id.to_bytes(ID_BYTES, "big")
        proposal = Proposal(identity, request, self._create_future(), deadline_s, is_dispensable)
        self._waiting[identity] = proposal
        return proposal

    @property
    def is_single(self) -> bool:
        """Whether but one is on its way, and no others are about to come: those who were answered together
        often write again together."""
        return len(self._waiting) == 1 and self.answered_together < 2

    @property
    def has_put_off(self) -> bool:
        return bool(self._unproposed)

    def put_off(self, proposal: Proposal) -> None:
        """There is no leader who takes it now: keep it for the next one."""
        if proposal.is_dispensable:
            del self._waiting[proposal.id]
            proposal.refuse(NoLeaderError())
        else:
            proposal.term = 0
            self._unproposed.append(proposal)

    def take_put_off(self) -> list[Proposal]:
        proposals, self._unproposed = self._unproposed, []
        return [proposal for proposal in proposals if not proposal.answered.done()]

    def pop(self, identity: bytes) -> Proposal | None:
        """Return whose entry has come, None if it is another member's."""
        return self._waiting.pop(identity, None)

    def put_off_before(self, term: int) -> None:
        """A leader of *term* has begun: what was proposed earlier does not come any more."""
        for proposal in [each for each in self._waiting.values() if 0 < each.term < term]:
            self.put_off(proposal)

    def give_up_until(self, term: int) -> None:
        """The state is a snapshot's of *term* now: it may hold what was proposed until then."""
        for proposal in [each for each in self._waiting.values() if 0 < each.term <= term]:
            del self._waiting[proposal.id]
            proposal.refuse(StoreTimeoutError())

    def expire(self, now_s: float) -> None:
        for proposal in list(self._overdue(now_s)):
            del self._waiting[proposal.id]
            proposal.refuse(StoreTimeoutError() if proposal.term else NoLeaderError())

    def _overdue(self, now_s: float) -> Iterator[Proposal]:
        for proposal in self._waiting.values():
            if proposal.deadline_s > now_s:
                return
            yield proposal

    def end(self) -> None:
        """Nobody will be told anything any more."""
        self.expire(float("inf"))
        self._unproposed.clear()
