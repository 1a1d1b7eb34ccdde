"""Whoever has come to a member's client port is hung up on with it, also who comes at that very moment."""

import asyncio
import gc
import socket
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kubelab.cluster.apiserver.pki import LOOPBACK, Authority, server_context
from kubelab.cluster.linux.background import background
from kubelab.cluster.store.memory import MemoryStore
from kubelab.cluster.store.rpc.connection import PREFACE
from kubelab.cluster.store.rpc.server import serve
from tests.etcd_api_ground import served

SETTINGS = b"\0\0\0\4\0\0\0\0\0"  # RFC 9113, 6.5: an empty frame.


@pytest.mark.parametrize("rounds", range(8))
@pytest.mark.parametrize("said", [b"", PREFACE + SETTINGS, b"GET /health HTTP/1.1\r\n\r\n"])
async def test_a_client_that_comes_as_the_server_closes_is_hung_up_on(said: bytes, rounds: int) -> None:
    """asyncio would leave it open, and say so when it is collected (warnings are errors here)."""
    store = MemoryStore()
    listening = socket.create_server(("127.0.0.1", 0))
    with socket.create_connection(listening.getsockname()) as connection:
        connection.sendall(said)
        async with background(store.run()), serve(store, [listening]):
            for _ in range(rounds):
                await asyncio.sleep(0)
        await hung_up(connection)
        gc.collect()


async def test_a_client_in_the_middle_of_its_handshake_is_hung_up_on(tmp_path: Path) -> None:
    """It may be behind a cut cable: asyncio would wait for it for a minute."""
    authority = Authority.create(tmp_path, datetime.now(UTC))
    tls = server_context(authority.certificate_path, authority.store_member("default", [LOOPBACK]))
    async with AsyncExitStack() as stack:
        async with served(tls=tls) as member:
            silent = stack.enter_context(socket.create_connection(("127.0.0.1", member.port)))
            with socket.create_connection(("127.0.0.1", member.port)) as stranger:
                stranger.sendall(b"no hello of TLS's\r\n\r\n")
                await hung_up(stranger)  # So the silent one has been taken in, too.
        await hung_up(silent)


async def hung_up(connection: socket.socket) -> None:
    """Read to the end."""
    connection.setblocking(False)
    try:
        while await asyncio.get_running_loop().sock_recv(connection, 4096):
            pass
    except ConnectionResetError:  # What was said was not read.
        pass
