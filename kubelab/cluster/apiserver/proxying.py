"""The `proxy` subresources: requests for a pod, a service's endpoints or a node, by way of this server.

A name may say more: `[scheme:]name[:port]`. What is behind is asked from the server's machine; a node's
kubelet over TLS with the server's own certificate, others by HTTPS without a look at theirs, as upstream.
Source: kubernetes, pkg/registry/core/{pod,node}/strategy.go, service/storage/storage.go (ResourceLocation),
staging/src/k8s.io/apimachinery/pkg/util/proxy/{transport,upgradeaware}.go.
Left out: the rewriting of links in HTML.
"""

import os
import random
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from ssl import SSLContext
from urllib.parse import urlsplit

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from kubelab.cluster.apiserver import refusals, upgrading
from kubelab.cluster.apiserver.logs import CONNECT_TIMEOUT_S, KUBELET_PORT, Dial, address_of
from kubelab.cluster.apiserver.registry import ListOptions, Registry
from kubelab.cluster.apiserver.routes import Route
from kubelab.cluster.client.response import Response
from kubelab.cluster.client.sent_once import sent_once
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import ENDPOINTSLICES, NODES, PODS, SERVICES, Object
from kubelab.cluster.streams import web

_SCHEMES = ("http", "https")
_OF_ONE_HOP = (
    "Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
)
_FOR_THE_SERVER = ("Authorization", "Host", "Accept-Encoding", "Content-Length")
_READS = frozenset({"GET", "HEAD"})
CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """What a name of a path means; without a port whichever is the usual one."""

    scheme: str
    name: str
    port: str


@dataclass(frozen=True, slots=True)
class Location:
    """`verified`: whoever answers must have a certificate of the cluster's."""

    scheme: str
    address: str
    port: int
    verified: bool = False

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.authority}"

    @property
    def authority(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def target(text: str) -> Target:
    """Read `[scheme:]name[:port]`; raises ApiError 400.

    Source: apimachinery, pkg/util/net/port_split.go (SplitSchemeNamePort).
    """
    parts = text.split(":")
    scheme, name, port = {1: ["", *parts, ""], 2: ["", *parts], 3: parts}.get(len(parts), ["", "", ""])
    if not name or scheme not in ("", *_SCHEMES):
        raise refusals.bad_request(f'invalid request "{text}"')
    return Target(scheme, name, port)


async def locate(registry: Registry, route: Route) -> Location:
    """Return where to ask for what *route* names.

    Raises:
        ApiError: there is none, it has no such port, or nothing that is ready.
    """
    wanted = target(route.name)
    resource = route.kind.resource
    if resource == NODES:
        node = (await registry.get(registry.kinds[NODES], "", wanted.name)).object
        return of_node(node, wanted)
    if resource == PODS:
        pod = (await registry.get(registry.kinds[PODS], route.namespace, wanted.name)).object
        return of_pod(pod, wanted)
    service = (await registry.get(registry.kinds[SERVICES], route.namespace, wanted.name)).object
    of_service = ListOptions(label_selector=f"kubernetes.io/service-name={wanted.name}")
    slices = await registry.list(registry.kinds[ENDPOINTSLICES], route.namespace, of_service)
    found = endpoints(service, [version.object for version in slices.versions], wanted)
    if not found:
        raise ApiError(503, "ServiceUnavailable", f'no endpoints available for service "{route.name}"')
    return random.choice(found)  # noqa: S311 - which one answers is no secret


def of_node(node: Object, wanted: Target) -> Location:
    port = _number(wanted.port) if wanted.port else KUBELET_PORT
    if port == KUBELET_PORT:
        return Location("https", address_of(node), port, verified=True)
    return Location(wanted.scheme or "http", _allowed(address_of(node)), port)


def of_pod(pod: Object, wanted: Target) -> Location:
    """Return the pod's address, and its first port that is declared unless one is named."""
    address = (pod.get("status") or {}).get("podIP", "")
    declared = (each["containerPort"] for each in _ports(pod))
    port = _number(wanted.port) if wanted.port else next(declared, 0)
    scheme = wanted.scheme or "http"
    return Location(scheme, _allowed(address), port or {"http": 80, "https": 443}[scheme])


def _ports(pod: Object) -> Sequence[Object]:
    return [port for each in pod["spec"]["containers"] for port in each.get("ports") or ()]


def _allowed(address: str) -> str:
    """Refuse what is no address of a pod: this server's own loopback, say."""
    parsed = ip_address(address) if address else None
    if parsed is None or parsed.is_loopback or parsed.is_link_local or parsed.is_multicast:
        raise refusals.bad_request("address not allowed")
    return address


def endpoints(service: Object, slices: Sequence[Object], wanted: Target) -> list[Location]:
    """Return the ready endpoints behind the port that is named, by its name or its number.

    Raises:
        ApiError: the service has no such port.
    """
    name = _port_name(service, wanted)
    return [
        Location(wanted.scheme or "http", _allowed(endpoint["addresses"][0]), port["port"])
        for each in slices
        for port in each.get("ports") or ()
        if (port.get("name") or "") == name
        for endpoint in each.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready", True)
    ]


def _port_name(service: Object, wanted: Target) -> str:
    ports = service["spec"].get("ports") or ()
    if not wanted.port.isdecimal():
        return wanted.port
    for port in ports:
        if port["port"] == int(wanted.port):
            return str(port.get("name") or "")
    name = service["metadata"]["name"]
    raise ApiError(503, "ServiceUnavailable", f'no service port {wanted.port} found for service "{name}"')


def _number(port: str) -> int:
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise refusals.bad_request(f"invalid port {port!r}")
    return int(port)


class Proxy:
    """The server's own requests to what it stands before."""

    def __init__(self, session: aiohttp.ClientSession, tls: SSLContext, dial: Dial | None) -> None:
        self._session = session
        self._tls = tls
        self._dial = dial

    async def upgrade(
        self,
        request: web.BaseRequest,
        route: Route,
        location: Location,
        limit: AbstractAsyncContextManager[None],
        began: Callable[[int], None],
    ) -> web.StreamResponse:
        """Join the client with what is behind, in the protocol that both agree on: a WebSocket, SPDY.

        Raises:
            ApiError: nobody answers.
        """
        _, path = split(request.rel_url.raw_path, namespaced=bool(route.namespace))
        tls = {"http": None, "https": self._tls if location.verified else _anyones()}[location.scheme]
        backend = upgrading.Backend(location.address, location.port, tls)
        head = _upgrade_head(request, location, _with_query(path or "/", request))
        return await upgrading.passed_on(request, backend, head, self._dial, limit, began)

    async def answer(self, request: web.BaseRequest, route: Route, location: Location) -> web.StreamResponse:
        """Hand on *request* and what is answered, as it comes; raises ApiError 503 if nobody does."""
        prefix, path = split(request.rel_url.raw_path, namespaced=bool(route.namespace))
        if not path and request.method in _READS:
            return web.Response(status=301, headers={"Location": _with_query(f"{prefix}/", request)})
        url = URL(location.origin + _with_query(path or "/", request), encoded=True)
        asking = self._session.request(
            request.method,
            url,
            headers=_headers(request),
            data=request.content if request.can_read_body else None,
            ssl=self._tls if location.verified else False,
            allow_redirects=False,
        )
        try:
            async with asking as response:
                return await _handed_on(request, response, prefix)
        except aiohttp.ClientConnectorError as error:
            why = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else str(error)
            dialled = f"dial tcp {location.address}:{location.port}: connect: {why}"
            raise _unreached(dialled) from error
        except (aiohttp.ServerDisconnectedError, TimeoutError) as error:
            raise _unreached("EOF" if isinstance(error, aiohttp.ClientError) else "i/o timeout") from error


@asynccontextmanager
async def connect(tls: SSLContext, dial: Dial | None) -> AsyncIterator[Proxy]:
    """*dial* opens the sockets, in the network of the server's machine; without it they are opened here."""

    def opened(info: tuple[object, ...]) -> socket.socket:
        family, kind = info[:2]
        assert isinstance(family, int)
        assert isinstance(kind, int)
        return (dial or socket.socket)(family, kind)

    connector = aiohttp.TCPConnector(socket_factory=opened, force_close=True)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        auto_decompress=False,
        skip_auto_headers=("User-Agent",),
        middlewares=(sent_once,),
        response_class=Response,
    ) as session:
        yield Proxy(session, tls, dial)


def split(path: str, *, namespaced: bool) -> tuple[str, str]:
    """Return *path* up to its `proxy`, and what follows: "" or a path of its own."""
    depth = 8 if namespaced else 6
    parts = path.split("/", depth)
    return "/".join(parts[:depth]), f"/{parts[depth]}" if len(parts) > depth else ""


def _with_query(path: str, request: web.BaseRequest) -> str:
    query = request.rel_url.raw_query_string
    return f"{path}?{query}" if query else path


def _headers(request: web.BaseRequest) -> CIMultiDict[str]:
    """Return what the client tells whoever is behind; its credentials are for this server alone."""
    dropped = {name.lower() for name in (*_OF_ONE_HOP, *_FOR_THE_SERVER)}
    kept = CIMultiDict(
        (name, value)
        for name, value in request.headers.items()
        if name.lower() not in dropped and not name.lower().startswith("impersonate-")
    )
    kept["X-Forwarded-Uri"] = request.rel_url.raw_path
    kept["X-Forwarded-Host"] = request.headers.get("Host", "")
    kept["X-Forwarded-Proto"] = "https"
    kept.setdefault("Accept-Encoding", request.headers.get("Accept-Encoding", "identity"))
    return kept


def _anyones() -> SSLContext:
    """Return TLS without a look at who answers, as upstream has it for pods and services."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _upgrade_head(request: web.BaseRequest, location: Location, path: str) -> bytes:
    kept = _headers(request)
    asked = {name: request.headers.get(name, "") for name in ("Connection", "Upgrade")}
    lines = [f"{request.method} {path} HTTP/1.1", f"Host: {location.authority}"]
    lines += [f"{name}: {value}" for name, value in (*asked.items(), *kept.items()) if value]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1", "replace")


async def _handed_on(
    request: web.BaseRequest, response: aiohttp.ClientResponse, prefix: str
) -> web.StreamResponse:
    dropped = {name.lower() for name in _OF_ONE_HOP}
    headers = CIMultiDict(
        (name, value) for name, value in response.headers.items() if name.lower() not in dropped
    )
    if moved := headers.get("Location"):
        headers["Location"] = _moved(moved, response.url, prefix)
    answer = web.StreamResponse(status=response.status, reason=response.reason, headers=headers)
    await answer.prepare(request)
    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
        await answer.write(chunk)
    await answer.write_eof()
    return answer


def _moved(location: str, asked: URL, prefix: str) -> str:
    """Return a redirection within what is asked as one through this server; others are as they were."""
    parts = urlsplit(location)
    if parts.netloc and parts.netloc != asked.authority:
        return location
    path = parts.path if parts.path.startswith("/") else f"/{parts.path}"
    return parts._replace(scheme="", netloc="", path=prefix + path).geturl()


def _unreached(why: str) -> ApiError:
    return ApiError(503, "ServiceUnavailable", f"error trying to reach service: {why}")
