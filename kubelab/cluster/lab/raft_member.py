"""A member of the lab's own store, on a master: the component that is called etcd there.

It answers etcd's clients on its machine's port 2379 and its peers on 2380, and keeps its log and snapshots on
the host, mode 0700. Members know each other by their masters' names, which stay when the machines have other
addresses in the cluster's next life; where those are then, the transport is told. A founder's number is that
of its name; who joins has the number that the others have given it, and its own log tells that from then on.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from urllib.parse import urlsplit

from kubelab.cluster.clock import Clock
from kubelab.cluster.lab.etcd_keys import CLIENT_PORT, EtcdKeys
from kubelab.cluster.lab.listening import listen
from kubelab.cluster.lab.local_store import LocalStore
from kubelab.cluster.lab.membership import peer_url
from kubelab.cluster.lab.program import Goodbye
from kubelab.cluster.linux.suspension import Suspension
from kubelab.cluster.linux.threads import in_thread
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
from kubelab.cluster.store.wal import Identity, has_log, identity_of

TOKEN = "kubelab"  # noqa: S105 - it tells clusters apart, and is no secret
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class StoreCluster:
    """Its founders, where all masters are now, and how much each of its members keeps at most."""

    id: int
    founders: tuple[MemberState, ...]
    addresses: Mapping[str, IPv4Address]
    quota_bytes: int

    @staticmethod
    def of(founders: Iterable[str], addresses: Mapping[str, IPv4Address], quota_bytes: int) -> "StoreCluster":
        cluster, members = found_cluster(TOKEN, {name: peer_url(name) for name in founders})
        return StoreCluster(cluster, members, addresses, quota_bytes)

    def config(self, name: str, identity: Identity | None, joining: "Joining | None") -> MemberConfig:
        """Return how the member *name* starts: as who it was (*identity*), as who it is to be, or as a
        founder."""
        if identity is None and joining:
            identity = joining.identity
        if identity is None:
            own = next(member.id for member in self.founders if member.name == name)
            identity = Identity(self.id, own)
        return MemberConfig(
            identity.member_id,
            name,
            identity.cluster_id,
            joining.members if joining else self.founders,
            is_new_cluster=joining is None,
            client_urls=(f"https://{self.addresses[name]}:{CLIENT_PORT}",),
            quota_bytes=self.quota_bytes,
            hands_over=False,  # They end all at once, with the lab: nobody is left to lead.
        )

    def place(self, member: MemberId, urls: Iterable[str]) -> tuple[str, ...]:
        """Return where *member* is now. An earlier version called founders by the addresses of back then."""
        founder = next((each.name for each in self.founders if each.id == member), None)
        return (self._url(founder),) if founder else tuple(map(self._placed, urls))

    def _placed(self, url: str) -> str:
        host = urlsplit(url).hostname or ""
        return self._url(host) if host in self.addresses else url

    def _url(self, name: str) -> str:
        return f"https://{self.addresses[name]}:{PEER_PORT}"


@dataclass(frozen=True, slots=True)
class Joining:
    """As whom a member is to start that others have added, and who those are."""

    identity: Identity
    members: tuple[MemberState, ...]


class RaftMember:
    """See `store_engine.StoreEngine`."""

    def __init__(
        self, name: str, address: IPv4Address, cluster: StoreCluster, keys: EtcdKeys, directory: Path
    ) -> None:
        self.store: LocalStore | None = None
        self._joining: Joining | None = None
        self._name = name
        self._address = address
        self._cluster = cluster
        self._keys = keys
        self.directory = directory

    async def install(self, machine: NamespacedMachine) -> None:
        await self._keys.install(machine)

    @asynccontextmanager
    async def run(
        self, machine: NamespacedMachine, clock: Clock, suspension: Suspension
    ) -> AsyncIterator[Goodbye]:
        address = str(self._address)
        config = self._cluster.config(self._name, await in_thread(self._identity), self._joining)
        with listen(machine.socket(), address, PEER_PORT) as peers:
            network = PeerNetwork(
                config.id, config.cluster_id, self._keys.peer_tls(), peers, machine.socket, clock
            )
            transport = _Readdressed(network, self._cluster)
            async with start_member(config, self.directory, transport, clock) as member:
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

    @property
    def has_data(self) -> bool:
        """Whether it was a member before."""
        return has_log(self.directory / "wal")

    def join(self, own: MemberState, cluster_id: int, all_: Sequence[MemberState]) -> None:
        """Begin as *own*, whom the others have added, when it starts without data."""
        self._joining = Joining(Identity(cluster_id, own.id), tuple(all_))

    def _identity(self) -> Identity | None:
        return identity_of(self.directory / "wal")

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
    """A transport that is told where members are now, by what the store remembers of them."""

    def __init__(self, transport: PeerNetwork, cluster: StoreCluster) -> None:
        self._transport = transport
        self._cluster = cluster

    def open(self, receiver: Receiver) -> AbstractAsyncContextManager[None]:
        return self._transport.open(receiver)

    def set_peers(self, peers: Mapping[MemberId, tuple[str, ...]]) -> None:
        placed = {member: self._cluster.place(member, urls) for member, urls in peers.items()}
        self._transport.set_peers(placed)

    def send(self, messages: Sequence[Message]) -> None:
        self._transport.send(messages)

    async def call(self, member: MemberId, question: bytes) -> bytes:
        return await self._transport.call(member, question)
