"""A write whose body came with its head, and the answer to it, without aiohttp's objects for the two.

aiohttp's request reads on while it is answered, and its response may be a stream. A write needs neither, and
nearly all of them have come whole when they are seen. What is decided and said is the same: `server` takes
such a request where it takes one of aiohttp's, and says its answers as a `Reply` to both.
Source: aiohttp, web_request.py and web_response.py, whose heads have these fields in this order.
"""

import re
import time
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

import msgspec
from aiohttp.http import SERVER_SOFTWARE, HttpVersion11, RawRequestMessage

from kubelab.cluster.streams import web

BODY_BYTES_MAX = 64 * 1024  # Longer ones hardly ever come at once.
_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_STREAMED = re.compile("/(?:attach|exec|log|portforward|proxy)")
_AS_IT_IS = re.compile("/apis?/[A-Za-z0-9._~/-]+")
_NO_QUERY: Final = MappingProxyType[str, str]({})


class PlainRequest:
    """The part of `web.BaseRequest` that writes are judged by."""

    __slots__ = ("_peer", "_transport", "body", "headers", "message", "method", "path", "path_qs", "query")

    def __init__(self, message: RawRequestMessage, body: bytes, transport: Any) -> None:
        self.message = message
        self.body = body
        self.headers = message.headers
        self.method = message.method
        self._transport = transport
        self._peer = transport.get_extra_info("peername")  # A TLS connection that has ended cannot be asked.
        self.query: Mapping[str, str] = _NO_QUERY
        if _AS_IT_IS.fullmatch(message.path):
            self.path = self.path_qs = message.path
        else:
            url = message.url
            self.path, self.path_qs, self.query = url.path, str(url), url.query

    @property
    def raw_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        return self.message.raw_headers

    @property
    def remote(self) -> str:
        return str(self._peer[0]) if isinstance(self._peer, tuple) else ""

    def get_extra_info(self, name: str) -> Any:
        return self._transport.get_extra_info(name)


def is_plain(message: RawRequestMessage) -> bool:
    """Whether *message* is the head of a write that a `PlainRequest` can stand for, whatever its body is."""
    path = message.path
    return (
        message.method in _WRITES
        and message.version == HttpVersion11
        and not (message.should_close or message.upgrade or message.compression)
        and path.startswith(("/api/", "/apis/"))
        and not _STREAMED.search(path)
        and "%" not in path.partition("?")[0]  # Or it may be one of those in disguise.
        and "Expect" not in message.headers
    )


class Reply(msgspec.Struct, frozen=True):
    """An answer that is no stream."""

    status: int
    body: bytes
    headers: list[tuple[str, str]] = []

    def response(self) -> web.Response:
        """Return it for aiohttp to send."""
        return web.Response(body=self.body, status=self.status, headers=self.headers)

    def encoded(self) -> bytes:
        """Return it as HTTP/1.1 has it, to be followed by others."""
        fields = "".join([f"{name}: {value}\r\n" for name, value in self.headers])
        head = (
            f"HTTP/1.1 {_status_line(self.status)}\r\n{fields}Content-Length: {len(self.body)}\r\n{dated()}"
        )
        return head.encode() + self.body


_PHRASES = {each.value: each.phrase for each in HTTPStatus}
_dated = (0, "")


def dated() -> str:
    """Return the fields that end each head: when, and by what."""
    global _dated
    now = int(time.time())
    if now != _dated[0]:
        _dated = (now, f"Date: {formatdate(now, usegmt=True)}\r\nServer: {SERVER_SOFTWARE}\r\n\r\n")
    return _dated[1]


def _status_line(status: int) -> str:
    return f"{status} {_PHRASES.get(status, '')}"
