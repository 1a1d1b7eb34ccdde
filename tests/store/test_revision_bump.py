"""A store whose revision is raised has the same keys, and tells whoever knows less that it is too old."""

import pytest

from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.mvcc_restore import Restoring
from kubelab.cluster.store.requests import DeleteRange, LeaseGrant, Put, Range
from kubelab.cluster.store.revision_bump import ALL, bumped
from kubelab.cluster.store.service import CompactedError


def store() -> Mvcc:
    mvcc = Mvcc()
    mvcc.apply(LeaseGrant(600, 77))
    for number in range(9):
        mvcc.apply(Put(b"key%d" % (number % 4), b"%d" % number))
    mvcc.apply(Put(b"leased", b"value", lease=77))
    mvcc.apply(DeleteRange(b"key0"))
    return mvcc


def test_all_that_is_there_stays_and_what_was_is_compacted() -> None:
    before = store()
    after = bumped(before, 5000)
    assert (after.revision, after.compact_revision) == (5000, 5000)
    said = [(kv.key, kv.value, kv.lease) for kv in after.range(ALL).kvs]
    assert said == [(kv.key, kv.value, kv.lease) for kv in before.range(ALL).kvs]
    assert after.leases[77].keys == {b"leased"}
    with pytest.raises(CompactedError):
        after.range(Range(b"key1", revision=4999))
    assert after.range(Range(b"key1", revision=5000)).kvs


def test_the_key_that_was_written_last_is_written_again() -> None:
    after = bumped(store(), 5000)
    assert [kv.key for kv in after.range(ALL).kvs if kv.mod_revision == 5000] == [b"leased"]


def test_it_goes_on_and_into_a_snapshot_as_any_other() -> None:
    after = bumped(store(), 5000)
    after.apply(Put(b"new"))
    restoring = Restoring()
    restoring.feed(b"".join(after.image().encode()))
    again = restoring.finish()
    assert again.revision == after.revision == 5001
    assert again.range(ALL).kvs == after.range(ALL).kvs


def test_an_empty_store_is_raised_too() -> None:
    assert bumped(Mvcc(), 100).revision == 100
