"""The log of a member: what was appended is there after any crash, and what was changed since is told."""

import errno
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubelab.cluster.errors import LabError
from kubelab.cluster.raft.messages import Entry, HardState
from kubelab.cluster.store.record import DamageError, frame, scan
from kubelab.cluster.store.segment import NEXT, segments_in
from kubelab.cluster.store.wal import FIRST_SEGMENT_BYTES, SEGMENT_BYTES, Batch, Identity, Log, Mark, Wal

IDENTITY = Identity(cluster_id=7, member_id=1)


def _entries(first: int, last: int, term: int = 1, size_bytes: int = 20) -> tuple[Entry, ...]:
    return tuple(Entry(index, term, bytes([index % 251]) * size_bytes) for index in range(first, last + 1))


def _create(directory: Path, segment_bytes: int = 4096) -> Wal:
    return Wal.create(directory, IDENTITY, Mark(), segment_bytes=segment_bytes)


def _written(directory: Path, *batches: Sequence[Batch], segment_bytes: int = 4096) -> None:
    wal = _create(directory, segment_bytes)
    for each in batches:
        wal.append(each)
    wal.close()


def _read(directory: Path, segment_bytes: int = 4096) -> Log:
    wal, log = Wal.open(directory, segment_bytes=segment_bytes)
    wal.close()
    return log


def test_what_was_appended_is_read_again(tmp_path: Path) -> None:
    state = HardState(term=3, vote=2, commit=4)
    _written(tmp_path / "wal", [Batch(entries=_entries(1, 4))], [Batch(state), Batch(entries=_entries(5, 6))])
    log = _read(tmp_path / "wal")
    assert (log.hard_state, log.snapshot, tuple(log.entries)) == (state, Mark(), _entries(1, 6))


def test_entries_of_a_new_term_replace_those_from_their_index_on(tmp_path: Path) -> None:
    _written(tmp_path / "wal", [Batch(entries=_entries(1, 9))], [Batch(entries=_entries(4, 5, term=2))])
    assert tuple(_read(tmp_path / "wal").entries) == _entries(1, 3) + _entries(4, 5, term=2)


def test_segments_are_bounded_and_go_when_a_snapshot_covers_them(tmp_path: Path) -> None:
    directory = tmp_path / "wal"
    wal = _create(directory)
    for index in range(1, 101):
        wal.append([Batch(HardState(1, 1, index - 1), entries=_entries(index, index, size_bytes=300))])
    assert len(segments_in(directory)) > 7
    assert all(segment.path.stat().st_size == 4096 for segment in segments_in(directory))
    wal.append([Batch(snapshot=Mark(90, 1))])
    wal.release(90)
    wal.close()
    assert len(segments_in(directory)) == 2
    log = _read(directory)
    assert (log.snapshot, log.hard_state.commit) == (Mark(90, 1), 99)
    assert [entry.index for entry in log.entries] == list(range(91, 101))


def test_no_entry_goes_that_the_newest_snapshot_lacks(tmp_path: Path) -> None:
    wal = _create(tmp_path / "wal", 512)
    for index in range(1, 21):
        wal.append([Batch(entries=_entries(index, index, size_bytes=100))])
    wal.append([Batch(snapshot=Mark(5, 1))])
    wal.release(20)
    wal.close()
    assert [entry.index for entry in _read(tmp_path / "wal", 512).entries] == list(range(6, 21))


def test_an_installed_snapshot_stands_for_the_whole_log(tmp_path: Path) -> None:
    install = Batch(HardState(5, 0, 50), Mark(50, 5), _entries(51, 52, term=5), is_installed=True)
    _written(tmp_path / "wal", [Batch(entries=_entries(1, 60))], [install])
    log = _read(tmp_path / "wal")
    assert (log.snapshot, tuple(log.entries)) == (Mark(50, 5), _entries(51, 52, term=5))


def test_a_batch_larger_than_a_segment_has_one_of_its_own(tmp_path: Path) -> None:
    large = [Batch(entries=_entries(2, 2, size_bytes=20_000))]
    _written(tmp_path / "wal", [Batch(entries=_entries(1, 1))], large, [Batch(entries=_entries(3, 3))])
    assert len(_read(tmp_path / "wal").entries) == 3
    assert len(segments_in(tmp_path / "wal")) == 3


def test_a_log_begins_small_and_goes_on_in_a_segment_that_was_made_ahead(tmp_path: Path) -> None:
    directory = tmp_path / "wal"
    wal = _create(directory, SEGMENT_BYTES)
    wal.prepare()
    assert (directory / NEXT).stat().st_size == SEGMENT_BYTES
    for index in range(1, 81):
        wal.append([Batch(entries=_entries(index, index, size_bytes=1000))])
    sizes = [segment.path.stat().st_size for segment in segments_in(directory)]
    assert sizes == [FIRST_SEGMENT_BYTES, SEGMENT_BYTES]
    assert not wal.is_prepared
    wal.close()
    assert len(_read(directory, SEGMENT_BYTES).entries) == 80


def test_what_a_crash_left_of_a_segment_to_come_does_no_harm(tmp_path: Path) -> None:
    directory = tmp_path / "wal"
    _written(directory, [Batch(entries=_entries(1, 1))])
    (directory / NEXT).write_bytes(b"\xb5" * 9000)
    wal, _ = Wal.open(directory, segment_bytes=4096)
    for index in range(2, 21):
        wal.append([Batch(entries=_entries(index, index, size_bytes=900))])
    wal.prepare()
    wal.close()
    assert len(_read(directory).entries) == 20
    assert not (directory / NEXT).exists()


BATCHES = st.lists(
    st.lists(st.tuples(st.integers(-3, 0), st.integers(1, 4), st.integers(0, 1500)), max_size=4), max_size=12
)


@given(rounds=BATCHES)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence_of_batches_is_read_as_it_was_meant(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[list[tuple[int, int, int]]]
) -> None:
    """Against a plain list: each batch steps back some entries, and writes some of its own term."""
    directory = tmp_path_factory.mktemp("log") / "wal"
    wal, model = _create(directory, 2048), list[Entry]()
    for term, batches in enumerate(rounds, 1):
        written = []
        for back, number, size in batches:
            first = max(1, len(model) + 1 + back)
            entries = _entries(first, first + number - 1, term, size)
            model[first - 1 :] = entries
            written.append(Batch(HardState(term, 0, 0), entries=entries))
        wal.append(written)
    wal.close()
    assert _read(directory, 2048).entries == model


# Crashes: the record that was being written may lack its end, or any of its sectors.


def _segment(*contents: bytes, size_bytes: int = 4096) -> tuple[bytes, list[int]]:
    """Return a segment with these records, and where each begins."""
    data, chain, offsets = b"", 0, []
    for content in contents:
        offsets.append(len(data))
        record, chain = frame(content, sequence=3, offset_bytes=len(data), chain=chain)
        data += record
    return data.ljust(size_bytes, b"\0"), [*offsets, len(data)]


def test_a_last_record_cut_short_at_any_byte_is_cut_off() -> None:
    data, (_, last, end) = _segment(b"first" * 9, b"last" * 200)
    for length in range(last + 1, end):
        found = scan(data[:length], sequence=3)
        assert (found.contents, found.end_bytes, found.is_torn) == ((b"first" * 9,), last, True)
    assert not scan(data[:last], sequence=3).is_torn


@given(lacking=st.sets(st.integers(0, 7), min_size=1), content=st.binary(max_size=64))
def test_a_last_record_that_lacks_any_of_its_sectors_is_cut_off(lacking: set[int], content: bytes) -> None:
    data, (_, last, end) = _segment(b"first", content * 60 or bytes(3000))
    torn = bytearray(data[:last] + bytes(max(4096, end) - last))
    for sector in range(len(data) // 512 + 1):
        start, stop = max(sector * 512, last), (sector + 1) * 512
        if sector not in lacking:
            torn[start:stop] = data[start:stop]
    found = scan(bytes(torn), sequence=3)
    touched = {sector for sector in lacking if sector * 512 < end and (sector + 1) * 512 > last}
    assert found.contents == ((b"first",) if touched else scan(data, sequence=3).contents)
    assert found.is_torn == bool(touched) or not any(torn[last:])


def test_what_was_torn_is_written_over(tmp_path: Path) -> None:
    directory = tmp_path / "wal"
    _written(directory, [Batch(entries=_entries(1, 2))], [Batch(entries=_entries(3, 30))])
    path = segments_in(directory)[0].path
    data = bytearray(path.read_bytes())
    data[512:1024] = bytes(512)
    path.write_bytes(data)
    wal, log = Wal.open(directory, segment_bytes=4096)
    assert tuple(log.entries) == _entries(1, 2)
    wal.append([Batch(entries=_entries(3, 3, term=2))])
    wal.close()
    assert tuple(_read(directory).entries) == _entries(1, 2) + _entries(3, 3, term=2)


# Rot: what the disk had is not there any more.


def test_a_flipped_bit_is_found_wherever_it_is() -> None:
    data, offsets = _segment(b"one" * 5, bytes(700), b"three" * 40, size_bytes=1024)
    for position in range(offsets[-1] * 8):
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << position % 8
        with pytest.raises(DamageError):
            scan(bytes(flipped), sequence=3)


def test_a_record_counts_nowhere_but_in_its_place() -> None:
    data, (_, second, end) = _segment(b"one", b"two", size_bytes=0)
    with pytest.raises(DamageError):
        scan(data, sequence=4)
    with pytest.raises(DamageError):
        scan(data[second:end].ljust(512, b"\0"), sequence=3)


def test_a_sector_lost_before_a_later_record_is_rot_not_a_crash() -> None:
    data, _ = _segment(b"a" * 2000, b"b")
    with pytest.raises(DamageError):
        scan(data[:512] + bytes(512) + data[1024:], sequence=3)


@given(content=st.binary(max_size=40).map(lambda piece: piece * 50) | st.just(bytes(3000)))
def test_no_sector_of_a_record_is_all_zeros(content: bytes) -> None:
    record, _ = frame(content, sequence=0, offset_bytes=0, chain=0)
    assert bytes(512) not in [record[at : at + 512] for at in range(0, len(record), 512)]
    assert scan(record, sequence=0).contents == (content,)


def test_damage_is_told_with_the_file_and_the_way_out(tmp_path: Path) -> None:
    directory = tmp_path / "wal"
    _written(directory, *([Batch(entries=_entries(i, i, size_bytes=900))] for i in range(1, 11)))
    older = segments_in(directory)[1].path
    data = bytearray(older.read_bytes())
    data[1500] ^= 8
    older.write_bytes(data)
    with pytest.raises(LabError, match="store replace") as refused:
        Wal.open(directory)
    assert str(older) in str(refused.value)


def test_a_segment_that_is_missing_is_noticed(tmp_path: Path) -> None:
    directory = tmp_path / "wal"
    _written(directory, *([Batch(entries=_entries(i, i, size_bytes=900))] for i in range(1, 11)))
    for lost in (segments_in(directory)[1], segments_in(directory)[0]):
        lost.path.unlink()
        with pytest.raises(LabError, match="wal"):
            Wal.open(directory)


# One process, one disk.


def test_a_log_is_open_once(tmp_path: Path) -> None:
    wal = _create(tmp_path / "wal")
    with pytest.raises(LabError, match="wal"):
        Wal.open(tmp_path / "wal")
    wal.close()
    assert _read(tmp_path / "wal").entries == []


def test_no_log_is_begun_where_one_is(tmp_path: Path) -> None:
    _create(tmp_path / "wal").close()
    with pytest.raises(LabError, match="wal"):
        _create(tmp_path / "wal")


def test_a_log_of_a_newer_format_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as newer:
        newer.setattr("kubelab.cluster.store.wal.VERSION", 2)
        _create(tmp_path / "wal").close()
    with pytest.raises(LabError, match="2"):
        Wal.open(tmp_path / "wal")


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from kubelab.cluster.raft.messages import Entry
from kubelab.cluster.store.wal import Batch, Identity, Mark, Wal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
wal = Wal.create(Path(sys.argv[1]), Identity(7, 1), Mark(), segment_bytes=4096)
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
index = 0
while True:
    index += 1
    wal.append([Batch(entries=(Entry(index, 1, bytes(1000 * index)),))])
    print(index, flush=True)
"""


def test_a_disk_that_refuses_is_told_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """The limit of a file's size stands in for the full disk: both refuse the write half-way."""
    writer = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "wal")], capture_output=True, text=True, check=False
    )
    assert os.strerror(errno.EFBIG) in writer.stderr
    assert "LabError" in writer.stderr
    acknowledged = len(writer.stdout.split())
    assert [entry.index for entry in _read(tmp_path / "wal").entries] == list(range(1, acknowledged + 1))


KILLED = """
import sys
from pathlib import Path
from kubelab.cluster.raft.messages import Entry
from kubelab.cluster.store.wal import Batch, Identity, Mark, Wal

wal = Wal.create(Path(sys.argv[1]), Identity(7, 1), Mark(), segment_bytes=1 << 14)
index = 0
while True:
    index += 1
    wal.append([Batch(entries=(Entry(index, 1, bytes(index % 3000)),))])
    print(index, flush=True)
"""


def test_what_a_killed_process_acknowledged_is_there(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "wal")], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        seen = [int(next(writer.stdout)) for _ in range(150)]
        writer.kill()
        seen += [int(line) for line in writer.stdout if line.endswith("\n")]
    entries = _read(tmp_path / "wal", 1 << 14).entries
    assert len(entries) in (seen[-1], seen[-1] + 1)
    assert all(entry.data == bytes(entry.index % 3000) for entry in entries)
