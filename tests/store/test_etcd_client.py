"""The client of a real etcd: what is asked again and what is not, watches that go on elsewhere, refusals."""

import asyncio
import signal
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ground import ground_at
from member_cluster import surely
from real_etcd import loopback_specs, real_cluster, real_etcd, running

from kubelab.cluster.apiserver.pki import Authority
from kubelab.cluster.clock import SystemClock
from kubelab.cluster.errors import LabError
from kubelab.cluster.linux.suspension import Suspension
from kubelab.cluster.store import etcd_client
from kubelab.cluster.store.engine import EtcdOnMaster, TlsFiles, open_etcd
from kubelab.cluster.store.etcd_client import EtcdClient, open_client
from kubelab.cluster.store.etcd_client_endpoints import Endpoint
from kubelab.cluster.store.etcd_process import Certificates, EtcdMember, EtcdSpec
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
    Put,
    Range,
    Txn,
    prefix_end,
)
from kubelab.cluster.store.service import (
    CompactedError,
    EmptyKeyError,
    Event,
    FutureRevisionError,
    LeaseNotFoundError,
    MemberError,
    NoLeaderError,
    NoSpaceError,
    Progress,
    StoreTimeoutError,
    Watch,
)


async def _events(watch: Watch, number: int) -> list[Event]:
    found: list[Event] = []
    async for batch in watch:
        found += () if isinstance(batch, Progress) else batch
        if len(found) >= number:
            break
    return found


async def test_values_of_a_megabyte_and_lists_of_sixteen_pass_the_windows(tmp_path: Path) -> None:
    async with real_etcd(tmp_path) as client:
        value = bytes(range(256)) * 4096
        await asyncio.gather(*(client.put(Put(b"/%02d" % number, value)) for number in range(17)))
        listed = await client.range(Range(b"/", prefix_end(b"/")))
        assert [kv.value == value for kv in listed.kvs] == [True] * 17


async def test_a_thousand_requests_at_once_share_a_connection(tmp_path: Path) -> None:
    async with real_etcd(tmp_path) as client:
        await asyncio.gather(*(client.put(Put(b"/%04d" % number, b"v")) for number in range(1000)))
        assert (await client.range(Range(b"/", prefix_end(b"/"), count_only=True))).count == 1000
        assert client.revision == 1001


async def test_a_long_list_is_whole_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_client, "UNPACK_STEP", 7)
    async with real_etcd(tmp_path) as client:
        for number in range(20):
            await client.put(Put(b"/%02d" % number, b"%d" % number))
        listed = await client.range(Range(b"/", prefix_end(b"/"), limit=18))
        assert [kv.value for kv in listed.kvs] == [b"%d" % number for number in range(18)]
        assert (listed.more, listed.count, listed.revision) == (True, 20, 21)


async def test_refusals_are_the_stores_own_errors(tmp_path: Path) -> None:
    async with real_etcd(tmp_path) as client:
        for number in range(3):
            await client.put(Put(b"a", b"%d" % number))
        await client.compact(Compaction(3))
        with pytest.raises(CompactedError):
            await client.range(Range(b"a", revision=2))
        with pytest.raises(FutureRevisionError):
            await client.range(Range(b"a", revision=99))
        with pytest.raises(EmptyKeyError):
            await client.put(Put(b""))
        with pytest.raises(LeaseNotFoundError):
            await client.put(Put(b"a", lease=7))
        with pytest.raises(LeaseNotFoundError):
            await client.lease_keep_alive(7)
        with pytest.raises(MemberError):
            await client.member_remove(7)
        with pytest.raises(CompactedError):
            async with client.watch(b"a", start_revision=2):
                pass
        await client.alarm(Alarm(AlarmAction.ACTIVATE, client.member_id, AlarmType.NOSPACE))
        with pytest.raises(NoSpaceError):
            await client.put(Put(b"a"))


async def test_leases_end_their_keys(tmp_path: Path) -> None:
    async with real_etcd(tmp_path) as client:
        lease = await client.lease_grant(LeaseGrant(60, 0))
        await client.put(Put(b"a", lease=lease.id))
        assert await client.lease_keep_alive(lease.id) == 60
        assert (await client.lease_time_to_live(lease.id, keys=True)).keys == (b"a",)
        assert await client.leases() == (lease.id,)
        await client.lease_revoke(lease.id)
        assert (await client.range(Range(b"a"))).kvs == ()
        assert (await client.lease_time_to_live(lease.id)).ttl_s == -1


async def test_a_transaction_answers_each_of_its_operations(tmp_path: Path) -> None:
    async with real_etcd(tmp_path) as client:
        await client.put(Put(b"a", b"1"))
        absent = Compare(b"b", CompareTarget.CREATE, CompareResult.EQUAL, 0)
        inner = Txn((absent,), (), (Range(b"b"),))
        answer = await client.txn(Txn((absent,), (Put(b"b", b"2"), DeleteRange(b"a", prev_kv=True), inner)))
        put, deleted, nested = answer.responses
        assert (answer.succeeded, answer.revision, put.revision) == (True, 3, 3)
        assert [kv.value for kv in deleted.prev_kvs] == [b"1"]  # type: ignore[union-attr]
        assert nested.succeeded  # type: ignore[union-attr]  # Compared before anything is written.


async def test_a_watch_tells_of_progress_after_what_went_before(tmp_path: Path) -> None:
    async with (
        real_etcd(tmp_path) as client,
        client.watch(b"a") as watch,
        client.watch(b"b", start_revision=2) as behind,
    ):
        await client.put(Put(b"a", b"1"))
        last = (await client.put(Put(b"b", b"2"))).revision
        for each in (watch, behind):
            each.request_progress()
            batch, progress = await anext(aiter(each)), await anext(aiter(each))
            assert isinstance(batch, tuple)
            assert isinstance(progress, Progress)
            assert progress.revision >= last


async def test_a_snapshot_is_a_whole_database_and_its_checksum(tmp_path: Path) -> None:
    async with real_etcd(tmp_path) as client:
        await client.put(Put(b"a", b"1" * 100_000))
        blobs = [blob async for blob in client.snapshot()]
        assert len(blobs[-1]) == 32
        assert len(b"".join(blobs[:-1])) == (await client.status()).db_size_bytes


async def test_who_is_asked_dies_and_the_others_answer(tmp_path: Path) -> None:
    """Reads never notice; a watch goes on with the next revision; a write is done once or unknown."""
    async with real_cluster(tmp_path) as cluster:
        client, asked = cluster.client, cluster.members[0]
        assert client.member_id == next(m.id for m in await client.members() if m.name == "member-1")
        async with client.watch(b"/", prefix_end(b"/")) as watch:
            await surely(lambda: client.put(Put(b"/0")))
            asked.hold_down()
            await asked.gone()
            assert (await surely(lambda: client.range(Range(b"/0")))).count == 1  # That takes a new leader.
            written = []
            for number in range(1, 30):
                try:
                    await client.put(Put(b"/%d" % number))
                except (NoLeaderError, StoreTimeoutError):
                    continue
                written.append(b"/%d" % number)
            last = await surely(lambda: client.put(Put(b"/end")))
            seen = []
            while not seen or seen[-1].kv.mod_revision < last.revision:
                seen += await _events(watch, 1)
        revisions = [event.kv.mod_revision for event in seen]
        assert revisions == list(range(2, last.revision + 1))
        assert {event.kv.key for event in seen} >= {b"/0", b"/end", *written}
        assert client.member_id != 0


async def test_without_a_majority_nothing_is_done_and_one_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with real_cluster(tmp_path) as cluster:
        await surely(lambda: cluster.client.put(Put(b"a", b"before")))
        async with open_client([Endpoint.parse(cluster.members[2].spec.client_url)]) as left:
            # It has heard by then that the write is committed.
            await surely(lambda: left.range(Range(b"a")))
        monkeypatch.setattr(etcd_client, "REQUEST_TIMEOUT_S", 1.0)
        for member in cluster.members[:2]:
            member.hold_down()
            await member.gone()
        with pytest.raises((NoLeaderError, StoreTimeoutError)):
            await cluster.client.put(Put(b"a", b"after"))
        answer = await surely(lambda: cluster.client.range(Range(b"a", serializable=True)))
        assert [kv.value for kv in answer.kvs] == [b"before"]


async def test_a_write_to_one_that_stands_still_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = loopback_specs(tmp_path)
    endpoints = [Endpoint.parse(spec.client_url) for spec in specs]
    async with running(specs) as (member,), open_client(endpoints) as client:
        monkeypatch.setattr(etcd_client, "REQUEST_TIMEOUT_S", 0.3)
        member.kill(signal.SIGSTOP)
        while not _stands_still(member):
            pass
        with pytest.raises(StoreTimeoutError):
            await client.put(Put(b"a", b"once"))
        monkeypatch.undo()
        member.kill(signal.SIGCONT)
        answer = await client.range(Range(b"a"))
        assert [kv.version for kv in answer.kvs] in ([], [1])


def _stands_still(member: EtcdMember) -> bool:
    """The signal comes to each thread in its own time."""
    threads = Path(f"/proc/{member.pid}/task").glob("*/stat")
    return {thread.read_text().rpartition(") ")[2][0] for thread in threads} == {"T"}


async def test_the_leader_is_moved_whichever_member_is_asked(tmp_path: Path) -> None:
    async with real_cluster(tmp_path) as cluster:
        while not await _is_moved(cluster.client):
            pass  # On a busy machine it may move by itself meanwhile.


async def _is_moved(client: EtcdClient) -> bool:
    leader = (await client.status()).leader
    target = next(state.id for state in await client.members() if state.id != leader)
    with suppress(MemberError, NoLeaderError, StoreTimeoutError):
        await client.move_leader(target)
    return (await client.status()).leader == target


@pytest.mark.root
async def test_an_api_server_uses_the_member_of_its_machine_over_tls(tmp_path: Path) -> None:
    """A member that says goodbye keeps its data, and so does one that is killed."""
    authority = Authority.create(tmp_path / "pki", datetime.now(UTC))
    mine, clock = authority.store_client(), SystemClock()
    files = TlsFiles(authority.certificate_path, mine.certificate, mine.key)
    async with ground_at(tmp_path / "journal") as ground:
        machine = await ground.machine("master")
        pair = authority.store_member(machine.name, [machine.address])
        certificates = Certificates(authority.certificate_path, pair.certificate, pair.key)
        address = str(machine.address)
        places = (tmp_path / "data", tmp_path / "log", {machine.name: f"https://{address}:2380"})
        spec = EtcdSpec(machine.name, address, *places, certificates, heartbeat_ms=2, election_ms=20)
        engine = EtcdOnMaster(spec, [spec.client_url], files)
        for life, says_goodbye in ((1, True), (2, False), (3, True)):
            async with engine.run(machine, clock, Suspension()) as goodbye:
                async with engine.opened(machine) as store:
                    assert (await store.put(Put(b"a"))).revision == 1 + life
                if says_goodbye:
                    await goodbye()


async def test_what_is_no_etcd_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_client, "REQUEST_TIMEOUT_S", 0.1)
    with pytest.raises(LabError, match="ETCDCTL_CACERT"):
        async with open_etcd(["http://127.0.0.1:1"]):
            pass
    with pytest.raises(LabError, match="no/such"):
        async with open_etcd(["https://127.0.0.1:1"], TlsFiles(ca=tmp_path / "no/such")):
            pass
    for url in ("ftp://127.0.0.1", "https://", "http://10.0.0.1:99999", "http://10.0.0.1/v3"):
        with pytest.raises(LabError, match="2379"):
            Endpoint.parse(url)
