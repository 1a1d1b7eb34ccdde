"""One client's connection: what needs none of aiohttp's request and response objects is answered without.

aiohttp makes a task of each request, and request and response objects, which is worth it where a body is
still to come, or the answer is a stream. To read an object from this server's own memory takes a fraction of
that; and a write whose body came with its head needs a task alone. So a request that comes when nothing else
is under way is shown to `Answers` first; whatever is not for there goes aiohttp's way.
Source: aiohttp, web_protocol.py: the queue of parsed messages, and the future by which a task waits for one.
"""

import asyncio
import sys
from asyncio import sslproto
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Protocol

from aiohttp import StreamReader
from aiohttp.http import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD

from kubelab.cluster.apiserver import plain_request
from kubelab.cluster.apiserver.plain_request import Reply
from kubelab.cluster.streams import web

# What each TLS connection keeps to read into, and asks OpenSSL for at once; asyncio has no argument for it.
# With its 256 KiB a thousand idle watches take 256 MiB; a record of TLS has 16 KiB.
sslproto.SSLProtocol.max_size = 32 * 1024


class Answers(Protocol):
    def answer(self, message: RawRequestMessage, transport: asyncio.Transport) -> bytes | None:
        """Return the whole answer to a GET without a body, head and all; None if it is not for here."""

    async def write(self, message: RawRequestMessage, body: bytes, transport: asyncio.Transport) -> bytes:
        """Carry out a write that `plain_request.is_plain`, and return the whole answer to it."""


class Connection(web.RequestHandler):
    __slots__ = ("_answers", "_writing")

    def __init__(self, server: web.Server, answers: Answers) -> None:
        super().__init__(server, loop=asyncio.get_running_loop())
        self._answers = answers
        self._writing: asyncio.Task[None] | None = None

    def data_received(self, data: bytes) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done() or (self._messages and self._writing is None):
            super().data_received(data)  # Requests are answered in their order.
            return
        self._waiter = None  # So that nobody is woken before the message was looked at here.
        super().data_received(data)
        self._waiter = waiter
        if self._writing is None:
            self._go_on()

    def _go_on(self) -> None:
        """See who is to answer the next request, if there is one."""
        waiter = self._waiter
        if self._messages and waiter is not None and not waiter.done() and not self._is_taken():
            waiter.set_result(None)

    def _is_taken(self) -> bool:
        """Answer at once or begin to, if there is but one message and it can be."""
        message, payload = self._messages[0]
        transport = self.transport
        if len(self._messages) > 1 or transport is None or self._paused:
            return False
        if not isinstance(message, RawRequestMessage) or message.should_close or message.upgrade:
            return False
        if plain_request.is_plain(message):
            return self._is_begun(message, payload, transport)
        if payload is not EMPTY_PAYLOAD:
            return False
        answer = self._answers.answer(message, transport)
        if answer is None:
            return False
        self._take()
        self._send(transport, answer)
        return True

    def _is_begun(
        self, message: RawRequestMessage, payload: StreamReader, transport: asyncio.Transport
    ) -> bool:
        """Begin to carry out a write, if all of it is there."""
        is_whole = payload.is_eof() and payload.exception() is None
        if not is_whole or payload.total_bytes > plain_request.BODY_BYTES_MAX:
            return False
        self._take()
        self._writing = self._loop.create_task(self._write(message, payload.read_nowait(), transport))
        return True

    def _take(self) -> None:
        self._messages.popleft()
        if self._parser is not None:
            self._parser.message_consumed()

    async def _write(self, message: RawRequestMessage, body: bytes, transport: asyncio.Transport) -> None:
        answer = None
        try:
            answer = await self._answers.write(message, body, transport)
        finally:
            self._writing = None
            if answer is None:
                self._fail(message, transport)
        self._send(transport, answer)
        self._go_on()

    def _fail(self, message: RawRequestMessage, transport: asyncio.Transport) -> None:
        """Say what aiohttp's `handle_error` does where the server is at fault, and end the connection."""
        error, task = sys.exception(), asyncio.current_task()
        if isinstance(error, asyncio.CancelledError):
            transport.abort()  # Whoever waits for it need not go on.
            return
        self.log_exception("Error handling request %s %s", message.method, message.path, exc_info=error)
        assert task is not None
        task.add_done_callback(asyncio.Task.exception)  # It has been told of.
        transport.write(_FAILED.encoded())
        transport.close()

    def _send(self, transport: asyncio.Transport, answer: bytes) -> None:
        transport.write(answer)
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._writing is not None:
            self._writing.cancel()
        super().connection_lost(exc)

    async def shutdown(self, timeout: float | None = 15.0) -> None:
        if (writing := self._writing) is not None:
            self._force_close = True  # No more is taken in.
            await asyncio.wait([writing], timeout=timeout)
            writing.cancel()
        await super().shutdown(timeout)


_FAILURE = HTTPStatus.INTERNAL_SERVER_ERROR
_FAILED = Reply(
    _FAILURE,
    f"{_FAILURE.value} {_FAILURE.phrase}\n\n{_FAILURE.description}".encode(),
    [("Content-Type", "text/plain; charset=utf-8"), ("Connection", "close")],
)


class Server(web.Server):
    """aiohttp's, whose connections show *answers* each request first."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        answers: Answers,
        request_factory: Callable[..., web.BaseRequest],
    ) -> None:
        super().__init__(handler, request_factory=request_factory, handler_cancellation=True)
        self._answers = answers

    def __call__(self) -> web.RequestHandler:
        return Connection(self, self._answers)
