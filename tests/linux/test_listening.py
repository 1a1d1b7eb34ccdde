"""Whoever has come in is the server's, also when it closes at that very moment."""

import asyncio
import gc
import socket
from contextlib import suppress

import pytest

from kubelab.cluster.linux.listening import Listening, taking_in


class Client(asyncio.Protocol):
    def __init__(self) -> None:
        self.ended = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()


@pytest.mark.parametrize("rounds", range(6))
async def test_a_client_that_comes_as_the_server_closes_is_hung_up_on(rounds: int) -> None:
    """asyncio would leave it open, and say so when it is collected (warnings are errors here)."""
    clients = list[Client]()

    def client() -> Client:
        clients.append(Client())
        return clients[-1]

    listening = Listening(socket.create_server(("127.0.0.1", 0)))
    with socket.create_connection(listening.getsockname()) as connection:
        async with taking_in(client, [listening], None):
            for _ in range(rounds):
                await asyncio.sleep(0)
        connection.setblocking(False)
        for each in clients:
            await asyncio.sleep(0)
            listening.hang_up()
            await each.ended.wait()
        gc.collect()
        assert not await said(connection)


async def said(connection: socket.socket) -> bytes:
    try:
        return await asyncio.get_running_loop().sock_recv(connection, 1)
    except ConnectionResetError:  # It was not accepted.
        return b""


@pytest.mark.parametrize("rounds", range(4))
async def test_who_gives_up_while_a_server_starts_leaves_none(rounds: int) -> None:
    clients = list[Client]()

    def client() -> Client:
        clients.append(Client())
        return clients[-1]

    async def serve() -> None:
        async with taking_in(client, [listening], None):
            await asyncio.Event().wait()

    with Listening(socket.create_server(("127.0.0.1", 0))) as listening:
        address = listening.getsockname()
        serving = asyncio.ensure_future(serve())
        for _ in range(rounds):
            await asyncio.sleep(0)
        serving.cancel()
        await asyncio.wait([serving])
        with suppress(ConnectionRefusedError), socket.create_connection(address):
            for _ in range(3):
                await asyncio.sleep(0)
    assert not clients
