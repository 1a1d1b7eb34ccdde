"""A member of the lab's own store, on a master: the component that is called etcd there.

It answers etcd's clients on its machine's port 2379 and its peers on 2380, and keeps its log and snapshots on
the host, mode 0700. A member's number is that of its name, so that it stays the same when the machines have
other addresses in the cluster's next life; where its peers are then, the transport is told.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from kubelab.cluster.clock import Clock
from kubelab.cluster.lab.etcd_keys import CLIENT_PORT, EtcdKeys
from kubelab.cluster.lab.listening import listen
from kubelab.cluster.lab.local_store import LocalStore
from kubelab.cluster.lab.program import Goodbye
from kubelab.cluster.linux.suspension import Suspension
from kubelab.cluster.machine.namespaced import NamespacedMachine
from kubelab.cluster.raft.messages import MemberId, Message
from kubelab.cluster.store.member import Member, start_member
from kubelab.cluster.store.member_config import MemberConfig, found_cluster
from kubelab.cluster.store.member_view import MemberView
from kubelab.cluster.store.peers import PORT as PEER_PORT
from kubelab.cluster.store.peers import PeerNetwork
from kubelab.cluster.store.rpc.server import serve
from kubelab.cluster.store.service import KeyValueService, MemberState
from kubelab.cluster.store.transport import Receiver

TOKEN = "kubelab"  # noqa: S105 - it tells clusters apart, and is no secret
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class StoreCluster:
    """The members as they are when a cluster begins, and where they are now."""

    id: int
    members: tuple[MemberState, ...]
    urls: Mapping[MemberId, tuple[str, ...]]

    @staticmethod
    def of(masters: Mapping[str, IPv4Address]) -> "StoreCluster":
        cluster, named = found_cluster(TOKEN, {name: f"https://{name}:{PEER_PORT}" for name in masters})
        urls = {member.id: (f"https://{masters[member.name]}:{PEER_PORT}",) for member in named}
        members = tuple(MemberState(each.id, each.name, urls[each.id]) for each in named)
        return StoreCluster(cluster, members, urls)

    def config(self, name: str, address: IPv4Address) -> MemberConfig:
        own = next(member for member in self.members if member.name == name)
        urls = (f"https://{address}:{CLIENT_PORT}",)
        # They end all at once, with the lab: nobody is left to lead.
        return MemberConfig(own.id, name, self.id, self.members, client_urls=urls, hands_over=False)


class RaftMember:
    """See `store_engine.StoreEngine`."""

    def __init__(
        self, name: str, address: IPv4Address, cluster: StoreCluster, keys: EtcdKeys, directory: Path
    ) -> None:
        self.store: LocalStore | None = None
        self._name = name
        self._address = address
        self._cluster = cluster
        self._keys = keys
        self._directory = directory

    async def install(self, machine: NamespacedMachine) -> None:
        await self._keys.install(machine)

    @asynccontextmanager
    async def run(
        self, machine: NamespacedMachine, clock: Clock, suspension: Suspension
    ) -> AsyncIterator[Goodbye]:
        address, config = str(self._address), self._cluster.config(self._name, self._address)
        with listen(machine.socket(), address, PEER_PORT) as peers:
            network = PeerNetwork(
                config.id, config.cluster_id, self._keys.peer_tls(), peers, machine.socket, clock
            )
            transport = _Readdressed(network, self._cluster.urls)
            async with start_member(config, self._directory, transport, clock) as member:
                clients = [listen(machine.socket(), host, CLIENT_PORT) for host in (LOOPBACK, address)]
                tls = self._keys.server_tls()
                async with (
                    serve(member, clients, tls, clock=clock),
                    self._offered(member, suspension) as goodbye,
                ):
                    yield goodbye

    @asynccontextmanager
    async def opened(self, machine: NamespacedMachine) -> AsyncIterator[KeyValueService]:
        if self.store is None:
            raise ConnectionRefusedError(f"the store's member on {self._name} does not run")
        async with self.store.used() as store:
            yield store

    def signal(self, number: int) -> None:
        """It is no process of its own."""

    def view(self) -> MemberView | None:
        return self.store.member.view() if self.store and self.store.answers else None

    @property
    def is_stopped(self) -> bool:
        """Whether it is there and stands still."""
        return self.store is not None and not self.store.answers

    @asynccontextmanager
    async def _offered(self, member: Member, suspension: Suspension) -> AsyncIterator[Goodbye]:
        """Offer *member* to the API server; without a goodbye it ends as if it was killed."""
        is_last_word = False

        async def goodbye() -> None:
            nonlocal is_last_word
            is_last_word = True

        self.store = store = LocalStore(member, suspension)
        try:
            yield goodbye
        finally:
            self.store = None
            store.end()
            if not is_last_word:
                member.kill()


class _Readdressed:
    """A transport that is told where some members are now, whatever the store remembers of them."""

    def __init__(self, transport: PeerNetwork, urls: Mapping[MemberId, tuple[str, ...]]) -> None:
        self._transport = transport
        self._urls = urls

    def open(self, receiver: Receiver) -> AbstractAsyncContextManager[None]:
        return self._transport.open(receiver)

    def set_peers(self, peers: Mapping[MemberId, tuple[str, ...]]) -> None:
        self._transport.set_peers({member: self._urls.get(member, urls) for member, urls in peers.items()})

    def send(self, messages: Sequence[Message]) -> None:
        self._transport.send(messages)

    async def call(self, member: MemberId, question: bytes) -> bytes:
        return await self._transport.call(member, question)
