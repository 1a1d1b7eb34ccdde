"""The way from a member to one of its peers: a connection that is dialled again whenever it is lost.

Source: etcd, server/etcdserver/api/rafthttp (peer.go, stream.go: cRetry; snapshot_sender.go).
"""

import asyncio
import logging
import socket
from collections.abc import Coroutine, Iterable, Sequence
from itertools import count
from typing import Any, Protocol

from msgspec.structs import replace

from kubelab.cluster.clock import Clock
from kubelab.cluster.raft.messages import MemberId, Message, MessageType
from kubelab.cluster.store.peer_connection import (
    GREETING_TIMEOUT_S,
    UNREACHABLE,
    PeerConnection,
    PeerTls,
    first_of,
    peer_address,
    tune,
)
from kubelab.cluster.store.peer_frames import (
    FRAME_BYTES_MAX,
    PIECE_BYTES,
    Announcement,
    FrameError,
    Hello,
    Kind,
    announcement_frame,
    frame,
    messages_frame,
    numbered_frame,
    read_hello,
    read_numbered,
)
from kubelab.cluster.store.transport import PeerUnreachableError

CONNECT_TIMEOUT_S = 1.0
FIRST_BACKOFF_S, BACKOFF_MAX_S = 0.02, 0.5

logger = logging.getLogger(__name__)


class Home(Protocol):
    """The member's side of a link."""

    @property
    def member(self) -> MemberId: ...

    @property
    def tls(self) -> PeerTls: ...

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *work* until it is done or the transport closes."""

    def admits(self, hello: Hello, names: frozenset[str]) -> bool:
        """Tell whether this greeting, shown with a certificate for these *names*, is a peer's to us."""

    def greeting(self, receiver: MemberId) -> bytes: ...

    @property
    def clock(self) -> Clock: ...

    def dial(self) -> socket.socket:
        """Open a socket on the member's machine."""

    def dropped(self, member: MemberId, messages: Iterable[Message]) -> None:
        """Something for *member* was dropped; of *messages*, the snapshots are reported."""

    def tell_snapshot(self, member: MemberId, is_delivered: bool) -> None: ...


class PeerLink:
    """The way to one peer: a connection that is dialled again whenever it is lost."""

    def __init__(self, network: Home, member: MemberId, urls: tuple[str, ...]) -> None:
        self._network = network
        self._member = member
        self._urls = urls
        self._up: Dialled | None = None
        self._sends_snapshot = False
        self._tasks = [network.start(self._keep_up())]

    @property
    def is_up(self) -> bool:
        return self._up is not None

    def end(self) -> None:
        self._up = None
        for task in self._tasks:
            task.cancel()

    def send(self, messages: Sequence[Message]) -> None:
        if all(message.snapshot is None for message in messages):  # Nearly always.
            if not self._send_ordinary(messages):
                self._network.dropped(self._member, ())
            return
        ordinary = [message for message in messages if message.type is not MessageType.SNAPSHOT]
        if ordinary and not self._send_ordinary(ordinary):
            self._network.dropped(self._member, ())
        if len(ordinary) < len(messages):
            self._send_snapshots([each for each in messages if each.type is MessageType.SNAPSHOT])

    def _send_ordinary(self, messages: Sequence[Message]) -> bool:
        if self._up is None:
            return False
        whole = messages_frame(messages)
        if len(whole) <= FRAME_BYTES_MAX:
            return self._up.connection.send(whole)
        if len(messages) > 1:
            return all(self._send_ordinary([message]) for message in messages)
        logger.error("a message of %d bytes is too long for peer %x", len(whole), self._member)
        return False

    def _send_snapshots(self, messages: Sequence[Message]) -> None:
        """Send the first if none is on its way: two at once would only be slower, and Raft knows to wait."""
        first, *others = messages
        if self._up is None or self._sends_snapshot:
            self._network.dropped(self._member, messages)
            return
        self._network.dropped(self._member, others) if others else None
        self._sends_snapshot = True
        self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks.append(self._network.start(self._send_snapshot(first)))

    async def _send_snapshot(self, message: Message) -> None:
        is_delivered = False
        try:
            is_delivered = await self._deliver_snapshot(message)
        except UNREACHABLE as error:
            logger.warning("peer %x got no snapshot: %s", self._member, error)
        finally:
            self._sends_snapshot = False
            self._network.tell_snapshot(self._member, is_delivered)

    async def _deliver_snapshot(self, message: Message) -> bool:
        assert message.snapshot is not None
        data = memoryview(message.snapshot.data)
        bare = replace(message, snapshot=replace(message.snapshot, data=b""))
        dialled = Dialled(self._network, self._member)
        try:
            await dialled.connect(self._url(0))
            await dialled.connection.send_all(announcement_frame(Announcement(bare, len(data))))
            for start in range(0, len(data), PIECE_BYTES):
                if not dialled.connection.is_open:
                    return False
                piece = data[start : start + PIECE_BYTES]
                await dialled.connection.send_all(frame(Kind.PIECE, piece))
            return await dialled.was_delivered()
        finally:
            await dialled.connection.abort()

    async def call(self, question: bytes) -> bytes:
        if self._up is None:
            raise PeerUnreachableError(self._member)
        return await self._up.call(question)

    async def _keep_up(self) -> None:
        """Dial until the link ends; a peer that cannot be reached is tried ever more seldom."""
        backoff_s, clock = FIRST_BACKOFF_S, self._network.clock
        for attempt in count():
            begin_s = clock.monotonic_s()
            if await self._live(self._url(attempt)):
                backoff_s = FIRST_BACKOFF_S
            elif attempt == 0:
                logger.info("peer %x cannot be reached yet", self._member)
            # One that takes connections and drops them at once must not be dialled without a pause.
            await clock.sleep(max(0, backoff_s - (clock.monotonic_s() - begin_s)))
            backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)

    def _url(self, attempt: int) -> str:
        return self._urls[attempt % len(self._urls)] if self._urls else ""

    async def _live(self, url: str) -> bool:
        """Connect and stay connected; tell whether there was a connection at all."""
        dialled = Dialled(self._network, self._member)
        try:
            await dialled.connect(url)
            self._up = dialled
            await dialled.connection.closed()
        except UNREACHABLE as error:
            logger.debug("peer %x at %s: %s", self._member, url, error)
            return False
        finally:
            self._up = None
            await dialled.connection.abort()
        self._network.dropped(self._member, ())  # What was on its way then.
        return True


class Dialled:
    """A connection that this member made, to send on; what it hears there is answers."""

    def __init__(self, network: Home, member: MemberId) -> None:
        self.connection = PeerConnection(self._hear)
        self._network = network
        self._member = member
        loop = asyncio.get_running_loop()
        self._welcome: asyncio.Future[None] = loop.create_future()
        self._delivered: asyncio.Future[None] = loop.create_future()
        self._numbers = count()
        self._calls: dict[int, asyncio.Future[bytes]] = {}

    async def connect(self, url: str) -> None:
        """Raises one of `UNREACHABLE`."""
        host, port = peer_address(url)
        loop = asyncio.get_running_loop()
        sock = self._network.dial()
        try:
            tune(sock)
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await loop.sock_connect(sock, (host, port))
            async with asyncio.timeout(GREETING_TIMEOUT_S):
                await self.connection.open(sock, self._network.tls.client, host)
                self.connection.send(self._network.greeting(self._member))
                await first_of(self._welcome, self.connection)
        except BaseException:
            await self.connection.abort()
            sock.close()
            raise

    async def was_delivered(self) -> bool:
        await first_of(self._delivered, self.connection)
        return True

    async def call(self, question: bytes) -> bytes:
        number = next(self._numbers)
        self._calls[number] = future = asyncio.get_running_loop().create_future()
        try:
            if not self.connection.send(numbered_frame(Kind.QUESTION, number, question)):
                raise PeerUnreachableError(self._member)
            return await first_of(future, self.connection)
        except ConnectionError:
            raise PeerUnreachableError(self._member) from None
        finally:
            del self._calls[number]

    def _hear(self, connection: PeerConnection, frames: Sequence[tuple[Kind, bytes]]) -> None:
        for kind, payload in frames:
            match kind:
                case Kind.HELLO if not self._welcome.done():
                    self._greeted(connection, read_hello(payload))
                case Kind.ANSWER if self._welcome.done():
                    self._answered(*read_numbered(payload))
                case Kind.DELIVERED if not self._delivered.done():
                    self._delivered.set_result(None)
                case _:
                    raise FrameError(f"{kind.name} was not to be said here")

    def _greeted(self, connection: PeerConnection, hello: Hello) -> None:
        if hello.member != self._member or not self._network.admits(hello, connection.certificate_names()):
            raise FrameError(f"member {hello.member:x} of cluster {hello.cluster:x} is not who was dialled")
        connection.reader.limit_bytes = FRAME_BYTES_MAX
        self._welcome.set_result(None)

    def _answered(self, number: int, answer: bytes) -> None:
        future = self._calls.get(number)
        if future and not future.done():
            future.set_result(answer)
