"""What layers are packed with, told by its first bytes, and read without ever growing beyond a chunk.

Source: RFC 1952 (gzip, of several members), RFC 8878 (zstd); containerd, pkg/archive/compression, which goes
by the bytes as well, for media types are wrong at times.
Left out: bzip2 and xz, which no registry carries.
"""

import hashlib
import zlib
from typing import BinaryIO

import zstandard

from kubelab.cluster.images.image import ImageError
from kubelab.cluster.images.tar import Readable
from kubelab.language import Text

_CHUNK = 1 << 16
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_GZIP_FORMAT = 16 + zlib.MAX_WBITS
_WINDOW_BYTES_MAX = 128 << 20  # What `zstd --long=27` needs, and its own default bound.


def decompressed(source: BinaryIO) -> Readable:
    """Return the content of *source*, a seekable file at its start."""
    magic = source.read(4)
    source.seek(0)
    if magic.startswith(_GZIP):
        return _Gunzip(source)
    if magic == _ZSTD:
        return _Unzstd(source)
    return source


class _Gunzip:
    def __init__(self, source: Readable) -> None:
        self._source = source
        self._member = zlib.decompressobj(_GZIP_FORMAT)
        self._input = b""

    def read(self, size: int, /) -> bytes:
        try:
            return self._read(size)
        except zlib.error as error:
            raise ImageError(_BROKEN.format(why=error)) from None

    def _read(self, size: int) -> bytes:
        while True:
            if self._member.eof:
                self._input = self._member.unused_data or self._source.read(_CHUNK)
                if not self._input:
                    return b""
                self._member = zlib.decompressobj(_GZIP_FORMAT)
            self._input = self._input or self._source.read(_CHUNK)
            if not self._input:
                raise ImageError(_BROKEN.format(why="unexpected end"))
            found = self._member.decompress(self._input, size)
            self._input = self._member.unconsumed_tail
            if found:
                return found


class _Unzstd:
    def __init__(self, source: BinaryIO) -> None:
        context = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES_MAX)
        self._reader = context.stream_reader(source, read_size=_CHUNK, read_across_frames=True)

    def read(self, size: int, /) -> bytes:
        try:
            return self._reader.read(size)
        except zstandard.ZstdError as error:
            raise ImageError(_BROKEN.format(why=error)) from None


class Digesting:
    """Passes on what is read from a stream, and knows its length and digest."""

    def __init__(self, stream: Readable, bytes_max: int) -> None:
        self._stream = stream
        self._bytes_max = bytes_max
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def read(self, size: int, /) -> bytes:
        chunk = self._stream.read(size)
        self._hash.update(chunk)
        self.size_bytes += len(chunk)
        if self.size_bytes > self._bytes_max:
            raise ImageError(_TOO_LARGE.format(mebibytes=self._bytes_max >> 20))
        return chunk

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


_BROKEN = Text(
    es="los datos comprimidos de la imagen están dañados ({why}): vuelve a conseguirla",
    en="the image's compressed data are damaged ({why}): get it again",
)
_TOO_LARGE = Text(
    es="la imagen ocuparía más de {mebibytes} MiB al desempaquetarla: elige una más pequeña",
    en="the image would take more than {mebibytes} MiB when unpacked: choose a smaller one",
)
