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
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TypeVar, cast
from urllib.parse import urlsplit

from kubelab.cluster.errors import KernelError
from kubelab.cluster.store.peer_frames import FrameError, FrameReader, Kind

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


class PeerConnection(asyncio.Protocol):
    """*on_frames* is told the frames that came together; a FrameError of its ends the connection."""

    def __init__(self, on_frames: "Callable[[PeerConnection, list[tuple[Kind, bytes]]], None]") -> None:
        self.reader = FrameReader()
        loop = asyncio.get_running_loop()
        self._on_frames = on_frames
        self._closed: asyncio.Future[None] = loop.create_future()
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def certificate_names(self) -> frozenset[str]:
        """Return the host names and addresses that the peer's certificate is for."""
        assert self._transport is not None
        certificate = self._transport.get_extra_info("peercert") or {}
        return frozenset(name for _, name in certificate.get("subjectAltName", ()))

    def send(self, frame: bytes | bytearray) -> bool:
        """Send the frame if it can go soon; tell whether it will."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() > QUEUE_BYTES_MAX:
            return False
        transport.write(frame)
        return True

    async def send_all(self, frame: bytes) -> None:
        """Send the frame as soon as there is room for it; the connection's end ends the waiting."""
        await self._writable.wait()
        if self._transport is not None:
            self._transport.write(frame)

    async def closed(self) -> None:
        """Wait for the connection's end."""
        await asyncio.shield(self._closed)

    async def abort(self) -> None:
        """End the connection at once; done when it has ended."""
        if self._transport is None:
            return
        self._transport.abort()
        await asyncio.wait([self._closed])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._on_frames(self, list(self.reader.feed(data)))
        except FrameError as error:
            logger.info("a peer's connection is closed: %s", error)
            assert self._transport is not None
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._writable.set()
        if not self._closed.done():
            self._closed.set_result(None)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()


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
