"""HTTP requests as a learner's curl sends them, each by a connection of its own, from any network namespace.

Left out: TLS, redirects, proxies.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from yarl import URL

from kubelab.cluster.client.https import OpenSocket

BODY_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class Response:
    """`body` is the beginning of it."""

    status: int
    headers: Mapping[str, str]
    body: str


@asynccontextmanager
async def http_session(
    open_socket: OpenSocket, connect_s: float, total_s: float
) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield what requests are sent with; no connection is used twice."""
    connector = aiohttp.TCPConnector(
        socket_factory=lambda address: open_socket(address[0], address[1], address[2]), force_close=True
    )
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=total_s, sock_connect=connect_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    ) as session:
        yield session


async def get(session: aiohttp.ClientSession, address: str, port: int, path: str) -> Response:
    """Raises aiohttp.ClientError, or TimeoutError."""
    url = URL(f"http://{address}:{port}{path}", encoded=True)
    async with session.get(url, allow_redirects=False) as response:
        body = b""
        while len(body) < BODY_BYTES_MAX and (chunk := await response.content.readany()):
            body += chunk
        return Response(response.status, response.headers, body[:BODY_BYTES_MAX].decode(errors="replace"))
