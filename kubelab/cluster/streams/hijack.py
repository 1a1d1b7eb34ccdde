"""The bare connection below an HTTP request, for protocols that aiohttp does not know.

Source: Go's http.Hijacker, with which upstream does the same; RFC 9110, 7.8 (Upgrade). aiohttp hands the
bytes that arrive to a parser, as for its own WebSockets; what leaves goes through the request's writer.
"""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, cast

from aiohttp.abc import AbstractStreamWriter

from kubelab.cluster.streams import web
from kubelab.cluster.streams.hang_up import hung_up

if TYPE_CHECKING:
    from aiohttp._websocket.reader import WebSocketReader

READ_AHEAD_BYTES_MAX = 256 * 1024


class ByteChannel(Protocol):
    """Bytes both ways, in order."""

    async def read(self) -> bytes:
        """Return what has come, as soon as there is something; b"" when the other side is gone."""

    async def write(self, data: bytes) -> None:
        """Send *data*, and wait while the other side is slow.

        Raises:
            ConnectionError: it is gone.
        """

    async def lost(self) -> None:
        """Wait until the other side is gone, even if nobody reads."""


class HijackedConnection:
    """See `ByteChannel`. What arrives is held back while nobody reads."""

    def __init__(self, request: web.BaseRequest) -> None:
        assert request.transport is not None
        self._transport = request.transport
        self._writer = request.writer
        self._arrived = bytearray()
        self._at_end = False
        self._is_paused = False
        self._changed = asyncio.Event()
        # A parser of its sort is what aiohttp calls whoever takes the bytes instead of HTTP's parser.
        request.protocol.set_parser(cast("WebSocketReader", self))

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """aiohttp: bytes have arrived."""
        self._arrived += data
        self._changed.set()
        if len(self._arrived) > READ_AHEAD_BYTES_MAX and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        return False, b""

    def feed_eof(self) -> None:
        """aiohttp: the connection is lost."""
        self._at_end = True
        self._changed.set()

    @property
    def at_end(self) -> bool:
        """Whether the connection is lost."""
        return self._at_end

    async def read(self) -> bytes:
        while not self._arrived and not self._at_end:
            self._changed.clear()
            await self._changed.wait()
        data = bytes(self._arrived)
        self._arrived.clear()
        if self._is_paused and not self._transport.is_closing():
            self._transport.resume_reading()
        self._is_paused = False
        return data

    async def write(self, data: bytes) -> None:
        await self._writer.write(data)

    async def lost(self) -> None:
        await hung_up(self._transport)


class Finished(web.StreamResponse):
    """What a handler returns when the connection was taken from under it: nothing is sent, it is closed."""

    def __init__(self) -> None:
        super().__init__(status=101)
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None


def switching_protocols(headers: Mapping[str, str]) -> bytes:
    """Return the answer that ends HTTP on a connection."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n".encode("latin-1")
