"""One TLS connection between two members: frames go out and come in, and a peer without a goodbye is missed.

What cannot be sent soon is not sent: behind `QUEUE_BYTES_MAX` that wait already, `send` refuses. A peer whose
machine is gone is missed when nothing that was sent has been acknowledged for `DEAD_PEER_S`, or when it does
not answer the kernel's probes for so long.
Source: tcp(7): TCP_NODELAY, TCP_USER_TIMEOUT, TCP_KEEPIDLE; etcd, server/etcdserver/api/rafthttp/stream.go.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import urlsplit

from kubelab.cluster.errors import KernelError
from kubelab.cluster.store.peer_frames import FrameError, FrameReader, Kind
from kubelab.cluster.store.peer_tls import TlsStream

QUEUE_BYTES_MAX = 1 << 20
DEAD_PEER_S = 3
GREETING_TIMEOUT_S = 3.0
PORT = 2380
_PROBE_S = 1

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")


def tune(sock: socket.socket) -> None:
    """Have the socket send at once, and notice that its other end is gone."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_S * 1000)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _PROBE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, DEAD_PEER_S)


@dataclass(frozen=True, slots=True)
class PeerTls:
    """One member's certificate, as it listens and as it dials. Both contexts must want the other's."""

    server: ssl.SSLContext
    client: ssl.SSLContext

    def __post_init__(self) -> None:
        wanted = ssl.CERT_REQUIRED
        if self.server.verify_mode != wanted or self.client.verify_mode != wanted:
            raise ValueError("peers must show a certificate")
        if not self.client.check_hostname:
            raise ValueError("a peer's certificate must be for its host")


class PeerConnection:
    """*on_frames* is told the frames that came together; a FrameError of its ends the connection."""

    def __init__(self, on_frames: "Callable[[PeerConnection, Sequence[tuple[Kind, bytes]]], None]") -> None:
        self.reader = FrameReader()
        self._on_frames = on_frames
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._has_room = asyncio.Event()
        self._stream: TlsStream | None = None

    async def open(self, sock: socket.socket, context: ssl.SSLContext, host: str | None = None) -> None:
        """Shake hands on *sock*, which the connection's end closes: as a client of *host* or as the server.

        Raises:
            OSError: the other end has gone, or one does not accept the other.
        """
        self._stream = TlsStream(
            *(sock, context, host), on_data=self._hear, on_room=self._has_room.set, on_end=self._end
        )
        self._has_room.set()
        await self._stream.shaken()

    @property
    def is_open(self) -> bool:
        return self._stream is not None and not self._stream.is_closed

    def certificate_names(self) -> frozenset[str]:
        """Return the host names and addresses that the peer's certificate is for."""
        assert self._stream is not None
        return self._stream.certificate_names()

    def send(self, frame: bytes | bytearray) -> bool:
        """Send the frame if it can go soon; tell whether it will."""
        stream = self._stream
        if stream is None or stream.is_closed or stream.unsent_bytes > QUEUE_BYTES_MAX:
            return False
        stream.write(frame)
        return True

    async def send_all(self, frame: bytes) -> None:
        """Send the frame when what was sent before has gone; the connection's end ends the waiting."""
        await self._has_room.wait()
        if self._stream is not None:
            self._stream.write(frame)
            if self._stream.unsent_bytes:
                self._has_room.clear()

    async def closed(self) -> None:
        """Wait for the connection's end."""
        await asyncio.shield(self._closed)

    async def abort(self) -> None:
        """End the connection at once; done when it has ended."""
        if self._stream is not None:
            self._stream.abort()
            await asyncio.wait([self._closed])

    def _hear(self, data: bytes) -> None:
        try:
            self._on_frames(self, self.reader.feed(data))
        except FrameError as error:
            logger.info("a peer's connection is closed: %s", error)
            assert self._stream is not None
            self._stream.abort()

    def _end(self) -> None:
        self._has_room.set()
        if not self._closed.done():
            self._closed.set_result(None)


UNREACHABLE = (OSError, TimeoutError, KernelError, ConnectionError)


async def first_of(future: "asyncio.Future[_Result]", connection: PeerConnection) -> _Result:
    """Return what *future* gives.

    Raises:
        ConnectionError: the connection has ended first.
    """
    ended = asyncio.ensure_future(connection.closed())
    try:
        await asyncio.wait((future, ended), return_when=asyncio.FIRST_COMPLETED)
        if not future.done():
            raise ConnectionResetError("the peer has ended the connection")
        return future.result()
    finally:
        future.cancel()
        ended.cancel()


def peer_address(url: str) -> tuple[str, int]:
    """Raises OSError: that is no address to dial."""
    try:
        parts = urlsplit(url)
        return str(ip_address(parts.hostname or "")), parts.port or PORT
    except ValueError:
        raise OSError(f"no address: {url}") from None


def peer_host(url: str) -> str:
    try:
        return peer_address(url)[0]
    except OSError:
        return url
