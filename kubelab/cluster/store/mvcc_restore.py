"""Read a snapshot back, piece by piece as it comes. Pure.

Source: mvcc_image, which says what is in it.
"""

import zlib

import msgspec

from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.mvcc_image import (
    VERSION,
    Before,
    End,
    Frame,
    Header,
    Leases,
    Revisions,
    decode_frame,
)

LENGTH_BYTES = 4


class SnapshotError(Exception):
    """What should be a snapshot is not, or not whole; the text says why."""


class Restoring:
    """Feed it the pieces, in order and cut in any way; `finish` gives the store."""

    def __init__(self) -> None:
        self._mvcc = Mvcc()
        self._buffer = bytearray()
        self._crc32 = 0
        self._revision: int | None = None  # What the header promised; None before there was one.
        self._is_whole = False

    def feed(self, piece: bytes) -> None:
        """Raises SnapshotError."""
        self._buffer += piece
        while len(self._buffer) >= LENGTH_BYTES:
            end = LENGTH_BYTES + int.from_bytes(self._buffer[:LENGTH_BYTES], "big")
            if len(self._buffer) < end:
                return
            frame = bytes(self._buffer[:end])
            del self._buffer[:end]
            self._take(_decoded(frame[LENGTH_BYTES:]))
            self._crc32 = zlib.crc32(frame, self._crc32)

    def finish(self) -> Mvcc:
        """Return the store. Raises SnapshotError: the pieces were not all."""
        if not self._is_whole or self._buffer:
            raise SnapshotError("the snapshot ends too early")
        return self._mvcc

    def _take(self, frame: Frame) -> None:
        if self._is_whole or (self._revision is None) != isinstance(frame, Header):
            raise SnapshotError("the snapshot's parts are not in order")
        match frame:
            case Header():
                self._begin(frame)
            case Leases():
                self._mvcc.restore_leases(frame.leases)
            case Before():
                self._mvcc.restore_before(frame.kvs)
            case Revisions():
                self._mvcc.restore_revisions(frame.revisions)
            case End():
                self._end(frame)

    def _begin(self, header: Header) -> None:
        if header.version != VERSION:
            raise SnapshotError(f"the snapshot's format is {header.version}, and only {VERSION} can be read")
        self._revision = header.revision
        self._mvcc.restore_header(header)

    def _end(self, end: End) -> None:
        if end.crc32 != self._crc32:
            raise SnapshotError("the snapshot's checksum does not match")
        if self._mvcc.revision != self._revision:
            raise SnapshotError("the snapshot lacks revisions")
        self._mvcc.restore_end()
        self._is_whole = True


def _decoded(body: bytes) -> Frame:
    try:
        frame: Frame = decode_frame(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SnapshotError(f"this is not a snapshot, or a damaged one: {error}") from error
    return frame
