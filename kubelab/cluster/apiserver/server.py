"""The API server: HTTPS in front of the registry.

aiohttp's low-level `web.Server` carries it (10k GETs a second with one client where it was measured, against
4k to 9k for the ASGI servers): it shows the client's certificate and leaves routing, which here is the
table of kinds, to us. HTTP/1.1 only; kubectl and every client library speak it.
Source: https://kubernetes.io/docs/reference/using-api/.
Left out: RBAC and tokens (see `users`), gzip, audit, metrics, a bound on requests in flight, streams to
containers (exec, attach, port-forward), server-side apply (415), the definitions of OpenAPI v2.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from ssl import SSLContext

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage

from kubelab.cluster.apiserver import (
    discovery,
    logs,
    openapi,
    openapi_v2,
    queries,
    refusals,
    routes,
    schema,
    users,
)
from kubelab.cluster.apiserver.caller import Caller
from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.apiserver.logs import Dial, Kubelets
from kubelab.cluster.apiserver.negotiation import JSON
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.apiserver.resources import Request, Resources
from kubelab.cluster.apiserver.versions import encode
from kubelab.cluster.apiserver.watching import Deadlines, Watch
from kubelab.cluster.errors import ApiError

BODY_BYTES_MAX = 3 * 1024 * 1024  # As upstream's limit for a request.
SHUTDOWN_TIMEOUT_S = 0.2  # aiohttp waits that long for an idle connection, and for a request to be done.
_STREAMS = ("attach", "exec", "portforward")
_HEALTH = frozenset({"/healthz", "/livez", "/readyz"})
_YEAR_S = 31536000
_MANAGER_CHARACTERS_MAX = 128


@dataclass(frozen=True, slots=True)
class Security:
    """`tls` for clients, `kubelet_tls` for the server's own calls to kubelets; see `pki`."""

    tls: SSLContext
    kubelet_tls: SSLContext


@asynccontextmanager
async def serve(
    registry: Registry, security: Security, sockets: Sequence[socket.socket], *, dial: Dial | None = None
) -> AsyncIterator[None]:
    """Serve *registry* on *sockets* (bound, in whichever network namespace) while the block runs.

    On leaving, watches and followed logs end at once and in order, and the sockets are closed. *dial* opens
    the sockets to kubelets; without it they are opened here.
    """
    async with AsyncExitStack() as stack:
        kubelets = await stack.enter_async_context(logs.connect(security.kubelet_tls, dial))
        group = await stack.enter_async_context(asyncio.TaskGroup())
        group.create_task(asyncio.to_thread(schema.bundled))  # The first write need not wait for it.
        deadlines = Deadlines()
        handler = _Handler(registry, kubelets, deadlines)
        server = web.Server(handler.handle, request_factory=_request, handler_cancellation=True)
        loop = asyncio.get_running_loop()
        listeners = [await loop.create_server(server, sock=each, ssl=security.tls) for each in sockets]
        try:
            yield
        finally:
            for listener in listeners:
                listener.close()
            deadlines.close()
            await server.shutdown(SHUTDOWN_TIMEOUT_S)


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=BODY_BYTES_MAX)


class _Handler:
    def __init__(self, registry: Registry, kubelets: Kubelets, deadlines: Deadlines) -> None:
        self._registry = registry
        self._resources = Resources(registry)
        self._kubelets = kubelets
        self._deadlines = deadlines

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._dispatch(request)
        except ApiError as error:
            return _json(encode(error.status()), error.code)
        except web.HTTPRequestEntityTooLarge:
            refusal = refusals.too_large_body(BODY_BYTES_MAX)
            return _json(encode(refusal.status()), refusal.code)

    async def _dispatch(self, request: web.BaseRequest) -> web.StreamResponse:
        user = users.from_certificate(request.get_extra_info("peercert"))
        if user is None:
            raise refusals.unauthorized()
        route = routes.parse(self._registry.kinds, request.method, request.path, request.query)
        if route is None:
            return await self._not_a_resource(request)
        users.authorize(user, route)
        caller = Caller(user, _field_manager(request))
        if route.verb == "watch":
            return await self._watch(request, route, caller)
        if route.subresource == "log":
            return await self._log(request, route)
        answer = await self._resources.answer(await _read(request, route, caller))
        return _json(answer.body, answer.status, answer.warnings)

    async def _not_a_resource(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer for what every user may read: health, version, discovery, schemas."""
        path = request.path.rstrip("/")
        if (last := path.rpartition("/")[2]) in _STREAMS and "/pods/" in path:
            raise refusals.no_such_stream(last)
        if request.method not in {"GET", "HEAD"}:
            raise refusals.no_such_path()
        if path in _HEALTH:
            return web.Response(text="ok")
        if path == "/version":
            return _json(encode(discovery.version()))
        if path == "/openapi/v2":
            media_type, body = openapi_v2.document(request.headers.get("Accept", ""))
            return web.Response(body=body, content_type=media_type)
        if path == "/openapi/v3":
            return _json(encode(await asyncio.to_thread(openapi.index, self._registry.kinds.all)))
        if path.startswith("/openapi/v3/"):
            return await _openapi(self._registry.kinds.all, path.removeprefix("/openapi/v3/"))
        kinds = self._registry.kinds.all
        aggregated = discovery.wants_aggregated(request.headers.get("Accept", ""))
        document = discovery.answer(kinds, path, aggregated=aggregated)
        if document is None:
            raise refusals.no_such_path()
        is_list = aggregated and document["kind"] == "APIGroupDiscoveryList"
        return _json(encode(document), content_type=discovery.AGGREGATED if is_list else JSON)

    async def _watch(
        self, request: web.BaseRequest, route: routes.Route, caller: Caller
    ) -> web.StreamResponse:
        options = queries.watch_options(request.query)
        view = self._resources.view(await _read(request, route, caller))
        stream = web.StreamResponse(headers={"Content-Type": JSON, "Cache-Control": "no-cache, private"})
        await stream.prepare(request)
        watch = Watch(self._registry, view, route.namespace, options, stream.write)
        async with self._deadlines.until(options.timeout_s):
            await watch.run()
        return stream

    async def _log(self, request: web.BaseRequest, route: routes.Route) -> web.StreamResponse:
        location = await logs.locate(self._registry, route.namespace, route.name, request.query)
        if location is None:
            return web.Response(text="")
        async with self._kubelets.log(location) as chunks:
            stream = web.StreamResponse(headers={"Content-Type": "text/plain"})
            await stream.prepare(request)
            async with self._deadlines.until(_YEAR_S):
                async for chunk in chunks:
                    await stream.write(chunk)
        return stream


async def _read(request: web.BaseRequest, route: routes.Route, caller: Caller) -> Request:
    headers = request.headers
    return Request(
        route,
        request.query,
        caller,
        headers.get("Accept", ""),
        headers.get("Content-Type", ""),
        await request.read() if request.can_read_body else b"",
    )


def _field_manager(request: web.BaseRequest) -> str:
    """Return the name that the client gives itself: `kubectl` of `kubectl/v1.37.0 (linux/amd64)`."""
    agent = request.headers.get("User-Agent", "").partition("/")[0][:_MANAGER_CHARACTERS_MAX]
    return request.query.get("fieldManager") or agent


async def _openapi(kinds: tuple[Kind, ...], group_version: str) -> web.StreamResponse:
    document = await asyncio.to_thread(openapi.document, kinds, group_version)
    if document is None:
        raise refusals.no_such_path()
    response = _json(document)
    response.headers["Cache-Control"] = f"public, immutable, max-age={_YEAR_S}"  # The path has its hash.
    response.headers["Vary"] = "Accept"
    return response


def _json(
    body: bytes, status: int = 200, warnings: Sequence[str] = (), *, content_type: str = JSON
) -> web.Response:
    headers = [("Content-Type", content_type), ("Cache-Control", "no-cache, private")]
    headers += [("Warning", f'299 - "{_quoted(warning)}"') for warning in warnings]
    return web.Response(body=body + b"\n", status=status, headers=headers)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
