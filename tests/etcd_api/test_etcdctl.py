"""The genuine etcdctl works, with its own flags and formats, and prints what it prints of etcd."""

import json
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest_asyncio
from etcd_api_ground import Served, served

from kubelab.cluster.apiserver.pki import Authority, server_context
from kubelab.cluster.store.memory import MemoryStore
from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.requests import Put, Range


@pytest_asyncio.fixture
async def lab() -> AsyncIterator[Served]:
    async with served() as lab:
        yield lab


async def test_it_puts_and_gets_with_all_flags(lab: Served) -> None:
    assert await lab.etcdctl("put", "key", "value") == "OK\n"
    assert await lab.etcdctl("put", "key", "other", "--prev-kv") == "OK\nkey\nvalue\n"
    for number in (3, 1, 2):
        await lab.store.put(Put(b"list/%d" % number, b"%d" % (9 - number)))
    assert await lab.etcdctl("get", "key") == "key\nother\n"
    assert await lab.etcdctl("get", "key", "--rev", "2", "--print-value-only") == "value\n"
    assert await lab.etcdctl("get", "list/", "--prefix", "--keys-only") == "list/1\n\nlist/2\n\nlist/3\n\n"
    by_value = await lab.etcdctl("get", "list/", "--prefix", "--sort-by", "VALUE", "--print-value-only")
    assert by_value == "6\n7\n8\n"
    by_creation = ("--sort-by", "CREATE", "--order", "DESCEND", "--keys-only", "--limit", "1")
    assert await lab.etcdctl("get", "list/", "--prefix", *by_creation) == "list/2\n\n"
    assert await lab.etcdctl("get", "list/2", "--from-key", "--print-value-only") == "7\n6\n"
    assert await lab.etcdctl("get", "list/1", "list/3", "--consistency", "s", "--keys-only") == (
        "list/1\n\nlist/2\n\n"
    )


async def test_it_prints_an_answer_as_json_and_as_fields(lab: Served) -> None:
    await lab.store.put(Put(b"key", b"value"))
    answer = json.loads(await lab.etcdctl("get", "key", "-w", "json"))
    assert answer == {
        "header": {"cluster_id": 1, "member_id": 1, "revision": 2, "raft_term": 1},
        "kvs": [{"key": "a2V5", "create_revision": 2, "mod_revision": 2, "version": 1, "value": "dmFsdWU="}],
        "count": 1,
    }
    fields = await lab.etcdctl("get", "key", "-w", "fields")
    assert '"ModRevision" : 2' in fields
    assert '"Lease" : 0' in fields


async def test_it_deletes(lab: Served) -> None:
    for key in (b"a/1", b"a/2", b"b"):
        await lab.store.put(Put(key, b"v"))
    assert await lab.etcdctl("del", "a/", "--prefix", "--prev-kv") == "2\na/1\nv\na/2\nv\n"
    assert await lab.etcdctl("del", "nothing") == "0\n"
    assert (await lab.store.range(Range(b"\0", b"\0"))).count == 1


async def test_a_transaction_is_typed_in(lab: Served) -> None:
    await lab.store.put(Put(b"key", b"old"))
    typed = 'value("key") = "old"\nmod("key") > "1"\n\nput key new\nget key\n\ndel key\n\n'
    assert await lab.etcdctl("txn", "--interactive=false", typed=typed) == "SUCCESS\n\nOK\n\nkey\nnew\n"
    assert await lab.etcdctl("txn", "--interactive=false", typed=typed) == "FAILURE\n\n1\n"


async def test_a_watch_begins_in_the_past(lab: Served) -> None:
    for value in (b"1", b"2"):
        await lab.store.put(Put(b"a/key", value))
    watching = await lab.start_etcdctl("watch", "a/", "--prefix", "--rev", "2", "--prev-kv")
    assert watching.stdout is not None
    expected = "PUT\na/key\n1\nPUT\na/key\n1\na/key\n2\nDELETE\na/key\n2\na/key\n\n"
    await lab.etcdctl("del", "a/key")
    assert (await watching.stdout.readexactly(len(expected))).decode() == expected
    watching.send_signal(signal.SIGINT)
    await watching.communicate()


async def test_a_watch_of_what_was_compacted_is_canceled(lab: Served) -> None:
    for value in (b"1", b"2", b"3"):
        await lab.store.put(Put(b"key", value))
    assert await lab.etcdctl("compaction", "3") == "compacted revision 3\n"
    printed = await lab.try_etcdctl("watch", "key", "--rev", "2")
    assert "watch was canceled (etcdserver: mvcc: required revision has been compacted)" in printed.errors
    printed = await lab.try_etcdctl("get", "key", "--rev", "2")
    assert "etcdserver: mvcc: required revision has been compacted" in printed.errors
    printed = await lab.try_etcdctl("get", "key", "--rev", "99")
    assert "etcdserver: mvcc: required revision is a future revision" in printed.errors


async def test_leases(lab: Served) -> None:
    granted = await lab.etcdctl("lease", "grant", "1000")
    lease = granted.split()[1]
    assert granted == f"lease {lease} granted with TTL(1000s)\n"
    await lab.etcdctl("put", "key", "value", "--lease", lease)
    assert await lab.etcdctl("lease", "list") == f"found 1 leases\n{lease}\n"
    alive = await lab.etcdctl("lease", "keep-alive", "--once", lease)
    assert alive == f"lease {lease} keepalived with TTL(1000)\n"
    state = await lab.etcdctl("lease", "timetolive", "--keys", lease)
    assert state.startswith(f"lease {lease} granted with TTL(1000s), remaining(")
    assert state.endswith("attached keys([key])\n")
    assert await lab.etcdctl("lease", "revoke", lease) == f"lease {lease} revoked\n"
    assert (await lab.store.range(Range(b"key"))).count == 0
    assert await lab.etcdctl("lease", "timetolive", lease) == f"lease {lease} already expired\n"
    assert "requested lease not found" in (await lab.try_etcdctl("lease", "revoke", lease)).errors


async def test_locks_are_given_one_after_the_other(lab: Served) -> None:
    first = await lab.start_etcdctl("lock", "mutex")
    second = None
    try:
        assert first.stdout is not None
        held = (await first.stdout.readline()).decode()
        second = await lab.start_etcdctl("lock", "mutex", "echo", "mine")
        await _until_count(lab, b"mutex/", 2)
        first.send_signal(signal.SIGINT)
        await first.communicate()
        output, _ = await second.communicate()
        assert held.startswith("mutex/")
        assert output == b"mine\n"
    finally:
        for process in (first, second):
            if process and process.returncode is None:
                process.kill()
                await process.communicate()


async def test_who_is_elected_is_told(lab: Served) -> None:
    leader = await lab.start_etcdctl("elect", "office", "ana")
    assert leader.stdout is not None
    assert (await leader.stdout.readline()).startswith(b"office/")
    assert await leader.stdout.readline() == b"ana\n"
    listener = await lab.start_etcdctl("elect", "--listen", "office")
    assert listener.stdout is not None
    await listener.stdout.readline()
    assert await listener.stdout.readline() == b"ana\n"
    for process in (leader, listener):
        process.send_signal(signal.SIGINT)
        await process.communicate()
    await _until_count(lab, b"office/", 0)


async def _until_count(lab: Served, prefix: bytes, count: int) -> None:
    async with lab.store.watch(prefix, prefix[:-1] + b"0", start_revision=2) as watch:
        changes = aiter(watch)
        while (await lab.store.range(Range(prefix, prefix[:-1] + b"0"))).count != count:
            await anext(changes)


async def test_endpoints_and_members(lab: Served) -> None:
    members = await lab.etcdctl("member", "list")
    assert members == "1, started, memory, http://localhost:2380, http://localhost:2379, false\n"
    status = json.loads(await lab.etcdctl("endpoint", "status", "-w", "json"))
    assert status[0]["Status"]["leader"] == 1
    assert "is healthy" in "".join(
        [(printed := await lab.try_etcdctl("endpoint", "health")).output, printed.errors]
    )
    checksum, _ = await lab.store.hash_kv()
    assert await lab.etcdctl("endpoint", "hashkv") == f"127.0.0.1:{lab.port}, {checksum}\n"
    refused = await lab.try_etcdctl("member", "remove", "99")
    assert "etcdserver: member not found" in refused.errors


async def test_upkeep(lab: Served) -> None:
    assert await lab.etcdctl("defrag") == f"Finished defragmenting etcd member[127.0.0.1:{lab.port}]\n"
    assert await lab.etcdctl("alarm", "list") == ""
    unknown = await lab.try_etcdctl("user", "list")
    assert "code = Unimplemented" in unknown.errors
    named = await lab.etcdctl("--user", "root:password", "put", "key", "value")
    assert named == "OK\n"  # Told that there are no users, it goes on without one.


async def test_a_full_store_says_so_and_can_be_made_to_take_more() -> None:
    async with served(MemoryStore(mvcc=Mvcc(quota_bytes=64 * 1024))) as lab:
        refused = await lab.try_etcdctl("put", "key", typed="x" * 100_000)
        assert "etcdserver: mvcc: database space exceeded" in refused.errors
        assert await lab.etcdctl("alarm", "list") == "memberID:1 alarm:NOSPACE \n"
        assert await lab.etcdctl("alarm", "disarm") == "memberID:1 alarm:NOSPACE \n"
        assert await lab.etcdctl("put", "key", "small") == "OK\n"


async def test_over_tls_both_sides_show_certificates(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "pki", datetime.now(UTC))
    server = authority.store_member("master-1", [IPv4Address("127.0.0.1")])
    client = authority.store_client()
    tls = server_context(authority.certificate_path, server)
    shown = ("--cert", str(client.certificate), "--key", str(client.key))
    async with served(tls=tls) as lab:
        secure = ("--cacert", str(authority.certificate_path), "--insecure-transport=false")
        assert await lab.etcdctl(*secure, *shown, "put", "key", "value") == "OK\n"
        stranger = await lab.try_etcdctl(*secure, "--command-timeout=1s", "put", "key", "other")
        assert stranger.code != 0
        assert await lab.etcdctl(*secure, *shown, "get", "key") == "key\nvalue\n"
