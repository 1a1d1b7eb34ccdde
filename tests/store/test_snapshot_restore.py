"""`kubelab store snapshot`: what is saved is restored, by us and by the genuine etcdctl."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from member_cluster import store_members

from kubelab.cli.command_line import kubelab_command
from kubelab.cluster.errors import LabError
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.stopped_store import TOKEN, member_directories
from kubelab.cluster.store.member_config import found_cluster
from kubelab.cluster.store.member_restore import restore_member, stopped_store
from kubelab.cluster.store.peers import PORT
from kubelab.cluster.store.requests import Compaction, DeleteRange, LeaseGrant, Put, Range
from kubelab.cluster.store.snapshot_file import crc32c, pieces_of, read_snapshot, status_of, write_snapshot

ETCDCTL = Path(sys.executable).with_name("etcdctl")


async def _saved(directory: Path) -> Path:
    """Save the store of a member in which something has happened."""
    async with store_members(directory / "members", ("alone",)) as cluster:
        alone = cluster.running["alone"]
        lease = await alone.lease_grant(LeaseGrant(600, 77))
        for number in range(20):
            await alone.put(Put(b"key%d" % (number % 6), b"%d" % number))
        await alone.put(Put(b"leased", b"value", lease=lease.id))
        await alone.delete_range(DeleteRange(b"key0"))
        await alone.compact(Compaction(8))
        await write_snapshot(alone.snapshot(), directory / "saved.db")
    return directory / "saved.db"


async def test_a_new_cluster_begins_with_a_snapshot(tmp_path: Path) -> None:
    mvcc = read_snapshot(await _saved(tmp_path))
    names = ("one", "two", "three")
    urls = {name: f"https://192.0.2.{number}:2380" for number, name in enumerate(names, 1)}
    cluster_id, founders = found_cluster("test", urls)
    for member in founders:
        restore_member(tmp_path / "new" / member.name, member.id, cluster_id, founders, mvcc)
    with pytest.raises(LabError, match="--force"):
        restore_member(tmp_path / "new" / "one", founders[0].id, cluster_id, founders, mvcc)
    async with store_members(tmp_path / "new") as cluster:
        leader = await cluster.leader()
        found = await leader.range(Range(b"k", b"m"))
        assert [kv.key for kv in found.kvs] == [b"key1", b"key2", b"key3", b"key4", b"key5", b"leased"]
        assert found.revision == mvcc.revision == 23
        assert (await leader.lease_time_to_live(77, keys=True)).keys == (b"leased",)
        assert {member.name for member in await leader.members()} == set(names)


async def test_the_genuine_etcdctl_says_the_same_of_it(tmp_path: Path) -> None:
    saved = await _saved(tmp_path)
    printed = _etcdctl("snapshot", "status", str(saved), "-w", "json")
    ours = CliRunner().invoke(kubelab_command, ["store", "snapshot", "status", str(saved), "-o", "json"])
    assert json.loads(ours.output) == json.loads(printed)
    cells = CliRunner().invoke(kubelab_command, ["store", "snapshot", "status", str(saved)]).output.split()
    assert all(cell in _etcdctl("snapshot", "status", str(saved), "-w", "table") for cell in cells)


def _etcdctl(*arguments: str) -> str:
    return subprocess.run(
        [ETCDCTL, *arguments], env={"ETCDCTL_API": "3"}, capture_output=True, text=True, check=True
    ).stdout


def test_the_checksum_is_castagnolis() -> None:
    """Source: RFC 3720, appendix B.4."""
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(bytes(range(16, 32)), crc32c(bytes(range(16)))) == crc32c(bytes(range(32))) == 0x46DD794E


async def test_a_snapshot_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    saved = await _saved(tmp_path)
    data = saved.read_bytes()
    saved.write_bytes(data[:-1])
    with pytest.raises(LabError, match="intact"):
        read_snapshot(saved)
    saved.write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
    with pytest.raises(LabError, match="checksum"):
        status_of(saved)
    saved.write_bytes(data[:-32])
    assert read_snapshot(saved, check_hash=False).revision == 23
    with pytest.raises(LabError, match="cannot be read"):
        read_snapshot(tmp_path / "none")


async def test_stopped_members_have_all_that_was_acknowledged(tmp_path: Path) -> None:
    """The one that was away is behind, one is damaged: the third one tells."""
    async with store_members(tmp_path) as three:
        leader = await three.leader()
        behind, follower = three.others(leader)
        await leader.put(Put(b"key", b"old"))
        await three.kill(three.name(behind))
        await leader.put(Put(b"key", b"new"))
        names = [three.name(each) for each in (behind, leader, follower)]
        await three.kill(names[1])
        await three.kill(names[2])
    directories = [tmp_path / name for name in names]
    assert _value(directories) == b"new"
    log = next((directories[1] / "wal").glob("*.wal"))
    data = bytearray(log.read_bytes())
    data[20] ^= 1
    log.write_bytes(data)
    assert _value(directories) == b"new"
    with pytest.raises(LabError, match="damaged"):
        _value([directories[1], tmp_path / "gone", tmp_path / "gone too"])
    with pytest.raises(LabError, match="kubelab up"):
        _value([tmp_path / "gone"])


def _value(directories: Sequence[Path]) -> bytes:
    found = stopped_store(directories).get(b"key")
    assert found is not None
    return found.value


async def test_a_lab_that_does_not_run_is_saved_and_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBELAB_DIR", str(tmp_path / "lab"))
    monkeypatch.setenv("KUBELAB_LANG", "en")
    directory, file = LabDirectory.default(), tmp_path / "saved.db"
    assert "kubelab up" in str((await _run("save", str(file))).exception)
    directory.masters.mkdir(parents=True)
    directory.shape.write_text('{"masters": 3, "store": "raft", "version": 1}')
    members = member_directories(directory)
    cluster_id, founders = found_cluster(TOKEN, {name: f"https://{name}:{PORT}" for name in members})
    mvcc = read_snapshot(await _saved(tmp_path))
    for member in founders:
        restore_member(members[member.name], member.id, cluster_id, founders, mvcc)
    assert "saved.db" in (await _run("save", str(file))).output
    assert "--force" in str((await _run("restore", str(file))).exception)
    assert (await _run("restore", str(file), "--force")).output.count("revision 23") == 3
    assert (members["master-2"].parent / "member.before").is_dir()
    assert stopped_store(list(members.values())).revision == 23


async def test_a_member_of_its_own_is_restored_as_etcdutl_does(tmp_path: Path) -> None:
    saved = await _saved(tmp_path)
    cluster = "alone=https://192.0.2.1:2380"
    options = ("--name", "alone", "--initial-cluster", cluster, "--initial-cluster-token", "test")
    restored = await _run("restore", str(saved), "--data-dir", str(tmp_path / "new" / "alone"), *options)
    assert "23" in restored.output
    async with store_members(tmp_path / "new", ("alone",)) as new:
        assert (await new.leader()).revision == 23
    wrong = await _run("restore", str(saved), "--data-dir", str(tmp_path / "x"), "--name", "b", *options[2:])
    assert "--initial-cluster" in str(wrong.exception)


async def test_what_was_restored_from_a_snapshot_saves_as_the_same(tmp_path: Path) -> None:
    saved = await _saved(tmp_path)
    await write_snapshot(pieces_of(read_snapshot(saved)), tmp_path / "again.db")
    assert read_snapshot(tmp_path / "again.db").revision == 23
    assert (tmp_path / "again.db").stat().st_mode & 0o777 == 0o600


async def _run(*arguments: str) -> Result:
    """As a program of its own would: it has a loop of its own."""
    words = ["store", "snapshot", *arguments]
    return await asyncio.to_thread(CliRunner().invoke, kubelab_command, words, standalone_mode=False)
