"""How a member reaches its peers: a protocol, and a network in memory whose links can be cut.

Raft bears any loss, delay, duplicate and change of order, so `send` never waits and never fails: what does
not get through is dropped, and the member told by `Receiver.unreachable`, so that it stops streaming to that
peer.
A `call` asks something of a peer that is not Raft's (a lease's renewal), as etcd does over HTTP on the peers'
port; it says whether it was answered.
Source: etcd, server/etcdserver/api/rafthttp/transport.go (Transporter, Raft) and
server/lease/leasehttp/http.go.
Left out of the network in memory: delay and loss, which the simulation of Raft and the kernel's netem have.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import groupby
from typing import Protocol

from kubelab.cluster.raft.messages import MemberId, Message, MessageType


class PeerUnreachableError(Exception):
    """A call was not answered. Whether the peer heard it is unknown."""

    def __init__(self, member: MemberId) -> None:
        super().__init__(f"peer {member:x} does not answer")
        self.member = member


class Receiver(Protocol):
    """What a transport tells its member, on the loop; nothing here waits but `answer`."""

    def receive(self, messages: Sequence[Message]) -> None:
        """Peers said *messages*, in this order. As many at once as there are: each call costs a wake."""

    def unreachable(self, member: MemberId) -> None:
        """Something that was sent to *member* has been dropped."""

    def snapshot_sent(self, member: MemberId, *, is_delivered: bool) -> None:
        """The SNAPSHOT message for *member* has got through, or has not. It is told for each."""

    async def answer(self, question: bytes) -> bytes:
        """Return the answer to a peer's `call`."""


class Transport(Protocol):
    def open(self, receiver: Receiver) -> AbstractAsyncContextManager[None]:
        """Deliver to *receiver* until the block ends; before and after nothing is sent or received."""

    def set_peers(self, peers: Mapping[MemberId, tuple[str, ...]]) -> None:
        """These are all peers from now on, with the URLs of each: new ones are dialled, connections to
        others are closed, one whose URLs are others is dialled anew."""

    def send(self, messages: Sequence[Message]) -> None:
        """Send each message to its receiver; never waits. Messages to one peer keep their order, but for
        SNAPSHOT, which must not hold up heartbeats."""

    async def call(self, member: MemberId, question: bytes) -> bytes:
        """Ask *member*; the caller sets the time-out.

        Raises:
            PeerUnreachableError: there is no such peer, no connection, or it ended before the answer.
        """


class MemoryNetwork:
    """Joins members of one loop. A link is cut in one direction or in both."""

    def __init__(self) -> None:
        self._members: set[MemberId] = set()
        self._receivers: dict[MemberId, Receiver] = {}  # Of those that run.
        self._cut: set[tuple[MemberId, MemberId]] = set()

    def transport(self, member: MemberId) -> Transport:
        self._members.add(member)
        return _MemoryTransport(self, member)

    def cut(self, sender: MemberId, receiver: MemberId) -> None:
        self._cut.add((sender, receiver))

    def isolate(self, *side: MemberId) -> None:
        """Cut all links between the members of *side* and the others."""
        for other in self._members - set(side):
            for member in side:
                self._cut |= {(member, other), (other, member)}

    def heal(self) -> None:
        self._cut.clear()

    def reached(self, sender: MemberId, receiver: MemberId) -> Receiver | None:
        return None if (sender, receiver) in self._cut else self._receivers.get(receiver)

    def plug_in(self, member: MemberId, receiver: Receiver) -> None:
        self._receivers[member] = receiver

    def unplug(self, member: MemberId) -> None:
        self._receivers.pop(member, None)


class _MemoryTransport:
    def __init__(self, network: MemoryNetwork, member: MemberId) -> None:
        self._network = network
        self._member = member
        self._peers: frozenset[MemberId] = frozenset()
        self._receiver: Receiver | None = None

    @asynccontextmanager
    async def open(self, receiver: Receiver) -> AsyncIterator[None]:
        self._receiver = receiver
        self._network.plug_in(self._member, receiver)
        try:
            yield
        finally:
            self._network.unplug(self._member)
            self._receiver = None

    def set_peers(self, peers: Mapping[MemberId, tuple[str, ...]]) -> None:
        self._peers = frozenset(peers)

    def send(self, messages: Sequence[Message]) -> None:
        if self._receiver is None:
            return
        loop = asyncio.get_running_loop()
        for receiver, run in groupby(messages, key=lambda message: message.receiver):
            loop.call_soon(self._deliver, receiver, tuple(run))

    def _deliver(self, member: MemberId, messages: Sequence[Message]) -> None:
        """Carry *messages* over, in its own round of the loop: members must not run inside each other."""
        if self._receiver is None:
            return
        peer = self._reached(member)
        if peer is None:
            self._receiver.unreachable(member)
        else:
            peer.receive(messages)
        for message in messages:
            if message.type is MessageType.SNAPSHOT:
                self._receiver.snapshot_sent(member, is_delivered=peer is not None)

    async def call(self, member: MemberId, question: bytes) -> bytes:
        peer = self._reached(member)
        if peer is None:
            raise PeerUnreachableError(member)
        answer = await peer.answer(question)
        if self._network.reached(member, self._member) is None:
            raise PeerUnreachableError(member)
        return answer

    def _reached(self, member: MemberId) -> Receiver | None:
        return self._network.reached(self._member, member) if member in self._peers else None
