"""An upgraded connection (a WebSocket, SPDY), joined with one to whoever speaks that: bytes pass both ways.

Source: kubernetes, staging/src/k8s.io/apimachinery/pkg/util/proxy/upgradeaware.go (tryUpgrade). What is
behind refuses with a whole answer, which is handed on; upstream passes on the bare connection then, too.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from ssl import SSLContext, SSLError
from typing import Protocol

from kubelab.cluster.apiserver import refusals
from kubelab.cluster.apiserver.logs import CONNECT_TIMEOUT_S, Dial
from kubelab.cluster.errors import ApiError
from kubelab.cluster.streams import web
from kubelab.cluster.streams.hijack import Finished, HijackedConnection
from kubelab.cluster.streams.until import done_before

_RETURNED_HEADERS = ("Content-Type", "X-Accepted-Stream-Protocol-Versions")
CHUNK_BYTES = 64 * 1024
HEAD_BYTES_MAX = 64 * 1024
CLOSE_TIMEOUT_S = 0.3


@dataclass(frozen=True, slots=True)
class Backend:
    """Whom to connect to; without `tls` in the clear."""

    address: str
    port: int
    tls: SSLContext | None = None


def wants_upgrade(request: web.BaseRequest) -> bool:
    return "upgrade" in request.headers.get("Connection", "").lower()


async def passed_on(
    request: web.BaseRequest,
    backend: Backend,
    head: bytes,
    dial: Dial | None,
    limit: AbstractAsyncContextManager[None],
    began: Callable[[int], None],
) -> web.StreamResponse:
    """Ask *backend* for the upgrade with *head*; what *dial* opens the socket with is the server's network.

    *began* is called when the two connections are joined, until one of them ends or *limit* does.

    Raises:
        ApiError: it cannot be reached.
    """
    async with _connected(backend, dial or socket.socket) as connection:
        await connection.write(head)
        answered = await _head(connection.reader)
        status, headers = _parsed(answered)
        if status != 101:
            return await _handed_on(connection.reader, status, headers)
        client = HijackedConnection(request)
        began(status)
        async with limit:
            await _joined(client, connection, answered)
    return Finished()


@asynccontextmanager
async def _connected(backend: Backend, dial: Dial) -> AsyncIterator["_Connection"]:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            sock = await _dialled(backend, dial)
            named = backend.address if backend.tls else None
            reader, writer = await asyncio.open_connection(
                sock=sock, ssl=backend.tls, server_hostname=named, limit=HEAD_BYTES_MAX
            )
    except TimeoutError:
        raise _undialled(backend, "i/o timeout") from None
    except SSLError as error:
        raise refusals.unreachable(f"error dialing backend: tls: {error.reason}") from error
    except OSError as error:
        why = os.strerror(error.errno or 0).lower()
        raise _undialled(backend, f"connect: {why}") from error
    connection = _Connection(reader, writer)
    try:
        yield connection
    finally:
        await connection.close()


async def _dialled(backend: Backend, dial: Dial) -> socket.socket:
    sock = dial(socket.AF_INET6 if ":" in backend.address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (backend.address, backend.port))
    except BaseException:
        sock.close()
        raise
    return sock


def _undialled(backend: Backend, why: str) -> ApiError:
    return refusals.unreachable(f"error dialing backend: dial tcp {backend.address}:{backend.port}: {why}")


async def _joined(client: HijackedConnection, backend: "_Connection", head: bytes) -> None:
    """Pass bytes on until either is gone. A client that goes is a stream's usual end: aiohttp's way to tell
    of it, a cancellation, ends here."""
    try:
        with contextlib.suppress(ConnectionError):
            await client.write(head)
            copying = done_before(_copy(client, backend), _copy(backend, client))
            await done_before(client.lost(), copying)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if not client.at_end or task is None:
            raise
        task.uncancel()


class _Sink(Protocol):
    async def write(self, data: bytes) -> None: ...


class _Source(Protocol):
    async def read(self) -> bytes: ...


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        try:
            return await self.reader.read(CHUNK_BYTES)
        except ConnectionError:
            return b""

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def close(self) -> None:
        """What was written has a moment to leave."""
        self._writer.close()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()


async def _copy(source: _Source, target: _Sink) -> None:
    """Pass on all that comes; returns when either side is gone."""
    with contextlib.suppress(ConnectionError):
        while data := await source.read():
            await target.write(data)


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        raise refusals.unreachable("error dialing backend: EOF") from None


def _parsed(head: bytes) -> tuple[int, Mapping[str, str]]:
    """Return status and headers of an answer; raises ApiError if it is none."""
    first, *lines = head.decode("latin-1").split("\r\n")
    version, status, *_ = [*first.split(), "", ""]
    if not version.startswith("HTTP/1.") or not status.isdecimal():
        raise refusals.unreachable(f'error dialing backend: malformed HTTP response "{first}"')
    fields = (line.partition(":") for line in lines if line)
    return int(status), {name.title(): value.strip() for name, _, value in fields}


async def _handed_on(
    reader: asyncio.StreamReader, status: int, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Return the refusal as it is, but for what is beyond the length that a head may have."""
    told = headers.get("Content-Length", "")
    length = min(int(told) if told.isdecimal() else 0, HEAD_BYTES_MAX)
    try:
        body = await reader.readexactly(length)
    except asyncio.IncompleteReadError as partial:
        body = partial.partial
    kept = {name: headers[name.title()] for name in _RETURNED_HEADERS if name.title() in headers}
    return web.Response(status=status, body=body, headers=kept)
