"""Group commit: one fdatasync for all that came while the disk was busy."""

import asyncio
import resource
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kubelab.cluster.errors import KernelError, LabError
from kubelab.cluster.raft.messages import Configuration, Entry, Snapshot
from kubelab.cluster.store.snapshots import Snapshots
from kubelab.cluster.store.wal import Batch, Identity, Log, Mark, Wal
from kubelab.cluster.store.wal_writer import LARGE_BYTES, WalWriter

Told = list[Sequence[int]]


@pytest.fixture(params=["direct", "kernel", "thread"])
def syncing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Who writes and syncs: the disk at once, or where its file system cannot do that the kernel's workers,
    or a thread where it has none."""
    if request.param == "kernel":
        monkeypatch.setattr("kubelab.cluster.store.wal.open_direct", _nothing)
    if request.param == "thread":
        monkeypatch.setattr("kubelab.cluster.store.wal_writer.DiskSync", _no_such_call)
    return str(request.param)


def _nothing(_: Path) -> None:
    pass


def _no_such_call() -> None:
    raise KernelError("io_setup", "", 38)


@pytest.fixture
def limited_files() -> Iterator[Callable[[int], None]]:
    """Bound how large files may grow (-1: no more), which stands in for a full disk."""
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size_bytes: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes if size_bytes >= 0 else soft, hard))

    yield limit
    limit(-1)
    signal.signal(signal.SIGXFSZ, before)


@asynccontextmanager
async def _writer(directory: Path, told: Told) -> AsyncIterator[WalWriter[int]]:
    wal = Wal.create(directory / "wal", Identity(7, 1), Mark(), segment_bytes=4096)
    writer = WalWriter(wal, Snapshots(directory / "snap"), told.append)
    try:
        yield writer
    finally:
        await writer.close()
        wal.close()


def _batch(index: int) -> Batch:
    return Batch(entries=(Entry(index, 1, b"data" * 100),))


def _read(directory: Path) -> Log:
    wal, log = Wal.open(directory / "wal", segment_bytes=4096)
    wal.close()
    return log


async def test_what_came_while_the_disk_was_busy_is_written_together(syncing: str, tmp_path: Path) -> None:
    told: Told = []
    async with _writer(tmp_path, told) as writer:
        for index in range(1, 31):
            writer.write(_batch(index), index)
        assert told == []
        await writer.drained()
        assert told == [[1], list(range(2, 31))]
        assert len(writer.latencies_s) == 2
    assert [entry.index for entry in _read(tmp_path).entries] == list(range(1, 31))


async def test_what_writes_nothing_waits_for_its_turn(syncing: str, tmp_path: Path) -> None:
    told: Told = []
    async with _writer(tmp_path, told) as writer:
        writer.write(_batch(1), 1)
        writer.write(Batch(), 2)
        await writer.drained()
        writer.write(Batch(), 3)
        await writer.drained()
    assert told == [[1], [2], [3]]


async def test_snapshots_are_saved_before_the_log_names_them(syncing: str, tmp_path: Path) -> None:
    told: Told = []
    snapshots = Snapshots(tmp_path / "snap")
    async with _writer(tmp_path, told) as writer:
        for index in range(1, 21):
            writer.write(_batch(index), index)
            await writer.drained()
        snapshot = Snapshot(20, 1, Configuration((1,)), b"all")
        writer.write(Batch(snapshot=Mark(20, 1)), 21, snapshot=snapshot)
        await writer.drained()
        writer.release(Mark(20, 1))
        writer.write(_batch(21), 22)
        await writer.drained()
    log = _read(tmp_path)
    assert [entry.index for entry in log.entries] == [21]
    assert snapshots.load(log.snapshot) == snapshot
    assert len(list((tmp_path / "wal").glob("*.wal"))) <= 2


async def test_what_has_not_begun_when_it_is_closed_is_not_written(tmp_path: Path) -> None:
    told: Told = []
    async with _writer(tmp_path, told) as writer:
        writer.write(_batch(1), 1)
        writer.write(_batch(2), 2)
    assert told == []
    assert [entry.index for entry in _read(tmp_path).entries] == [1]


async def test_a_disk_that_refuses_ends_it(
    syncing: str, tmp_path: Path, limited_files: Callable[[int], None]
) -> None:
    told: Told = []
    async with _writer(tmp_path, told) as writer:
        running = asyncio.ensure_future(writer.run())
        limited_files(4096)
        for index in range(1, 31):
            writer.write(_batch(index), index)
        writer.write(Batch(entries=(Entry(31, 1, bytes(range(256)) * 100),)), 31)
        with pytest.raises(LabError, match=r"\.wal"):
            await writer.drained()
        with pytest.raises(LabError, match=r"\.wal"):
            await running
    limited_files(-1)
    acknowledged = [index for tokens in told for index in tokens]
    assert [entry.index for entry in _read(tmp_path).entries] == acknowledged


async def test_records_of_all_ways_to_write_follow_one_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each life of a log writes in the other way, and a large record takes a thread in both."""
    lengths = (1, 900, LARGE_BYTES + 1, 5000, 1)
    told: Told = []
    for life in range(4):
        with monkeypatch.context() as patched:
            if life % 2:
                patched.setattr("kubelab.cluster.store.wal.open_direct", _nothing)
            wal = Wal.open(tmp_path)[0] if life else Wal.create(tmp_path, Identity(7, 1), Mark())
            writer = WalWriter(wal, Snapshots(tmp_path / "snap"), told.append)
            for index, length in enumerate(2 * lengths, 2 * life * len(lengths) + 1):
                writer.write(Batch(entries=(Entry(index, 1, b"x" * length),)), index)
                await writer.drained()
            await writer.close()
            wal.close()
    wal, log = Wal.open(tmp_path)
    wal.close()
    indices = list(range(1, 8 * len(lengths) + 1))
    assert [entry.index for entry in log.entries] == indices
    assert [index for tokens in told for index in tokens] == indices
