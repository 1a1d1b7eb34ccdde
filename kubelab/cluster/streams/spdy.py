"""SPDY/3.1 frames, to bytes and from bytes: no sockets, no time.

Source: SPDY Protocol, draft 3.1, 2.2 and 2.6; github.com/moby/spdystream/spdy, which is what kubectl and
every Go client speak, and which leaves out what is left out here.
Left out: flow control (moby/spdystream neither sends WINDOW_UPDATE nor heeds it: who is too fast waits for
TCP), the meaning of SETTINGS, credentials.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kubelab.cluster.streams.spdy_dictionary import DICTIONARY

Headers = Mapping[str, tuple[str, ...]]

VERSION = 3
CONTROL_BYTES_MAX = 64 * 1024
HEADERS_BYTES_MAX = 256 * 1024  # Decompressed: zlib makes a thousand bytes of one.
DATA_BYTES_MAX = (1 << 24) - 1

PROTOCOL_ERROR, INVALID_STREAM, REFUSED_STREAM, UNSUPPORTED_VERSION, CANCEL, INTERNAL_ERROR = range(1, 7)
GOAWAY_OK = 0

_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _SETTINGS = 1, 2, 3, 4
_PING, _GOAWAY, _HEADERS, _WINDOW_UPDATE = 6, 7, 8, 9
_FIN, _UNIDIRECTIONAL = 1, 2
_CONTROL = 0x80000000
_ID_MASK = 0x7FFFFFFF
_HEAD = struct.Struct(">II")
_WORD = struct.Struct(">I")
_PAIR = struct.Struct(">II")
_SYN = struct.Struct(">IIBB")


class SpdyError(ValueError):
    """The bytes are no SPDY/3.1: the connection cannot go on."""


@dataclass(frozen=True, slots=True)
class SynStream:
    """`priority`: 0 is the highest, 7 the lowest."""

    stream_id: int
    headers: Headers = field(default_factory=dict)
    associated_id: int = 0
    priority: int = 0
    fin: bool = False
    unidirectional: bool = False


@dataclass(frozen=True, slots=True)
class SynReply:
    stream_id: int
    headers: Headers = field(default_factory=dict)
    fin: bool = False


@dataclass(frozen=True, slots=True)
class RstStream:
    stream_id: int
    status: int


@dataclass(frozen=True, slots=True)
class Settings:
    """`values` by their ids; flags are not kept."""

    values: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Ping:
    """Odd ids are the client's, even ones the server's; the other side sends them back."""

    id: int


@dataclass(frozen=True, slots=True)
class GoAway:
    last_good_id: int
    status: int = GOAWAY_OK


@dataclass(frozen=True, slots=True)
class MoreHeaders:
    """A HEADERS frame."""

    stream_id: int
    headers: Headers = field(default_factory=dict)
    fin: bool = False


@dataclass(frozen=True, slots=True)
class WindowUpdate:
    stream_id: int
    delta_bytes: int


@dataclass(frozen=True, slots=True)
class Data:
    """A part of a DATA frame: a long one comes out of the decoder in as many parts as it came in; only the
    last has `fin`, if it has."""

    stream_id: int
    data: bytes = b""
    fin: bool = False


Control = SynStream | SynReply | RstStream | Settings | Ping | GoAway | MoreHeaders | WindowUpdate
Frame = Control | Data


def first(headers: Headers, name: str) -> str:
    """Return the header's first value; "" if there is none."""
    return headers.get(name, ("",))[0]


class Encoder:
    """Frames to bytes, in the order in which they are sent: each block of headers builds on those before."""

    def __init__(self) -> None:
        self._compressor = zlib.compressobj(zlib.Z_BEST_COMPRESSION, zdict=DICTIONARY)

    def encode(self, frame: Frame) -> bytes:
        match frame:
            case Data(stream_id, data, fin):
                return _HEAD.pack(stream_id, _FIN * fin << 24 | len(data)) + data
            case SynStream():
                flags = _FIN * frame.fin | _UNIDIRECTIONAL * frame.unidirectional
                fixed = _SYN.pack(frame.stream_id, frame.associated_id, frame.priority << 5, 0)
                return _control(_SYN_STREAM, flags, fixed + self._block(frame.headers))
            case SynReply(stream_id, headers, fin):
                return _control(_SYN_REPLY, _FIN * fin, _WORD.pack(stream_id) + self._block(headers))
            case MoreHeaders(stream_id, headers, fin):
                return _control(_HEADERS, _FIN * fin, _WORD.pack(stream_id) + self._block(headers))
            case RstStream(stream_id, status):
                return _control(_RST_STREAM, 0, _PAIR.pack(stream_id, status))
            case Settings(values):
                entries = b"".join(_PAIR.pack(*entry) for entry in values.items())
                return _control(_SETTINGS, 0, _WORD.pack(len(values)) + entries)
            case Ping(id_):
                return _control(_PING, 0, _WORD.pack(id_))
            case GoAway(last_good_id, status):
                return _control(_GOAWAY, 0, _PAIR.pack(last_good_id, status))
            case WindowUpdate(stream_id, delta_bytes):
                return _control(_WINDOW_UPDATE, 0, _PAIR.pack(stream_id, delta_bytes))

    def _block(self, headers: Headers) -> bytes:
        plain = _WORD.pack(len(headers)) + b"".join(
            _string(name.lower()) + _string("\0".join(values)) for name, values in headers.items()
        )
        return self._compressor.compress(plain) + self._compressor.flush(zlib.Z_SYNC_FLUSH)


def _control(kind: int, flags: int, payload: bytes) -> bytes:
    return _HEAD.pack(_CONTROL | VERSION << 16 | kind, flags << 24 | len(payload)) + payload


def _string(text: str) -> bytes:
    encoded = text.encode("utf-8", "surrogateescape")
    return _WORD.pack(len(encoded)) + encoded


class Decoder:
    """Bytes, as they come, to frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._decompressor = zlib.decompressobj(zdict=DICTIONARY)
        self._data_id = 0  # Of the DATA frame that is under way,
        self._data_left = 0  # and what of it has still to come.
        self._data_fin = False

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that *data* completes, and what is there of a long DATA frame.

        Raises:
            SpdyError: they are none.
        """
        self._buffer += data
        return list(self._frames())

    def _frames(self) -> Iterator[Frame]:
        while True:
            if self._data_left:
                if not self._buffer:
                    return
                yield self._part()
                continue
            if len(self._buffer) < _HEAD.size:
                return
            word, rest = _HEAD.unpack_from(self._buffer)
            flags, length = rest >> 24, rest & 0xFFFFFF
            if not word & _CONTROL:
                yield from self._begin_data(word, flags, length)
                continue
            if length > CONTROL_BYTES_MAX:
                raise SpdyError(f"a control frame of {length} bytes")
            if len(self._buffer) < _HEAD.size + length:
                return
            payload = bytes(self._buffer[_HEAD.size : _HEAD.size + length])
            del self._buffer[: _HEAD.size + length]
            frame = self._control(word, flags, payload)
            if frame is not None:
                yield frame

    def _begin_data(self, stream_id: int, flags: int, length: int) -> Iterator[Frame]:
        del self._buffer[: _HEAD.size]
        if stream_id == 0:
            raise SpdyError("data of stream 0")
        self._data_id, self._data_left, self._data_fin = stream_id, length, bool(flags & _FIN)
        if length == 0:
            yield Data(stream_id, b"", self._data_fin)

    def _part(self) -> Data:
        part = bytes(self._buffer[: self._data_left])
        del self._buffer[: len(part)]
        self._data_left -= len(part)
        return Data(self._data_id, part, self._data_fin and not self._data_left)

    def _control(self, word: int, flags: int, payload: bytes) -> Control | None:
        if word >> 16 & 0x7FFF != VERSION:
            raise SpdyError(f"a frame of SPDY/{word >> 16 & 0x7FFF}")
        try:
            return self._parse(word & 0xFFFF, flags, payload)
        except (struct.error, zlib.error) as error:
            raise SpdyError(f"a frame of type {word & 0xFFFF}: {error}") from error

    def _parse(self, kind: int, flags: int, payload: bytes) -> Control | None:
        """Return the frame; None for one of an unknown type, which draft 3 has ignored."""
        fin = bool(flags & _FIN)
        if kind == _SYN_STREAM:
            stream_id, associated_id, priority, _ = _SYN.unpack_from(payload)
            headers = self._headers(payload[_SYN.size :])
            return SynStream(
                _stream(stream_id),
                headers,
                associated_id & _ID_MASK,
                priority >> 5,
                fin,
                bool(flags & _UNIDIRECTIONAL),
            )
        if kind in (_SYN_REPLY, _HEADERS):
            stream_id = _stream(*_WORD.unpack_from(payload))
            headers = self._headers(payload[_WORD.size :])
            return (SynReply if kind == _SYN_REPLY else MoreHeaders)(stream_id, headers, fin)
        if kind == _SETTINGS:
            return Settings(dict(_settings(payload)))
        if kind == _PING:
            return Ping(*_WORD.unpack(payload))
        if kind not in (_RST_STREAM, _GOAWAY, _WINDOW_UPDATE):
            return None
        number, value = _PAIR.unpack(payload)
        if kind == _GOAWAY:
            return GoAway(number & _ID_MASK, value)
        return (RstStream if kind == _RST_STREAM else WindowUpdate)(number & _ID_MASK, value)

    def _headers(self, compressed: bytes) -> dict[str, tuple[str, ...]]:
        plain = self._decompressor.decompress(compressed, HEADERS_BYTES_MAX)
        if len(plain) == HEADERS_BYTES_MAX:
            raise SpdyError(f"more than {HEADERS_BYTES_MAX} bytes of headers")
        (count,) = _WORD.unpack_from(plain)
        headers: dict[str, tuple[str, ...]] = {}
        at = _WORD.size
        for _ in range(count):
            name, at = _read_string(plain, at)
            value, at = _read_string(plain, at)
            if not name or name != name.lower() or name in headers:
                raise SpdyError(f"header {name!r}: empty, not in lower case, or there twice")
            headers[name] = tuple(value.split("\0"))
        return headers


def _stream(number: int) -> int:
    if not number & _ID_MASK:
        raise SpdyError("a frame of stream 0")
    return number & _ID_MASK


def _settings(payload: bytes) -> Iterator[tuple[int, int]]:
    (count,) = _WORD.unpack_from(payload)
    for number in range(count):
        id_, value = _PAIR.unpack_from(payload, _WORD.size + number * _PAIR.size)
        yield id_ & 0xFFFFFF, value


def _read_string(block: bytes, at: int) -> tuple[str, int]:
    (length,) = _WORD.unpack_from(block, at)
    start, end = at + _WORD.size, at + _WORD.size + length
    if end > len(block):
        raise SpdyError("headers that end too early")
    return block[start:end].decode("utf-8", "surrogateescape"), end
