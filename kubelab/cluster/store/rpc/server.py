"""etcd's API of one member, on sockets that were opened where it lives: gRPC, `/health` and `/version`.

Source: etcd, server/embed/serve.go; server/etcdserver/api/v3rpc/{grpc,interceptor}.go.
Left out: gRPC's own health service and its reflection, the JSON gateway (/v3/kv/range …).
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager

from kubelab.cluster.clock import Clock, SystemClock
from kubelab.cluster.linux.background import background, task_group
from kubelab.cluster.linux.listening import Listening, taking_in
from kubelab.cluster.store.rpc import health
from kubelab.cluster.store.rpc.auth import Auth
from kubelab.cluster.store.rpc.call import Method, RawCall, answer
from kubelab.cluster.store.rpc.cluster import Cluster
from kubelab.cluster.store.rpc.connection import ClientConnection, Connections
from kubelab.cluster.store.rpc.election import Election
from kubelab.cluster.store.rpc.errors import refusal
from kubelab.cluster.store.rpc.header import Headers
from kubelab.cluster.store.rpc.http2 import Stream
from kubelab.cluster.store.rpc.kv import Kv
from kubelab.cluster.store.rpc.lease import Lease
from kubelab.cluster.store.rpc.lock import Lock
from kubelab.cluster.store.rpc.maintenance import Maintenance
from kubelab.cluster.store.rpc.status import Code, StatusError
from kubelab.cluster.store.rpc.watch import WatchServer
from kubelab.cluster.store.service import Service

LEADER_CHECK_INTERVAL_S = 1.0
LEADERLESS_CHECKS_MAX = 3


@asynccontextmanager
async def serve(
    service: Service,
    sockets: Sequence[socket.socket],
    tls: ssl.SSLContext | None = None,
    *,
    clock: Clock | None = None,
) -> AsyncIterator[None]:
    """Answer etcd's clients on *sockets*, which are taken over, while the block lasts; then hang up on all.

    *tls* is told that it speaks h2: gRPC's newer clients insist on hearing that.
    """
    if tls:
        tls.set_alpn_protocols(["h2", "http/1.1"])
    with ExitStack() as stack:
        listening = [stack.enter_context(Listening(each)) for each in sockets]
        for each in listening:
            _answer_at_once(each)
            stack.callback(each.hang_up)  # On those who have not even said who they are.
        async with task_group() as group:
            server = _Server(service, clock or SystemClock(), group)
            try:
                async with taking_in(server.connect, listening, tls):
                    yield
            finally:
                await server.hang_up()


def _answer_at_once(sock: socket.socket) -> None:
    """What a listener accepts inherits this; asyncio sees to it only where a socket was opened as TCP's by
    name. Else an answer of two pieces waits 40 ms for the first one's acknowledgement."""
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class _Server:
    def __init__(self, service: Service, clock: Clock, group: asyncio.TaskGroup) -> None:
        self._service = service
        self._clock = clock
        self._group = group
        self._methods = _methods(service, clock)
        self._connections = Connections()

    def connect(self) -> ClientConnection:
        return ClientConnection(self._accept, self._respond, self._connections)

    async def hang_up(self) -> None:
        self._connections.close()
        async with asyncio.TaskGroup() as hanging_up:
            for connection in self._connections:
                hanging_up.create_task(connection.hang_up())

    def _accept(self, stream: Stream) -> asyncio.Task[None]:
        return self._group.create_task(self._answer(RawCall(stream)))

    def _respond(self, method: str, target: str, connection: ClientConnection) -> asyncio.Task[None]:
        return self._group.create_task(self._answer_plainly(method, target, connection))

    async def _answer_plainly(self, method: str, target: str, connection: ClientConnection) -> None:
        connection.respond(await health.respond(self._service, method, target))

    async def _answer(self, call: RawCall) -> None:
        method = self._methods.get(call.path, _UNKNOWN)
        wants_leader = call.metadata.get("hasleader") == "true"
        await answer(call, self._with_leader(method) if wants_leader else method.run)

    def _with_leader(self, method: Method) -> Callable[[RawCall], Awaitable[None]]:
        """Return what answers a client that wants nothing of a member which has lost the others; a stream
        that it has ends when the leader has been gone for a while."""

        async def run(call: RawCall) -> None:
            if not (await self._service.status()).leader:
                raise refusal("no leader")
            if not method.is_stream:
                await method.run(call)
                return
            async with background(self._fail_without_leader()):
                await method.run(call)

        return run

    async def _fail_without_leader(self) -> None:
        leaderless_checks = 0
        while leaderless_checks < LEADERLESS_CHECKS_MAX:
            await self._clock.sleep(LEADER_CHECK_INTERVAL_S)
            has_leader = bool((await self._service.status()).leader)
            leaderless_checks = 0 if has_leader else leaderless_checks + 1
        raise refusal("no leader")


def _methods(service: Service, clock: Clock) -> dict[str, Method]:
    headers = Headers(service)
    servers = (
        Auth(headers),
        Cluster(service, headers),
        Election(service, headers),
        Kv(service, headers),
        Lease(service, headers),
        Lock(service, headers),
        Maintenance(service, headers),
        WatchServer(service, headers, clock),
    )
    return {path: method for server in servers for path, method in server.methods().items()}


async def _refuse_unknown(call: RawCall) -> None:
    service, _, method = call.path.removeprefix("/").rpartition("/")
    if service.startswith(_PACKAGES):
        raise StatusError(Code.UNIMPLEMENTED, f"unknown method {method} for service {service}")
    raise StatusError(Code.UNIMPLEMENTED, f"unknown service {service}")


_PACKAGES = ("etcdserverpb.", "v3electionpb.", "v3lockpb.")
_UNKNOWN = Method(_refuse_unknown)
