"""The kubelet's own server leaves nobody behind."""

import asyncio
import gc
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from memory_runtime import MemoryRuntime

from kubelab.cluster.apiserver import pki
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.linux.background import background
from kubelab.cluster.node.config import KubeletConfig
from kubelab.cluster.node.kubelet import Kubelet


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    authority = pki.Authority.create(tmp_path / "pki", datetime.now(UTC))
    pair = authority.kubelet_server("minion-1", [pki.LOOPBACK])
    return pki.server_context(authority.certificate_path, pair, ssl.CERT_REQUIRED)


@pytest.mark.parametrize("rounds", range(4))
async def test_who_has_just_come_as_the_kubelet_ends_is_hung_up_on(
    config: KubeletConfig,
    api: LocalApi,
    runtime: MemoryRuntime,
    clock: VirtualClock,
    listening: socket.socket,
    tls: ssl.SSLContext,
    rounds: int,
) -> None:
    """Before it has said who it is. Else it would stay until it is collected, and Python say so then (of
    which pytest makes an error)."""
    address = listening.getsockname()
    async with background(Kubelet(config, api, runtime, clock).run(listening, tls)):
        await clock.advance(0)
        client = socket.create_connection(address)
        for _ in range(rounds):
            await asyncio.sleep(0)
    with client:
        client.setblocking(False)
        assert not await said(client)
    await asyncio.sleep(0)
    gc.collect()


async def said(client: socket.socket) -> bytes:
    try:
        return await asyncio.get_running_loop().sock_recv(client, 1)
    except ConnectionResetError:  # It was not accepted.
        return b""
