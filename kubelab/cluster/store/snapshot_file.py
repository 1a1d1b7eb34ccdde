"""A snapshot of the store as a file of its own: what `etcdctl snapshot save` writes, and etcdutl understands.

It is etcd's database with its SHA-256 behind it, so a lab's store can be restored into a real etcd and a real
etcd's into a lab. The file appears complete, under its name, or not at all.
Source: etcd, client/v3/snapshot/v3_snapshot.go and etcdutl/snapshot/v3_snapshot.go (Status).
"""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from kubelab.cluster.errors import LabError
from kubelab.cluster.linux.threads import in_thread
from kubelab.cluster.store.bolt.reader import Bolt, BoltError
from kubelab.cluster.store.etcd_database import CHECKSUM_BYTES, KEY, DatabaseError, check_snapshot, read
from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.rpc.snapshot import as_database
from kubelab.cluster.store.segment import disk_errors, sync_directory, write_at
from kubelab.language import Text


@dataclass(frozen=True, slots=True)
class SnapshotStatus:
    """`total_keys` counts all records of the file, as etcdutl does: each version of a key, and what etcd
    keeps beside them. `size_bytes`: without the checksum behind it."""

    hash: int
    revision: int
    total_keys: int
    size_bytes: int


async def write_snapshot(pieces: AsyncIterator[bytes], path: Path) -> int:
    """Write what a member's `snapshot` yields to *path*; return how many bytes that are.

    Raises:
        LabError: the disk refuses.
    """
    unfinished = path.with_name(f"{path.name}.part")
    with disk_errors(path):
        fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            size_bytes = await write_pieces(pieces, fd)
            await in_thread(os.fsync, fd)
            unfinished.rename(path)
            await in_thread(sync_directory, path.parent)
        finally:
            os.close(fd)
            unfinished.unlink(missing_ok=True)
    return size_bytes


async def write_pieces(pieces: AsyncIterator[bytes], fd: int) -> int:
    """Write what a member's `snapshot` yields to *fd*, as etcd's. Raises OSError."""
    size_bytes = 0
    async for piece in as_database(pieces):
        await in_thread(write_at, fd, piece, size_bytes)
        size_bytes += len(piece)
    return size_bytes


async def pieces_of(mvcc: Mvcc) -> AsyncIterator[bytes]:
    """Yield a store that nobody else uses, as a member's `snapshot` does."""
    for piece in mvcc.image().encode():
        if piece:
            yield piece


def read_snapshot(path: Path, *, check_hash: bool = True) -> Mvcc:
    """Return the store that is in the file, without its members.

    *check_hash*: a file that is a copy of a real etcd's database has no checksum behind it.

    Raises:
        LabError: it is not there, or not what was written.
    """
    data = _read(path)
    try:
        return read(check_snapshot(data) if check_hash else data)
    except DatabaseError as error:
        raise LabError(_DAMAGED.format(path=path, why=error)) from error


def status_of(path: Path) -> SnapshotStatus:
    """Return what etcdutl would say of the file. Raises LabError as `read_snapshot` does."""
    data = _read(path)
    checksum, total, revision = 0, 0, 0
    try:
        bolt = Bolt(check_snapshot(data))
        for bucket in bolt:
            checksum = crc32c(bucket, checksum)
            for name, value in bolt.items(bucket):
                checksum = crc32c(value, crc32c(name, checksum))
                total += 1
                if bucket == KEY:
                    revision = int.from_bytes(name[:8], "big")
    except (DatabaseError, BoltError) as error:
        raise LabError(_DAMAGED.format(path=path, why=error)) from error
    return SnapshotStatus(checksum, revision, total, len(data) - CHECKSUM_BYTES)


def crc32c(data: bytes, checksum: int = 0) -> int:
    """Return the CRC-32 with Castagnoli's polynomial, as etcd does, of *data* behind what has *checksum*."""
    checksum ^= 0xFFFFFFFF
    for byte in data:
        checksum = _CASTAGNOLI[(checksum ^ byte) & 0xFF] ^ (checksum >> 8)
    return checksum ^ 0xFFFFFFFF


def _castagnoli(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_CASTAGNOLI = tuple(map(_castagnoli, range(256)))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LabError(_UNREADABLE.format(path=path, why=error.strerror)) from error


_UNREADABLE = Text(
    es="No se puede leer la copia {path} ({why}): indica el archivo que escribió `kubelab store snapshot "
    "save`.",
    en="The snapshot {path} cannot be read ({why}): name the file that `kubelab store snapshot save` wrote.",
)
_DAMAGED = Text(
    es="{path} no es una copia intacta de un almacén ({why}): usa otra. Si es la base de datos copiada de un "
    "etcd, y no una de `snapshot save`, añade --skip-hash-check.",
    en="{path} is no intact snapshot of a store ({why}): use another one. If it is the database copied from "
    "an etcd, and not one of `snapshot save`, add --skip-hash-check.",
)
