"""A socket of which a transport is being made: whose it is when whoever waits for that gives up.

asyncio closes what it has begun to make, but with TLS neither before the handshake's first nor after its last
message (sslproto.py, 3.11: it is not there yet, or says goodbye first). To close the socket then would leave
a transport on its number, which the next socket gets.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def becoming_transport(opened: socket.socket) -> Iterator[None]:
    """Hand *opened* over to asyncio in the block; if that fails it is ended, and asyncio closes it."""
    try:
        yield
    except BaseException:
        with suppress(OSError):  # It has ended.
            opened.shutdown(socket.SHUT_RDWR)
        raise
