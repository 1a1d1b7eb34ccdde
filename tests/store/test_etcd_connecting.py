"""Whoever gives up while a connection to an etcd is being made leaves nothing of it behind."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from kubelab.cluster.apiserver.pki import LOOPBACK, Authority, client_context, server_context
from kubelab.cluster.store.etcd_client_connection import connect
from kubelab.cluster.store.etcd_client_endpoints import plain_socket
from kubelab.cluster.store.memory import MemoryStore
from kubelab.cluster.store.rpc.server import serve

ROUNDS = 12  # Of the loop: by then the connection is there.


@asynccontextmanager
async def listening(place: Path) -> AsyncIterator[tuple[int, ssl.SSLContext]]:
    """Serve a store by TLS; yield the port and a client's context."""
    authority = Authority.create(place / "pki", datetime.now(UTC))
    ca, pair = authority.certificate_path, authority.store_member("member", [LOOPBACK])
    bound = socket.create_server(("127.0.0.1", 0))
    port = bound.getsockname()[1]
    async with serve(MemoryStore(), [bound], server_context(ca, pair)):
        yield port, client_context(ca, pair)


async def test_who_gives_up_leaves_no_descriptor_that_seems_in_use(tmp_path: Path) -> None:
    """asyncio closes a connection that it has not quite begun no more than one that has just begun: the next
    socket would have its number, and be taken for it."""
    async with listening(tmp_path) as (port, tls):
        for rounds in range(ROUNDS):
            connecting = asyncio.ensure_future(connect(plain_socket, "127.0.0.1", port, tls))
            for _ in range(rounds):
                await asyncio.sleep(0)
            connecting.cancel()
            outcome = (await asyncio.gather(connecting, return_exceptions=True))[0]
            if not isinstance(outcome, BaseException):
                outcome.close()
            again = await connect(plain_socket, "127.0.0.1", port, tls)
            again.close()
