"""The store as etcd's database: the genuine tools check and restore it, a real etcd serves it, and a real
etcd's snapshot becomes the lab's store."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from etcd_api_ground import ETCDCTL, served
from hypothesis import given, settings
from hypothesis import strategies as st
from real_etcd import loopback_specs, running

from kubelab.cluster.store import etcd_database
from kubelab.cluster.store.bolt.writer import write
from kubelab.cluster.store.etcd_client import EtcdClient, open_client
from kubelab.cluster.store.etcd_client_endpoints import Endpoint
from kubelab.cluster.store.etcd_database import DatabaseError, check_snapshot, read
from kubelab.cluster.store.etcd_process import TOKEN
from kubelab.cluster.store.memory import MemoryStore
from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.requests import (
    Alarm,
    AlarmAction,
    AlarmType,
    Compaction,
    DeleteRange,
    LeaseGrant,
    Membership,
    Put,
    Range,
    Txn,
    Write,
)
from kubelab.cluster.store.rpc.snapshot import as_database
from kubelab.cluster.store.service import CompactedError

ALL = Range(b"\0", b"\0")


def a_store_with_a_past() -> Mvcc:
    mvcc = Mvcc()
    requests: tuple[Write, ...] = (
        LeaseGrant(1000, 0x77),
        Put(b"deleted", b""),
        Put(b"kept", b"1"),
        Txn(success=(Put(b"with", b"x" * 9000), Put(b"together", b"y"))),
        Put(b"kept", b"2"),
        DeleteRange(b"deleted"),
        Put(b"leased", b"", 0x77),
        Compaction(5),
        Put(b"kept", b"3"),
        DeleteRange(b"with"),
    )
    for index, request in enumerate(requests, 1):
        mvcc.apply(request, index)
    return mvcc


async def snapshot_of(mvcc: Mvcc) -> bytes:
    return b"".join([piece async for piece in as_database(MemoryStore(mvcc=mvcc).snapshot())])


async def test_a_snapshot_comes_back_as_the_same_store() -> None:
    mvcc = a_store_with_a_past()
    restored = read(check_snapshot(await snapshot_of(mvcc)))
    assert (restored.revision, restored.compact_revision) == (mvcc.revision, mvcc.compact_revision)
    assert restored.applied_index == mvcc.applied_index
    for revision in range(5, mvcc.revision + 1):
        request = Range(b"\0", b"\0", revision=revision)
        assert restored.range(request).kvs == mvcc.range(request).kvs
    assert restored.leases == mvcc.leases


async def test_alarms_come_back_and_members_do_not() -> None:
    mvcc = Mvcc()
    mvcc.apply(Membership(9, "old", ("http://10.0.0.1:2380",)))
    mvcc.apply(Alarm(AlarmAction.ACTIVATE, 9, AlarmType.CORRUPT))
    restored = read(check_snapshot(await snapshot_of(mvcc)))
    assert restored.alarms == {(9, AlarmType.CORRUPT)}
    assert restored.members == {}
    assert (restored.revision, restored.compact_revision) == (1, -1)


KEYS = st.sampled_from([b"a", b"b", b"c", b"d"])
WRITES = st.one_of(
    st.builds(Put, KEYS, st.binary(max_size=3)),
    st.builds(DeleteRange, KEYS, st.sampled_from([b"", b"c", b"\0"])),
)


@settings(max_examples=50)
@given(st.lists(WRITES, max_size=30), st.integers(0, 30), st.lists(WRITES, max_size=5))
def test_any_history_comes_back(before: list[Write], compacted: int, after: list[Write]) -> None:
    mvcc = Mvcc()
    for request in before:
        mvcc.apply(request)
    if 1 < compacted <= mvcc.revision:
        mvcc.apply(Compaction(compacted))
    for request in after:
        mvcc.apply(request)
    restored = read(check_snapshot(asyncio.run(snapshot_of(mvcc))))
    assert (restored.revision, restored.compact_revision) == (mvcc.revision, mvcc.compact_revision)
    for revision in range(max(1, mvcc.compact_revision), mvcc.revision + 1):
        request = Range(b"\0", b"\0", revision=revision)
        assert restored.range(request).kvs == mvcc.range(request).kvs


async def test_a_damaged_snapshot_is_refused() -> None:
    snapshot = await snapshot_of(a_store_with_a_past())
    with pytest.raises(DatabaseError, match="checksum is not there"):
        check_snapshot(snapshot[:-32])
    with pytest.raises(DatabaseError, match="does not match"):
        check_snapshot(b"\1" + snapshot[1:])
    with pytest.raises(DatabaseError, match="no keys of etcd's"):
        read(b"".join(write({b"other": []})))
    with pytest.raises(DatabaseError):
        read(b"".join(write({b"key": [(b"no revision", b"no message")]})))


async def test_gaps_in_the_revisions_count_as_compacted() -> None:
    """`etcdutl snapshot restore --bump-revision` makes one, and says so with a record of no key."""
    first = etcd_database.read(check_snapshot(await snapshot_of(a_store_with_a_past())))
    bumped = {b"key": [(b"\0\0\0\0\0\0\0\5_" + bytes(8), b""), (b"\0\0\0\0\x3b\x9a\xca\0_" + bytes(8), b"")]}
    bumped[b"meta"] = [(b"scheduledCompactRev", bumped[b"key"][1][0])]
    mvcc = read(b"".join(write(bumped)))
    assert (mvcc.revision, mvcc.compact_revision) == (1_000_000_000, 1_000_000_000)
    mvcc.apply(Put(b"next", b""))
    assert mvcc.range(ALL).kvs[0].mod_revision == 1_000_000_001
    watcher = first.watch(b"\0", b"\0", start_revision=5, wake=lambda: None)
    assert watcher.take()


@asynccontextmanager
async def restored_etcd(place: Path, snapshot: Path) -> AsyncIterator[EtcdClient]:
    """Yield a client of a real etcd that begins with what etcdctl makes of *snapshot*."""
    (spec,) = loopback_specs(place)
    process = await asyncio.create_subprocess_exec(
        *(ETCDCTL, "snapshot", "restore", snapshot, "--name", spec.name, "--data-dir", spec.data),
        *("--initial-cluster", f"{spec.name}={spec.peer_url}", "--initial-cluster-token", TOKEN),
        *("--initial-advertise-peer-urls", spec.peer_url),
        env={"ETCDCTL_API": "3"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 0, errors
    async with running([spec]), open_client([Endpoint.parse(spec.client_url)]) as client:
        yield client


async def test_a_real_etcd_serves_what_etcdctl_saved_of_the_lab(tmp_path: Path) -> None:
    mvcc, snapshot = a_store_with_a_past(), tmp_path / "snapshot.db"
    async with served(MemoryStore(mvcc=mvcc)) as lab:
        await lab.etcdctl("snapshot", "save", str(snapshot))
        status = json.loads(await lab.etcdctl("snapshot", "status", str(snapshot), "-w", "json"))
    assert status["revision"] == mvcc.revision
    async with restored_etcd(tmp_path, snapshot) as etcd:
        found, past = await etcd.range(ALL), Range(b"\0", b"\0", revision=6)
        assert (found.kvs, found.revision) == (mvcc.range(ALL).kvs, mvcc.revision)
        assert (await etcd.range(past)).kvs == mvcc.range(past).kvs
        assert await etcd.leases() == (0x77,)
        with pytest.raises(CompactedError):
            await etcd.range(Range(b"kept", revision=4))
        await etcd.delete_range(DeleteRange(b"kept"))
        back = read(check_snapshot(b"".join([piece async for piece in etcd.snapshot()])))
    assert back.revision == mvcc.revision + 1
    assert [kv.key for kv in back.range(ALL).kvs] == [b"leased", b"together"]
