"""A member's snapshots on disk."""

from pathlib import Path

import pytest

from kubelab.cluster.errors import LabError
from kubelab.cluster.raft.messages import Configuration, Snapshot
from kubelab.cluster.store.snapshots import Snapshots
from kubelab.cluster.store.wal import Mark

SNAPSHOT = Snapshot(12, 3, Configuration((1, 2, 3), learners=(4,)), b"the whole store")


def test_a_snapshot_is_read_as_it_was_saved(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path / "snap")
    mark = snapshots.save(SNAPSHOT)
    assert mark == Mark(12, 3)
    assert snapshots.load(mark) == SNAPSHOT


def test_only_the_one_in_force_is_kept(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    snapshots.save(Snapshot(3, 1, SNAPSHOT.configuration))
    (tmp_path / "crashed.tmp").write_bytes(b"half")
    snapshots.keep_only(snapshots.save(SNAPSHOT))
    assert [path.name for path in tmp_path.iterdir()] == [f"{3:016x}-{12:016x}.snap"]


def test_older_ones_go_and_what_is_just_being_saved_stays(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    marks = [snapshots.save(Snapshot(index, 1, SNAPSHOT.configuration)) for index in (9, 10, 11)]
    (tmp_path / "saved.tmp").write_bytes(b"half")
    snapshots.drop_before(marks[1])
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".snap", ".snap", ".tmp"]
    assert snapshots.load(marks[2]).index == 11


def test_a_flipped_bit_and_a_lost_end_are_found(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    mark = snapshots.save(SNAPSHOT)
    (path,) = tmp_path.iterdir()
    data = path.read_bytes()
    for position in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << position % 8
        path.write_bytes(flipped)
        with pytest.raises(LabError, match=r"\.snap"):
            snapshots.load(mark)
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(LabError, match="snapshot restore"):
            snapshots.load(mark)


def test_a_snapshot_that_the_log_names_and_the_disk_lacks_is_told(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"\.snap"):
        Snapshots(tmp_path).load(Mark(1, 1))
