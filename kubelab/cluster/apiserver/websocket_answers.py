"""Answers that come bit by bit, a watch's events or a log, as the messages of a WebSocket: browsers ask so.

A message is one event, or a piece of the log, which is preceded by an empty message. The stream's end closes
the WebSocket, and what the client says is not listened to, but for its end.
Source: kubernetes, staging/src/k8s.io/apiserver/pkg/endpoints/handlers/{watch.go (HandleWS),
responsewriters/writers.go (StreamObject)}; apimachinery, pkg/util/httpstream/wsstream/stream.go.
"""

import base64
from collections.abc import Callable, Coroutine
from typing import Any

from kubelab.cluster.apiserver import refusals
from kubelab.cluster.apiserver.negotiation import JSON
from kubelab.cluster.apiserver.watching import Write
from kubelab.cluster.streams import web
from kubelab.cluster.streams.hang_up import hung_up
from kubelab.cluster.streams.until import done_before
from kubelab.cluster.streams.websocket_streams import asked_subprotocols, open_websocket

BINARY, BASE64 = "binary.k8s.io", "base64.binary.k8s.io"


async def tell_events(
    request: web.BaseRequest, media_type: str, follow: Callable[[Write], Coroutine[Any, Any, None]]
) -> web.StreamResponse:
    """Send what *follow* writes, whole events of *media_type*, until it ends or the client has gone."""
    socket = await open_websocket(request, "")

    async def write(events: bytes) -> None:
        if media_type != JSON:
            await socket.send_bytes(events)
            return
        for event in events.splitlines():
            await socket.send_str(event.decode())

    return await _told(request, socket, follow(write))


async def tell_log(
    request: web.BaseRequest, follow: Callable[[Write], Coroutine[Any, Any, None]]
) -> web.StreamResponse:
    """Send what *follow* writes until it ends or the client has gone.

    Raises:
        ApiError: the client speaks none of the two protocols.
    """
    socket = await open_websocket(request, protocol := _protocol(request))

    async def write(chunk: bytes) -> None:
        if protocol == BASE64:
            await socket.send_str(base64.b64encode(chunk).decode())
        else:
            await socket.send_bytes(chunk)

    async def tell() -> None:
        await write(b"")
        await follow(write)

    return await _told(request, socket, tell())


def _protocol(request: web.BaseRequest) -> str:
    asked = asked_subprotocols(request)
    known = next((name for name in asked if name in (BINARY, BASE64)), "")
    if asked and not known:
        raise refusals.bad_request(f"unable to upgrade: none of {', '.join(asked)} is spoken here")
    return known


async def _told(
    request: web.BaseRequest, socket: web.WebSocketResponse, telling: Coroutine[Any, Any, None]
) -> web.StreamResponse:
    if await done_before(_gone(request, socket), telling):
        await done_before(hung_up(request.transport), socket.close())
    return socket


async def _gone(request: web.BaseRequest, socket: web.WebSocketResponse) -> None:
    """Wait for the client's goodbye, or until it has gone without."""

    async def listen() -> None:
        async for _ in socket:
            pass

    await done_before(hung_up(request.transport), listen())
