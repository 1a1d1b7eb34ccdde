"""Members of a real etcd begin with a snapshot of ours, at the revision that it is raised to."""

import asyncio
from pathlib import Path

import pytest
from member_cluster import surely
from real_etcd import loopback_specs, real_etcd, running

from kubelab.cluster.errors import LabError
from kubelab.cluster.linux.threads import in_thread
from kubelab.cluster.store.etcd_client import open_client
from kubelab.cluster.store.etcd_client_endpoints import Endpoint
from kubelab.cluster.store.etcd_restore import has_data, last_revision, restore_member, write_snapshot_of
from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.requests import DeleteRange, LeaseGrant, Put, Range, RangeResponse
from kubelab.cluster.store.revision_bump import bumped
from kubelab.cluster.store.service import CompactedError

BUMPED = 5000


def written() -> Mvcc:
    mvcc = Mvcc()
    mvcc.apply(LeaseGrant(600, 77), 1)
    for number in range(20):
        mvcc.apply(Put(b"key%d" % (number % 6), b"%d" % number), number + 2)
    mvcc.apply(Put(b"leased", b"value", lease=77), 22)
    mvcc.apply(DeleteRange(b"key0"), 23)
    return mvcc


def pairs(found: RangeResponse) -> list[tuple[bytes, bytes]]:
    """The key that was written last is written again (`bumped`): its revision is another."""
    return [(kv.key, kv.value) for kv in found.kvs]


async def test_all_members_go_on_from_it_at_a_revision_that_nobody_has_seen(tmp_path: Path) -> None:
    mvcc = written()
    await in_thread(write_snapshot_of, bumped(mvcc, BUMPED), tmp_path / "saved.db")
    specs = loopback_specs(tmp_path, 3, heartbeat_ms=100)
    for spec in specs:
        args = (spec.data, spec.name, spec.peers, "anew", tmp_path / "saved.db")
        await in_thread(restore_member, *args)
    endpoints = [Endpoint.parse(spec.client_url) for spec in specs]
    async with running(specs), open_client(endpoints) as client:
        found = await surely(lambda: client.range(Range(b"\0", b"\0")))
        assert found.revision == BUMPED
        assert pairs(found) == pairs(mvcc.range(Range(b"\0", b"\0")))
        lease = await surely(lambda: client.lease_time_to_live(77, keys=True))
        assert lease.keys == (b"leased",)
        with pytest.raises(CompactedError):
            await surely(lambda: client.range(Range(b"key1", revision=10)))
        put = await surely(lambda: client.put(Put(b"key1", b"new")))
        assert put.revision > BUMPED  # By more than one if it was put again, as an answer got lost.
        assert len(await surely(client.members)) == 3


async def test_a_stopped_members_disk_tells_its_newest_revision(tmp_path: Path) -> None:
    assert last_revision(tmp_path / "member-1") == 0
    async with real_etcd(tmp_path) as client:
        revisions = await asyncio.gather(*(client.put(Put(b"key", b"%d" % each)) for each in range(10)))
    assert has_data(tmp_path / "member-1")
    assert last_revision(tmp_path / "member-1") == max(put.revision for put in revisions)


def test_what_etcds_tool_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "none.db").write_bytes(b"no snapshot")
    with pytest.raises(LabError, match="kubelab store snapshot status"):
        restore_member(tmp_path / "new", "one", {"one": "http://127.0.0.1:2380"}, "t", tmp_path / "none.db")


def test_without_the_tool_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(LabError, match="apt-get install etcd-client"):
        restore_member(tmp_path / "new", "one", {}, "t", tmp_path / "none.db")
