"""The `Api` over HTTPS: any Kubernetes that a kubeconfig names, the lab's own included.

Source: kubernetes, docs/reference/using-api/api-concepts.md; client-go/rest/{request,with_retry}.go,
client-go/tools/pager/pager.go.
Of several servers it asks the one that answered last, and the next when that is out of reach: again at once
what surely did not happen (nobody was there to take it) or changes nothing. A busy server (429) is asked
again when it said it may be. Long lists come in pages.
Left out: protobuf, other retries (who asks knows whether to ask again), rate limits, proxies.

A cut cable shows within `DEAD_PEER_S`, also on a watch where nothing happens: the kernel probes idle
connections and gives those up of which the other side acknowledges nothing.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import Any, Literal
from urllib.parse import quote, urlencode
from weakref import WeakSet

import aiohttp
import msgspec
from yarl import URL

from kubelab.cluster.client import discovery
from kubelab.cluster.client.api import ObjectList, PatchType, WatchEvent
from kubelab.cluster.client.kubeconfig import ClientConfig
from kubelab.cluster.client.response import Response
from kubelab.cluster.client.sent_once import sent_once
from kubelab.cluster.client.servers import Servers
from kubelab.cluster.clock import Clock, SystemClock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import Object, Resource

OpenSocket = Callable[[int, int, int], socket.socket]
"""Called with family, type and protocol, as `socket.socket` itself: where a machine's connections begin."""

DEAD_PEER_S = 5
PROBE_AFTER_S = 2
CONNECT_S = 3
REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=15, sock_connect=CONNECT_S)  # For one that does not answer.
WATCH_S = 300  # As upstream's reflectors, at the least: then the server ends the watch; we make a new one.
REQUESTS_AT_ONCE = (
    8  # Beside watches. Each more would be one more connection, and a handshake is 10 requests.
)

PAGE_LIMIT = 500  # As upstream's pager.
BUSY_RETRIES_MAX = 10  # As upstream's requests.
READY_TIMEOUT = aiohttp.ClientTimeout(total=2, sock_connect=1)

JSON = "application/json"
Objects = list[Object]  # Where `HttpsApi.list` hides the builtin.


class HttpsApi:
    """Make it with `connect`."""

    def __init__(self, session: aiohttp.ClientSession, config: ClientConfig, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self._servers = Servers((config.server, *config.other_servers))
        self._server_name = config.tls_server_name or None
        self._turns = asyncio.Semaphore(REQUESTS_AT_ONCE)

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        config: ClientConfig,
        *,
        open_socket: OpenSocket = socket.socket,
        user_agent: str = "kubelab",
        clock: Clock | None = None,
    ) -> AsyncIterator["HttpsApi"]:
        """Return an `Api` whose connections are opened by *open_socket* when they are needed.

        For a machine's network namespace: `functools.partial(open_socket_in, netns_fd)`.
        """
        opened: WeakSet[socket.socket] = WeakSet()
        connector = aiohttp.TCPConnector(
            ssl=_ssl_context(config), socket_factory=_watchful(open_socket, opened), limit=0
        )
        headers = {"User-Agent": user_agent, "Accept": JSON}
        if config.token:
            headers["Authorization"] = f"Bearer {config.token}"
        async with aiohttp.ClientSession(
            connector=connector,
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            middlewares=(sent_once,),
            response_class=Response,
        ) as session:
            try:
                yield cls(session, config, clock or SystemClock())
            finally:
                _hang_up(opened)

    async def resources(self) -> tuple[Resource, ...]:
        documents = [await self._request("GET", path, accept=discovery.ACCEPT) for path in ("/api", "/apis")]
        return tuple(resource for document in documents for resource in discovery.resources_in(document))

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        return await self._request("GET", _path(resource, namespace, name))

    async def list(
        self, resource: Resource, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> ObjectList:
        path, query = _path(resource, namespace), _selectors(label_selector, field_selector)
        try:
            items, version = await self._pages(path, query)
        except ApiError as refusal:
            if refusal.code != 410:
                raise
            # The rest of the list is compacted away: so all at once, as upstream's pager falls back.
            listed = await self._request("GET", path, query)
            items, version = listed.get("items") or [], listed["metadata"]["resourceVersion"]
        # Items come without; kubectl adds it too.
        own = {"apiVersion": resource.api_version, "kind": resource.kind}
        return ObjectList(tuple(own | item for item in items), version)

    async def _pages(self, path: str, query: dict[str, str]) -> tuple[Sequence[Object], str]:
        """Return the items of all pages, and the version that all of them are of."""
        items: Objects = []
        query = query | {"limit": str(PAGE_LIMIT)}
        while True:
            listed = await self._request("GET", path, query)
            items += listed.get("items") or ()
            if not (token := listed["metadata"].get("continue")):
                return items, listed["metadata"]["resourceVersion"]
            query["continue"] = token

    @asynccontextmanager
    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        initial_events: bool = False,
    ) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        query = _selectors(label_selector, field_selector) | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(WATCH_S),
        }
        if initial_events:
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        timeout = aiohttp.ClientTimeout(sock_connect=CONNECT_S, sock_read=WATCH_S + DEAD_PEER_S)
        request = self._response("GET", _path(resource, namespace), query, timeout=timeout)
        async with request as response, aclosing(_events(response)) as events:
            yield events

    async def create(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        metadata = obj["metadata"]
        name = metadata["name"] if subresource else ""
        return await self._request(
            "POST", _path(resource, metadata.get("namespace", ""), name, subresource), body=obj
        )

    async def update(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        metadata = obj["metadata"]
        path = _path(resource, metadata.get("namespace", ""), metadata["name"], subresource)
        return await self._request("PUT", path, body=obj)

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        patch: Object | Sequence[Any],
        patch_type: PatchType = PatchType.MERGE,
        *,
        subresource: str = "",
    ) -> Object:
        path = _path(resource, namespace, name, subresource)
        return await self._request("PATCH", path, body=patch, content_type=patch_type)

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        grace_period_s: int | None = None,
        uid: str | None = None,
        propagation: Literal["Background", "Foreground", "Orphan"] | None = None,
    ) -> None:
        options = {
            "gracePeriodSeconds": grace_period_s,
            "preconditions": {"uid": uid} if uid else None,
            "propagationPolicy": propagation,
        }
        body = {"kind": "DeleteOptions", "apiVersion": "v1"} | {
            k: v for k, v in options.items() if v is not None
        }
        await self._request("DELETE", _path(resource, namespace, name), body=body)

    async def _request(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        *,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> Object:
        async with (
            self._turns,
            self._response(
                method, path, query, body=body, content_type=content_type, accept=accept
            ) as response,
        ):
            return await _json(response)

    @asynccontextmanager
    async def _response(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        *,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout: aiohttp.ClientTimeout = REQUEST_TIMEOUT,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and yield the response as soon as its head says that it went well."""
        headers = {"Accept": accept} | ({} if body is None else {"Content-Type": content_type})
        response = await self._answer(
            method,
            f"{path}?{urlencode(query)}" if query else path,
            headers=headers,
            data=None if body is None else msgspec.json.encode(body),
            timeout=timeout,
        )
        async with response:
            if response.status >= 300:
                raise _refusal(response.status, await _content(response))
            yield response

    async def _answer(self, method: str, path: str, **options: Any) -> aiohttp.ClientResponse:
        """Return the first answer that does not ask to come back later, or the last of those that do."""
        for _ in range(BUSY_RETRIES_MAX):
            response = await self._reach(method, path, **options)
            if (wait_s := _retry_after_s(response)) is None:
                return response
            response.release()
            await self._clock.sleep(wait_s)
        return await self._reach(method, path, **options)

    async def _reach(self, method: str, path: str, **options: Any) -> aiohttp.ClientResponse:
        """Send the request to the servers in turn until one answers.

        Raises:
            ConnectionError: none did, or it is not known whether the request was carried out.
        """
        failure = ConnectionError(f"{self._servers.current}: out of reach")
        for server in self._servers.candidates(self._clock.monotonic_s()):
            try:
                if self._servers.must_be_checked(server):
                    await self._check(server)
                response = await self._send(server, method, path, **options)
            except ConnectionError as error:
                self._servers.failed(server, self._clock.monotonic_s())
                if not _may_repeat(method, error):
                    raise
                failure = error
            else:
                self._servers.answered(server)
                return response
        raise failure

    async def _check(self, server: str) -> None:
        """Raise ConnectionError unless *server* says that it is ready."""
        async with await self._send(server, "GET", "/readyz", timeout=READY_TIMEOUT) as response:
            if response.status != 200:
                raise _NotReadyError(f"{server}: not ready ({response.status})")

    async def _send(self, server: str, method: str, path: str, **options: Any) -> aiohttp.ClientResponse:
        with _out_of_reach(server):
            return await self._session.request(
                method,
                URL(server + path, encoded=True),
                server_hostname=self._server_name,
                allow_redirects=False,
                **options,
            )


class _NotReadyError(ConnectionError):
    """A server that is there, and says that it cannot serve yet: nothing was asked of it."""


def _may_repeat(method: str, failure: ConnectionError) -> bool:
    """Tell whether a request that ended in *failure* can be made again elsewhere without doing it twice."""
    not_sent = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
    return method == "GET" or isinstance(failure, _NotReadyError) or isinstance(failure.__cause__, not_sent)


def _retry_after_s(response: aiohttp.ClientResponse) -> float | None:
    """Return when the server, too busy now, wants to be asked again; None if it has answered."""
    header = response.headers.get("Retry-After", "")
    if (response.status == 429 or response.status >= 500) and header.isdecimal():
        return float(header)
    return None


def _ssl_context(config: ClientConfig) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=config.ca_pem.decode() or None)
    if config.insecure_skip_tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if config.certificate_pem:
        _load_certificate(context, config.certificate_pem + b"\n" + config.key_pem)
    return context


def _load_certificate(context: ssl.SSLContext, pem: bytes) -> None:
    """OpenSSL's API wants a file, but the private key need not touch a disk for that."""
    descriptor = os.memfd_create("client-certificate")
    try:
        os.write(descriptor, pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _hang_up(connections: Iterable[socket.socket]) -> None:
    """End what still is in the air. To say goodbye TLS would wait half a minute for a peer that is gone."""
    for connection in connections:
        with suppress(OSError):  # It was closed already.
            connection.shutdown(socket.SHUT_RDWR)


def _watchful(
    open_socket: OpenSocket, connections: WeakSet[socket.socket]
) -> Callable[[aiohttp.AddrInfoType], socket.socket]:
    """Return *open_socket* as aiohttp calls it, for sockets that notice a dead peer; note *connections*."""

    def open_watchful(address: aiohttp.AddrInfoType) -> socket.socket:
        family, type_, protocol, *_ = address
        opened = open_socket(family, type_, protocol)
        connections.add(opened)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PROBE_AFTER_S)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_S * 1000)
        return opened

    return open_watchful


def _path(resource: Resource, namespace: str, name: str = "", subresource: str = "") -> str:
    root = f"/apis/{resource.group}" if resource.group else "/api"
    within = ("namespaces", namespace) if namespace and resource.namespaced else ()
    parts = (resource.version, *within, resource.plural, name, *subresource.split("/"))
    return "/".join((root, *(quote(part, safe="") for part in parts if part)))


def _selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    query = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {name: value for name, value in query.items() if value}


@contextmanager
def _out_of_reach(what: object) -> Iterator[None]:
    """Turn everything that goes wrong on the way into `ConnectionError`."""
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ConnectionError(f"{what}: {str(error) or type(error).__name__}") from error


async def _content(response: aiohttp.ClientResponse) -> bytes:
    with _out_of_reach(response.url):
        return await response.read()


async def _json(response: aiohttp.ClientResponse) -> Object:
    try:
        answer: Object = msgspec.json.decode(await _content(response), type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise ConnectionError(f"{response.url}: not an answer of an API server: {error}") from None
    return answer


def _refusal(code: int, content: bytes) -> ApiError:
    """Return the error that the `Status` in *content* says; proxies and the like answer in other ways."""
    try:
        return _status_error(code, msgspec.json.decode(content, type=dict[str, Any]))
    except msgspec.MsgspecError:
        return _status_error(code, {"message": content.decode(errors="replace").strip()[:500]})


def _status_error(code: int, status: Object) -> ApiError:
    message = status.get("message") or f"the server answered {code}"
    return ApiError(
        int(status.get("code") or code), status.get("reason") or "", message, status.get("details")
    )


async def _events(response: aiohttp.ClientResponse) -> AsyncGenerator[WatchEvent, None]:
    async for line in _lines(response):
        event = msgspec.json.decode(line)
        if event["type"] == "ERROR":
            raise _status_error(500, event["object"])
        yield WatchEvent(event["type"], event["object"])


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield the lines of the body as they come; aiohttp's own `readline` refuses long ones."""
    rest = b""
    while True:
        with _out_of_reach(response.url):
            chunk = await response.content.readany()
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        for line in filter(None, lines):
            yield line
