"""Members of the lab's own store on this host's loopback, all in this process, as a lab has them.

They talk over mutual TLS, and keep their logs in a directory given.
"""

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from kubelab.cluster.apiserver.pki import LOOPBACK, Authority, client_context, server_context
from kubelab.cluster.clock import SystemClock
from kubelab.cluster.store.member import Member, start_member
from kubelab.cluster.store.member_config import MemberConfig, found_cluster
from kubelab.cluster.store.peer_connection import PeerTls
from kubelab.cluster.store.peers import PeerNetwork

TOKEN = "kubelab-bench"  # noqa: S105 - it tells clusters apart, and is no secret


@asynccontextmanager
async def members(place: Path, number: int) -> AsyncIterator[list[Member]]:
    """Yield a new cluster's members when they can answer."""
    authority = Authority.create(place / "pki", datetime.now(UTC))
    listeners = {f"member-{each + 1}": _bound() for each in range(number)}
    urls = {name: f"https://{LOOPBACK}:{bound.getsockname()[1]}" for name, bound in listeners.items()}
    cluster_id, cluster = found_cluster(TOKEN, urls)
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        started = []
        for state in cluster:
            network = PeerNetwork(
                *(state.id, cluster_id, _tls(authority, state.name), listeners[state.name]), _dialled, clock
            )
            config = MemberConfig(state.id, state.name, cluster_id, cluster, hands_over=False)
            member = start_member(config, place / state.name, network, clock)
            started.append(await stack.enter_async_context(member))
        for each in started:
            await each.ready()
        yield started


def leader_first(started: list[Member]) -> list[Member]:

    return sorted(started, key=lambda member: not member.leads)


def _tls(authority: Authority, name: str) -> PeerTls:
    pair, ca = authority.store_member(name, [LOOPBACK]), authority.certificate_path
    return PeerTls(server_context(ca, pair), client_context(ca, pair))


def _bound() -> socket.socket:
    opened = _dialled()
    opened.bind((str(LOOPBACK), 0))
    return opened


def _dialled() -> socket.socket:
    opened = socket.socket()
    opened.setblocking(False)
    return opened
