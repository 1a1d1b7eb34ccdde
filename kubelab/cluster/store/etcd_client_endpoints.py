"""Which member is asked: the same one as long as it answers, then the next.

Source: etcd, client/v3/internal/endpoint and balancer (here one connection at a time: calls are pipelined).
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from kubelab.cluster.errors import LabError
from kubelab.cluster.store.etcd_client_connection import CallError, Connection, connect
from kubelab.cluster.store.etcd_client_errors import UnreachableError
from kubelab.language import Text

CONNECT_TIMEOUT_S = 1.0
DEFAULT_PORT = 2379


@dataclass(frozen=True, slots=True)
class Endpoint:
    scheme: str
    host: str
    port: int

    @staticmethod
    def parse(url: str) -> "Endpoint":
        """Raises LabError: *url* is no endpoint of an etcd."""
        try:
            parts = urlsplit(url)
            port = parts.port or DEFAULT_PORT
        except ValueError:
            raise LabError(_NO_ENDPOINT.format(url=url)) from None
        is_plain = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username)
        if parts.scheme not in ("http", "https") or not parts.hostname or not is_plain:
            raise LabError(_NO_ENDPOINT.format(url=url))
        return Endpoint(parts.scheme, parts.hostname, port)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


def plain_socket() -> socket.socket:
    opened = socket.socket()
    opened.setblocking(False)
    return opened


class Endpoints:
    """*dial* opens a socket where the client is: in a machine's namespace, say."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        tls: ssl.SSLContext | None,
        dial: Callable[[], socket.socket] = plain_socket,
    ) -> None:
        self.all = tuple(endpoints)
        self._tls = tls
        self._dial = dial
        self._chosen = 0
        self._connections: dict[Endpoint, Connection] = {}
        self._connecting = asyncio.Lock()

    def __str__(self) -> str:
        return ", ".join(map(str, self.all))

    @property
    def chosen(self) -> Endpoint:
        return self.all[self._chosen]

    def current(self) -> Connection | None:
        """Return the connection to the chosen member, if there is a usable one."""
        connection = self._connections.get(self.chosen)
        return connection if connection and connection.is_usable else None

    async def connection(self) -> Connection:
        """Return a connection to the chosen member, or to the first one after it that can be reached.

        Raises:
            UnreachableError: there is none.
        """
        async with self._connecting:
            for _ in self.all:
                if connection := self.current() or await self._connect(self.chosen):
                    return connection
                self._chosen = (self._chosen + 1) % len(self.all)
        raise UnreachableError(str(self))

    async def connection_to(self, endpoint: Endpoint) -> Connection:
        """Return a connection to that very member.

        Raises:
            UnreachableError: it cannot be reached.
        """
        async with self._connecting:
            known = self._connections.get(endpoint)
            if known and known.is_usable:
                return known
            if connection := await self._connect(endpoint):
                return connection
        raise UnreachableError(str(endpoint))

    def leave(self, connection: Connection) -> None:
        """Ask the next member from now on, if *connection*'s is the chosen one. Calls that are under way, and
        watches, go on."""
        if self._connections.get(self.chosen) is connection and len(self.all) > 1:
            del self._connections[self.chosen]
            connection.retire()
            self._chosen = (self._chosen + 1) % len(self.all)

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    async def _connect(self, endpoint: Endpoint) -> Connection | None:
        tls = self._tls if endpoint.scheme == "https" else None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                connection = await connect(self._dial, endpoint.host, endpoint.port, tls)
        except (OSError, TimeoutError):  # ssl's errors are OSErrors.
            return None
        if old := self._connections.get(endpoint):
            old.retire()
        self._connections[endpoint] = connection
        return connection


async def silences(
    endpoints: Sequence[Endpoint], tls: ssl.SSLContext | None, dial: Callable[[], socket.socket]
) -> dict[Endpoint, str]:
    """Return those of *endpoints* that do not answer, and why, for a person.

    A certificate that it does not take a server tells only after the handshake (RFC 8446, section 4.4.2.4),
    so something is asked.
    """
    reasons = await asyncio.gather(*(_why_silent(endpoint, tls, dial) for endpoint in endpoints))
    return {endpoint: reason for endpoint, reason in zip(endpoints, reasons, strict=True) if reason}


async def _why_silent(
    endpoint: Endpoint, tls: ssl.SSLContext | None, dial: Callable[[], socket.socket]
) -> str:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            context = tls if endpoint.scheme == "https" else None
            connection = await connect(dial, endpoint.host, endpoint.port, context)
            try:
                await connection.unary("Maintenance/Status", b"", needs_leader=True)
            finally:
                connection.close()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except ssl.SSLError as error:
        return error.reason or str(error)
    except TimeoutError:
        return "timed out"
    except OSError as error:
        return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    except CallError as error:
        return error.status.message
    return ""


def client_tls(ca: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext:
    """Return TLS as etcd wants it: HTTP/2 by ALPN. Without *ca* this host's authorities are trusted.

    Raises:
        OSError: a file cannot be read, or is none of its kind.
    """
    context = ssl.create_default_context(cafile=ca)
    if certificate:
        context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2"])
    return context


_NO_ENDPOINT = Text(
    es="{url} no es un endpoint de etcd: escríbelo como https://10.0.0.1:2379, varios separados por comas.",
    en="{url} is no endpoint of an etcd: write it as https://10.0.0.1:2379, several separated by commas.",
)
