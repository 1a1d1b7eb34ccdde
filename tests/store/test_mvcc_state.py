"""The state machine by itself: what it keeps, what it tells, and that the log alone decides."""

import pytest

from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.mvcc_restore import Restoring, SnapshotError
from kubelab.cluster.store.requests import (
    Alarm,
    AlarmAction,
    AlarmType,
    Compaction,
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRange,
    LeaseGrant,
    LeaseRevoke,
    Put,
    Range,
    Txn,
    Write,
)
from kubelab.cluster.store.service import CorruptError, NoSpaceError, StoreError

LOG: list[Write] = [
    Put(b"a", b"1"),
    Put(b"a", b"2"),
    LeaseGrant(60, 7),
    Put(b"b", b"x", lease=7),
    Txn(
        (Compare(b"a", CompareTarget.VERSION, CompareResult.EQUAL, 2),),
        (Put(b"c"), DeleteRange(b"a"), Range(b"\0", b"\0"), Txn((), (Put(b"d"),))),
    ),
    LeaseRevoke(7),
]


def _encoded(mvcc: Mvcc) -> bytes:
    return b"".join(mvcc.image().encode())


def _restored(snapshot: bytes) -> Mvcc:
    restoring = Restoring()
    for start in range(0, len(snapshot), 7):
        restoring.feed(snapshot[start : start + 7])
    return restoring.finish()


def test_a_store_comes_back_from_its_snapshot_and_goes_on_alike() -> None:
    mvcc = Mvcc()
    for index, request in enumerate(LOG, start=1):
        mvcc.apply(request, index)
    other = _restored(_encoded(mvcc))
    assert (other.revision, other.applied_index) == (6, 6)
    for store in (mvcc, other):
        store.apply(Compaction(4), 7)
    assert _encoded(other) == _encoded(mvcc)
    assert other.range(Range(b"\0", b"\0", revision=4)) == mvcc.range(Range(b"\0", b"\0", revision=4))


def _filled() -> Mvcc:
    mvcc = Mvcc()
    for index, request in enumerate(LOG, start=1):
        mvcc.apply(request, index)
    return mvcc


def test_a_snapshot_that_is_not_whole_or_not_as_it_was_is_refused() -> None:
    snapshot = _encoded(_filled())
    for length in (0, 3, 10, len(snapshot) // 2, len(snapshot) - 1):
        with pytest.raises(SnapshotError, match="ends too early"):
            _restored(snapshot[:length])
    for position in range(len(snapshot)):
        damaged = bytearray(snapshot)
        damaged[position] ^= 0x10
        with pytest.raises(SnapshotError):
            _restored(bytes(damaged))
    with pytest.raises(SnapshotError, match="not in order"):
        _restored(snapshot + snapshot)


def test_a_snapshot_is_of_the_moment_when_it_was_asked_for() -> None:
    mvcc = _filled()
    before, pieces = _encoded(mvcc), mvcc.image().encode()
    first = next(pieces)
    mvcc.apply(Put(b"later"))
    mvcc.apply(Compaction(mvcc.revision))
    assert first + b"".join(pieces) == before


def test_a_refused_request_leaves_nothing_but_its_index() -> None:
    mvcc, other = _filled(), _filled()
    for refused in (
        Put(b"a", lease=99),
        Txn((), (Put(b"z"), Put(b"y", ignore_value=True))),
        Compaction(99),
        LeaseRevoke(99),
    ):
        with pytest.raises(StoreError):
            mvcc.apply(refused, 7)
    assert mvcc.applied_index == 7
    other.applied_index = 7
    assert _encoded(mvcc) == _encoded(other)


def test_room_is_used_until_it_is_compacted_and_taken_until_it_is_given_back() -> None:
    mvcc = Mvcc(quota_bytes=100_000)
    empty = mvcc.in_use_bytes
    for _ in range(10):
        mvcc.apply(Put(b"a", bytes(7000)))
    assert mvcc.in_use_bytes - empty == 10 * (64 + 1 + 7000)
    with pytest.raises(NoSpaceError):
        mvcc.check_quota(Put(b"a", bytes(9200)))
    mvcc.apply(Compaction(mvcc.revision))
    assert mvcc.in_use_bytes - empty == 2 * (64 + 1 + 7000)
    assert mvcc.allocated_bytes - empty == 10 * (64 + 1 + 7000)
    mvcc.defragment()
    assert mvcc.allocated_bytes == mvcc.in_use_bytes
    mvcc.check_quota(Put(b"a", bytes(9200)))
    mvcc.check_quota(DeleteRange(b"a"))


def test_a_corrupt_cluster_answers_reads_and_nothing_else() -> None:
    mvcc = _filled()
    mvcc.apply(Alarm(AlarmAction.ACTIVATE, 5, AlarmType.CORRUPT))
    for refused in (Put(b"a"), DeleteRange(b"a"), Compaction(2), LeaseGrant(60, 8), LeaseRevoke(7)):
        with pytest.raises(CorruptError):
            mvcc.apply(refused)
    assert mvcc.range(Range(b"c")).count == 1
    mvcc.apply(Alarm(AlarmAction.DEACTIVATE, 5, AlarmType.CORRUPT))
    mvcc.apply(Put(b"a"))


def test_a_compaction_is_forgotten_in_passing_and_at_once_by_who_has_the_time() -> None:
    mvcc = Mvcc()
    for number in range(3000):
        mvcc.apply(Put(b"k%d" % (number % 10), b"v"))
    mvcc.apply(Compaction(mvcc.revision))
    kept = mvcc.in_use_bytes
    mvcc.apply(Put(b"k0"))
    assert mvcc.in_use_bytes < kept
    assert mvcc.trim(1000)
    assert not mvcc.trim(5000)
    assert len(list(mvcc.image().encode())) < 8
