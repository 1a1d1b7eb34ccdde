"""A listening socket that knows whom it has taken in, so that nobody stays when its server ends.

asyncio tells a server of a connection when its TLS handshake is done, and closes it when the other side has
said goodbye. Someone behind a cut cable does neither: it would stay, half a minute or a whole one, after the
server is gone.
"""

import socket
from contextlib import suppress
from typing import Any
from weakref import WeakSet


class Listening(socket.socket):
    def __init__(self, bound: socket.socket) -> None:
        """Take the place of *bound*."""
        super().__init__(bound.family, bound.type, bound.proto, fileno=bound.detach())
        self.setblocking(False)
        self._accepted: WeakSet[socket.socket] = WeakSet()

    def accept(self) -> tuple[socket.socket, Any]:
        connection, address = super().accept()
        self._accepted.add(connection)
        return connection, address

    def hang_up(self) -> None:
        """End all connections that are left."""
        for connection in tuple(self._accepted):
            with suppress(OSError):  # It was closed already.
                connection.shutdown(socket.SHUT_RDWR)
