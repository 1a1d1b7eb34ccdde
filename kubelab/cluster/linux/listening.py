"""A listening socket that knows whom it has taken in, so that nobody stays when its server ends.

asyncio tells a server of a connection when its TLS handshake is done, and closes it when the other side has
said goodbye. Someone behind a cut cable does neither: it would stay, half a minute or a whole one, after the
server is gone. Nor does asyncio (selector_events.py, 3.11) take care of one that it has just accepted when
its server is closed: a task fails then, in silence, and the connection stays open until it is collected.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from ssl import SSLContext
from typing import Any
from weakref import WeakSet


class Listening(socket.socket):
    def __init__(self, bound: socket.socket) -> None:
        """Take the place of *bound*."""
        super().__init__(bound.family, bound.type, bound.proto, fileno=bound.detach())
        self.setblocking(False)
        self._accepted: WeakSet[socket.socket] = WeakSet()
        self._takes_in = True

    def accept(self) -> tuple[socket.socket, Any]:
        if not self._takes_in:
            raise BlockingIOError
        connection, address = super().accept()
        self._accepted.add(connection)
        return connection, address

    def stop(self) -> None:
        """Take nobody in any more."""
        self._takes_in = False

    def hang_up(self) -> None:
        """End all connections that are left."""
        for connection in tuple(self._accepted):
            with suppress(OSError):  # It was closed already.
                connection.shutdown(socket.SHUT_RDWR)


@asynccontextmanager
async def taking_in(
    client: Callable[[], asyncio.Protocol], sockets: Sequence[Listening], tls: SSLContext | None
) -> AsyncIterator[None]:
    """Make a *client* for each that comes in on *sockets*, while the block runs; then close these."""
    loop = asyncio.get_running_loop()
    # Nothing is waited for before they start: whoever gives up meanwhile has all that are to be closed.
    servers = [await loop.create_server(client, sock=each, ssl=tls, start_serving=False) for each in sockets]
    try:
        for server in servers:
            await server.start_serving()
        yield
    finally:
        for each in sockets:
            each.stop()
        await asyncio.sleep(0)  # Who has just been accepted is made a client of.
        for server in servers:
            server.close()
