"""gRPC over one HTTP/2 stream: messages with a length before them, a time limit, a status at the end.

`unary` and `streaming` make a `Method` of a handler that reads and returns protobuf messages. A handler ends
its call with a StatusError, or with a StoreError, which `errors.status` puts into etcd's words; whatever else
it raises is a bug and ends the server.
Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md; etcd,
server/etcdserver/api/v3rpc/grpc.go (the limits).
Left out: compression, which no client has to use (an answer names none), and metadata of our own.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from google.protobuf.message import DecodeError, Message

from kubelab.cluster.store.rpc import errors
from kubelab.cluster.store.rpc.http2 import Stream, StreamClosedError
from kubelab.cluster.store.rpc.status import Code, StatusError, timeout_s, trailers
from kubelab.cluster.store.service import StoreError

REQUEST_BYTES_MAX = 1536 * 1024  # etcd: --max-request-bytes.
MESSAGE_BYTES_MAX = REQUEST_BYTES_MAX + 512 * 1024  # With what gRPC and the fields' own numbers add to it.

_HEADERS = (
    (":status", "200"),
    ("content-type", "application/grpc"),
    ("grpc-accept-encoding", "identity"),
)
_PREFIX = struct.Struct(">?I")

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)
RequestIn = TypeVar("RequestIn", bound=Message, covariant=True)
ResponseOut = TypeVar("ResponseOut", bound=Message, contravariant=True)


class RawCall:
    """One call, message by message, still as bytes."""

    def __init__(self, stream: Stream) -> None:
        self.path = stream.headers.get(":path", "")
        self.metadata = stream.headers
        self._stream = stream
        self._has_headers = False

    async def receive(self) -> bytes | None:
        """Return the next message; None after the last. Raises StatusError: it is none, or too large."""
        prefix = await self._stream.read(_PREFIX.size)
        if not prefix:
            return None
        if len(prefix) < _PREFIX.size:
            raise StatusError(Code.INTERNAL, "unexpected EOF")
        is_compressed, size = _PREFIX.unpack(prefix)
        if is_compressed:
            raise StatusError(Code.UNIMPLEMENTED, "grpc: Decompressor is not installed for grpc-encoding")
        if size > MESSAGE_BYTES_MAX:
            sizes = f"({size} vs. {MESSAGE_BYTES_MAX})"
            raise StatusError(Code.RESOURCE_EXHAUSTED, f"grpc: received message larger than max {sizes}")
        message = await self._stream.read(size)
        if len(message) < size:
            raise StatusError(Code.INTERNAL, "unexpected EOF")
        return message

    async def send(self, message: bytes) -> None:
        """Raises StreamClosedError."""
        if not self._has_headers:
            self._has_headers = True
            self._stream.send_headers(_HEADERS)
        await self._stream.write(_PREFIX.pack(False, len(message)) + message)

    def end(self, code: Code, message: str = "") -> None:
        status = trailers(code, message)
        self._stream.end(status if self._has_headers else [*_HEADERS, *status])


@dataclass(frozen=True, slots=True)
class Method:
    """What answers the calls of one path."""

    run: Callable[[RawCall], Awaitable[None]]
    is_stream: bool = False


class Call(Protocol[RequestIn, ResponseOut]):
    """A streaming call as its handler sees it: it iterates over the requests, and sends answers, in one task
    at a time."""

    def __aiter__(self) -> AsyncIterator[RequestIn]: ...

    async def send(self, response: ResponseOut) -> None: ...


class _Call(Generic[Request, Response]):
    def __init__(self, raw: RawCall, request_type: type[Request]) -> None:
        self._raw = raw
        self._request_type = request_type

    async def __aiter__(self) -> AsyncIterator[Request]:
        while (data := await self._raw.receive()) is not None:
            yield _decode(self._request_type, data)

    async def send(self, response: Response) -> None:
        await self._raw.send(response.SerializeToString())


def unary(request_type: type[Request], handle: Callable[[Request], Awaitable[Response]]) -> Method:
    async def run(call: RawCall) -> None:
        data = await call.receive()
        if data is None:
            raise StatusError(Code.INTERNAL, "EOF")
        response = await handle(_decode(request_type, data))
        await call.send(response.SerializeToString())

    return Method(run)


def streaming(
    request_type: type[Request], handle: Callable[[Call[Request, Response]], Awaitable[None]]
) -> Method:
    async def run(call: RawCall) -> None:
        await handle(_Call(call, request_type))

    return Method(run, is_stream=True)


async def answer(call: RawCall, run: Callable[[RawCall], Awaitable[None]]) -> None:
    """Let *run* answer *call* within its time limit, and tell the client how it ended."""
    try:
        limit = call.metadata.get("grpc-timeout")
        async with asyncio.timeout(timeout_s(limit) if limit else None):
            await run(call)
    except StatusError as error:
        call.end(error.code, error.message)
    except StoreError as error:
        call.end(*errors.status(error))
    except TimeoutError:
        call.end(Code.DEADLINE_EXCEEDED, "context deadline exceeded")
    except StreamClosedError:
        return
    else:
        call.end(Code.OK)


def _decode(request_type: type[Request], data: bytes) -> Request:
    try:
        return request_type.FromString(data)
    except DecodeError as error:
        raise StatusError(Code.INTERNAL, f"grpc: error unmarshalling request: {error}") from error
