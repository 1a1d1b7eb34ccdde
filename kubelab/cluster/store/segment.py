"""One file of the log: its name, how it is made, read and mended.

`SEQUENCE-INDEX.wal`, both in 16 hexadecimal digits: the how manieth it is, and the first index that it can
have when it is begun. Its file is made ahead of that, as `next.tmp`, and filled with zeros: a write then
changes neither the file's size nor its map of blocks, so that fdatasync has the data to write and no journal
to commit (three members' at once take a quarter less than in blocks that are only allocated, which the first
write marks as written), and a full disk is noticed between writes. A segment appears complete with its first
record, by a rename.
Source: etcd, server/storage/wal/{wal,util,file_pipeline}.go, which allocates and does not fill;
linux, Documentation/filesystems/ext4 (unwritten extents).
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kubelab.cluster.errors import LabError
from kubelab.language import Text

NEXT = "next.tmp"
_ZEROS = bytes(64 * 1024)
_NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.wal")


@dataclass(frozen=True, slots=True)
class Segment:
    path: Path
    sequence: int
    first_index: int


def segments_in(directory: Path) -> list[Segment]:
    """Return the segments in order, what is left of an unfinished one not among them."""
    matches = ((path, _NAME.fullmatch(path.name)) for path in directory.iterdir())
    found = [Segment(path, int(m[1], 16), int(m[2], 16)) for path, m in matches if m]
    return sorted(found, key=lambda segment: segment.sequence)


def prepare_segment(directory: Path, size_bytes: int) -> int:
    """Make the file of the segment to come and return its descriptor.

    Raises:
        LabError: the disk is full, or refuses otherwise.
    """
    path = directory / NEXT
    with disk_errors(path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, size_bytes)
            _fill(fd, 0, size_bytes)
            os.fsync(fd)
        except OSError:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
    return fd


def begin_segment(directory: Path, fd: int, sequence: int, first_index: int, head: bytes) -> Segment:
    """Make a segment that begins with *head* of what was prepared as *fd*. Raises as `prepare_segment`."""
    path = directory / f"{sequence:016x}-{first_index:016x}.wal"
    with disk_errors(path):
        write_at(fd, head, 0)
        os.fdatasync(fd)
        (directory / NEXT).rename(path)
        sync_directory(directory)
    return Segment(path, sequence, first_index)


def cut_off(fd: int, end_bytes: int) -> None:
    """Forget what lies from *end_bytes* on: zeros, as if nothing had been written there."""
    _fill(fd, end_bytes, os.fstat(fd).st_size)
    os.fsync(fd)


def _fill(fd: int, start_bytes: int, end_bytes: int) -> None:
    """Write zeros, in pieces: what is written at once ext4 caches as one folio, and looks through all of that
    for each sync (of 4 MB, it takes half as long again)."""
    for at in range(start_bytes, end_bytes, len(_ZEROS)):
        write_at(fd, _ZEROS[: end_bytes - at], at)


def write_at(fd: int, data: bytes, offset_bytes: int) -> None:
    """Write all of *data*, in more than one go if the disk takes it so."""
    written = os.pwrite(fd, data, offset_bytes)
    while written < len(data):
        written += os.pwrite(fd, memoryview(data)[written:], offset_bytes + written)


def sync_directory(directory: Path) -> None:
    """Make names that came or went durable (fsync(2): a file's own fsync does not do it)."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Say for people what the disk refuses. What a failed fsync has kept nobody knows, and another one would
    not tell (fsync(2)), so whoever writes must end and begin again from what is on the disk."""
    try:
        yield
    except OSError as error:
        raise disk_error(path, error.errno or 0) from error


def disk_error(path: Path, errno: int) -> LabError:
    return LabError(_DISK.format(path=path, why=os.strerror(errno)))


_DISK = Text(
    es="El almacén no puede escribir en {path} ({why}): libera espacio o repara el disco y vuelve a arrancar "
    "este miembro; no se ha perdido nada de lo confirmado.",
    en="The store cannot write {path} ({why}): free some space or mend the disk, and start this member "
    "again; nothing that was acknowledged is lost.",
)
