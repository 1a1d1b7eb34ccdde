"""A command's streams on the channels of a WebSocket, and bytes through one.

Source: kubernetes, staging/src/k8s.io/kubelet/pkg/cri/streaming/remotecommand/websocket.go;
staging/src/k8s.io/apiserver/pkg/util/proxy/websocket.go (finish) and streamtunnel.go.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from aiohttp import WSMsgType

from kubelab.cluster.linux.background import background
from kubelab.cluster.streams import channels, remote_command, web
from kubelab.cluster.streams.channels import Subprotocol
from kubelab.cluster.streams.hang_up import hung_up, ping
from kubelab.cluster.streams.inbox import Inbox
from kubelab.cluster.streams.remote_command import OutputName, Status, StreamOptions
from kubelab.cluster.streams.until import done_before

MESSAGE_BYTES_MAX = 32 * 1024 * 1024  # As golang.org/x/net/websocket's.
# As upstream: the client closes when it has read everything, and may take its time for that.
FINISH_TIMEOUT_S = 15 * 60.0
_OUTPUTS = {"stdout": channels.STDOUT, "stderr": channels.STDERR}


def asked_subprotocols(request: web.BaseRequest) -> list[str]:
    lines = request.headers.getall("Sec-WebSocket-Protocol", [])
    return [name for line in lines for name in (word.strip() for word in line.split(",")) if name]


def is_websocket(request: web.BaseRequest) -> bool:
    upgrade = request.headers.get("Upgrade", "").lower() == "websocket"
    return upgrade and "upgrade" in request.headers.get("Connection", "").lower()


class ChannelSocket:
    """A WebSocket whose messages belong to channels."""

    def __init__(
        self, request: web.BaseRequest, response: web.WebSocketResponse, protocol: Subprotocol
    ) -> None:
        self.response = response
        self.protocol = protocol
        self._transport = request.transport

    async def lost(self) -> None:
        """Wait until the client is gone, even if nobody reads what it has sent."""
        async with background(ping(self.response.ping)):
            await hung_up(self._transport)

    async def send(self, channel: int, data: bytes) -> None:
        """Raises ConnectionError: the client is gone."""
        message = self.protocol.pack(channel, data)
        if isinstance(message, str):
            await self.response.send_str(message)
        else:
            await self.response.send_bytes(message)

    async def messages(self) -> AsyncIterator[tuple[int, bytes]]:
        """Follow what comes, until the client is gone."""
        async for message in self.response:
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                return
            if (part := self.protocol.unpack(message.data)) is not None:
                yield part


async def open_websocket(request: web.BaseRequest, subprotocol: str) -> web.WebSocketResponse:
    names: Sequence[str] = (subprotocol,) if subprotocol else ()
    socket = web.WebSocketResponse(
        timeout=FINISH_TIMEOUT_S, protocols=names, compress=False, max_msg_size=MESSAGE_BYTES_MAX
    )
    await socket.prepare(request)
    return socket


class WebSocketStreams:
    """See `CommandStreams`; made by `command_streams`."""

    def __init__(self, socket: ChannelSocket, options: StreamOptions) -> None:
        self._socket = socket
        self._stdin, self._sizes = Inbox(), Inbox()
        self._gone = asyncio.Event()
        self._receiving: asyncio.Task[None] | None = None
        if not options.stdin:
            self._stdin.discard()

    @property
    def stdin(self) -> Inbox:
        return self._stdin

    @property
    def sizes(self) -> Inbox:
        return self._sizes

    async def write(self, name: OutputName, data: bytes) -> None:
        await self._socket.send(_OUTPUTS[name], data)

    async def gone(self) -> None:
        await self._gone.wait()

    async def finish(self, status: Status) -> None:
        self._stdin.discard()
        self._sizes.discard()
        protocol = self._socket.protocol
        told = remote_command.encoded(status) if protocol.status else remote_command.plain(status)
        with suppress(ConnectionError):
            if told:
                await self._socket.send(channels.ERROR, told)
            await self._stop_receiving()
            await self._socket.response.close()

    async def _stop_receiving(self) -> None:
        """aiohttp waits for the client's farewell only if nobody else reads."""
        if self._receiving is not None:
            self._receiving.cancel()
            await asyncio.wait({self._receiving})

    async def receive(self) -> None:
        """Sort what comes; returns when the client is gone."""
        self._receiving = asyncio.current_task()
        try:
            await done_before(self._socket.lost(), self._sort())
        finally:
            self._stdin.end()
            self._sizes.end()
            self._gone.set()

    async def _sort(self) -> None:
        inboxes = {channels.STDIN: self._stdin, channels.RESIZE: self._sizes}
        async for channel, data in self._socket.messages():
            if channel == channels.CLOSE and self._socket.protocol.closes and data:
                if inbox := inboxes.get(data[0]):
                    inbox.end()
            elif inbox := inboxes.get(channel):
                await inbox.put(data)


@asynccontextmanager
async def command_streams(
    request: web.BaseRequest, protocol: Subprotocol, options: StreamOptions
) -> AsyncIterator[tuple[web.StreamResponse, WebSocketStreams]]:
    """Accept the WebSocket, and receive from it while the block runs."""
    response = await open_websocket(request, protocol.name)
    socket = ChannelSocket(request, response, protocol)
    streams = WebSocketStreams(socket, options)
    # So that the client knows that it is connected, though the command may say nothing for long.
    first = channels.STDOUT if options.stdout else channels.STDERR if options.stderr else channels.ERROR
    async with background(streams.receive()):
        await socket.send(first, b"")
        yield response, streams


class WebSocketBytes:
    """See `ByteChannel`: each message is a piece of what goes through (KEP-4006)."""

    def __init__(self, request: web.BaseRequest, response: web.WebSocketResponse) -> None:
        self._socket = response
        self._transport = request.transport

    async def read(self) -> bytes:
        while True:
            message = await self._socket.receive()
            if message.type is not WSMsgType.BINARY:
                return b""
            if message.data:
                return bytes(message.data)

    async def write(self, data: bytes) -> None:
        await self._socket.send_bytes(data)

    async def lost(self) -> None:
        await hung_up(self._transport)
