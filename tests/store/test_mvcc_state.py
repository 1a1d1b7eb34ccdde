"""The state machine by itself: what it keeps, what it tells, and that the log alone decides."""

from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.mvcc_restore import Restoring
from kubelab.cluster.store.requests import (
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
