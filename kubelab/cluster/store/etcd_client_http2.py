"""The client's half of HTTP/2 as gRPC uses it: bytes in, bytes and calls out. Pure.

It is a fifth of what a general library costs per call, because a gRPC client says the same headers again and
again: they are encoded once for each method, as literals that no table need remember, and what a server
answers is decoded once for as long as its table stays the same.
Source: RFC 9113 (HTTP/2), RFC 7541 (HPACK), grpc, doc/PROTOCOL-HTTP2.md.
Left out: priorities, server push, compressed messages, metadata of answers beside the status.
"""

import struct
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol
from urllib.parse import unquote

from hpack import Decoder, HPACKError

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
WINDOW_BYTES, WINDOW_MAX_BYTES = 65_535, (1 << 31) - 1
STREAM_WINDOW_BYTES = 16 << 20  # A list of 10,000 objects comes without asking for more.
FRAME_BYTES = 16_384
LAST_STREAM = (1 << 31) - 1

_HEAD = struct.Struct(">BHBBI")
_MESSAGE_HEAD = struct.Struct(">BI")
_SETTING = struct.Struct(">HI")
_UINT = struct.Struct(">I")


class _Frame(IntEnum):
    DATA = 0
    HEADERS = 1
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class _Setting(IntEnum):
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5


_END_STREAM = _ACK = 1
_END_HEADERS, _PADDED, _PRIORITY = 4, 8, 0x20
_NO_ERROR, _REFUSED_STREAM, _CANCEL = 0, 7, 8


class Code(IntEnum):
    """Source: grpc, doc/statuscodes.md."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


_CODES = {str(code.value): code for code in Code}


@dataclass(frozen=True, slots=True)
class Status:
    """How a call ended. `unprocessed`: the server surely did nothing for it."""

    code: Code
    message: str = ""
    unprocessed: bool = False


_GOES_AWAY = Status(Code.UNAVAILABLE, "the server goes away", unprocessed=True)


class Http2Error(Exception):
    """The server broke the protocol: the connection is of no more use."""


class Call(Protocol):
    """Who waits for a call's answer."""

    def message(self, data: bytes) -> None: ...

    def end(self, status: Status) -> None:
        """Nothing comes any more."""


@dataclass(slots=True, eq=False)
class Stream:
    call: Call
    headers: bytes
    id: int = 0
    window_bytes: int = 0
    unsent: bytearray = field(default_factory=bytearray)
    ends: bool = False
    received: bytearray = field(default_factory=bytearray)
    uncredited_bytes: int = 0


def header_block(scheme: str, authority: str, path: str, metadata: Mapping[str, str] | None = None) -> bytes:
    """Return the headers of a call, as literals that change no table (RFC 7541, section 6.2.2)."""
    fixed = b"\x83" + (b"\x87" if scheme == "https" else b"\x86")  # POST and the scheme, of the static table.
    named = b"\x04" + _string(path) + b"\x01" + _string(authority)
    more = {"te": "trailers", "content-type": "application/grpc"} | dict(metadata or {})
    return fixed + named + b"".join(b"\0" + _string(name) + _string(value) for name, value in more.items())


def _string(text: str) -> bytes:
    return _integer(len(text)) + text.encode("ascii")


def _integer(value: int) -> bytes:
    """Return *value* with a prefix of 7 bits (RFC 7541, section 5.1)."""
    if value < 127:
        return bytes([value])
    value, encoded = value - 127, bytearray([127])
    while value >= 128:
        encoded.append(value % 128 + 128)
        value //= 128
    encoded.append(value)
    return bytes(encoded)


class Http2:
    """A connection. What is to be sent gathers in `out`; whoever holds it sends that and clears it."""

    def __init__(self) -> None:
        self.out = bytearray(PREFACE)
        self.is_closing = False  # The server takes no new streams.
        self._streams: dict[int, Stream] = {}
        self._waiting: deque[Stream] = deque()
        self._last_id = -1
        self._window_bytes = WINDOW_BYTES
        self._blocked: dict[int, Stream] = {}
        self._initial_window_bytes = WINDOW_BYTES
        self._frame_bytes = FRAME_BYTES
        self._streams_max = LAST_STREAM
        self._uncredited_bytes = 0
        self._incoming = bytearray()
        self._block: tuple[int, int, bytearray] | None = None  # Stream, flags and what there is of headers.
        self._headers = _HeaderDecoder()
        settings = _SETTING.pack(_Setting.ENABLE_PUSH, 0)
        settings += _SETTING.pack(_Setting.INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES)
        self._send(_Frame.SETTINGS, 0, 0, settings)
        self._send(_Frame.WINDOW_UPDATE, 0, 0, _UINT.pack(WINDOW_MAX_BYTES - WINDOW_BYTES))

    @property
    def is_idle(self) -> bool:
        return not self._streams and not self._waiting

    def open(self, call: Call, headers: bytes) -> Stream:
        """Begin a call; it waits its turn if the server has as many as it takes at once."""
        stream = Stream(call, headers)
        if len(self._streams) < self._streams_max:
            self._begin(stream)
        else:
            self._waiting.append(stream)
        return stream

    def send(self, stream: Stream, message: bytes, *, end: bool = False) -> None:
        """Send a message, the last one with *end*. Nothing happens if the call has ended."""
        stream.ends = end
        framed = _MESSAGE_HEAD.pack(0, len(message)) + message
        size = len(framed)
        room = min(self._window_bytes, stream.window_bytes, self._frame_bytes)
        if stream.id and size <= room and not stream.unsent:  # Nearly always.
            self._window_bytes -= size
            stream.window_bytes -= size
            self._send(_Frame.DATA, _END_STREAM if end else 0, stream.id, framed)
            return
        stream.unsent += framed
        if stream.id in self._streams:
            self._send_unsent(stream)

    def cancel(self, stream: Stream) -> None:
        """Forget a call, wherever it stands."""
        if self._streams.pop(stream.id, None):
            self._blocked.pop(stream.id, None)
            self._send(_Frame.RST_STREAM, 0, stream.id, _UINT.pack(_CANCEL))
            self._begin_waiting()
        elif stream in self._waiting:
            self._waiting.remove(stream)

    def read(self, stream: Stream) -> None:
        """Somebody reads what the stream has received: its server may go on."""
        if stream.uncredited_bytes >= STREAM_WINDOW_BYTES // 4 and stream.id in self._streams:
            self._send(_Frame.WINDOW_UPDATE, 0, stream.id, _UINT.pack(stream.uncredited_bytes))
            stream.uncredited_bytes = 0

    def ping(self) -> None:
        self._send(_Frame.PING, 0, 0, bytes(8))

    def lose(self, reason: str) -> None:
        """The connection is gone: end all calls. Those that were not begun were surely not carried out."""
        self.is_closing = True
        begun, waiting = list(self._streams.values()), list(self._waiting)
        self._streams.clear()
        self._blocked.clear()
        self._waiting.clear()
        for stream in begun:
            stream.call.end(Status(Code.UNAVAILABLE, reason))
        for stream in waiting:
            stream.call.end(Status(Code.UNAVAILABLE, reason, unprocessed=True))

    def receive(self, data: bytes) -> None:
        """Take what has come.

        Raises:
            Http2Error: that is no HTTP/2.
        """
        incoming = self._incoming
        incoming += data
        start, available = 0, len(incoming)
        while available - start >= 9:
            high, low, kind, flags, stream = _HEAD.unpack_from(incoming, start)
            if high or low > FRAME_BYTES:
                raise Http2Error("a frame is larger than was said to be taken")
            end = start + 9 + low
            if end > available:
                break
            self._take(kind, flags, stream & LAST_STREAM, bytes(incoming[start + 9 : end]))
            start = end
        del incoming[:start]

    def _begin(self, stream: Stream) -> None:
        self._last_id += 2
        stream.id = self._last_id
        stream.window_bytes = self._initial_window_bytes
        self._streams[stream.id] = stream
        self._send(_Frame.HEADERS, _END_HEADERS, stream.id, stream.headers)
        self.is_closing = self.is_closing or self._last_id >= LAST_STREAM - 2
        if stream.unsent:
            self._send_unsent(stream)

    def _begin_waiting(self) -> None:
        while self._waiting and (self.is_closing or len(self._streams) < self._streams_max):
            stream = self._waiting.popleft()
            if self.is_closing:
                stream.call.end(_GOES_AWAY)
            else:
                self._begin(stream)

    def _send(self, kind: int, flags: int, stream: int, payload: bytes | bytearray) -> None:
        size = len(payload)
        self.out += _HEAD.pack(size >> 16, size & 0xFFFF, kind, flags, stream)
        self.out += payload

    def _send_unsent(self, stream: Stream) -> None:
        """Send as much as the windows let."""
        while stream.unsent:
            size = min(len(stream.unsent), self._window_bytes, stream.window_bytes, self._frame_bytes)
            if size <= 0:
                self._blocked[stream.id] = stream
                return
            self._window_bytes -= size
            stream.window_bytes -= size
            piece = bytes(stream.unsent[:size])
            del stream.unsent[:size]
            is_last = stream.ends and not stream.unsent
            self._send(_Frame.DATA, _END_STREAM if is_last else 0, stream.id, piece)
        self._blocked.pop(stream.id, None)

    def _send_blocked(self) -> None:
        for stream in list(self._blocked.values()):
            self._send_unsent(stream)

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if self._block is not None and kind != _Frame.CONTINUATION:
            raise Http2Error("headers are interrupted")
        if kind == _Frame.DATA:
            self._take_data(flags, number, payload)
        elif kind == _Frame.HEADERS:
            payload = _unpadded(flags, payload)
            self._take_block(flags, number, payload[5:] if flags & _PRIORITY else payload)
        elif kind == _Frame.CONTINUATION:
            self._continue_block(flags, number, payload)
        elif kind == _Frame.WINDOW_UPDATE:
            self._take_window(number, _uint(payload))
        elif kind == _Frame.RST_STREAM:
            refused = _uint(payload) == _REFUSED_STREAM
            self._end(number, Status(Code.UNAVAILABLE, "the stream was reset", unprocessed=refused))
        elif kind == _Frame.SETTINGS and not flags & _ACK:
            self._take_settings(payload)
        elif kind == _Frame.PING and not flags & _ACK:
            self._send(_Frame.PING, _ACK, 0, payload)
        elif kind == _Frame.GOAWAY:
            self._take_goaway(_uint(payload[:4]) & LAST_STREAM)

    def _take_data(self, flags: int, number: int, payload: bytes) -> None:
        self._uncredited_bytes += len(payload)
        if self._uncredited_bytes >= WINDOW_MAX_BYTES // 2:
            self._send(_Frame.WINDOW_UPDATE, 0, 0, _UINT.pack(self._uncredited_bytes))
            self._uncredited_bytes = 0
        stream = self._streams.get(number)
        if stream is None:  # It was cancelled.
            return
        stream.uncredited_bytes += len(payload)
        stream.received += _unpadded(flags, payload)
        self._deliver(stream)
        if len(stream.received) >= STREAM_WINDOW_BYTES // 2:
            self.read(stream)  # The rest of a message must not wait for who reads messages.
        if flags & _END_STREAM:
            self._end(number, Status(Code.INTERNAL, "the server ended a call without a status"))

    def _deliver(self, stream: Stream) -> None:
        """Hand over what is complete."""
        received, start, available = stream.received, 0, len(stream.received)
        while available - start >= 5:
            compressed, size = _MESSAGE_HEAD.unpack_from(received, start)
            if compressed:
                raise Http2Error("a message is compressed")
            if available - start - 5 < size:
                break
            stream.call.message(bytes(received[start + 5 : start + 5 + size]))
            start += 5 + size
        del received[:start]

    def _take_block(self, flags: int, number: int, block: bytes) -> None:
        if not flags & _END_HEADERS:
            self._block = number, flags, bytearray(block)
            return
        headers = self._headers.decode(block)
        if flags & _END_STREAM:
            self._end(number, _status(headers))

    def _continue_block(self, flags: int, number: int, block: bytes) -> None:
        if self._block is None or self._block[0] != number:
            raise Http2Error("headers are continued that had not begun")
        self._block[2].extend(block)
        if flags & _END_HEADERS:
            _, first_flags, whole = self._block
            self._block = None
            self._take_block(first_flags | _END_HEADERS, number, bytes(whole))

    def _take_window(self, number: int, more_bytes: int) -> None:
        if number == 0:
            self._window_bytes += more_bytes
        elif stream := self._streams.get(number):
            stream.window_bytes += more_bytes
        if self._blocked:
            self._send_blocked()

    def _take_settings(self, payload: bytes) -> None:
        for name, value in _SETTING.iter_unpack(payload):
            if name == _Setting.INITIAL_WINDOW_SIZE:
                for stream in self._streams.values():
                    stream.window_bytes += value - self._initial_window_bytes
                self._initial_window_bytes = value
            elif name == _Setting.MAX_FRAME_SIZE:
                self._frame_bytes = value
            elif name == _Setting.MAX_CONCURRENT_STREAMS:
                self._streams_max = value
        self._send(_Frame.SETTINGS, _ACK, 0, b"")
        self._send_blocked()
        self._begin_waiting()

    def _take_goaway(self, last: int) -> None:
        """The server ends what it has begun, and begins nothing any more."""
        self.is_closing = True
        for number in [number for number in self._streams if number > last]:
            self._end(number, _GOES_AWAY)
        self._begin_waiting()

    def _end(self, number: int, status: Status) -> None:
        stream = self._streams.pop(number, None)
        if stream is None:
            return
        self._blocked.pop(number, None)
        stream.call.end(status)
        if self._waiting:
            self._begin_waiting()


class _HeaderDecoder:
    """Remembers what a block of headers meant while the server's table is as it was: a block that only points
    into the table (each byte's first bit is set, RFC 7541, section 6.1) changes nothing."""

    def __init__(self) -> None:
        self._decoder = Decoder(max_header_list_size=1 << 20)
        self._known: dict[bytes, dict[str, str]] = {}

    def decode(self, block: bytes) -> dict[str, str]:
        known = self._known.get(block)
        if known is not None:
            return known
        try:
            fields = self._decoder.decode(block, raw=True)
        except HPACKError as error:
            raise Http2Error(f"headers cannot be read: {error}") from error
        decoded = {_text(name): _text(value) for name, value in fields}
        if all(0x80 < byte < 0xFF for byte in block):
            self._known[block] = decoded
        else:
            self._known.clear()
        return decoded


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _status(headers: Mapping[str, str]) -> Status:
    if "grpc-status" not in headers:
        return Status(
            Code.UNAVAILABLE, f"the server answers HTTP {headers.get(':status', 'without a status')}"
        )
    code = _CODES.get(headers["grpc-status"], Code.UNKNOWN)
    return Status(code, unquote(headers.get("grpc-message", "")))


def _unpadded(flags: int, payload: bytes) -> bytes:
    return payload[1 : len(payload) - payload[0]] if flags & _PADDED and payload else payload


def _uint(payload: bytes) -> int:
    if len(payload) != 4:
        raise Http2Error("a frame has the wrong size")
    number: int = _UINT.unpack(payload)[0]
    return number & 0xFFFFFFFF
