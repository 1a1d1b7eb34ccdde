"""Messages that file descriptors come along with (unix(7): SOCK_SEQPACKET, SCM_RIGHTS)."""

import asyncio
import socket

MESSAGE_BYTES_MAX = 64 * 1024


async def receive(connection: socket.socket, descriptors_max: int) -> tuple[bytes, list[int]]:
    """Return the next message, b"" at the end, and its descriptors, which are the caller's to close."""
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()

    def resolve() -> None:
        if not readable.done():
            readable.set_result(None)

    loop.add_reader(connection, resolve)
    try:
        await readable
    finally:
        loop.remove_reader(connection)
    payload, descriptors, _, _ = socket.recv_fds(connection, MESSAGE_BYTES_MAX, descriptors_max)
    return payload, descriptors
