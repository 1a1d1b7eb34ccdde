"""A connection that a peer made to a member: whoever it is says so first, then speaks, asks, or brings a
snapshot."""

import asyncio
import logging
import socket
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

from msgspec.structs import replace

from kubelab.cluster.linux.threads import in_thread
from kubelab.cluster.raft.messages import MemberId, Message, Snapshot
from kubelab.cluster.store.peer_connection import (
    GREETING_TIMEOUT_S,
    UNREACHABLE,
    PeerConnection,
    PeerTls,
    first_of,
    tune,
)
from kubelab.cluster.store.peer_frames import (
    FRAME_BYTES_MAX,
    Announcement,
    FrameError,
    Hello,
    Kind,
    frame,
    numbered_frame,
    read_announcement,
    read_hello,
    read_messages,
    read_numbered,
)

QUESTIONS_MAX = 256

logger = logging.getLogger(__name__)


class Home(Protocol):
    """The member's side of what peers say to it."""

    @property
    def member(self) -> MemberId: ...

    @property
    def tls(self) -> PeerTls: ...

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *work* until it is done or the transport closes."""

    def admits(self, hello: Hello, names: frozenset[str]) -> bool:
        """Tell whether this greeting, shown with a certificate for these *names*, is a peer's to us."""

    def greeting(self, receiver: MemberId) -> bytes: ...

    def deliver(self, messages: Sequence[Message]) -> None: ...

    async def answer(self, question: bytes) -> bytes | None:
        """Return the member's answer; None if it does not run any more."""


class IncomingPeer:
    """A connection that a peer made. `member` is who it is, 0 before its greeting."""

    def __init__(self, network: Home, sock: socket.socket) -> None:
        self.member: MemberId = 0
        self._network = network
        self._connection = PeerConnection(self._hear)
        self._greeted = asyncio.Event()
        self._announced: Announcement | None = None
        self._pieces: list[bytes] = []
        self._missing_bytes = 0
        self._answers: set[asyncio.Task[None]] = set()
        self.task = network.start(self._live(sock))
        # Not at the end of the task, which never begins if it is cancelled before.
        self.task.add_done_callback(lambda _: sock.close())

    def end(self) -> None:
        self.task.cancel()

    async def _live(self, sock: socket.socket) -> None:
        try:
            tune(sock)
            async with asyncio.timeout(GREETING_TIMEOUT_S):
                await self._connection.open(sock, self._network.tls.server)
                await first_of(asyncio.ensure_future(self._greeted.wait()), self._connection)
            await self._connection.closed()
        except UNREACHABLE as error:
            logger.info("a connection to the peers' port came to nothing: %s", error)
        finally:
            await self._connection.abort()
            for task in self._answers:
                task.cancel()

    def _hear(self, connection: PeerConnection, frames: Sequence[tuple[Kind, bytes]]) -> None:
        heard: list[Message] = []
        for kind, payload in frames:
            match kind:
                case Kind.HELLO if not self.member:
                    self._admit(connection, read_hello(payload))
                case Kind.MESSAGES if self.member:
                    heard += self._own(read_messages(payload))
                case Kind.QUESTION if self.member and len(self._answers) < QUESTIONS_MAX:
                    self._ask(*read_numbered(payload))
                case Kind.SNAPSHOT if self.member and self._announced is None:
                    self._begin_snapshot(read_announcement(payload))
                case Kind.PIECE if 0 < len(payload) <= self._missing_bytes:
                    self._continue_snapshot(payload)
                case _:
                    raise FrameError(f"{kind.name} was not to be said here")
        if heard:
            self._network.deliver(heard)

    def _admit(self, connection: PeerConnection, hello: Hello) -> None:
        if not self._network.admits(hello, connection.certificate_names()):
            raise FrameError(f"member {hello.member:x} of cluster {hello.cluster:x} is no peer of ours")
        self.member = hello.member
        connection.reader.limit_bytes = FRAME_BYTES_MAX
        connection.send(self._network.greeting(hello.member))
        self._greeted.set()

    def _own(self, messages: Sequence[Message]) -> Sequence[Message]:
        for message in messages:
            if (message.sender, message.receiver) != (self.member, self._network.member):
                raise FrameError(f"member {self.member:x} speaks for {message.sender:x}")
        return messages

    def _ask(self, number: int, question: bytes) -> None:
        task = self._network.start(self._answer(number, question))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _answer(self, number: int, question: bytes) -> None:
        answer = await self._network.answer(question)
        if answer is not None:
            self._connection.send(numbered_frame(Kind.ANSWER, number, answer))

    def _begin_snapshot(self, announcement: Announcement) -> None:
        self._own([announcement.message])
        self._announced, self._missing_bytes = announcement, announcement.size_bytes
        self._end_snapshot_if_whole()

    def _continue_snapshot(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._missing_bytes -= len(piece)
        self._end_snapshot_if_whole()

    def _end_snapshot_if_whole(self) -> None:
        if self._announced and not self._missing_bytes:
            task = self._network.start(self._hand_over(self._announced.message))
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)

    async def _hand_over(self, message: Message) -> None:
        """Put the pieces together, which for a large store takes a while, and deliver the message."""
        snapshot, pieces = message.snapshot, self._pieces
        assert isinstance(snapshot, Snapshot)
        self._pieces = []
        data = await in_thread(b"".join, pieces)
        self._network.deliver([replace(message, snapshot=replace(snapshot, data=data))])
        self._connection.send(frame(Kind.DELIVERED))
