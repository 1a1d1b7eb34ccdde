"""Read a tar archive as a stream, entry by entry, believing nothing that it says.

Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block"; tar(5) for GNU's long names and
numbers in base 256. The bounds are those of Go's archive/tar where that has any. The standard library's
tarfile reads a header of any length into memory, and raises whatever comes.
Left out: sparse files, multi-volume archives, global pax headers (skipped, as containerd does).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from kubelab.cluster.images.image import ImageError
from kubelab.cluster.images.reference import shown
from kubelab.language import Text

BLOCK = 512
CHUNK = 1 << 18
HEADER_BYTES_MAX = 1 << 20
NAME_BYTES_MAX = 4095  # PATH_MAX, without its last zero.

Kind = Literal["file", "directory", "symlink", "link", "fifo", "device"]
_KINDS: dict[bytes, Kind] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"1": "link",
    b"2": "symlink",
    b"3": "device",
    b"4": "device",
    b"5": "directory",
    b"6": "fifo",
}
_XATTR = "SCHILY.xattr."


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """Names are as the file system has them (surrogateescape). `link` is the target of a link."""

    name: str
    kind: Kind
    mode: int
    uid: int
    gid: int
    size_bytes: int
    mtime_ns: int
    link: str
    xattrs: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class _Extension:
    """What an entry before the entry says about it."""

    records: dict[str, bytes] = field(default_factory=dict)
    name: bytes | None = None
    link: bytes | None = None
    size_bytes: int = 0


class _Buffered:
    """Reads a stream in large pieces: a decompressor is slow at giving out headers of 512 bytes."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._buffer = b""
        self._at = 0

    def read(self, size: int, /) -> bytes:
        if self._at == len(self._buffer):
            self._buffer, self._at = self._stream.read(CHUNK), 0
        piece = self._buffer[self._at : self._at + size]
        self._at += len(piece)
        return piece


class TarReader:
    """The entries of an archive; between two of them `data` are the content of the first."""

    def __init__(self, stream: Readable) -> None:
        self._stream = _Buffered(stream)
        self._left = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Entry]:
        """Raises ImageError where this is no archive, or a cut off one."""
        extension = _Extension()
        while (header := self._next_header()) is not None:
            kind = header[156:157]
            if kind in b"xgLK":
                self._extend(extension, header)
                continue
            entry = _entry(header, extension)
            extension = _Extension()
            self._expect(entry.size_bytes)
            yield entry
        while self._stream.read(CHUNK):
            pass

    def data(self) -> Iterator[bytes]:
        while self._left:
            chunk = self._stream.read(min(self._left, CHUNK))
            if not chunk:
                raise ImageError(_CUT_OFF)
            self._left -= len(chunk)
            yield chunk

    def _expect(self, size_bytes: int) -> None:
        self._left = size_bytes
        self._padding = -size_bytes % BLOCK

    def _next_header(self) -> bytes | None:
        for _ in self.data():
            pass
        self._exactly(self._padding)
        self._padding = 0
        header = self._exactly(BLOCK, or_nothing=True)
        if not header or not any(header):
            return None
        if not _is_checksum(_number(header[148:156]), header):
            raise _malformed("checksum")
        return header

    def _exactly(self, size: int, *, or_nothing: bool = False) -> bytes:
        found = b""
        while len(found) < size:
            chunk = self._stream.read(size - len(found))
            if not chunk:
                break
            found += chunk
        if len(found) < size and (found or not or_nothing):
            raise ImageError(_CUT_OFF)
        return found

    def _extend(self, extension: _Extension, header: bytes) -> None:
        size = _number(header[124:136])
        extension.size_bytes += max(size, 0) + BLOCK
        if size < 0 or extension.size_bytes > HEADER_BYTES_MAX:
            raise _malformed(f"header of {size} bytes")
        self._expect(size)
        content = b"".join(self.data())
        match header[156:157]:
            case b"x":
                extension.records.update(_records(content))
            case b"L":
                extension.name = content.rstrip(b"\0")
            case b"K":
                extension.link = content.rstrip(b"\0")


def _is_checksum(value: int, header: bytes) -> bool:
    """Return whether it is the sum of the header's bytes, with blanks for its own field: unsigned, or signed
    as old tars have it."""
    unsigned = sum(header) - sum(header[148:156]) + 8 * ord(" ")
    if value == unsigned:
        return True
    return value == unsigned - 256 * sum(byte > 127 for byte in header[:148] + header[156:])


def _number(field_: bytes) -> int:
    if field_[0] & 0x80:
        value = int.from_bytes(field_, "big") & ~(0x80 << 8 * (len(field_) - 1))
        # Base 256 in two's complement: with the next bit set it is negative, and so never valid here.
        return -1 if field_[0] & 0x40 else value
    text = field_.strip(b" \0")
    if not text:
        return 0
    if not text.isdigit() or b"8" in text or b"9" in text:
        raise _malformed(f"number {text!r}")
    return int(text, 8)


def _records(content: bytes) -> dict[str, bytes]:
    """Return pax records: each is its own length, a blank, name=value and a newline."""
    found: dict[str, bytes] = {}
    while content:
        digits, blank, _ = content[:21].partition(b" ")
        if not (blank and digits.isdigit()):
            raise _malformed("pax record")
        length = int(digits)
        record = content[len(digits) + 1 : length]
        name, equals, value = record[:-1].partition(b"=")
        if length > len(content) or record[-1:] != b"\n" or not equals:
            raise _malformed("pax record")
        found[name.decode("utf-8", "surrogateescape")] = value
        content = content[length:]
    return found


def _entry(header: bytes, extension: _Extension) -> Entry:
    records = extension.records
    kind = _kind(header[156:157], records)
    name = records.get("path", extension.name)
    link = records.get("linkpath", extension.link)
    named = _name(_ustar_name(header) if name is None else name)
    size = _override(records, "size", _number(header[124:136]))
    if kind == "file" and named.endswith("/"):  # As before POSIX had directories.
        kind = "directory"
    xattrs = {key.removeprefix(_XATTR): value for key, value in records.items() if key.startswith(_XATTR)}
    return Entry(
        named,
        kind,
        _number(header[100:108]) & 0o7777,
        _id(_override(records, "uid", _number(header[108:116]))),
        _id(_override(records, "gid", _number(header[116:124]))),
        _size(size) if kind == "file" else 0,
        _time_ns(records.get("mtime"), _number(header[136:148])),
        _name(_text(header[157:257]) if link is None else link),
        xattrs,
    )


def _kind(flag: bytes, records: Mapping[str, bytes]) -> Kind:
    if flag == b"S" or any(name.startswith("GNU.sparse.") for name in records):
        raise _malformed("sparse file")
    if flag not in _KINDS:
        raise _malformed(f"entry of type {flag!r}")
    return _KINDS[flag]


def _text(field_: bytes) -> bytes:
    return field_.partition(b"\0")[0]


def _ustar_name(header: bytes) -> bytes:
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else b""
    return b"/".join(filter(None, (prefix, _text(header[:100]))))


def _name(raw: bytes) -> str:
    if len(raw) > NAME_BYTES_MAX or b"\0" in raw:
        raise _malformed(f"name of {len(raw)} bytes")
    return raw.decode("utf-8", "surrogateescape")


def _override(records: Mapping[str, bytes], name: str, value: int) -> int:
    if name not in records:
        return value
    digits = records[name]
    if not digits.isdigit() or len(digits) > 20:
        raise _malformed(f"{name} {digits[:40]!r}")
    return int(digits)


def _id(value: int) -> int:
    """Return a user or group; the highest one would mean "leave it" to chown(2)."""
    if not 0 <= value < 0xFFFFFFFF:
        raise _malformed(f"owner {value}")
    return value


def _size(value: int) -> int:
    if not 0 <= value < 1 << 50:
        raise _malformed(f"file of {value} bytes")
    return value


def _time_ns(record: bytes | None, seconds: int) -> int:
    """Return a time that every file system can keep: within 1970 and 2242."""
    if record is None:
        return min(max(seconds, 0), 1 << 33) * 10**9
    whole, _, fraction = record.partition(b".")
    if whole.startswith(b"-"):
        return 0
    if not whole.isdigit() or len(record) > 40 or (fraction and not fraction.isdigit()):
        raise _malformed(f"time {record[:40]!r}")
    return min(int(whole), 1 << 33) * 10**9 + int(fraction[:9].ljust(9, b"0") or b"0")


def _malformed(why: str) -> ImageError:
    return ImageError(_MALFORMED.format(why=shown(why)))


_CUT_OFF = Text(
    es="el archivo tar está cortado: vuelve a conseguirlo",
    en="the tar archive is cut off: get it again",
)
_MALFORMED = Text(
    es="el archivo tar no se puede aceptar ({why}): consíguelo de otra fuente",
    en="the tar archive cannot be accepted ({why}): get it from another source",
)
