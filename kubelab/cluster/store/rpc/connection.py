"""One client's connection: HTTP/2 for gRPC, or one request of HTTP/1.1, as its first bytes say.

Source: etcd, server/embed/serve.go, where the library cmux does so.
"""

import asyncio
from collections.abc import Callable, Iterator

from kubelab.cluster.store.rpc import http1
from kubelab.cluster.store.rpc.http2 import Connection, Stream

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HANG_UP_S = 1.0  # For what was written last; then a peer that does not read is cut off.


class Connections:
    """Those that there are. Once this is closed, there are no more of them: whose handshake ends only then
    is cut off."""

    def __init__(self) -> None:
        self._all: set[ClientConnection] = set()
        self._is_closed = False

    def __iter__(self) -> Iterator["ClientConnection"]:
        return iter(tuple(self._all))

    def add(self, connection: "ClientConnection") -> bool:
        if not self._is_closed:
            self._all.add(connection)
        return not self._is_closed

    def discard(self, connection: "ClientConnection") -> None:
        self._all.discard(connection)

    def close(self) -> None:
        self._is_closed = True


class ClientConnection(asyncio.Protocol):
    """*accept* starts the task of each gRPC stream, *respond* the one of a plain request. It is among
    *connections* while it lasts."""

    def __init__(
        self,
        accept: Callable[[Stream], asyncio.Task[None]],
        respond: Callable[[str, str, "ClientConnection"], asyncio.Task[None]],
        connections: Connections,
    ) -> None:
        self._accept = accept
        self._respond = respond
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._http2: Connection | None = None
        self._head = bytearray()  # What came before it was clear what it is.
        self._responding: asyncio.Task[None] | None = None
        self._is_lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # Only now: whose handshake fails is never told that it is lost.
        if not self._connections.add(self):
            transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._http2:
            self._http2.data_received(data)
            return
        self._head += data
        if PREFACE.startswith(self._head[: len(PREFACE)]):
            self._speak_http2_once_sure()
        elif not self._responding:
            self._speak_http1()

    def _speak_http2_once_sure(self) -> None:
        if len(self._head) >= len(PREFACE):
            assert self._transport is not None
            self._http2 = Connection(self._transport, self._accept)
            self._http2.data_received(bytes(self._head))

    def _speak_http1(self) -> None:
        head, end, _body = bytes(self._head).partition(http1.END_OF_HEAD)
        request = http1.target(head)
        if end and request:
            self._responding = self._respond(*request, self)
        elif end or len(head) > http1.HEAD_BYTES_MAX:
            self.close()

    def respond(self, response: bytes) -> None:
        if self._transport:
            self._transport.write(response)
        self.close()

    def pause_writing(self) -> None:
        if self._http2:
            self._http2.pause_writing()

    def resume_writing(self) -> None:
        if self._http2:
            self._http2.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._http2:
            self._http2.lost()
        if self._responding:
            self._responding.cancel()
        self._is_lost.set()
        self._connections.discard(self)

    def close(self) -> None:
        if self._http2:
            self._http2.go_away()
        elif self._transport:
            self._transport.close()

    async def hang_up(self) -> None:
        """Say goodbye, and wait until it has been said or cannot be."""
        self.close()
        try:
            async with asyncio.timeout(HANG_UP_S):
                await self._is_lost.wait()
        except TimeoutError:
            if self._transport:
                self._transport.abort()
