"""Group commit: what comes while the disk is busy is made durable together, by one fdatasync.

One write is under way at a time. A small one is handed to the disk on the loop (linux/direct_write.py, some
20 us), or where the file system cannot do that, copied into the page cache and synced by the kernel's workers
(linux/disk_sync.py): neither costs the loop a thread. What may take long has one: a new segment, a snapshot,
deletions, a large write, and for a while every write after one that the kernel held up, as it does when the
disk cannot keep pace. So does everything where the kernel can do neither.
Source: etcd, server/etcdserver/raft.go (a Ready at a time); thesis, section 10.2.1.
"""

import asyncio
import resource
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Generic, TypeVar

import msgspec

from kubelab.cluster.errors import KernelError, LabError
from kubelab.cluster.linux.direct_write import BLOCK_BYTES, DirectWrite
from kubelab.cluster.linux.disk_sync import DiskSync
from kubelab.cluster.raft.messages import Snapshot
from kubelab.cluster.store.record import OVERHEAD_BYTES
from kubelab.cluster.store.segment import disk_error
from kubelab.cluster.store.snapshots import Snapshots
from kubelab.cluster.store.wal import Batch, Mark, Wal, encode

LARGE_BYTES = 256 * 1024
HELD_UP_S = 0.02
THREADED_WRITES = 100  # After one that was held up; then another one is risked.
WATCHED_WRITES = 200  # After one that may have been; to watch costs 1 us.
LATENCIES_KEPT = 256

_Token = TypeVar("_Token")


class _Write(msgspec.Struct, Generic[_Token], frozen=True):
    batch: Batch
    token: _Token
    snapshot: Snapshot | None


class WalWriter(Generic[_Token]):
    """Writes into *wal* and *snapshots*, and tells *on_written* on the loop, in order, the tokens of what the
    disk has. To be made and used on one loop, and closed."""

    def __init__(
        self, wal: Wal, snapshots: Snapshots, on_written: Callable[[Sequence[_Token]], None]
    ) -> None:
        self._wal = wal
        self._snapshots = snapshots
        self._on_written = on_written
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="wal")
        self._preparer = ThreadPoolExecutor(1, thread_name_prefix="wal-next")
        self._preparing: asyncio.Future[None] | None = None
        self._pending: list[_Write[_Token]] = []
        self._release: Mark | None = None
        self._under_way: list[_Write[_Token]] | None = None
        self._begun_s = 0.0
        self._threaded_writes = self._watched_writes = 0
        self._latencies_s: deque[float] = deque(maxlen=LATENCIES_KEPT)
        self._idle = asyncio.Event()
        self._idle.set()
        self._failed: asyncio.Future[None] = self._loop.create_future()
        self._sync = _disk_sync()
        if self._sync is not None:
            self._loop.add_reader(self._sync, self._synced, self._sync)
        self._direct = _direct_write() if self._sync is not None else None
        if self._direct is not None:
            self._loop.add_reader(self._direct, self._synced, self._direct)
        self._prepare()

    @property
    def latencies_s(self) -> tuple[float, ...]:
        """How long the last writes took, from their beginning until the disk had them."""
        return tuple(self._latencies_s)

    @property
    def is_idle(self) -> bool:
        """Whether the disk has all that was handed over."""
        return self._under_way is None

    def write(self, batch: Batch, token: _Token, *, snapshot: Snapshot | None = None) -> None:
        """Have *batch* written after all before it; *snapshot*, which it names, is saved before."""
        self._pending.append(_Write(batch, token, snapshot))
        if self._under_way is None:
            self._begin()

    def release(self, mark: Mark) -> None:
        """Delete what the snapshot of that name stands for, when the next write has gone through."""
        self._release = mark

    async def run(self) -> None:
        """Wait until the disk refuses.

        Raises:
            LabError: it did; of what was not told nothing is known, and nothing more will be written.
        """
        await asyncio.shield(self._failed)

    async def drained(self) -> None:
        """Wait until all that was handed over is durable. Raises as `run`."""
        idle = asyncio.ensure_future(self._idle.wait())
        ends: list[asyncio.Future[Any]] = [idle, self._failed]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            idle.cancel()
        if self._failed.done():
            self._failed.result()

    async def close(self) -> None:
        """End, without what has not begun. The log can be closed after that."""
        self._pending.clear()
        self._on_written = _nobody
        with suppress(LabError):  # `run` has told it.
            await self.drained()
        if self._preparing is not None:
            await asyncio.wait([self._preparing])
        self._failed.cancel()
        self._thread.shutdown()
        self._preparer.shutdown()
        for io in (self._sync, self._direct):
            if io is not None:
                self._loop.remove_reader(io)
                io.close()

    def _begin(self) -> None:
        work, self._pending = self._pending, []
        self._under_way = work
        self._idle.clear()
        self._begun_s = time.perf_counter()
        batches = tuple(write.batch for write in work if write.batch != _NOTHING)
        if not batches:  # Only its turn was waited for.
            self._loop.call_soon(self._finish)
            return
        content = encode(batches)
        if self._is_quick(work, content):
            self._write_here(batches, content)
        else:
            self._in_thread(work, batches)

    def _is_quick(self, work: Iterable[_Write[_Token]], content: bytes) -> bool:
        if self._sync is None or self._release is not None or len(content) > LARGE_BYTES:
            return False
        if self._threaded_writes > 0:
            self._threaded_writes -= 1
            return False
        return self._wal.has_room(content) and not any(write.snapshot for write in work)

    def _write_here(self, batches: Sequence[Batch], content: bytes) -> None:
        assert self._sync is not None
        waits = _waits() if self._watched_writes > 0 else None
        try:
            if not self._is_begun_directly(batches, content):
                self._wal.write(batches, content)
                self._sync.begin(self._wal.descriptor)
        except KernelError:  # This file's system cannot: from now on a thread does it.
            self._loop.remove_reader(self._sync)
            self._sync.close()
            self._sync = None
            self._thread_does(self._wal.sync)
        except LabError as error:
            self._fail(error)
        self._note_hold_up(time.perf_counter() - self._begun_s, waits)

    def _is_begun_directly(self, batches: Sequence[Batch], content: bytes) -> bool:
        return (
            self._direct is not None
            and self._wal.is_direct
            and self._wal.begin_write(batches, content, self._direct)
        )

    def _note_hold_up(self, took_s: float, waits_before: int | None) -> None:
        """Have threads write for a while if the disk held this thread up: not the first time, for only from
        then on it is looked whether it was the disk."""
        if waits_before is not None:
            self._watched_writes -= 1
        if took_s > HELD_UP_S:
            self._watched_writes = WATCHED_WRITES
            if waits_before is not None and _waits() > waits_before:
                self._threaded_writes = THREADED_WRITES

    def _synced(self, io: DiskSync | DirectWrite) -> None:
        try:
            io.finish()
        except KernelError as error:
            self._fail(disk_error(self._wal.path, error.errno))
        else:
            self._done()

    def _in_thread(self, work: Sequence[_Write[_Token]], batches: Sequence[Batch]) -> None:
        release, self._release = self._release, None

        def act() -> None:
            for write in work:
                if write.snapshot is not None:
                    self._snapshots.save(write.snapshot)
            self._wal.append(batches)
            if release is not None:
                self._wal.release(release.index)
                self._snapshots.drop_before(release)

        self._thread_does(act)

    def _thread_does(self, act: Callable[[], None]) -> None:
        def done(_: asyncio.Future[None]) -> None:
            error = doing.exception()
            if error is None:
                self._prepare()
                self._done()
            else:
                self._fail(error)

        doing = self._loop.run_in_executor(self._thread, act)
        doing.add_done_callback(done)

    def _prepare(self) -> None:
        """Have the next segment's file made if there is none. If the disk refuses, the write that needs it is
        told so."""
        if self._preparing is None and not self._wal.is_prepared:
            self._preparing = self._loop.run_in_executor(self._preparer, self._wal.prepare)
            self._preparing.add_done_callback(self._prepared)

    def _prepared(self, preparing: "asyncio.Future[None]") -> None:
        preparing.exception()
        self._preparing = None

    def _done(self) -> None:
        self._latencies_s.append(time.perf_counter() - self._begun_s)
        self._finish()

    def _finish(self) -> None:
        done, self._under_way = self._under_way, None
        assert done is not None
        if self._pending:
            self._begin()
        else:
            self._idle.set()
        self._on_written([write.token for write in done])

    def _fail(self, error: BaseException) -> None:
        """Tell whoever waits; this write stays under way, so that none begins after it."""
        if not self._failed.done():
            self._failed.set_exception(error)


_NOTHING = Batch()


def _nobody(_: Sequence[object]) -> None:
    pass


def _waits() -> int:
    """Return how often this thread has waited for the kernel. One that had to leave the processor to others
    would have had to in a thread of its own, too."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def _disk_sync() -> DiskSync | None:
    try:
        return DiskSync()
    except KernelError:
        return None


def _direct_write() -> DirectWrite | None:
    try:
        return DirectWrite(BLOCK_BYTES + LARGE_BYTES + OVERHEAD_BYTES)
    except KernelError:
        return None
