"""A SPDY connection, the server's side of it: streams that the client opens, over any channel of bytes.

Source: github.com/moby/spdystream, connection.go; kubernetes, apimachinery, pkg/util/httpstream/spdy.
Left out: streams that the server opens; priorities.
"""

import asyncio
import contextlib
from collections.abc import Callable

from kubelab.cluster.linux.background import background
from kubelab.cluster.streams import spdy
from kubelab.cluster.streams.hang_up import ping
from kubelab.cluster.streams.hijack import ByteChannel
from kubelab.cluster.streams.inbox import Inbox
from kubelab.cluster.streams.spdy import (
    Data,
    Decoder,
    Encoder,
    Frame,
    GoAway,
    Headers,
    Ping,
    RstStream,
    SynReply,
    SynStream,
)
from kubelab.cluster.streams.until import done_before

STREAMS_MAX = 4096
_SERVER_PING_ID = 2


class StreamRefused(Exception):  # noqa: N818 - the client's error, which the connection survives
    """The stream cannot be what its headers ask for."""


class SpdyStream:
    """`reset` is set when either side has given it up."""

    def __init__(self, connection: "SpdyConnection", stream_id: int, headers: Headers) -> None:
        self.id = stream_id
        self.headers = headers
        self.inbox = Inbox()
        self.reset = asyncio.Event()
        self._connection = connection
        self._is_closed = False

    async def write(self, data: bytes) -> None:
        """Send *data*; on a stream that was reset it is dropped.

        Raises:
            ConnectionError: the connection is gone.
        """
        if not self.reset.is_set():
            await self._connection.send(Data(self.id, data))

    async def close(self) -> None:
        """Say that no more will be written; the client may write on."""
        if not self._is_closed and not self.reset.is_set():
            self._is_closed = True
            await self._connection.send(Data(self.id, fin=True))
        self._connection.forget_if_over(self)

    @property
    def is_over(self) -> bool:
        return self.reset.is_set() or (self._is_closed and self.inbox.has_ended)

    def give_up(self) -> None:
        self.reset.set()
        self.inbox.end()


class SpdyConnection:
    """`run` ends with the connection."""

    def __init__(self, channel: ByteChannel, on_stream: Callable[[SpdyStream], None]) -> None:
        """*on_stream* is called with each stream that the client opens; it raises StreamRefused."""
        self._channel = channel
        self._on_stream = on_stream
        self._encoder = Encoder()
        self._sending = asyncio.Lock()
        self._streams: dict[int, SpdyStream] = {}
        self._last_id = 0

    async def send(self, frame: Frame) -> None:
        """Raises ConnectionError: the client is gone."""
        async with self._sending:  # The compressor's order is that of the wire.
            await self._channel.write(self._encoder.encode(frame))

    async def run(self) -> None:
        """Take what comes, until the client says farewell or is gone; then all streams have ended."""
        try:
            async with background(ping(lambda: self.send(Ping(_SERVER_PING_ID)))):
                await done_before(self._channel.lost(), self._receive())
        finally:
            for stream in tuple(self._streams.values()):
                stream.give_up()

    async def _receive(self) -> None:
        decoder = Decoder()
        with contextlib.suppress(spdy.SpdyError, ConnectionError):
            while data := await self._channel.read():
                for frame in decoder.feed(data):
                    if isinstance(frame, GoAway):
                        return
                    await self._take(frame)

    def forget_if_over(self, stream: SpdyStream) -> None:
        if stream.is_over:
            self._streams.pop(stream.id, None)

    async def _take(self, frame: Frame) -> None:
        match frame:
            case SynStream():
                await self._open(frame)
            case Data(stream_id, data, fin):
                await self._take_data(stream_id, data, fin=fin)
            case RstStream(stream_id):
                if stream := self._streams.pop(stream_id, None):
                    stream.give_up()
            case Ping(id_) if id_ % 2:
                await self.send(frame)
            case _:  # SETTINGS, HEADERS, WINDOW_UPDATE, SYN_REPLY, the answer to our ping.
                pass

    async def _open(self, frame: SynStream) -> None:
        if frame.stream_id % 2 == 0 or frame.stream_id <= self._last_id:
            await self.send(RstStream(frame.stream_id, spdy.PROTOCOL_ERROR))
            return
        self._last_id = frame.stream_id
        stream = SpdyStream(self, frame.stream_id, frame.headers)
        if frame.fin:
            stream.inbox.end()
        try:
            if len(self._streams) >= STREAMS_MAX:
                raise StreamRefused
            self._streams[stream.id] = stream
            self._on_stream(stream)
        except StreamRefused:
            self._streams.pop(stream.id, None)
            await self.send(RstStream(stream.id, spdy.REFUSED_STREAM))
        else:
            await self.send(SynReply(stream.id))

    async def _take_data(self, stream_id: int, data: bytes, *, fin: bool) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:  # It has gone away meanwhile.
            return
        await stream.inbox.put(data)
        if fin:
            stream.inbox.end()
            self.forget_if_over(stream)
