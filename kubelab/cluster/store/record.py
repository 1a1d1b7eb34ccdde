"""How records lie in a segment of the log, and which damage a crash explains. Pure.

A record is 16 bytes of header, the content and one byte that is never zero; a segment is preallocated, so
zeros follow the last one. Header and content have checksums of their own, both seeded: the header's with its
place, so that a record counts nowhere else, the content's with the checksum of the record before (etcd's
chain), so that none can be missing. One record is what one fdatasync makes durable, and nothing is written
before the disk has what is before it. Hence what `scan` does about damage:

- in an older segment, or with a later record behind it, the disk had it: that is rot;
- else it may be the write that a crash interrupted, which nobody was told of. Disks write whole sectors, so
  such a write lacks some: they are still zero, or the file ends. If none lacks, that is rot, too.

So that a written sector is never all zeros, a content with a long run of them is kept with every byte
changed by a mask that its header names.
Source: etcd, server/storage/wal/{encoder,decoder}.go (isTornEntry).
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

SECTOR_BYTES = 512
_ZERO_SECTOR = bytes(SECTOR_BYTES)
_RUN_BYTES = SECTOR_BYTES - 32  # A sector may have this much of a content, and of the header the zeros.
_ZERO_RUN = bytes(_RUN_BYTES)

_HEADER = struct.Struct("<BBxxIII")  # Mark, mask, length of the content; checksums of these, of the content.
_START = struct.Struct("<BBxxI")
_CHECKSUMS = struct.Struct("<II")
_MARK = 0xB5
_TRAILER = b"\xff"
OVERHEAD_BYTES = _HEADER.size + len(_TRAILER)


class DamageError(Exception):
    """The segment is not what was written, at *offset*, and no crash explains it."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"damaged at byte {offset}")
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Scan:
    """The contents that are there; the next record goes to `end_bytes`, chained to `chain`. `is_torn`: what
    lies from there on is half a record."""

    contents: tuple[bytes, ...]
    end_bytes: int
    chain: int
    is_torn: bool = False


@dataclass(frozen=True, slots=True)
class _Record:
    content: bytes
    end_bytes: int
    chain: int


def frame(content: bytes, *, sequence: int, offset_bytes: int, chain: int) -> tuple[bytes, int]:
    """Return *content* as it is written at *offset_bytes* of segment *sequence*, and the chain after it."""
    mask = _mask(content)
    start = _START.pack(_MARK, mask, len(content))
    checksum = zlib.crc32(content, chain)
    checksums = _CHECKSUMS.pack(_place_checksum(start, sequence, offset_bytes), checksum)
    return b"".join((start, checksums, _masked(content, mask), _TRAILER)), checksum


def scan(data: bytes, *, sequence: int, chain: int = 0, is_last: bool = True) -> Scan:
    """Read all records of a segment, of the newest one up to where a crash has torn it.

    Raises:
        DamageError: something was changed after it had been written.
    """
    contents: list[bytes] = []
    offset = 0
    while not _is_end(data, offset):
        record = _read(data, offset, sequence, chain)
        if record is None:
            if not (is_last and _may_be_torn(data, offset, sequence)):
                raise DamageError(offset)
            return Scan(tuple(contents), offset, chain, is_torn=True)
        contents.append(record.content)
        offset, chain = record.end_bytes, record.chain
    return Scan(tuple(contents), offset, chain, is_torn=_leftover(data, offset, sequence, is_last=is_last))


def _leftover(data: bytes, offset: int, sequence: int, *, is_last: bool) -> bool:
    """Return whether something lies after the end: sectors of a record whose first one is lacking."""
    if not data[offset:].strip(b"\0"):
        return False
    if not is_last or _later_record(data, offset, sequence):
        raise DamageError(offset)
    return True


def _is_end(data: bytes, offset: int) -> bool:
    header = data[offset : offset + _HEADER.size]
    return not header.strip(b"\0")


def _read(data: bytes, offset: int, sequence: int, chain: int) -> _Record | None:
    length = _length(data, offset, sequence)
    if length is None:
        return None
    _, mask, _, _, checksum = _HEADER.unpack_from(data, offset)
    start = offset + _HEADER.size
    content = _masked(data[start : start + length], mask)
    end = start + length + len(_TRAILER)
    if data[end - 1 : end] != _TRAILER or zlib.crc32(content, chain) != checksum:
        return None
    return _Record(content, end, checksum)


def _length(data: bytes, offset: int, sequence: int) -> int | None:
    """Return the length that a sound header at *offset* tells."""
    if len(data) - offset < _HEADER.size:
        return None
    mark, _, length, place, _ = _HEADER.unpack_from(data, offset)
    start = data[offset : offset + _START.size]
    if mark != _MARK or place != _place_checksum(start, sequence, offset):
        return None
    return int(length)


def _place_checksum(start: bytes, sequence: int, offset_bytes: int) -> int:
    return zlib.crc32(start, (sequence * 0x9E3779B1 + offset_bytes) & 0xFFFFFFFF)


def _may_be_torn(data: bytes, offset: int, sequence: int) -> bool:
    if _later_record(data, offset, sequence):
        return False
    length = _length(data, offset, sequence)
    end = offset + _HEADER.size + (length + len(_TRAILER) if length is not None else 0)
    return end > len(data) or any(chunk == _ZERO_SECTOR[: len(chunk)] for chunk in _chunks(data, offset, end))


def _chunks(data: bytes, start: int, end: int) -> Iterator[bytes]:
    """Yield the sectors that a record from *start* to *end* is in, of the first one what is the record's."""
    at = start
    while at < end:
        border = (at // SECTOR_BYTES + 1) * SECTOR_BYTES
        yield data[at:border]
        at = border


def _later_record(data: bytes, offset: int, sequence: int) -> bool:
    at = offset
    while (at := data.find(_MARK, at + 1)) >= 0:
        if _length(data, at, sequence) is not None:
            return True
    return False


def _mask(content: bytes) -> int:
    if _ZERO_RUN not in content:
        return 0  # Nearly always.
    masks = (mask for mask in range(256) if bytes([mask]) * _RUN_BYTES not in content)
    return next(masks, 0)  # 120 KiB of nothing but runs, one of each byte, is no content of ours.


def _masked(content: bytes, mask: int) -> bytes:
    return content.translate(bytes(byte ^ mask for byte in range(256))) if mask else content
