"""Bytes come through TLS as they were written, whatever the socket takes at once; an end is told to both."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator

import pytest
from peer_members import Peers

from kubelab.cluster.store.peer_tls import TlsStream

HOST = "127.0.0.2"


class End:
    """One end of a connection, and what it was told."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, host: str | None = None) -> None:
        self.heard = bytearray()
        self.has_news = asyncio.Event()
        self.ended = asyncio.Event()
        self.has_room = asyncio.Event()
        self.stream = TlsStream(
            *(sock, context, host), on_data=self._hear, on_room=self.has_room.set, on_end=self.ended.set
        )

    def _hear(self, data: bytes) -> None:
        self.heard += data
        self.has_news.set()

    async def has_heard(self, number_bytes: int) -> None:
        while len(self.heard) < number_bytes:
            self.has_news.clear()
            await self.has_news.wait()


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Peers:
    return Peers(tmp_path_factory.mktemp("pki"))


def _sockets() -> tuple[socket.socket, socket.socket]:
    pair = socket.socketpair()
    for each in pair:
        each.setblocking(False)
    return pair


@contextlib.asynccontextmanager
async def _joined(peers: Peers) -> AsyncIterator[tuple[End, End]]:
    near, far = _sockets()
    tls = peers.tls(HOST)
    ends = End(near, tls.client, HOST), End(far, tls.server)
    await asyncio.gather(*(end.stream.shaken() for end in ends))
    try:
        yield ends
    finally:
        for end in ends:
            end.stream.abort()
            await end.ended.wait()


async def test_what_is_written_comes_in_its_order_both_ways(peers: Peers) -> None:
    pieces = [bytes([number]) * (number * 397 + 1) for number in range(200)]  # Of a byte, of several records.
    whole = b"".join(pieces)
    async with _joined(peers) as (client, server):
        for piece in pieces:
            client.stream.write(piece)
            server.stream.write(piece)
        await asyncio.gather(client.has_heard(len(whole)), server.has_heard(len(whole)))
        assert client.heard == server.heard == whole


async def test_what_the_socket_does_not_take_waits_and_its_going_is_told(peers: Peers) -> None:
    async with _joined(peers) as (client, server):
        client.stream.write(bytes(4 << 20))
        assert client.stream.unsent_bytes > 0
        await client.has_room.wait()
        assert client.stream.unsent_bytes == 0
        await server.has_heard(4 << 20)


async def test_each_end_knows_whom_the_other_ones_certificate_is_for(peers: Peers) -> None:
    async with _joined(peers) as ends:
        assert [HOST in end.stream.certificate_names() for end in ends] == [True, True]


async def test_the_end_is_told_once_and_nothing_goes_after_it(peers: Peers) -> None:
    async with _joined(peers) as (client, server):
        client.stream.abort()
        await asyncio.gather(client.ended.wait(), server.ended.wait())
        server.stream.write(b"too late")
        assert server.stream.is_closed
        assert server.stream.unsent_bytes == 0


async def test_a_certificate_for_another_host_ends_the_handshake_on_both_ends(peers: Peers) -> None:
    near, far = _sockets()
    tls = peers.tls(HOST)
    client, server = End(near, tls.client, "127.0.0.3"), End(far, tls.server)
    with pytest.raises(ssl.SSLCertVerificationError):
        await client.stream.shaken()
    await asyncio.gather(client.ended.wait(), server.ended.wait())


async def test_what_is_no_tls_ends_the_connection(peers: Peers) -> None:
    near, far = _sockets()
    server = End(far, peers.tls(HOST).server)
    with near:
        near.send(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(ssl.SSLError):
            await server.stream.shaken()
        await server.ended.wait()
