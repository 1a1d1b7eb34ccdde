"""exec, attach and port-forward: the client's connection is joined with one to the kubelet of the pod's node.

The kubelet speaks the protocols (see `kubelab.cluster.streams` and the kubelet's `streaming`): WebSocket with
channels, SPDY/3.1, SPDY through a WebSocket. The server asks it for the same upgrade over TLS with its own
client certificate, and from then on only passes bytes on, as upstream's proxy for SPDY does, and the one for
WebSockets where kubelets take them (KEP-4006, ExtendWebSocketsToKubelet). No older kubelet is part of a lab.
Source: kubernetes, pkg/registry/core/pod/strategy.go (streamLocation, validateContainer) and
rest/subresources.go; staging/src/k8s.io/apimachinery/pkg/util/proxy/upgradeaware.go.
Left out: admission of CONNECT (no plug-in of ours looks at it).
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
from urllib.parse import urlencode

from aiohttp import web
from multidict import MultiMapping

from kubelab.cluster.apiserver import refusals
from kubelab.cluster.apiserver.logs import CONNECT_TIMEOUT_S, KUBELET_PORT, Dial, address_of
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.apiserver.routes import Route
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import NODES, PODS, Object
from kubelab.cluster.streams.hijack import Finished, HijackedConnection
from kubelab.cluster.streams.until import done_before

SUBRESOURCES = ("attach", "exec", "portforward")
_ASKED = ("stdin", "stdout", "stderr", "tty")
# The kubelet has other names for them.
_PASSED = dict(zip(_ASKED, ("input", "output", "error", "tty"), strict=True))
_FORWARDED_HEADERS = (
    "Upgrade",
    "Connection",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
    "X-Stream-Protocol-Version",
)
_RETURNED_HEADERS = ("Content-Type", "X-Accepted-Stream-Protocol-Versions")
CHUNK_BYTES = 64 * 1024
HEAD_BYTES_MAX = 64 * 1024
CLOSE_TIMEOUT_S = 0.3


@dataclass(frozen=True, slots=True)
class StreamLocation:
    """Where the kubelet serves it."""

    address: str
    path: str


async def locate(registry: Registry, route: Route, query: MultiMapping[str]) -> StreamLocation:
    """Return where the stream is that the request asks for.

    Raises:
        ApiError: there is no such pod or container, or it is on no node yet.
    """
    pod = (await registry.get(registry.kinds[PODS], route.namespace, route.name)).object
    place = f"{route.namespace}/{route.name}"
    if route.subresource == "portforward":
        parameters = [("port", ",".join(ports))] if (ports := query.getall("ports", [])) else []
        path = f"/portForward/{place}"
    else:
        parameters = stream_parameters(query)
        path = f"/{route.subresource}/{place}/{container_of(pod, query.get('container', ''))}"
    if not (node_name := pod["spec"].get("nodeName")):
        raise refusals.bad_request(f"pod {route.name} does not have a host assigned")
    node = (await registry.get(registry.kinds[NODES], "", node_name)).object
    return StreamLocation(address_of(node), f"{path}?{urlencode(parameters)}")


def stream_parameters(query: MultiMapping[str]) -> list[tuple[str, str]]:
    """Return PodExecOptions or PodAttachOptions in the kubelet's words."""
    flags = [(_PASSED[name], "1") for name in _ASKED if _is_set(query, name)]
    return flags + [("command", word) for word in query.getall("command", [])]


def _is_set(query: Mapping[str, str], name: str) -> bool:
    """Source: apimachinery, pkg/runtime/conversion.go (Convert_Slice_string_To_bool)."""
    return name in query and query[name].lower() not in ("false", "0")


def container_of(pod: Object, asked: str) -> str:
    """Return the container that is meant; without a name that of the pod's only one."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    kinds = ("initContainers", "containers", "ephemeralContainers")
    names = [each["name"] for kind in kinds for each in spec.get(kind) or ()]
    if asked:
        if asked not in names:
            raise refusals.bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    if len(spec["containers"]) == 1:
        return str(spec["containers"][0]["name"])
    message = f"a container name must be specified for pod {name}, choose one of: [{' '.join(names)}]"
    raise refusals.bad_request(message)


class StreamProxy:
    """The server's streams to kubelets; *dial* opens the sockets, without it they are opened here."""

    def __init__(self, tls: SSLContext, dial: Dial | None) -> None:
        self._tls = tls
        self._dial: Dial = dial or socket.socket

    async def answer(
        self,
        request: web.BaseRequest,
        location: StreamLocation,
        limit: AbstractAsyncContextManager[None],
        began: Callable[[int], None],
    ) -> web.StreamResponse:
        """Call *began* when the two connections are joined, until one of them ends or *limit* does.

        Raises:
            ApiError: it is no request for an upgrade, or the kubelet cannot be reached.
        """
        if "upgrade" not in request.headers.get("Connection", "").lower():
            raise refusals.bad_request("Upgrade request required")
        async with self._connected(location.address) as kubelet:
            await kubelet.write(_request_head(request, location))
            head = await _head(kubelet.reader)
            status, headers = _parsed(head)
            if status != 101:
                return await _handed_on(kubelet.reader, status, headers)
            client = HijackedConnection(request)
            began(status)
            async with limit:
                await _joined(client, kubelet, head)
        return Finished()

    @asynccontextmanager
    async def _connected(self, address: str) -> AsyncIterator["_KubeletConnection"]:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                sock = await self._dialled(address)
                reader, writer = await asyncio.open_connection(
                    sock=sock, ssl=self._tls, server_hostname=address, limit=HEAD_BYTES_MAX
                )
        except TimeoutError:
            raise _undialled(address, "i/o timeout") from None
        except SSLError as error:
            raise refusals.unreachable(f"error dialing backend: tls: {error.reason}") from error
        except OSError as error:
            why = os.strerror(error.errno or 0).lower()
            raise _undialled(address, f"connect: {why}") from error
        connection = _KubeletConnection(reader, writer)
        try:
            yield connection
        finally:
            await connection.close()

    async def _dialled(self, address: str) -> socket.socket:
        sock = self._dial(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, (address, KUBELET_PORT))
        except BaseException:
            sock.close()
            raise
        return sock


def _undialled(address: str, why: str) -> ApiError:
    return refusals.unreachable(f"error dialing backend: dial tcp {address}:{KUBELET_PORT}: {why}")


async def _joined(client: HijackedConnection, kubelet: "_KubeletConnection", head: bytes) -> None:
    """Pass bytes on until either is gone. A client that goes is a stream's usual end: aiohttp's way to tell
    of it, a cancellation, ends here."""
    try:
        with contextlib.suppress(ConnectionError):
            await client.write(head)
            copying = done_before(_copy(client, kubelet), _copy(kubelet, client))
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


class _KubeletConnection:
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


def _request_head(request: web.BaseRequest, location: StreamLocation) -> bytes:
    headers = request.headers
    lines = [f"{request.method} {location.path} HTTP/1.1", f"Host: {location.address}:{KUBELET_PORT}"]
    lines += [f"{name}: {value}" for name in _FORWARDED_HEADERS for value in headers.getall(name, [])]
    lines += ["Content-Length: 0"] if request.method == "POST" else []
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        raise refusals.unreachable("error dialing backend: the kubelet has hung up") from None


def _parsed(head: bytes) -> tuple[int, Mapping[str, str]]:
    """Return status and headers of an answer of our own kubelet's."""
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in lines if line)
    return int(first.split()[1]), {name.title(): value.strip() for name, _, value in fields}


async def _handed_on(
    reader: asyncio.StreamReader, status: int, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Return the kubelet's refusal as it is."""
    length = min(int(headers.get("Content-Length", 0)), HEAD_BYTES_MAX)
    try:
        body = await reader.readexactly(length)
    except asyncio.IncompleteReadError as partial:
        body = partial.partial
    kept = {name: headers[name.title()] for name in _RETURNED_HEADERS if name.title() in headers}
    return web.Response(status=status, body=body, headers=kept)


def must_also_create(request: web.BaseRequest) -> bool:
    """Tell whether the user must be allowed to create the stream, although a WebSocket begins with a GET.

    Source: kubernetes 1.35, the feature AuthorizePodWebsocketUpgradeCreatePermission.
    """
    return request.method == "GET" and request.headers.get("Upgrade", "").lower() == "websocket"
