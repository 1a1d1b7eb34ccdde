"""port-forward on a node: connections to 127.0.0.1 inside a pod's network, each with a client's two streams.

Source: kubernetes, staging/src/k8s.io/kubelet/pkg/cri/streaming/portforward (httpstream.go, websocket.go);
containerd, internal/cri/server/sandbox_portforward_linux.go, whose words the failures have.
Left out: IPv6 (`::1`), which upstream tries where nobody listens on 127.0.0.1.
"""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from kubelab.cluster.errors import ApiError, KernelError
from kubelab.cluster.linux.background import background
from kubelab.cluster.node.pod_network import connect_in
from kubelab.cluster.streams.hijack import ByteChannel
from kubelab.cluster.streams.inbox import Inbox
from kubelab.cluster.streams.spdy import first
from kubelab.cluster.streams.spdy_connection import SpdyConnection, SpdyStream, StreamRefused
from kubelab.cluster.streams.spdy_streams import STREAM_TYPE
from kubelab.cluster.streams.until import done_before
from kubelab.cluster.streams.websocket_streams import ChannelSocket

PROTOCOL = "portforward.k8s.io"
LOCALHOST = "127.0.0.1"
CHUNK_BYTES = 64 * 1024

Connect = Callable[[int], Coroutine[Any, Any, socket.socket]]
"""From a port to a connection with it, inside the pod. Raises PortForwardError."""


class PortForwardError(Exception):
    """There is no connection to be had; the sentence is upstream's."""


async def connect_in_pod(sandbox_pid: int, port: int) -> socket.socket:
    """Return a connection to the port on the pod's loopback.

    Raises:
        PortForwardError: nobody listens there, or the pod has ended.
    """
    where = f"/proc/{sandbox_pid}/ns/net"
    told = f'failed to execute portforward in network namespace "{where}"'
    try:
        return await connect_in(sandbox_pid, LOCALHOST, port)
    except KernelError as error:
        raise PortForwardError(f"{told}: {error}") from None
    except OSError as error:
        why = os.strerror(error.errno or 0).lower()
        failure = f"dial tcp4 {LOCALHOST}:{port}: connect: {why}"
        raise PortForwardError(
            f'{told}: failed to connect to localhost:{port} inside namespace "{where}", IPv4: {failure} '
        ) from None


class Remote(Protocol):
    """The client's end of one forwarded connection."""

    @property
    def inbox(self) -> Inbox: ...

    async def write(self, data: bytes) -> None: ...


async def forward(sock: socket.socket, remote: Remote) -> None:
    """Copy both ways until the pod's side has said all; the client may end its own before."""
    loop = asyncio.get_running_loop()

    async def send() -> None:
        with contextlib.suppress(OSError):
            while data := await remote.inbox.get():
                await loop.sock_sendall(sock, data)
            sock.shutdown(socket.SHUT_WR)

    try:
        async with background(send()):
            with contextlib.suppress(OSError):
                while data := await loop.sock_recv(sock, CHUNK_BYTES):
                    await remote.write(data)
    finally:
        remote.inbox.discard()


def refusal(port: int, pod: str, failure: PortForwardError) -> str:
    return f"error forwarding port {port} to pod {pod}, uid : {failure}"


# SPDY: two streams for each connection, joined by a request id.


def port_of(stream: SpdyStream) -> int:
    """Raises StreamRefused: it names no port, or is of no known type."""
    port = first(stream.headers, "port")
    if first(stream.headers, STREAM_TYPE) not in ("error", "data"):
        raise StreamRefused
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise StreamRefused
    return int(port)


def request_id(stream: SpdyStream) -> str:
    """Return what the two streams of a connection have in common; old clients only open them in turn."""
    is_data = first(stream.headers, STREAM_TYPE) == "data"
    return first(stream.headers, "requestid") or str(stream.id - 2 * is_data)


class SpdyForwarding:
    def __init__(self, connect: Connect, pod: str, group: asyncio.TaskGroup) -> None:
        self._connect = connect
        self._pod = pod
        self._group = group
        self._waiting: dict[str, SpdyStream] = {}

    def take(self, stream: SpdyStream) -> None:
        """Begin when both streams of a connection are there; raises StreamRefused."""
        port, id_ = port_of(stream), request_id(stream)
        other = self._waiting.get(id_)
        if other is None:
            self._waiting[id_] = stream
            return
        kinds = {first(each.headers, STREAM_TYPE): each for each in (other, stream)}
        if len(kinds) < 2:
            raise StreamRefused
        del self._waiting[id_]
        self._group.create_task(self._serve(port, kinds["data"], kinds["error"]))

    async def _serve(self, port: int, data: SpdyStream, error: SpdyStream) -> None:
        with contextlib.suppress(ConnectionError):
            try:
                with await self._connect(port) as sock:
                    await done_before(data.reset.wait(), forward(sock, data))
            except PortForwardError as failure:
                await error.write(refusal(port, self._pod, failure).encode())
            await data.close()
            await error.close()


async def serve_spdy(channel: ByteChannel, connect: Connect, pod: str) -> None:
    """Forward connections as the client asks for them, until it is gone; then all of them end."""
    async with asyncio.TaskGroup() as group:
        forwarding = SpdyForwarding(connect, pod, group)
        await SpdyConnection(channel, forwarding.take).run()


# Channels: two for each port that the query names, and one connection for each.


def ports_of(values: Sequence[str]) -> list[int]:
    """Read the query's ports.

    Raises:
        ApiError: there is none, or one is none.
    """
    words = [word for value in values for word in value.split(",")]
    if not words:
        raise ApiError(400, "BadRequest", 'query parameter "port" is required')
    return [_port(word) for word in words]


def _port(word: str) -> int:
    if not (word.isascii() and word.isdecimal() and int(word) < 65536):
        message = f'unable to parse "{word}" as a port: strconv.ParseUint: parsing "{word}": '
        why = "value out of range" if word.isascii() and word.isdecimal() else "invalid syntax"
        raise ApiError(400, "BadRequest", message + why)
    if int(word) == 0:
        raise ApiError(400, "BadRequest", f'port "{word}" must be > 0')
    return int(word)


class _Channel:
    """See `Remote`; the next number is that of its errors."""

    def __init__(self, socket: ChannelSocket, number: int, port: int) -> None:
        self.inbox = Inbox()
        self.port = port
        self._socket = socket
        self._number = number

    async def begin(self) -> None:
        """Both channels begin with the port."""
        for number in (self._number, self._number + 1):
            await self._socket.send(number, struct.pack("<H", self.port))

    async def write(self, data: bytes) -> None:
        await self._socket.send(self._number, data)

    async def fail(self, message: str) -> None:
        await self._socket.send(self._number + 1, message.encode())


async def serve_channels(socket: ChannelSocket, ports: Sequence[int], connect: Connect, pod: str) -> None:
    """Connect each port once, and copy until all connections have ended, or the client is gone."""
    remotes = [_Channel(socket, 2 * number, port) for number, port in enumerate(ports)]
    for remote in remotes:
        await remote.begin()
    gone = done_before(socket.lost(), _receive(socket, remotes))
    await done_before(gone, _serve_all(remotes, connect, pod))


async def _receive(socket: ChannelSocket, remotes: Sequence[_Channel]) -> None:
    async for channel, data in socket.messages():
        if channel % 2 == 0 and channel // 2 < len(remotes):
            await remotes[channel // 2].inbox.put(data)


async def _serve_all(remotes: Sequence[_Channel], connect: Connect, pod: str) -> None:
    async with asyncio.TaskGroup() as group:
        for remote in remotes:
            group.create_task(_serve(remote, connect, pod))


async def _serve(remote: _Channel, connect: Connect, pod: str) -> None:
    with contextlib.suppress(ConnectionError):
        try:
            with await connect(remote.port) as sock:
                await forward(sock, remote)
        except PortForwardError as failure:
            await remote.fail(refusal(remote.port, pod, failure))
