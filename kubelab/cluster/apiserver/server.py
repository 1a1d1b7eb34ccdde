"""The API server: HTTPS in front of the registry.

aiohttp's low-level `web.Server` carries it (10k GETs a second with one client where it was measured, against
4k to 9k for the ASGI servers): it shows the client's certificate and leaves routing, which here is the
table of kinds, to us. HTTP/1.1 only; kubectl and every client library speak it.
Source: https://kubernetes.io/docs/reference/using-api/.
Left out: webhooks, and API servers behind this one (aggregation).
"""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from ssl import SSLContext

from aiohttp import StreamReader
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage

from kubelab.cluster.apiserver import (
    applying,
    columns,
    discovery,
    documents,
    logs,
    metrics,
    metrics_api,
    negotiation,
    proxying,
    queries,
    refusals,
    routes,
    schema,
    transcoding,
    upgrading,
    websocket_answers,
)
from kubelab.cluster.apiserver.at_once import AtOnce
from kubelab.cluster.apiserver.audit import audited
from kubelab.cluster.apiserver.authentication import impersonation, openid
from kubelab.cluster.apiserver.authorization.following import following
from kubelab.cluster.apiserver.authorization.requests import attributes_of
from kubelab.cluster.apiserver.caller import MASTERS, Caller, User
from kubelab.cluster.apiserver.connection import Server
from kubelab.cluster.apiserver.crd import establishing
from kubelab.cluster.apiserver.documents import Document
from kubelab.cluster.apiserver.exchange import Exchange
from kubelab.cluster.apiserver.forms import Listed
from kubelab.cluster.apiserver.health import Check, Health
from kubelab.cluster.apiserver.inflight import InFlight
from kubelab.cluster.apiserver.logs import Dial, Kubelets
from kubelab.cluster.apiserver.metrics import Metrics
from kubelab.cluster.apiserver.metrics_api import MetricsApi
from kubelab.cluster.apiserver.negotiation import JSON
from kubelab.cluster.apiserver.plain_request import PlainRequest, Reply
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.apiserver.request_log import RequestLog
from kubelab.cluster.apiserver.resources import Answer, Request, Resources
from kubelab.cluster.apiserver.streams import SUBRESOURCES as STREAMS
from kubelab.cluster.apiserver.streams import StreamProxy, locate, must_also_create
from kubelab.cluster.apiserver.versions import encode
from kubelab.cluster.apiserver.watching import Deadlines, Watch, Write
from kubelab.cluster.errors import ApiError
from kubelab.cluster.linux.background import background
from kubelab.cluster.linux.listening import Listening, taking_in
from kubelab.cluster.streams import web
from kubelab.cluster.streams.websocket_streams import is_websocket

BODY_BYTES_MAX = 3 * 1024 * 1024  # As upstream's limit for a request.
SHUTDOWN_TIMEOUT_S = 0.2  # aiohttp waits that long for an idle connection, and for a request to be done.
_PLAIN = [("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff")]
_METRICS = [("Content-Type", metrics.CONTENT_TYPE)]
_IMPERSONATE = b"impersonate-"
GZIP_FROM_BYTES = 128 * 1024  # As upstream: below that the wire is quicker than the compressor.
_GZIP_LEVEL = 1
_LINE_END = b"\n"
_YEAR_S = 31536000
_STORE_ANSWERS_S = 2

Asked = web.BaseRequest | PlainRequest


@dataclass(frozen=True, slots=True)
class Security:
    """`tls` for clients, `kubelet_tls` for the server's own calls to kubelets; see `pki`."""

    tls: SSLContext
    kubelet_tls: SSLContext


@asynccontextmanager
async def serve(
    registry: Registry,
    security: Security,
    sockets: Sequence[socket.socket],
    *,
    dial: Dial | None = None,
    requests: RequestLog | None = None,
    audit_log: Path | None = None,
    measures: bool = False,
    in_flight: InFlight | None = None,
) -> AsyncIterator[None]:
    """Serve *registry* on *sockets* (bound, in whichever network namespace) while the block runs.

    The sockets are taken over. On leaving, watches and followed logs end at once and in order, and all
    connections with them. *dial* opens the sockets to kubelets; without it they are opened here. Each request
    is told to *requests*, and written to the file *audit_log*. When it *measures* what nodes and pods use, it
    serves `metrics.k8s.io`. *in_flight* has other than upstream's numbers of places for requests.
    """
    requests = requests or RequestLog()
    async with AsyncExitStack() as stack:
        listening = [stack.enter_context(Listening(each)) for each in sockets]
        for each in listening:
            stack.callback(each.hang_up)
        kubelets = await stack.enter_async_context(logs.connect(security.kubelet_tls, dial))
        if audit_log:
            await stack.enter_async_context(audited(requests, audit_log))
        group = await stack.enter_async_context(asyncio.TaskGroup())
        group.create_task(asyncio.to_thread(_read_ahead, registry))
        await stack.enter_async_context(following(registry, registry.access.authorizer))
        await stack.enter_async_context(establishing.following(registry))
        deadlines = Deadlines()
        streams = StreamProxy(security.kubelet_tls, dial)
        proxy = await stack.enter_async_context(proxying.connect(security.kubelet_tls, dial))
        measured = MetricsApi(registry, kubelets) if measures else None
        if measured:
            await stack.enter_async_context(background(measured.run()))
        places = in_flight or InFlight()
        handler = _Handler(registry, kubelets, streams, proxy, measured, deadlines, requests, places)
        stack.enter_context(requests.listening(handler.metrics.note))
        server = Server(handler.handle, handler, _request)
        try:
            async with taking_in(server, listening, security.tls):
                try:
                    yield
                finally:
                    deadlines.close()
        finally:
            await server.shutdown(SHUTDOWN_TIMEOUT_S)


def _read_ahead(registry: Registry) -> None:
    """Read what the first write and the first table would wait for."""
    schema.bundled()
    columns.read_descriptions(chain.from_iterable(kind.columns for kind in registry.kinds.all))


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
    """From a request's head to the end of its answer: who asks, whether it may be, what came of it."""

    def __init__(
        self,
        registry: Registry,
        kubelets: Kubelets,
        streams: StreamProxy,
        proxy: proxying.Proxy,
        measured: MetricsApi | None,
        deadlines: Deadlines,
        requests: RequestLog,
        in_flight: InFlight,
    ) -> None:
        self._registry = registry
        self._resources = Resources(registry)
        self._kubelets = kubelets
        self._streams = streams
        self._proxy = proxy
        self._measured = measured
        self._deadlines = deadlines
        self._requests = requests
        self._in_flight = in_flight
        self.metrics = Metrics(self._in_flight, registry.counts)
        self._at_once = AtOnce(registry, self._in_flight, requests, GZIP_FROM_BYTES)
        self._health = Health(_checks(registry, deadlines))

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = await self._answer(request)
        return answer.response() if isinstance(answer, Reply) else answer

    def answer(self, message: RawRequestMessage, transport: asyncio.Transport) -> bytes | None:
        """See `connection.Answers`."""
        return self._at_once.answer(message, transport)

    async def write(self, message: RawRequestMessage, body: bytes, transport: asyncio.Transport) -> bytes:
        """See `connection.Answers`."""
        answer = await self._answer(PlainRequest(message, body, transport))
        assert isinstance(answer, Reply), "a write is answered by a stream"
        return answer.encoded()

    async def _answer(self, request: Asked) -> Reply | web.StreamResponse:
        exchange = Exchange(
            request, self._registry.clock.now(), self._registry.store.revision, self._requests
        )
        try:
            answer = await self._answered(request, exchange)
        except asyncio.CancelledError:
            exchange.ended(499)  # nginx' word for a client that went away.
            raise
        exchange.ended(answer.status, _body_bytes(answer))
        return answer

    async def _answered(self, request: Asked, exchange: Exchange) -> Reply | web.StreamResponse:
        try:
            return await self._dispatch(request, exchange)
        except ApiError as error:
            exchange.reason = error.reason
            return _refused(request, error)
        except web.HTTPRequestEntityTooLarge:
            return _refused(request, refusals.too_large_body(BODY_BYTES_MAX))

    async def _dispatch(self, request: Asked, exchange: Exchange) -> Reply | web.StreamResponse:
        access = self._registry.access
        user = exchange.user = await _user(request, self._registry)
        if wanted := impersonation.wanted(_impersonating(request)):
            check = access.authorizer.check
            exchange.impersonator = user
            user = exchange.user = impersonation.impersonated(user, wanted, check)
        method, path, query = request.method, request.path, request.query
        route = exchange.route = routes.parse(self._registry.kinds, method, path, query)
        access.authorizer.check(attributes_of(user, method, path, query, route))
        if route is None:
            with self._in_flight.place(writes=False, exempt=MASTERS in user.groups):
                return await self._not_a_resource(request)
        caller = Caller(user, _field_manager(request))
        if route.is_long_running(query):
            assert isinstance(request, web.BaseRequest)
            with self._in_flight.long():
                return await self._stream(request, route, caller, exchange)
        with self._in_flight.place(writes=route.writes, exempt=MASTERS in user.groups):
            return await self._within_time(request, route, caller)

    async def _stream(
        self, request: web.BaseRequest, route: routes.Route, caller: Caller, exchange: Exchange
    ) -> web.StreamResponse:
        if route.verb == "watch":
            return await self._watch(request, route, caller, exchange)
        if route.subresource in STREAMS:
            return await self._connect(request, route, caller, exchange)
        if route.subresource == routes.PROXY:
            location = await proxying.locate(self._registry, route)
            if upgrading.wants_upgrade(request):
                limit = self._deadlines.until(_YEAR_S)
                return await self._proxy.upgrade(request, route, location, limit, exchange.began)
            return await self._proxy.answer(request, route, location)
        return await self._log(request, route)

    async def _connect(
        self, request: web.BaseRequest, route: routes.Route, caller: Caller, exchange: Exchange
    ) -> web.StreamResponse:
        if must_also_create(request):
            create = replace(route, verb="create")
            attributes = attributes_of(caller.user, "POST", request.path, request.query, create)
            self._registry.access.authorizer.check(attributes)
        location = await locate(self._registry, route, request.query)
        limit = self._deadlines.until(_YEAR_S)
        return await self._streams.answer(request, location, limit, exchange.began)

    async def _within_time(
        self, request: Asked, route: routes.Route, caller: Caller
    ) -> Reply | web.StreamResponse:
        try:
            async with asyncio.timeout(queries.timeout_s(request.query)):
                if route.subresource == "log":
                    assert isinstance(request, web.BaseRequest)
                    return await self._log(request, route)
                answer = await self._resources.answer(await _read(request, route, caller))
                if answer.listed is None or not _comes_in_pieces(request, answer.listed):
                    return await _compressed(request, _reply(answer))
        except TimeoutError:
            raise refusals.timeout() from None
        assert isinstance(request, web.BaseRequest)
        return await _in_pieces(request, answer, answer.listed)

    async def _not_a_resource(self, request: Asked) -> Reply:
        """Answer for what is no object: health, version, metrics, discovery, schemas."""
        path = request.path.rstrip("/")
        if isinstance(request, PlainRequest) or request.method not in {"GET", "HEAD"}:
            raise refusals.no_such_path()
        query = request.query
        queries.timeout_s(query)  # Upstream refuses a wrong one everywhere, though nothing here takes long.
        verdict = await self._health.answer(path, query.getall("exclude", ()), verbose="verbose" in query)
        if verdict is not None:
            return Reply(verdict.status, verdict.text.encode(), _PLAIN)
        if path == "/metrics":
            return Reply(200, await self.metrics.text(), _METRICS)
        if path == "/version":
            return _json(encode(discovery.version()))
        if path == openid.CONFIGURATION_PATH:
            return _json(encode(openid.configuration()), content_type=openid.CONFIGURATION_TYPE)
        if path == openid.KEYS_PATH:
            return _json(encode(openid.keys(self._registry.access.key)), content_type=openid.KEYS_TYPE)
        accept = request.headers.get("Accept", "")
        if self._measured and (measured := await self._measured.answer(path, query, accept)):
            return await _compressed(request, _reply(measured))
        kinds = self._registry.kinds.all
        if self._measured:
            kinds = (*kinds, *metrics_api.KINDS)
        document = await asyncio.to_thread(documents.at, kinds, path, accept)
        if document is None:
            raise refusals.no_such_path()
        return await _told(request, document)

    async def _watch(
        self, request: web.BaseRequest, route: routes.Route, caller: Caller, exchange: Exchange
    ) -> web.StreamResponse:
        options = queries.watch_options(request.query)
        view = self._resources.view(await _read(request, route, caller))
        resource = route.kind.resource

        def count(events: int) -> None:
            self.metrics.watch_events[resource.group, resource.version, resource.plural] += events

        async def follow(write: Write) -> None:
            watch = Watch(self._registry, view, route.namespace, options, write, count)
            async with self._deadlines.until(options.timeout_s):
                await watch.run()

        if is_websocket(request):
            exchange.began(101)
            return await websocket_answers.tell_events(request, view.media_type, follow)
        told = JSON if view.media_type == JSON else f"{view.media_type};stream=watch"
        stream = web.StreamResponse(headers={"Content-Type": told, "Cache-Control": "no-cache, private"})
        await stream.prepare(request)
        exchange.began(200)
        await follow(stream.write)
        return stream

    async def _log(self, request: web.BaseRequest, route: routes.Route) -> web.StreamResponse:
        location = await logs.locate(self._registry, route.namespace, route.name, request.query)
        if location is None:
            return web.Response(text="")
        async with self._kubelets.log(location) as chunks:

            async def follow(write: Write) -> None:
                async with self._deadlines.until(_YEAR_S):
                    async for chunk in chunks:
                        await write(chunk)

            if is_websocket(request):
                return await websocket_answers.tell_log(request, follow)
            stream = web.StreamResponse(headers={"Content-Type": "text/plain"})
            await stream.prepare(request)
            await follow(stream.write)
        return stream


def _checks(registry: Registry, deadlines: Deadlines) -> dict[str, dict[str, Check]]:
    """Return what each health endpoint looks at, under upstream's names."""

    async def ping() -> str:
        return ""

    async def store() -> str:
        try:
            async with asyncio.timeout(_STORE_ANSWERS_S):
                await registry.store.get(b"/registry/health")
        except TimeoutError:
            return f"the store does not answer within {_STORE_ANSWERS_S} s"
        except ApiError as error:
            return error.message
        return ""

    async def shutdown() -> str:
        return "process is shutting down" if deadlines.closed else ""

    live: dict[str, Check] = {"ping": ping, "etcd": store}
    return {"healthz": live, "livez": live, "readyz": live | {"shutdown": shutdown}}


async def _compressed(request: Asked, reply: Reply) -> Reply:
    """Return *reply* gzipped, if it is worth it and the client can read that."""
    if len(reply.body) < GZIP_FROM_BYTES or not _takes_gzip(request):
        return reply
    body = await asyncio.to_thread(gzip.compress, reply.body, _GZIP_LEVEL, mtime=0)
    headers = [each for each in reply.headers if each[0] != "Vary"]
    headers += [("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")]
    return Reply(reply.status, body, headers)


def _comes_in_pieces(request: Asked, listed: Listed) -> bool:
    return request.method == "GET" and not _takes_gzip(request) and listed.size_bytes >= GZIP_FROM_BYTES


async def _in_pieces(request: web.BaseRequest, answer: Answer, listed: Listed) -> web.StreamResponse:
    """Write a long list as quickly as its reader takes it: no more of it is in memory than waits for that."""
    stream = web.StreamResponse(status=answer.status, headers=_json_headers(answer.warnings))
    stream.content_length = listed.size_bytes + len(_LINE_END)
    await stream.prepare(request)
    for piece in listed:
        await stream.write(piece)
    await stream.write_eof(_LINE_END)
    return stream


def _takes_gzip(request: Asked) -> bool:
    return "gzip" in request.headers.get("Accept-Encoding", "")


def _body_bytes(answer: Reply | web.StreamResponse) -> int:
    return len(answer.body) if isinstance(answer, Reply) else answer.content_length or 0


async def _user(request: Asked, registry: Registry) -> User:
    """Return who asks, or refuse one that cannot be told."""
    tls = request.get_extra_info("ssl_object")
    certificate = tls.getpeercert(binary_form=True) if tls else None
    authorization = request.headers.get("Authorization", "")
    user = await registry.access.authenticator.user_of(registry, certificate, authorization)
    if user is None:
        raise refusals.unauthorized()
    return user


def _impersonating(request: Asked) -> dict[str, tuple[str, ...]]:
    """Return the headers that ask for another user, by their names in lower case."""
    if not any(name[:12].lower() == _IMPERSONATE for name, _ in request.raw_headers):
        return {}
    names = {name.lower() for name in request.headers if name.lower().startswith("impersonate-")}
    return {name: tuple(request.headers.getall(name)) for name in names}


async def _read(request: Asked, route: routes.Route, caller: Caller) -> Request:
    headers = request.headers
    if isinstance(request, PlainRequest):
        body = request.body
    else:
        body = await request.read() if request.can_read_body else b""
    accept, content_type = headers.get("Accept", ""), headers.get("Content-Type", "")
    return Request(route, request.query, caller, accept, content_type, body)


def _field_manager(request: Asked) -> str:
    named = request.query.get("fieldManager")
    return named or applying.manager_of(request.headers.get("User-Agent", ""))


async def _told(request: Asked, document: Document) -> Reply:
    """Answer with *document*, or that the client has it already; one asked for by its hash never changes."""
    etag, cache_control = f'"{document.etag}"', document.cache_control
    headers = [("Content-Type", document.media_type), ("ETag", etag), ("Vary", "Accept")]
    if asked := request.query.get("hash") if document.path else None:
        if asked != document.etag:
            location = f"{document.path}?hash={document.etag}"
            headers += [("Cache-Control", cache_control), ("Location", location)]
            return Reply(301, b"", headers)
        cache_control = f"public, immutable, max-age={_YEAR_S}"
    headers.append(("Cache-Control", cache_control))
    if request.headers.get("If-None-Match") == etag:
        return Reply(304, b"", headers)
    return await _compressed(request, Reply(200, document.body, headers))


def _refused(request: Asked, error: ApiError) -> Reply:
    """Return what *error* tells, as JSON unless the client takes none."""
    body, wanted = encode(error.status()), negotiation.of_document(request.headers.get("Accept", ""))
    reply = _reply(Answer(error.code, transcoding.transcoded(body, wanted), media_type=wanted))
    if after_s := error.details.get("retryAfterSeconds"):
        reply.headers.append(("Retry-After", str(after_s)))
    return reply


def _reply(answer: Answer) -> Reply:
    body = answer.body if answer.listed is None else b"".join(answer.listed)
    if answer.media_type != JSON:  # No line ends it: a message would have that as a field.
        return Reply(answer.status, body, _json_headers(answer.warnings, answer.media_type))
    return Reply(answer.status, body + _LINE_END, _json_headers(answer.warnings))


def _json(body: bytes, *, content_type: str = JSON) -> Reply:
    return Reply(200, body + _LINE_END, _json_headers((), content_type))


def _json_headers(warnings: Sequence[str], content_type: str = JSON) -> list[tuple[str, str]]:
    headers = [("Content-Type", content_type), ("Cache-Control", "no-cache, private")]
    # As upstream: what a header cannot carry (a line break in a field's name) is not told.
    told = filter(str.isprintable, warnings)
    return [*headers, *(("Warning", f'299 - "{_quoted(warning)}"') for warning in told)]


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
