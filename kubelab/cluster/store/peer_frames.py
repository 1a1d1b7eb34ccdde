"""What members say to each other on a connection, as frames: a length, a kind, a payload. Pure.

The length is four bytes, most significant first, and counts the payload alone; the kind is one byte. Both
ends begin with a HELLO, the one who dialled first; before that nothing longer is read than a HELLO may be.
A snapshot has a connection of its own: SNAPSHOT is the message without its data, PIECEs are the data in turn,
until all bytes that were announced are there; DELIVERED says that it has got through.
"""

import struct
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import TypeVar

import msgspec

from kubelab.cluster.raft.messages import MemberId, Message

VERSION = 1
HELLO_BYTES_MAX = 1024
FRAME_BYTES_MAX = 16 << 20
SNAPSHOT_BYTES_MAX = 8 << 30  # What etcd's documentation names as the most that a store should hold.
PIECE_BYTES = 64 << 10

_HEADER = struct.Struct(">IB")
_ID = struct.Struct(">Q")

_Decoded = TypeVar("_Decoded")


class FrameError(Exception):
    """This is not what a peer may say; the connection is of no more use."""


class Kind(IntEnum):
    HELLO = 1
    MESSAGES = 2
    QUESTION = 3
    """Its number, which the ANSWER bears as well, and the question."""
    ANSWER = 4
    SNAPSHOT = 5
    PIECE = 6
    DELIVERED = 7


class Hello(msgspec.Struct, frozen=True, array_like=True):
    """`receiver` is whom the speaker believes to have reached."""

    version: int
    cluster: int
    member: MemberId
    receiver: MemberId


class Announcement(msgspec.Struct, frozen=True, array_like=True):
    """A SNAPSHOT message whose data, of `size_bytes`, follows in pieces."""

    message: Message
    size_bytes: int


_encoder = msgspec.msgpack.Encoder()
_decode_messages = msgspec.msgpack.Decoder(type=tuple[Message, ...]).decode
_decode_hello = msgspec.msgpack.Decoder(type=Hello).decode
_decode_announcement = msgspec.msgpack.Decoder(type=Announcement).decode


def frame(kind: Kind, payload: bytes | memoryview = b"") -> bytes:
    return b"".join((_HEADER.pack(len(payload), kind), payload))


def messages_frame(messages: Sequence[Message]) -> bytearray:
    """Return a frame; whether it is longer than a frame may be is for the caller to see."""
    buffer = bytearray(_HEADER.size)
    _encoder.encode_into(messages, buffer, _HEADER.size)
    _HEADER.pack_into(buffer, 0, len(buffer) - _HEADER.size, Kind.MESSAGES)
    return buffer


def hello_frame(hello: Hello) -> bytes:
    return frame(Kind.HELLO, _encoder.encode(hello))


def announcement_frame(announcement: Announcement) -> bytes:
    return frame(Kind.SNAPSHOT, _encoder.encode(announcement))


def numbered_frame(kind: Kind, number: int, content: bytes) -> bytes:
    return frame(kind, _ID.pack(number) + content)


def read_messages(payload: bytes) -> tuple[Message, ...]:
    """The readers raise FrameError for what is none of these."""
    return _checked(_decode_messages, payload)


def read_hello(payload: bytes) -> Hello:
    hello = _checked(_decode_hello, payload)
    if hello.version != VERSION:
        raise FrameError(f"version {hello.version} is not spoken here")
    return hello


def read_announcement(payload: bytes) -> Announcement:
    announcement = _checked(_decode_announcement, payload)
    if announcement.message.snapshot is None or not 0 <= announcement.size_bytes <= SNAPSHOT_BYTES_MAX:
        raise FrameError("no snapshot is announced that could be taken")
    return announcement


def read_numbered(payload: bytes) -> tuple[int, bytes]:
    if len(payload) < _ID.size:
        raise FrameError("a question has no number")
    return _ID.unpack_from(payload)[0], payload[_ID.size :]


class FrameReader:
    """Takes bytes as they come and gives the frames that are whole. `limit_bytes` bounds a payload."""

    def __init__(self, limit_bytes: int = HELLO_BYTES_MAX) -> None:
        self.limit_bytes = limit_bytes
        self._begun = bytearray()  # Of a frame that is not whole yet,
        self._needed_bytes = 0  # but is when it has so many.

    def feed(self, data: bytes) -> list[tuple[Kind, bytes]]:
        """Raises FrameError: what comes is no frame."""
        if self._begun:
            self._begun += data
            if len(self._begun) < self._needed_bytes:
                return []
            data = bytes(self._begun)
            self._begun.clear()
        frames: list[tuple[Kind, bytes]] = []
        start, length = 0, len(data)
        while (after_header := start + _HEADER.size) <= length:
            size, number = _HEADER.unpack_from(data, start)
            kind = _KINDS.get(number)
            if size > self.limit_bytes or kind is None:
                raise FrameError(f"a frame of kind {number} and {size} bytes")
            end = after_header + size
            if end > length:
                self._keep(data[start:], _HEADER.size + size)
                return frames
            frames.append((kind, data[after_header:end]))
            start = end
        self._keep(data[start:], _HEADER.size)
        return frames

    def _keep(self, begun: bytes, needed_bytes: int) -> None:
        self._begun += begun
        self._needed_bytes = needed_bytes


_KINDS = {int(kind): kind for kind in Kind}


def _checked(decode: Callable[[bytes], _Decoded], payload: bytes) -> _Decoded:
    try:
        return decode(payload)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise FrameError(str(error)) from None
