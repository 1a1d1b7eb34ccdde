"""Reads an archive into a tree, without unpacking it: tar (plain, gzip, bzip2, xz) and zip.

Nothing is extracted (so there is nothing for tarfile's extraction filters to do): no member can land
anywhere, and `Gathering` refuses what no tree has. A decompression bomb ends at the limits: no read asks for
more than is still allowed, headers included.
Source: zipfile's documentation, "Decompression pitfalls"; tarfile's, "Extraction filters".
Left out: zstd (Python's own library has it from 3.14 on), archives with a password.
"""

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from kubelab.language import Text
from kubelab.lessons.tree import LIMITS, Gathering, Limits, Tree, shown

ARCHIVE_BYTES_MAX = 64 << 20
XZ_MEMORY_BYTES_MAX = 128 << 20  # xz -9 needs 65 MiB.
LINK_BYTES_MAX = 4096  # PATH_MAX.
PADDING = 4  # Headers and padding make a tar at most so many times as big as the limits on its content.

_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_CHUNK_BYTES = 1 << 16
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, OSError, ValueError)


def read_archive(path: Path, limits: Limits = LIMITS) -> Tree:
    """Return the files of the archive at *path*.

    Raises:
        LabError: it is none, is damaged, or has what no tree has.
    """
    gathering = Gathering(path.name, limits)
    try:
        with path.open("rb") as file:
            if path.stat().st_size > ARCHIVE_BYTES_MAX:
                raise gathering.refused(_TOO_BIG.format(limit=ARCHIVE_BYTES_MAX >> 20))
            _gather(gathering, file)
    except (*_DAMAGED, NotImplementedError, RuntimeError) as error:
        raise gathering.refused(_UNREADABLE.format(why=shown(str(error)) or type(error).__name__)) from error
    return gathering.finish()


def gather_tar(gathering: Gathering, stream: BinaryIO) -> None:
    """Read an uncompressed tar to its end. Raises LabError or a tarfile.TarError."""
    bounded = _Bounded(gathering, stream)
    with tarfile.open(fileobj=cast("BinaryIO", bounded), mode="r|") as archive:
        for member in archive:
            _gather_member(gathering, archive, member)


def _gather(gathering: Gathering, file: BinaryIO) -> None:
    magic = file.read(6)
    file.seek(0)
    if magic.startswith(b"PK\x03\x04"):
        _gather_zip(gathering, file)
    elif magic.startswith(b"\x28\xb5\x2f\xfd"):
        raise gathering.refused(_ZSTD)
    elif magic.startswith(b"\x1f\x8b"):
        gather_tar(gathering, cast("BinaryIO", gzip.GzipFile(fileobj=file)))
    elif magic.startswith(b"BZh"):
        gather_tar(gathering, cast("BinaryIO", bz2.BZ2File(file)))
    elif magic == b"\xfd7zXZ\x00":
        gather_tar(gathering, cast("BinaryIO", _Decompressed(file, _xz())))
    else:
        gather_tar(gathering, file)


def _gather_member(gathering: Gathering, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    if member.isdir():
        gathering.add_directory(member.name)
    elif member.issym():
        gathering.add_link(member.name, member.linkname)
    elif member.isreg() and (content := archive.extractfile(member)) is not None:
        gathering.add_file(member.name, cast("BinaryIO", content))
    else:
        raise gathering.refuse_special(member.name)


def _gather_zip(gathering: Gathering, file: BinaryIO) -> None:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            _gather_zip_member(gathering, archive, member)


def _gather_zip_member(gathering: Gathering, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    kind = stat.S_IFMT(member.external_attr >> 16)  # 0 where it was not made on Unix.
    if member.is_dir():
        gathering.add_directory(member.orig_filename)
        return
    if kind not in (0, stat.S_IFREG, stat.S_IFLNK) or member.compress_type not in _ZIP_METHODS:
        raise gathering.refuse_special(member.orig_filename)
    with archive.open(member) as content:
        if kind == stat.S_IFLNK:
            target = content.read(LINK_BYTES_MAX).decode(errors="replace")
            gathering.add_link(member.orig_filename, target)
        else:
            gathering.add_file(member.orig_filename, cast("BinaryIO", content))


class _Bounded:
    """A stream that ends in a refusal where there is more than a tree within the limits can take."""

    def __init__(self, gathering: Gathering, stream: BinaryIO) -> None:
        self._gathering = gathering
        self._stream = stream
        self._left = gathering.limits.total_bytes * PADDING

    def read(self, size: int) -> bytes:
        data = self._stream.read(min(size, self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            raise self._gathering.refused(_BOMB)
        return data


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Decompressed(io.RawIOBase):
    """lzma.LZMAFile takes no memory limit, and the dictionary of an xz may be 4 GiB."""

    def __init__(self, file: BinaryIO, decompressor: _Decompressor) -> None:
        self._file = file
        self._decompressor = decompressor

    def read(self, size: int = -1) -> bytes:
        parts: list[bytes] = []
        while size > 0 and not self._decompressor.eof:
            given = self._file.read(_CHUNK_BYTES) if self._decompressor.needs_input else b""
            if not given and self._decompressor.needs_input:
                raise EOFError("the xz stream is cut off")
            parts.append(self._decompressor.decompress(given, size))
            size -= len(parts[-1])
        return b"".join(parts)


def _xz() -> _Decompressor:
    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES_MAX)


_UNREADABLE = Text(
    "no se puede leer como tar (gz, bz2, xz) ni zip ({why}): mira si es el archivo que querías.",
    "it cannot be read as a tar (gz, bz2, xz) or zip ({why}): look whether it is the file that you meant.",
)
_ZSTD = Text(
    "no se leen archivos zstd: descomprímelo con `unzstd`, o empaquétalo con xz.",
    "zstd archives are not read: decompress it with `unzstd`, or pack it with xz.",
)
_TOO_BIG = Text(
    "el archivo tiene más de {limit} MiB: un track no es tan grande.",
    "the archive has more than {limit} MiB: no track is that big.",
)
_BOMB = Text(
    "al descomprimirlo no se acaba nunca: no es un track.",
    "there is no end to what it decompresses to: it is no track.",
)
