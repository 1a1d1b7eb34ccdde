"""One client's connection: what can be answered at once is, in the callback that brings the question.

aiohttp makes a task of each request, and request and response objects, which is worth it where something is
waited for. To read an object from this server's own memory takes a fraction of that. So a request that comes
when nothing else is under way is shown to `Answers` first; whatever that has no answer to goes aiohttp's way.
Source: aiohttp, web_protocol.py: the queue of parsed messages, and the future by which a task waits for one.
"""

import asyncio
from asyncio import sslproto
from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD

# What each TLS connection keeps to read into, and asks OpenSSL for at once; asyncio has no argument for it.
# With its 256 KiB a thousand idle watches take 256 MiB; a record of TLS has 16 KiB.
sslproto.SSLProtocol.max_size = 32 * 1024


class Answers(Protocol):
    def answer(self, message: RawRequestMessage, transport: asyncio.Transport) -> bytes | None:
        """Return the whole answer to a GET without a body, head and all; None if it is not for here."""


class Connection(web.RequestHandler):
    __slots__ = ("_answers",)

    def __init__(self, server: web.Server, answers: Answers) -> None:
        super().__init__(server, loop=asyncio.get_running_loop())
        self._answers = answers

    def data_received(self, data: bytes) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done() or self._messages:
            super().data_received(data)  # Requests are answered in their order.
            return
        self._waiter = None  # So that nobody is woken before the message was looked at here.
        super().data_received(data)
        self._waiter = waiter
        if self._messages and not self._is_answered() and not waiter.done():
            waiter.set_result(None)

    def _is_answered(self) -> bool:
        """Answer at once, if there is but one message and it can be."""
        message, payload = self._messages[0]
        transport = self.transport
        if len(self._messages) > 1 or payload is not EMPTY_PAYLOAD or transport is None or self._paused:
            return False
        if not isinstance(message, RawRequestMessage) or message.should_close or message.upgrade:
            return False
        answer = self._answers.answer(message, transport)
        if answer is None:
            return False
        self._messages.popleft()
        if self._parser is not None:
            self._parser.message_consumed()
        transport.write(answer)
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        return True


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
