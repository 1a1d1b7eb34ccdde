"""A GET of one object, answered in the callback that brings it: a head, the stored bytes, a record.

Nothing here waits. Whoever shows no certificate, acts as somebody else, may not, asks with options or for
another form, or for what is not there, and whatever this server's member of the store cannot answer by itself
right now, is for `server`, which does and says everything.
"""

import asyncio
import time
import uuid
from datetime import datetime
from email.utils import formatdate
from types import MappingProxyType
from typing import Final

from aiohttp.http import SERVER_SOFTWARE, HttpVersion11, RawRequestMessage

from kubelab.cluster.apiserver import routes
from kubelab.cluster.apiserver.authentication.authenticator import certified
from kubelab.cluster.apiserver.authorization.requests import attributes_of
from kubelab.cluster.apiserver.caller import MASTERS, User
from kubelab.cluster.apiserver.inflight import InFlight
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.apiserver.request_log import RequestLog, RequestRecord
from kubelab.cluster.apiserver.routes import Route

_ACCEPTED = frozenset({"", "*/*", "application/json", "application/json, */*", "application/json,*/*"})
_NO_QUERY: Final = MappingProxyType[str, str]({})
_IMPERSONATES = b"impersonate-"
_HEAD = (
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-cache, private\r\n"
    f"Content-Length: %d\r\nDate: %s\r\nServer: {SERVER_SOFTWARE}\r\n\r\n"
)


class AtOnce:
    """See `connection.Answers`. Answers of *large_bytes* and more are left to who may compress them."""

    def __init__(
        self, registry: Registry, in_flight: InFlight, requests: RequestLog, large_bytes: int
    ) -> None:
        self._registry = registry
        self._in_flight = in_flight
        self._requests = requests
        self._large_bytes = large_bytes
        self._date = (0, "")

    def answer(self, message: RawRequestMessage, transport: asyncio.Transport) -> bytes | None:
        if not _is_plain(message) or (user := _user(transport)) is None:
            return None
        began_s, received = time.perf_counter(), self._registry.clock.now()
        path = message.path
        route = routes.parse(self._registry.kinds, "GET", path, _NO_QUERY)
        if route is None or not _is_of_one_object(route) or not self._may(user, path, route):
            return None
        version = self._registry.get_now(route.kind, route.namespace, route.name)
        if version is None or len(version.value) >= self._large_bytes:
            return None
        body = version.json
        self._tell(message, transport, user, route, len(body) + 1, received, began_s)
        return b"%b%b\n" % (self._head(len(body) + 1), body)

    def _may(self, user: User, path: str, route: Route) -> bool:
        if MASTERS not in user.groups and self._in_flight.is_full(writes=False):
            return False
        attributes = attributes_of(user, "GET", path, _NO_QUERY, route)
        return self._registry.access.authorizer.authorize(attributes).allowed

    def _head(self, length: int) -> bytes:
        now = int(time.time())
        if now != self._date[0]:
            self._date = (now, formatdate(now, usegmt=True))
        return (_HEAD % (length, self._date[1])).encode()

    def _tell(
        self,
        message: RawRequestMessage,
        transport: asyncio.Transport,
        user: User,
        route: Route,
        length: int,
        received: datetime,
        began_s: float,
    ) -> None:
        resource, headers = route.kind.resource, message.headers
        peer = transport.get_extra_info("peername")
        self._requests.add(
            RequestRecord(
                id=headers.get("Audit-ID") or str(uuid.uuid4()),
                stage="ResponseComplete",
                received=received,
                duration_s=time.perf_counter() - began_s,
                verb="get",
                uri=message.path,
                group=resource.group,
                version=resource.version,
                resource=resource.plural,
                subresource="",
                namespace=route.namespace,
                name=route.name,
                user=user.name,
                groups=user.groups,
                impersonated="",
                user_agent=headers.get("User-Agent", ""),
                source=str(peer[0]) if isinstance(peer, tuple) else "",
                code=200,
                bytes_sent=length,
                revision=self._registry.store.revision,
            )
        )


def _is_plain(message: RawRequestMessage) -> bool:
    """Whether *message* is a GET of a path and nothing else, for JSON, by whoever has the connection."""
    path, headers = message.path, message.headers
    return (
        message.method == "GET"
        and message.version == HttpVersion11
        and path.startswith("/api")
        and not ("?" in path or "%" in path or "#" in path)
        and headers.get("Accept", "") in _ACCEPTED
        and not any(name[:12].lower() == _IMPERSONATES for name, _ in message.raw_headers)
    )


def _user(transport: asyncio.Transport) -> User | None:
    """Return whom the client's certificate stands for; TLS has looked at it when the connection began."""
    tls = transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert(binary_form=True) if tls else None
    return certified(certificate) if certificate else None


def _is_of_one_object(route: Route) -> bool:
    kind = route.kind
    is_told_of = kind.deprecation or kind.custom or kind.review
    return route.verb == "get" and not route.subresource and not is_told_of
