"""One connection's HTTP/2: the streams that its client opens, each with a task of its own, and their windows.

What a client has sent is acknowledged as a handler reads it, and a handler that writes waits for the client's
window: neither a client that sends without end nor one that never reads costs more than a window of memory.
A stream that the client resets, and every stream of a connection that is lost, has its task cancelled.
Source: RFC 9113, by the library h2; grpc-go, internal/transport/http2_server.go.
Left out: priorities, pushes, pings of our own (TCP's keep-alive finds the dead).
"""

import asyncio
from collections.abc import Callable, Iterable

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

Headers = Iterable[tuple[str, str]]

STREAMS_MAX = 10_000  # At once, on one connection; etcd allows any number.
CONFIG = H2Configuration(
    client_side=False,
    header_encoding="utf-8",
    validate_inbound_headers=False,  # Whatever else a client says is not looked at, and this costs the most.
    normalize_inbound_headers=False,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)


class StreamClosedError(Exception):
    """The client hung up while it was being written to."""


class Connection:
    """Takes `data_received`, `pause_writing`, `resume_writing` and `lost` from its transport, and calls
    *accept* with every stream that the client opens; that returns the task which serves it."""

    def __init__(
        self, transport: asyncio.Transport, accept: "Callable[[Stream], asyncio.Task[None]]"
    ) -> None:
        self.h2 = H2Connection(CONFIG)
        self._transport = transport
        self._accept = accept
        self._streams: dict[int, Stream] = {}
        self._flush_is_due = False
        self.is_writable = True
        self.h2.local_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = STREAMS_MAX
        self.h2.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        try:
            events = self.h2.receive_data(data)
        except ProtocolError:  # h2 has a GOAWAY ready that says which rule was broken.
            self.close()
            return
        for event in events:
            self._handle(event)
        self.flush()

    def _handle(self, event: Event) -> None:
        match event:
            case RequestReceived():
                self._open(event)
            case DataReceived():
                self._deliver(event)
            case StreamEnded() if stream := self._streams.get(event.stream_id or 0):
                stream.end_received()
            case StreamReset() if stream := self._streams.pop(event.stream_id or 0, None):
                stream.cancel()
            case WindowUpdated() if event.stream_id:
                if stream := self._streams.get(event.stream_id):
                    stream.wake_writer()
            case WindowUpdated() | RemoteSettingsChanged():
                self._wake_writers()
            case ConnectionTerminated():
                self.close()

    def _open(self, event: RequestReceived) -> None:
        assert event.stream_id is not None
        assert event.headers is not None
        headers = {_text(name): _text(value) for name, value in event.headers}
        stream = self._streams[event.stream_id] = Stream(self, event.stream_id, headers)
        stream.task = self._accept(stream)

    def _deliver(self, event: DataReceived) -> None:
        assert event.flow_controlled_length is not None
        if stream := self._streams.get(event.stream_id or 0):
            stream.received(event.data or b"", event.flow_controlled_length)
        else:
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id or 0)

    def forget(self, stream_id: int) -> None:
        self._streams.pop(stream_id, None)

    def flush_soon(self) -> None:
        """Have what was written in this round of the loop sent in one piece."""
        if not self._flush_is_due:
            self._flush_is_due = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        self._flush_is_due = False
        if (data := self.h2.data_to_send()) and not self._transport.is_closing():
            self._transport.write(data)

    def pause_writing(self) -> None:
        self.is_writable = False

    def resume_writing(self) -> None:
        self.is_writable = True
        self._wake_writers()

    def _wake_writers(self) -> None:
        for stream in self._streams.values():
            stream.wake_writer()

    def close(self) -> None:
        """Say what there is to say, and hang up. The handlers end now: there is nobody to answer."""
        self.flush()
        self._transport.close()
        self.lost()

    def go_away(self) -> None:
        self.h2.close_connection()
        self.close()

    def lost(self) -> None:
        for stream in self._streams.values():
            stream.cancel()
        self._streams.clear()


class Stream:
    """One request and its answer, as its handler sees them."""

    task: asyncio.Task[None]

    def __init__(self, connection: Connection, stream_id: int, headers: dict[str, str]) -> None:
        self.headers = headers
        self._connection = connection
        self._h2 = connection.h2
        self._id = stream_id
        self._received = bytearray()
        self._unacknowledged_bytes = 0
        self._has_ended = False
        self._is_closed = False
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()

    def received(self, data: bytes, flow_controlled_bytes: int) -> None:
        self._received += data
        self._unacknowledged_bytes += flow_controlled_bytes
        self._readable.set()

    def end_received(self) -> None:
        self._has_ended = True
        self._readable.set()

    def wake_writer(self) -> None:
        self._writable.set()

    def cancel(self) -> None:
        self._is_closed = True
        self.task.cancel()

    async def read(self, size: int) -> bytes:
        """Return *size* bytes, or what there was when the client ended."""
        data = bytearray(self._take(size))
        while len(data) < size and not self._has_ended:
            self._readable.clear()
            await self._readable.wait()
            data += self._take(size - len(data))
        return bytes(data)

    def _take(self, size: int) -> bytes:
        data = bytes(self._received[:size])
        del self._received[:size]
        if self._unacknowledged_bytes and not self._received:
            self._h2.acknowledge_received_data(self._unacknowledged_bytes, self._id)
            self._unacknowledged_bytes = 0
            self._connection.flush_soon()
        return data

    def send_headers(self, headers: Headers) -> None:
        if not self._is_closed:
            self._h2.send_headers(self._id, headers)
            self._connection.flush_soon()

    async def write(self, data: bytes) -> None:
        """Send *data* as fast as the client takes it. One task at a time.

        Raises:
            StreamClosedError: the client has hung up.
        """
        rest = memoryview(data)
        while rest:
            size = min(len(rest), await self._window_bytes())
            self._h2.send_data(self._id, bytes(rest[:size]))
            self._connection.flush_soon()
            rest = rest[size:]

    async def _window_bytes(self) -> int:
        while True:
            if self._is_closed:
                raise StreamClosedError
            window_bytes = self._h2.local_flow_control_window(self._id)
            if window_bytes > 0 and self._connection.is_writable:
                return min(window_bytes, self._h2.max_outbound_frame_size)
            self._writable.clear()
            await self._writable.wait()

    def end(self, trailers: Headers) -> None:
        """End the answer; a client that still sends is told to stop."""
        if self._is_closed:
            return
        self._is_closed = True
        self._connection.forget(self._id)
        self._h2.send_headers(self._id, trailers, end_stream=True)
        if self._unacknowledged_bytes:
            self._h2.acknowledge_received_data(self._unacknowledged_bytes, self._id)
        if not self._has_ended:
            self._h2.reset_stream(self._id, ErrorCodes.NO_ERROR)
        self._connection.flush_soon()


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()
