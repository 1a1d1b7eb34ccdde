"""A command's streams as streams of SPDY, each named by its `streamtype` header.

Source: kubernetes, staging/src/k8s.io/kubelet/pkg/cri/streaming/remotecommand/httpstream.go; apimachinery,
pkg/util/httpstream (Handshake).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from kubelab.cluster.linux.background import background
from kubelab.cluster.streams import remote_command, web
from kubelab.cluster.streams.hijack import HijackedConnection, switching_protocols
from kubelab.cluster.streams.inbox import Inbox
from kubelab.cluster.streams.remote_command import OutputName, Status, StreamOptions
from kubelab.cluster.streams.spdy import first
from kubelab.cluster.streams.spdy_connection import SpdyConnection, SpdyStream, StreamRefused

PROTOCOL_HEADER = "X-Stream-Protocol-Version"
ACCEPTED_HEADER = "X-Accepted-Stream-Protocol-Versions"
STREAM_TYPE = "streamtype"
UPGRADE = "SPDY/3.1"
CREATION_TIMEOUT_S = 30.0
FAREWELL_TIMEOUT_S = 60.0
COMMAND_PROTOCOLS = (
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "v3.channel.k8s.io",
    "v2.channel.k8s.io",
    "channel.k8s.io",
)
_WITH_STATUS = COMMAND_PROTOCOLS[:2]
_WITH_RESIZE = COMMAND_PROTOCOLS[:3]


def asked_protocols(request: web.BaseRequest) -> list[str]:
    lines = request.headers.getall(PROTOCOL_HEADER, [])
    return [name for line in lines for name in (word.strip() for word in line.split(",")) if name]


def is_spdy(request: web.BaseRequest) -> bool:
    upgrade = UPGRADE.lower() in request.headers.get("Upgrade", "").lower()
    return upgrade and "upgrade" in request.headers.get("Connection", "").lower()


def chosen(asked: Sequence[str], offered: Sequence[str]) -> str | None:
    return next((name for name in asked if name in offered), None)


def refusal(asked: Sequence[str], offered: Sequence[str]) -> web.Response:
    text = (
        "unable to upgrade: unable to negotiate protocol: "
        f"client supports [{' '.join(asked)}], server accepts [{' '.join(offered)}]"
    )
    response = web.Response(status=403, text=f"{text}\n")
    for name in offered:
        response.headers.add(ACCEPTED_HEADER, name)
    return response


async def hijack(request: web.BaseRequest, protocol: str) -> HijackedConnection:
    """Answer 101 and go on in SPDY."""
    connection = HijackedConnection(request)
    headers = {"Connection": "Upgrade", "Upgrade": UPGRADE, PROTOCOL_HEADER: protocol}
    await connection.write(switching_protocols(headers))
    return connection


class SpdyCommandStreams:
    """See `CommandStreams`; made by `command_streams`. A stream that the client has not asked for leads
    nowhere."""

    def __init__(self, protocol: str) -> None:
        self._protocol = protocol
        self._streams: dict[str, SpdyStream] = {}
        self._opened = asyncio.Event()
        self._gone = asyncio.Event()
        self._nothing = Inbox()
        self._nothing.discard()

    @property
    def stdin(self) -> Inbox:
        return self._inbox("stdin")

    @property
    def sizes(self) -> Inbox:
        return self._inbox("resize")

    def _inbox(self, name: str) -> Inbox:
        return self._streams[name].inbox if name in self._streams else self._nothing

    async def write(self, name: OutputName, data: bytes) -> None:
        if name in self._streams:
            await self._streams[name].write(data)

    async def gone(self) -> None:
        await self._gone.wait()

    async def finish(self, status: Status) -> None:
        """The client goes when it has read the ends of the streams."""
        told = remote_command.encoded if self._protocol in _WITH_STATUS else remote_command.plain
        self.stdin.discard()
        self.sizes.discard()
        with suppress(ConnectionError, TimeoutError):
            if text := told(status):
                await self._streams["error"].write(text)
            for stream in self._streams.values():
                await stream.close()
            async with asyncio.timeout(FAREWELL_TIMEOUT_S):
                await self._gone.wait()

    def take(self, stream: SpdyStream) -> None:
        """Raises StreamRefused: there is one of that type, or none such is known."""
        name = first(stream.headers, STREAM_TYPE)
        if name in self._streams or name not in ("error", "stdin", "stdout", "stderr", "resize"):
            raise StreamRefused
        self._streams[name] = stream
        self._opened.set()

    async def all_opened(self, options: StreamOptions) -> bool:
        """Wait for the streams that the client must open; return whether it has."""
        names = {"error"}
        names |= {name for name in ("stdin", "stdout", "stderr") if getattr(options, name)}
        if options.tty and self._protocol in _WITH_RESIZE:
            names.add("resize")
        try:
            async with asyncio.timeout(CREATION_TIMEOUT_S):
                while not names <= self._streams.keys() and not self._gone.is_set():
                    self._opened.clear()
                    await self._opened.wait()
        except TimeoutError:
            return False
        return not self._gone.is_set()

    async def serve(self, connection: SpdyConnection) -> None:
        try:
            await connection.run()
        finally:
            self._gone.set()
            self._opened.set()


@asynccontextmanager
async def command_streams(
    request: web.BaseRequest, protocol: str, options: StreamOptions
) -> AsyncIterator[SpdyCommandStreams | None]:
    """Take the connection over, and yield the streams when the client has opened them; None if it does
    not."""
    channel = await hijack(request, protocol)
    streams = SpdyCommandStreams(protocol)
    connection = SpdyConnection(channel, streams.take)
    async with background(streams.serve(connection)):
        yield streams if await streams.all_opened(options) else None
