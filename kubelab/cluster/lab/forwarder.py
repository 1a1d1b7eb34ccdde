"""One address for several API servers: connections are carried to one of them that takes them.

It stands where kubeadm's guide for high availability has a load balancer, and kubespray one on each machine.
Of the servers the one that took the last connection is asked first; one that does not take any rests for a
while (`client.servers`), and one that is not ready is the last choice. A connection that has begun stays
where it is; if its server dies it ends, and whoever opened it connects again.
Source: https://github.com/kubernetes/kubeadm/blob/main/docs/ha-considerations.md.
Left out: asking `/readyz` over the wire: whoever makes the forwarder says which servers are ready.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from kubelab.cluster.client.servers import Servers
from kubelab.cluster.clock import Clock
from kubelab.cluster.linux.background import background

CHUNK_BYTES = 65536
CONNECT_S = 1.0
PROBE_AFTER_S, DEAD_SERVER_S = 2, 5


@dataclass(frozen=True, slots=True)
class Target:
    """A server by its name; `is_ready` says whether it could answer now."""

    name: str
    address: tuple[str, int]
    is_ready: Callable[[], bool] = lambda: True


class Forwarder:
    """*dial* opens the sockets to the *targets*, in the network namespace where they can be reached."""

    def __init__(self, targets: Sequence[Target], dial: Callable[[], socket.socket], clock: Clock) -> None:
        self._targets = {target.name: target for target in targets}
        self._servers = Servers(tuple(self._targets))
        self._dial = dial
        self._clock = clock

    @asynccontextmanager
    async def serving(self, listening: socket.socket) -> AsyncIterator[None]:
        """Carry what comes in on *listening*; with the block it and all connections end."""
        with listening:
            async with background(self._accept(listening)):
                yield

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            while True:
                accepted, _ = await loop.sock_accept(listening)
                group.create_task(self._carry(accepted))

    async def _carry(self, accepted: socket.socket) -> None:
        with accepted:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if server := await self._connected():
                with server:
                    await carry_both_ways(accepted, server)

    async def _connected(self) -> socket.socket | None:
        """Return a connection to the first server that takes one."""
        candidates = self._servers.candidates(self._clock.monotonic_s())
        for name in sorted(candidates, key=lambda name: not self._targets[name].is_ready()):
            opened = self._dial()
            try:
                async with asyncio.timeout(CONNECT_S):
                    await asyncio.get_running_loop().sock_connect(opened, self._targets[name].address)
            except OSError:
                opened.close()
                self._servers.failed(name, self._clock.monotonic_s())
            except BaseException:
                opened.close()
                raise
            else:
                self._servers.answered(name)
                return watchful(opened)
        return None


def watchful(opened: socket.socket) -> socket.socket:
    """Have the kernel notice that the other side is gone without a word."""
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PROBE_AFTER_S)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_SERVER_S * 1000)
    return opened


async def carry_both_ways(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes between two connections until both directions have ended, or one has broken."""
    with suppress(OSError):
        async with background(_carry(one, other)):
            await _carry(other, one)


async def _carry(source: socket.socket, sink: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while chunk := await loop.sock_recv(source, CHUNK_BYTES):
        await loop.sock_sendall(sink, chunk)
    sink.shutdown(socket.SHUT_WR)
