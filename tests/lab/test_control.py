"""Whatever comes to the control socket, the lab lives on."""

import asyncio
import socket
from pathlib import Path

import pytest

from kubelab.cluster.lab.control import ControlClient, ControlServer, RefusedError
from kubelab.cluster.lab.snapshot import LabSnapshot


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
