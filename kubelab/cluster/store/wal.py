"""The log of one member: what Raft must find again after any crash, in segments of bounded size.

`append` returns when the disk has everything. Each segment begins with a head that repeats the vote and the
snapshot in force, so that older segments can go as soon as a snapshot covers their entries. The first one is
small, so that a new log is there at once; `prepare` makes the next one's file beside the writes. A log is
open in one process at a time (flock). Which damage is cut off and which is refused: record.py.
A record can go through the page cache and be synced (`append`; `write` and a sync of `descriptor`), or past
it (`begin_write`), in whole blocks: its first one begins with what is there already, as it is when the page
cache writes the page of that block.
Source: etcd, server/storage/wal/wal.go (whose segments have 64 MB; a lab's three members share a laptop).
Left out: reading without opening (but whose it is); repair of rot (another member or a snapshot has it).
"""

import fcntl
import os
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from pathlib import Path

import msgspec

from kubelab.cluster.errors import KernelError, LabError
from kubelab.cluster.linux.direct_write import BLOCK_BYTES, DirectWrite, open_direct
from kubelab.cluster.raft.messages import Entry, HardState, MemberId
from kubelab.cluster.store.record import OVERHEAD_BYTES, DamageError, Scan, frame, scan
from kubelab.cluster.store.segment import (
    NEXT,
    Segment,
    begin_segment,
    cut_off,
    disk_error,
    disk_errors,
    prepare_segment,
    segments_in,
    sync_directory,
    write_at,
)
from kubelab.language import Text

VERSION = 1
SEGMENT_BYTES = 4 << 20
HEAD_BYTES = 4096  # A head is much shorter; what is cut off behind it looks torn, which does not matter.
FIRST_SEGMENT_BYTES = 64 << 10


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """Names a snapshot; index 0: none."""

    index: int = 0
    term: int = 0


class Batch(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one Ready has for the disk. Entries replace those of the same and of higher indices.
    `is_installed`: the snapshot came from the leader and stands for the whole log (thesis, figure 5.3); else
    the member made it of its own log, whose later entries stay."""

    hard_state: HardState | None = None
    snapshot: Mark | None = None
    entries: tuple[Entry, ...] = ()
    is_installed: bool = False


class Identity(msgspec.Struct, frozen=True, array_like=True):
    cluster_id: int
    member_id: MemberId


class _Head(msgspec.Struct, frozen=True, array_like=True):
    """`chain` is the last checksum of the segment before."""

    version: int
    identity: Identity
    chain: int
    hard_state: HardState
    snapshot: Mark


@dataclass(slots=True)
class Log:
    """What was read. In the end `entries` follow on `snapshot`; before, the ones in between may be among
    those that were released."""

    hard_state: HardState
    snapshot: Mark
    entries: list[Entry]

    def replay(self, batch: Batch) -> None:
        if batch.hard_state is not None:
            self.hard_state = batch.hard_state
        if batch.snapshot is not None:
            self.snapshot = batch.snapshot
            self.entries = [] if batch.is_installed else self._after(batch.snapshot.index)
        if batch.entries:
            self.entries = self._before(batch.entries[0].index)
            self.entries += batch.entries

    def _after(self, index: int) -> list[Entry]:
        return self.entries[bisect_right(self.entries, index, key=_index) :]

    def _before(self, index: int) -> list[Entry]:
        if self.entries and self.entries[-1].index < index:
            return self.entries  # Nearly always, and then nothing is copied.
        return self.entries[: bisect_left(self.entries, index, key=_index)]

    @property
    def is_whole(self) -> bool:
        first = self.snapshot.index + 1
        return all(entry.index == index for index, entry in enumerate(self.entries, first))


_index = attrgetter("index")
_encode = msgspec.msgpack.Encoder().encode


def encode(batches: Sequence[Batch]) -> bytes:
    return _encode(batches)


_decode_batches = msgspec.msgpack.Decoder(tuple[Batch, ...]).decode
_decode_head = msgspec.msgpack.Decoder(_Head).decode


class Wal:
    """An open log; one thread at a time may use it, and another one `prepare`."""

    def __init__(self, directory: Path, identity: Identity, lock: int, segment_bytes: int) -> None:
        self.identity = identity
        self._directory = directory
        self._lock = lock
        self._segment_bytes = segment_bytes
        self._segments: list[Segment] = []
        self._fd = self._next_fd = -1
        self._direct_fd: int | None = None
        self._block = b""  # What the block has that the next record begins in.
        self._preparing = threading.Lock()
        self._size_bytes = self._end_bytes = 0
        self._chain = 0
        self._hard_state = HardState()
        self._snapshot = Mark()
        self._next_index = 1

    @classmethod
    def create(
        cls,
        directory: Path,
        identity: Identity,
        snapshot: Mark,
        *,
        hard_state: HardState | None = None,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> "Wal":
        """Begin a log in *directory* after *snapshot*.

        Raises:
            LabError: there is one already, or the disk refuses.
        """
        with disk_errors(directory):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        wal = cls(directory, identity, _locked(directory), segment_bytes)
        wal._hard_state = hard_state or HardState()
        wal._snapshot = snapshot
        wal._next_index = snapshot.index + 1
        try:
            if segments_in(directory):
                raise LabError(_EXISTS.format(path=directory))
            wal._cut(min(FIRST_SEGMENT_BYTES, segment_bytes))
        except LabError:
            wal.close()
            raise
        return wal

    @classmethod
    def open(cls, directory: Path, *, segment_bytes: int = SEGMENT_BYTES) -> tuple["Wal", Log]:
        """Read the log in *directory*, cut off what a crash left half-written, and go on after it.

        Raises:
            LabError: it is damaged, in use, of another format, or not there.
        """
        lock = _locked(directory)
        try:
            return cls._read(directory, lock, segment_bytes)
        except LabError:
            os.close(lock)
            raise

    @classmethod
    def _read(cls, directory: Path, lock: int, segment_bytes: int) -> tuple["Wal", Log]:
        segments = segments_in(directory)
        if not segments:
            raise LabError(_NONE.format(path=directory))
        _check_none_missing(segments)
        scanned, heads = _scan_all(segments)
        log = Log(heads[0].hard_state, heads[0].snapshot, [])
        for segment, each in zip(segments, scanned, strict=True):
            for content in each.contents[1:]:
                _replay(log, segment, content)
        if not log.is_whole:
            raise rot(segments[0].path, 0)
        wal = cls(directory, heads[0].identity, lock, segment_bytes)
        wal._continue(segments, scanned[-1], log)
        return wal, log

    def _continue(self, segments: list[Segment], last: Scan, log: Log) -> None:
        self._segments = segments
        self._hard_state, self._snapshot = log.hard_state, log.snapshot
        self._next_index = log.snapshot.index + len(log.entries) + 1
        self._end_bytes, self._chain = last.end_bytes, last.chain
        path = segments[-1].path
        with disk_errors(path):
            self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            self._size_bytes = os.fstat(self._fd).st_size
            if last.is_torn:
                cut_off(self._fd, last.end_bytes)
            start = last.end_bytes // BLOCK_BYTES * BLOCK_BYTES
            self._block = os.pread(self._fd, last.end_bytes - start, start)
        self._open_direct()

    @property
    def hard_state(self) -> HardState:
        return self._hard_state

    def append(self, batches: Sequence[Batch]) -> None:
        """Make *batches* durable, with one fdatasync.

        Raises:
            LabError: the disk refuses. Nothing more can be written then: close the log, and open it again.
        """
        content = encode(batches)
        if not self.has_room(content):
            self._cut(self._segment_bytes)
        self.write(batches, content)
        self.sync()

    def has_room(self, content: bytes) -> bool:
        """Return whether `write` can put *content* behind what is there, without a new segment."""
        return self._end_bytes + len(content) + OVERHEAD_BYTES <= self._size_bytes

    def write(self, batches: Sequence[Batch], content: bytes) -> None:
        """Hand *batches*, encoded as *content*, to the kernel; `descriptor` is to be synced before the next
        write, and before anybody is told. Raises as `append`."""
        record, chain = self._frame(content)
        try:
            write_at(self._fd, record, self._end_bytes)
        except OSError as error:
            raise disk_error(self.path, error.errno or 0) from error
        self._written(self._block + record, chain)
        self._note(batches)

    @property
    def is_direct(self) -> bool:
        """Whether `begin_write` can write this segment."""
        return self._direct_fd is not None

    def begin_write(self, batches: Sequence[Batch], content: bytes, disk: DirectWrite) -> bool:
        """Have *disk* write *batches*, encoded as *content*; when it is done they are durable. Return whether
        it has begun: if the file's system cannot do it, it will not be asked again."""
        assert self._direct_fd is not None
        record, chain = self._frame(content)
        data = self._block + record
        try:
            disk.begin(self._direct_fd, data, self._end_bytes - len(self._block))
        except KernelError:
            self._close_direct()
            return False
        self._written(data, chain)
        self._note(batches)
        return True

    def _frame(self, content: bytes) -> tuple[bytes, int]:
        sequence = self._segments[-1].sequence
        return frame(content, sequence=sequence, offset_bytes=self._end_bytes, chain=self._chain)

    def _written(self, data: bytes, chain: int) -> None:
        """*data* is what was in the block, and the record."""
        self._end_bytes += len(data) - len(self._block)
        self._block = data[len(data) // BLOCK_BYTES * BLOCK_BYTES :]
        self._chain = chain

    def _open_direct(self) -> None:
        self._close_direct()
        if self._size_bytes % BLOCK_BYTES == 0:
            self._direct_fd = open_direct(self.path)
        if self._direct_fd is not None:  # Else the first writes would have to drop its zeros from the cache.
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def _close_direct(self) -> None:
        if self._direct_fd is not None:
            os.close(self._direct_fd)
        self._direct_fd = None

    def sync(self) -> None:
        with disk_errors(self.path):
            os.fdatasync(self._fd)

    @property
    def path(self) -> Path:
        """The segment that is being written."""
        return self._segments[-1].path

    @property
    def descriptor(self) -> int:
        return self._fd

    def _note(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            if batch.hard_state is not None:
                self._hard_state = batch.hard_state
            if batch.snapshot is not None:
                self._snapshot = batch.snapshot
                self._next_index = max(self._next_index, batch.snapshot.index + 1)
            if batch.entries:
                self._next_index = batch.entries[-1].index + 1

    @property
    def is_prepared(self) -> bool:
        return self._next_fd >= 0

    def prepare(self) -> None:
        """Make the file of the next segment, so that no write has to wait for that. Raises as `append`."""
        self._prepare(self._segment_bytes)

    def _prepare(self, size_bytes: int) -> int:
        with self._preparing:
            if self._next_fd < 0:
                self._next_fd = prepare_segment(self._directory, size_bytes)
            return self._next_fd

    def _cut(self, size_bytes: int) -> None:
        """Begin the next segment. The disk has all of the one before, for `append` waits."""
        sequence = self._segments[-1].sequence + 1 if self._segments else 0
        head = _Head(VERSION, self.identity, self._chain, self._hard_state, self._snapshot)
        record, chain = frame(_encode(head), sequence=sequence, offset_bytes=0, chain=0)
        fd = self._prepare(size_bytes)
        segment = begin_segment(self._directory, fd, sequence, self._next_index, record)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._next_fd = fd, -1
        self._size_bytes, self._end_bytes, self._chain = size_bytes, len(record), chain
        self._block = record[len(record) // BLOCK_BYTES * BLOCK_BYTES :]
        self._segments.append(segment)
        self._open_direct()

    def release(self, index: int) -> None:
        """Delete the segments that have only entries up to *index*, which the newest snapshot covers."""
        index = min(index, self._snapshot.index)
        with disk_errors(self._directory):
            while len(self._segments) > 1 and self._segments[1].first_index <= index + 1:
                self._segments.pop(0).path.unlink()
                sync_directory(self._directory)  # In this order also for a crash: no gap may be left.

    def close(self) -> None:
        """Let go of the log; what `append` has not returned for may be there or not."""
        if self._next_fd >= 0:
            (self._directory / NEXT).unlink(missing_ok=True)
        for fd in (self._fd, self._next_fd, self._lock):
            if fd >= 0:
                os.close(fd)
        self._fd = self._next_fd = self._lock = -1
        self._close_direct()


def has_log(directory: Path) -> bool:
    return directory.is_dir() and bool(segments_in(directory))


def identity_of(directory: Path) -> Identity | None:
    """Return whose log lies in *directory*, which need not be opened for that; None: there is none.

    Raises:
        LabError: it is damaged, or of another format.
    """
    segments = segments_in(directory) if directory.is_dir() else []
    if not segments:
        return None
    newest = segments[-1]
    with disk_errors(newest.path), newest.path.open("rb") as file:
        start = file.read(HEAD_BYTES)
    try:
        return _head(newest, scan(start, sequence=newest.sequence)).identity
    except DamageError as damage:
        raise rot(newest.path, damage.offset) from None


def _locked(directory: Path) -> int:
    try:
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        raise LabError(_NONE.format(path=directory)) from None
    except OSError as error:
        raise LabError(_CLOSED.format(path=directory, why=error.strerror)) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise LabError(_IN_USE.format(path=directory)) from None
    return lock


def _check_none_missing(segments: Sequence[Segment]) -> None:
    for before, after in pairwise(segments):
        if after.sequence != before.sequence + 1:
            raise rot(after.path, 0)


def _scan_all(segments: Sequence[Segment]) -> tuple[list[Scan], list[_Head]]:
    scanned: list[Scan] = []
    heads: list[_Head] = []
    for segment in segments:
        each = _scan(segment, is_last=segment is segments[-1])
        head = _head(segment, each)
        if scanned and (head.chain != scanned[-1].chain or head.identity != heads[0].identity):
            raise rot(segment.path, 0)
        scanned.append(each)
        heads.append(head)
    return scanned, heads


def _scan(segment: Segment, *, is_last: bool) -> Scan:
    with disk_errors(segment.path):
        data = segment.path.read_bytes()
    try:
        return scan(data, sequence=segment.sequence, is_last=is_last)
    except DamageError as damage:
        raise rot(segment.path, damage.offset) from None


def _head(segment: Segment, scanned: Scan) -> _Head:
    if not scanned.contents:  # It appeared with its head, so the disk had that.
        raise rot(segment.path, 0)
    version = msgspec.msgpack.decode(scanned.contents[0])[0]
    if version != VERSION:
        raise LabError(_FORMAT.format(path=segment.path, version=version, ours=VERSION))
    return _decode_head(scanned.contents[0])


def _replay(log: Log, segment: Segment, content: bytes) -> None:
    try:
        for batch in _decode_batches(content):
            log.replay(batch)
    except msgspec.DecodeError:  # Its checksum is right: somebody else's file.
        raise rot(segment.path, 0) from None


def rot(path: Path, offset_bytes: int) -> LabError:
    """Return what to tell a person about a file of a member that is not what was written."""
    return LabError(_ROT.format(path=path, offset=offset_bytes))


_ROT = Text(
    es="{path} está dañado (byte {offset}): lo leído no es lo que se escribió. Si los demás miembros son "
    "mayoría, `kubelab store replace MASTER` hace que se lo den todo de nuevo; si no, restaura una copia con "
    "`kubelab store snapshot restore FILE --force`, o empieza de nuevo con `kubelab up --fresh`.",
    en="{path} is damaged (byte {offset}): what was read is not what was written. If the other members are a "
    "majority, `kubelab store replace MASTER` has them give it everything anew; else restore a snapshot with "
    "`kubelab store snapshot restore FILE --force`, or begin anew with `kubelab up --fresh`.",
)
_IN_USE = Text(
    es="Otro proceso usa el registro {path}: cierra ese laboratorio o espera a que termine.",
    en="Another process uses the log {path}: end that lab, or wait until it has ended.",
)
_EXISTS = Text(
    es="Ya hay un registro en {path}: arranca ese miembro, o indica un directorio vacío.",
    en="There is a log in {path} already: start that member, or name an empty directory.",
)
_NONE = Text(
    es="No hay ningún registro en {path}: indica el directorio de un miembro.",
    en="There is no log in {path}: name the directory of a member.",
)
_CLOSED = Text(
    es="No se puede abrir el registro {path} ({why}): mira de quién es, o usa sudo.",
    en="The log {path} cannot be opened ({why}): look whose it is, or use sudo.",
)
_FORMAT = Text(
    es="{path} tiene el formato {version} y este kubelab lee el {ours}: usa la versión que lo escribió, o "
    "restaura una copia con `kubelab store snapshot restore`.",
    en="{path} is of format {version} and this kubelab reads {ours}: use the version that wrote it, or "
    "restore a copy with `kubelab store snapshot restore`.",
)
