"""The members' network: a `Transport` over mutual TLS, on sockets that live on each member's machine.

Each member dials each of its peers, and sends on the connections it has dialled; on those it has accepted it
hears, and answers calls. So two connections join two members, and each snapshot has one more for as long as
it takes: it holds up no heartbeat. What cannot go at once (no connection, more than `QUEUE_BYTES_MAX` that
wait) is dropped and the member told, as `Transport` has it: nothing queues here without a bound.
Who may speak: whose certificate is of the authority that *tls* trusts, is for a host of one of that member's
URLs, and names this cluster and this member in its greeting; his messages must be his own. The same is asked
of who is dialled. Anything else ends that connection and no other.
A peer that is gone without a goodbye is missed after `DEAD_PEER_S`, and dialled again until it is back.
Source: etcd, server/etcdserver/api/rafthttp (peer.go, stream.go, snapshot_sender.go) and
client/pkg/transport/listener_tls.go (a certificate must be for the address it comes from).
Left out: names instead of addresses in URLs; compression; one connection for both directions.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import groupby
from typing import Any

from kubelab.cluster.clock import Clock
from kubelab.cluster.raft.messages import MemberId, Message, MessageType
from kubelab.cluster.store.peer_connection import PORT as PORT
from kubelab.cluster.store.peer_connection import PeerTls, peer_host
from kubelab.cluster.store.peer_frames import VERSION, Hello, hello_frame
from kubelab.cluster.store.peer_incoming import IncomingPeer
from kubelab.cluster.store.peer_link import PeerLink
from kubelab.cluster.store.transport import PeerUnreachableError, Receiver

ACCEPTED_MAX = 64
_ACCEPT_AGAIN_S = 0.5

logger = logging.getLogger(__name__)


class PeerNetwork:
    """See `transport.Transport`. *listener* is bound; *dial* opens a socket on the member's machine."""

    def __init__(
        self,
        member: MemberId,
        cluster: int,
        tls: PeerTls,
        listener: socket.socket,
        dial: Callable[[], socket.socket],
        clock: Clock,
    ) -> None:
        self.member = member
        self.cluster = cluster
        self.tls = tls
        self.dial = dial
        self.clock = clock
        self._listener = listener
        self._receiver: Receiver | None = None
        self._urls: dict[MemberId, tuple[str, ...]] = {}
        self._links: dict[MemberId, PeerLink] = {}
        self._incoming: set[IncomingPeer] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._group: asyncio.TaskGroup | None = None

    @asynccontextmanager
    async def open(self, receiver: Receiver) -> AsyncIterator[None]:
        """As in `Transport`; the listener is closed with the block."""
        self._receiver = receiver
        try:
            async with asyncio.TaskGroup() as self._group:
                self.start(self._accept())
                self._dial_peers()
                try:
                    yield
                finally:
                    self._receiver = None
                    for task in self._tasks:
                        task.cancel()
        finally:
            self._group = None
            self._links.clear()
            self._listener.close()

    def set_peers(self, peers: Mapping[MemberId, tuple[str, ...]]) -> None:
        before = self._urls
        self._urls = {member: urls for member, urls in peers.items() if member != self.member}
        changed = {member for member, urls in before.items() if self._urls.get(member) != urls}
        for member in changed:
            if link := self._links.pop(member, None):
                link.end()
        for incoming in self._incoming:
            if incoming.member in changed:
                incoming.end()
        if self._group:
            self._dial_peers()

    @property
    def connected(self) -> frozenset[MemberId]:
        """Return the peers that what is sent goes to now."""
        return frozenset(member for member, link in self._links.items() if link.is_up)

    @property
    def heard(self) -> frozenset[MemberId]:
        """Return the peers that are connected to this member."""
        return frozenset(incoming.member for incoming in self._incoming if incoming.member)

    def send(self, messages: Sequence[Message]) -> None:
        if self._receiver is None:
            return
        for member, run in groupby(messages, key=_receiver_of):
            link = self._links.get(member)
            if link is None:
                self.dropped(member, tuple(run))
            else:
                link.send(tuple(run))

    async def call(self, member: MemberId, question: bytes) -> bytes:
        link = self._links.get(member)
        if link is None:
            raise PeerUnreachableError(member)
        return await link.call(question)

    def dropped(self, member: MemberId, messages: Iterable[Message]) -> None:
        """Tell the member, in a round of the loop of its own, for it may be in the midst of sending."""
        loop = asyncio.get_running_loop()
        loop.call_soon(self._tell_unreachable, member)
        for message in messages:
            if message.type is MessageType.SNAPSHOT:
                loop.call_soon(self.tell_snapshot, member, False)

    def _tell_unreachable(self, member: MemberId) -> None:
        if self._receiver:
            self._receiver.unreachable(member)

    def tell_snapshot(self, member: MemberId, is_delivered: bool) -> None:
        if self._receiver:
            self._receiver.snapshot_sent(member, is_delivered=is_delivered)

    def deliver(self, messages: Sequence[Message]) -> None:
        if self._receiver:
            self._receiver.receive(messages)

    async def answer(self, question: bytes) -> bytes | None:
        return await self._receiver.answer(question) if self._receiver else None

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *work* until it is done or the transport closes."""
        assert self._group is not None
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def admits(self, hello: Hello, names: frozenset[str]) -> bool:
        """Tell whether this greeting, shown with a certificate for these *names*, is a peer's to us."""
        hosts = {peer_host(url) for url in self._urls.get(hello.member, ())}
        return (hello.cluster, hello.receiver) == (self.cluster, self.member) and not hosts.isdisjoint(names)

    def greeting(self, receiver: MemberId) -> bytes:
        return hello_frame(Hello(VERSION, self.cluster, self.member, receiver))

    def _dial_peers(self) -> None:
        for member, urls in self._urls.items():
            if member not in self._links:
                self._links[member] = PeerLink(self, member, urls)

    async def _accept(self) -> None:
        self._listener.listen()
        while True:
            await _readable(self._listener)
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                continue  # Who was there has gone again.
            except OSError as error:  # No descriptor is left.
                logger.warning("accept from peers: %s", error)
                await self.clock.sleep(_ACCEPT_AGAIN_S)
                continue
            sock.setblocking(False)
            if len(self._incoming) >= ACCEPTED_MAX:
                sock.close()
            else:
                self._incoming.add(incoming := IncomingPeer(self, sock))
                incoming.task.add_done_callback(partial(self._forget, incoming))

    def _forget(self, incoming: IncomingPeer, _: asyncio.Task[None]) -> None:
        self._incoming.discard(incoming)


async def _readable(listener: socket.socket) -> None:
    """Wait for who wants in. `loop.sock_accept` would lose him who comes as the transport closes."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def resolve() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(listener, resolve)
    try:
        await ready
    finally:
        loop.remove_reader(listener)


def _receiver_of(message: Message) -> MemberId:
    return message.receiver
