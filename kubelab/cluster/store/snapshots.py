"""A member's snapshots on disk: one file each, complete or not there.

A file is written under a temporary name, synced, renamed, and its directory synced. The log names the
snapshot in force only after that; a file that it does not name is left over from a crash and goes away.
Source: etcd, server/etcdserver/api/snap/snapshotter.go.
"""

import os
import struct
import zlib
from pathlib import Path

import msgspec

from kubelab.cluster.errors import LabError
from kubelab.cluster.raft.messages import Snapshot
from kubelab.cluster.store.segment import disk_errors, sync_directory, write_at
from kubelab.cluster.store.wal import Mark, rot
from kubelab.language import Text

VERSION = 1
_HEADER = struct.Struct("<8sIIQ")  # Magic, version, checksum of the content, its length.
_MAGIC = b"kubesnap"

_decode = msgspec.msgpack.Decoder(Snapshot).decode


class Snapshots:
    """The snapshots in one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def save(self, snapshot: Snapshot) -> Mark:
        """Make *snapshot* durable.

        Raises:
            LabError: the disk is full, or refuses otherwise.
        """
        mark = Mark(snapshot.index, snapshot.term)
        path = self._path(mark)
        unfinished = path.with_suffix(".tmp")
        with disk_errors(path):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                _write(unfinished, msgspec.msgpack.encode(snapshot))
            except OSError:
                unfinished.unlink(missing_ok=True)
                raise
            unfinished.rename(path)
            sync_directory(self._directory)
        return mark

    def load(self, mark: Mark) -> Snapshot:
        """Return the snapshot of that name.

        Raises:
            LabError: it is damaged, of another format, or not there.
        """
        path = self._path(mark)
        with disk_errors(path):
            data = path.read_bytes() if path.exists() else b""
        if len(data) < _HEADER.size:
            raise rot(path, 0)
        magic, version, checksum, length = _HEADER.unpack_from(data)
        content = memoryview(data)[_HEADER.size :]
        if magic == _MAGIC and version > VERSION:
            raise LabError(_FORMAT.format(path=path, version=version, ours=VERSION))
        if magic != _MAGIC or length != len(content) or zlib.crc32(content, version) != checksum:
            raise rot(path, 0)
        return _decode(content)

    def keep_only(self, mark: Mark) -> None:
        """Delete all snapshots but that one, half-written ones too: while nobody saves any."""
        keep = self._path(mark)
        with disk_errors(self._directory):
            for path in self._directory.iterdir() if self._directory.is_dir() else ():
                if path != keep and path.suffix in (".snap", ".tmp"):
                    path.unlink()

    def drop_before(self, mark: Mark) -> None:
        """Delete the snapshots of less than that one; a newer one may just be saved."""
        with disk_errors(self._directory):
            for path in self._directory.glob("*.snap"):
                if int(path.stem.partition("-")[2], 16) < mark.index:
                    path.unlink(missing_ok=True)

    def _path(self, mark: Mark) -> Path:
        return self._directory / f"{mark.term:016x}-{mark.index:016x}.snap"


def _write(path: Path, content: bytes) -> None:
    header = _HEADER.pack(_MAGIC, VERSION, zlib.crc32(content, VERSION), len(content))
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_at(fd, header, 0)
        write_at(fd, content, len(header))
        os.fsync(fd)
    finally:
        os.close(fd)


_FORMAT = Text(
    es="{path} tiene el formato {version} y este kubelab lee hasta el {ours}: usa la versión que lo "
    "escribió.",
    en="{path} is of format {version} and this kubelab reads up to {ours}: use the version that wrote it.",
)
