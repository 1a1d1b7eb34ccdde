"""Whatever comes to the control socket, the lab lives on."""

import asyncio
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lab_program import environment

from kubelab.cluster.apiserver.request_log import RequestLog, RequestRecord
from kubelab.cluster.lab.control import ControlClient, ControlServer, RefusedError
from kubelab.cluster.lab.snapshot import LabSnapshot
from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.requests import Put
from kubelab.cluster.store.snapshot_file import pieces_of, read_snapshot


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


@pytest.mark.parametrize(
    "message",
    [
        b"no json",
        b"[]",
        b'{"verb": "dance"}',
        b'{"verb": "spawn", "machine": "x", "argv": 1}',
        b'{"verb": "spawn", "machine": "x", "argv": [], "env": {}, "terminal": null}',
    ],
)
async def test_who_hangs_up_or_talks_nonsense_does_it_no_harm(path: Path, message: bytes) -> None:
    snapshot = LabSnapshot(revision=7)
    async with ControlServer(lambda: snapshot, dict, {}).serving(path):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.connect(str(path))
            client.send(message)
        assert await asyncio.to_thread(status, path) == snapshot


async def test_an_unknown_machine_is_refused(path: Path) -> None:
    async with ControlServer(LabSnapshot, dict, {}).serving(path):
        with pytest.raises(RefusedError, match=r"máquina x|machine x"):
            await asyncio.to_thread(spawn, path)


def status(path: Path) -> LabSnapshot:
    with ControlClient.connect(path) as client:
        return client.status()


def spawn(path: Path) -> None:
    with ControlClient.connect(path) as client:
        client.spawn("x", ["true"], {}, None)


async def test_it_saves_the_store_to_a_file_of_the_client(path: Path, tmp_path: Path) -> None:
    mvcc = Mvcc()
    mvcc.apply(Put(b"key", b"value"), 1)
    async with ControlServer(LabSnapshot, dict, {}, store_snapshot=lambda: pieces_of(mvcc)).serving(path):
        size_bytes = await asyncio.to_thread(save_store, path, tmp_path / "saved.db")
    assert (tmp_path / "saved.db").stat().st_size == size_bytes
    saved = read_snapshot(tmp_path / "saved.db").get(b"key")
    assert saved is not None
    assert saved.value == b"value"


async def test_without_a_store_none_is_saved(path: Path, tmp_path: Path) -> None:
    async with ControlServer(LabSnapshot, dict, {}).serving(path):
        with pytest.raises(RefusedError, match="etcdctl"):
            await asyncio.to_thread(save_store, path, tmp_path / "saved.db")


def save_store(path: Path, saved: Path) -> int:
    with saved.open("wb") as file, ControlClient.connect(path) as client:
        return client.save_store(file.fileno())


async def test_it_tells_the_requests_of_the_api_server_as_they_come(path: Path) -> None:
    requests = RequestLog()
    requests.add(record("before"))
    async with ControlServer(LabSnapshot, dict, {}, requests=lambda: requests).serving(path):
        with await asyncio.to_thread(ControlClient.connect, path) as client:
            told = client.requests(1)
            first = await asyncio.to_thread(next, told)
            await asyncio.sleep(0)
            requests.add(record("after"))
            second = await asyncio.to_thread(next, told)
    assert (first, second) == (record("before"), record("after"))


@pytest.mark.parametrize("lines", [1, 2])
async def test_the_watch_of_requests_ends_with_who_reads_it(tmp_path: Path, lines: int) -> None:
    """Whatever is still to come: `kubelab api watch | head` does not wait for it, and says nothing of it."""
    requests, command = RequestLog(), f"{sys.executable} -m kubelab api watch --recent 1 | head -{lines}"
    requests.add(record("before"))
    serving = ControlServer(LabSnapshot, dict, {}, requests=lambda: requests).serving(
        tmp_path / "control.sock"
    )
    async with serving:
        process = await asyncio.create_subprocess_exec(
            *("bash", "-o", "pipefail", "-c", command),
            env=environment(tmp_path),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        told, _ = await process.communicate()
    assert (process.returncode, len(told.splitlines())) == (0, lines)


async def test_without_an_api_server_it_says_so(path: Path) -> None:
    async with ControlServer(LabSnapshot, dict, {}).serving(path):
        with (
            await asyncio.to_thread(ControlClient.connect, path) as client,
            pytest.raises(RefusedError, match="API server"),
        ):
            await asyncio.to_thread(next, client.requests(0))


def record(name: str) -> RequestRecord:
    return RequestRecord(
        *("id", "ResponseComplete", datetime(2026, 1, 2, tzinfo=UTC), 0.5, "get", f"/api/v1/nodes/{name}"),
        *("", "v1", "nodes", "", "", name, "eva", ("team",), "", "curl/8", "127.0.0.1", 200),
    )
