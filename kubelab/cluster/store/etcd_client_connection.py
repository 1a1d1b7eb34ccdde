"""A connection to one member of an etcd: many calls at once over one socket, with TLS or without.

Calls that begin in the same round of the loop leave in one write. A peer that is gone without a goodbye is
noticed: by the kernel where nothing is acknowledged any more (tcp(7), TCP_USER_TIMEOUT), by pings where the
process stands still. Pings come no more often than etcd allows (--grpc-keepalive-min-time, 5 s).
Left out: IPv6; proxies.
"""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable

from kubelab.cluster.linux.connecting import becoming_transport
from kubelab.cluster.store.etcd_client_http2 import Code, Http2, Http2Error, Status, Stream, header_block

PING_AFTER_S = 5.5
UNACKNOWLEDGED_S, PROBE_AFTER_S, PROBES = 3, 2, 2


class CallError(Exception):
    """A call ended with another status than OK."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.code.name, status.message)
        self.status = status


class Connection(asyncio.Protocol):
    """A method is `KV/Put`. A call that needs a leader is refused, and ended, by a member that knows none."""

    def __init__(self, scheme: str, authority: str) -> None:
        self._scheme = scheme
        self._authority = authority
        self._headers: dict[tuple[str, bool], bytes] = {}
        self._loop = asyncio.get_running_loop()
        self._http2 = Http2()
        self._transport: asyncio.Transport | None = None
        self._flushing = False
        self._heard = True
        self._pinged = False
        self._next_look = self._loop.call_later(PING_AFTER_S, self._look)
        self._is_retired = False

    @property
    def is_usable(self) -> bool:
        return not self._http2.is_closing

    async def unary(self, method: str, request: bytes, *, needs_leader: bool) -> bytes:
        """Return the one message that answers.

        Raises:
            CallError: the call failed.
        """
        call = _Unary(self._loop.create_future())
        stream = self._http2.open(call, self._headers_of(method, needs_leader))
        self._http2.send(stream, request, end=True)
        self._flush_soon()
        try:
            return await call.answer
        finally:
            if not call.has_ended:
                self._http2.cancel(stream)
                self._flush_soon()
            if self._is_retired:
                self.retire()

    def stream(self, method: str, *, needs_leader: bool) -> "StreamingCall":
        """Begin a call in which both sides may say several things. Close it."""
        call = StreamingCall(self)
        call.stream = self._http2.open(call, self._headers_of(method, needs_leader))
        self._flush_soon()
        return call

    def retire(self) -> None:
        """End it as soon as no call needs it any more."""
        self._is_retired = True
        if self._http2.is_idle:
            self.close()

    def close(self) -> None:
        self._next_look.cancel()
        if self._transport:
            self._transport.abort()
        self._http2.lose("the client hangs up")

    def send(self, stream: Stream, message: bytes, *, end: bool = False) -> None:
        self._http2.send(stream, message, end=end)
        self._flush_soon()

    def read(self, stream: Stream) -> None:
        self._http2.read(stream)
        self._flush_soon()

    def cancel(self, stream: Stream) -> None:
        self._http2.cancel(stream)
        self._flush_soon()
        if self._is_retired:
            self.retire()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._heard = True
        try:
            self._http2.receive(data)
        except Http2Error as error:
            self._lose(str(error))
            return
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._next_look.cancel()
        self._http2.lose(str(exc or "the server hung up"))

    def _headers_of(self, method: str, needs_leader: bool) -> bytes:
        known = self._headers.get((method, needs_leader))
        if known is None:
            metadata = {"hasleader": "true"} if needs_leader else {}
            known = header_block(self._scheme, self._authority, f"/etcdserverpb.{method}", metadata)
            self._headers[method, needs_leader] = known
        return known

    def _lose(self, reason: str) -> None:
        self._http2.lose(reason)
        self.close()

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._http2.out and self._transport and not self._transport.is_closing():
            self._transport.write(bytes(self._http2.out))
            self._http2.out.clear()

    def _look(self) -> None:
        """Ping a silent server; one that does not answer that either is gone."""
        if self._pinged and not self._heard:
            self._lose("the server does not answer")
            return
        self._pinged = not self._heard and not self._http2.is_idle
        if self._pinged:
            self._http2.ping()
            self._flush()
        self._heard = False
        self._next_look = self._loop.call_later(PING_AFTER_S, self._look)


class _Unary:
    __slots__ = ("_data", "answer", "has_ended")

    def __init__(self, answer: "asyncio.Future[bytes]") -> None:
        self.answer = answer
        self.has_ended = False
        self._data = b""

    def message(self, data: bytes) -> None:
        self._data = data

    def end(self, status: Status) -> None:
        self.has_ended = True
        if self.answer.done():  # Cancelled.
            return
        if status.code == Code.OK:
            self.answer.set_result(self._data)
        else:
            self.answer.set_exception(CallError(status))


class StreamingCall:
    def __init__(self, connection: Connection) -> None:
        self.stream: Stream | None = None
        self._connection = connection
        self._messages: deque[bytes] = deque()
        self._status: Status | None = None
        self._woken = asyncio.Event()

    def send(self, message: bytes, *, end: bool = False) -> None:
        assert self.stream is not None
        self._connection.send(self.stream, message, end=end)

    async def receive(self) -> bytes | None:
        """Return the next message, None after the last one.

        Raises:
            CallError: the call has failed.
        """
        while not self._messages:
            if self._status and self._status.code == Code.OK:
                return None
            if self._status:
                raise CallError(self._status)
            self._woken.clear()
            await self._woken.wait()
        assert self.stream is not None
        self._connection.read(self.stream)
        return self._messages.popleft()

    def close(self) -> None:
        if self._status is None and self.stream is not None:
            self._connection.cancel(self.stream)

    def message(self, data: bytes) -> None:
        self._messages.append(data)
        self._woken.set()

    def end(self, status: Status) -> None:
        self._status = status
        self._woken.set()


async def connect(
    dial: Callable[[], socket.socket], host: str, port: int, tls: ssl.SSLContext | None
) -> Connection:
    """Connect a socket that *dial* has opened.

    Raises:
        OSError: nobody answers there, or it is not whom *tls* trusts.
    """
    opened = dial()
    loop = asyncio.get_running_loop()
    try:
        _notice_silence(opened)
        await loop.sock_connect(opened, (host, port))
    except BaseException:
        opened.close()
        raise
    with becoming_transport(opened):
        _, connection = await loop.create_connection(
            lambda: Connection("https" if tls else "http", f"{host}:{port}"),
            sock=opened,
            ssl=tls,
            server_hostname=host if tls else None,
        )
    return connection


def _notice_silence(opened: socket.socket) -> None:
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PROBE_AFTER_S)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_S * 1000)
