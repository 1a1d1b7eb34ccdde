"""All masters together, as the lab and its clients see them: one cluster, whoever of them lives.

Source: https://kubernetes.io/docs/concepts/architecture/#control-plane-components.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from ipaddress import IPv4Address
from pathlib import Path
from socket import socket

from kubelab.cluster.apiserver.audit import audited
from kubelab.cluster.apiserver.request_log import RequestLog
from kubelab.cluster.client import kubeconfig
from kubelab.cluster.client.api import Api
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.clock import Clock
from kubelab.cluster.errors import LabError
from kubelab.cluster.lab.config import StoreChoice
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.etcd_keys import CLIENT_PORT, EtcdKeys
from kubelab.cluster.lab.etcd_picture import etcd_picture
from kubelab.cluster.lab.forwarder import Forwarder, Target
from kubelab.cluster.lab.keys import ClusterKeys
from kubelab.cluster.lab.listening import listen
from kubelab.cluster.lab.local_client import Connections, LocalClient
from kubelab.cluster.lab.local_store import LocalStore
from kubelab.cluster.lab.master import PORT, Master
from kubelab.cluster.lab.raft_member import RaftMember, StoreCluster
from kubelab.cluster.lab.raft_picture import picture
from kubelab.cluster.lab.snapshot import StoreView
from kubelab.cluster.lab.store_engine import StoreEngine
from kubelab.cluster.linux.background import background
from kubelab.cluster.linux.threads import in_thread
from kubelab.cluster.machine.namespaced import NamespacedMachine
from kubelab.cluster.objects import NODES, Key, Object
from kubelab.cluster.pods import condition_of
from kubelab.cluster.raft.messages import NOBODY
from kubelab.cluster.store.engine import EtcdElsewhere, EtcdOnMaster, TlsFiles
from kubelab.cluster.store.etcd_process import PEER_PORT, Certificates, EtcdSpec
from kubelab.cluster.store.etcd_status import EtcdStatuses, Standing
from kubelab.cluster.store.member_view import MemberView
from kubelab.cluster.store.mvcc import DEFAULT_QUOTA_BYTES
from kubelab.cluster.store.state import StoreState
from kubelab.language import Text

LOOPBACK = "127.0.0.1"


class ControlPlane:
    """Make it with `create`. `requests`: what has been asked of any of the API servers."""

    def __init__(
        self, masters: Iterable[Master], keys: ClusterKeys, directory: LabDirectory, clock: Clock
    ) -> None:
        self.masters = {master.name: master for master in masters}
        self.keys = keys
        self.requests = RequestLog()
        self.api: Api = LocalClient(self._any_server)
        self._directory = directory
        self._clock = clock
        self._asked = next(iter(self.masters))
        self._etcd = None if self._is_own else EtcdStatuses(self._ask_etcd, clock)

    @classmethod
    async def create(
        cls,
        addresses: Mapping[str, IPv4Address],
        store: StoreChoice,
        directory: LabDirectory,
        clock: Clock,
        *,
        quota_mib: int | None = None,
    ) -> "ControlPlane":
        """Make, or find in *directory*, what masters of these names and addresses keep; *quota_mib* is how
        much the store takes at most.

        Raises:
            LabError: what is there cannot be used; or an etcd elsewhere does not answer, or was to get a
                quota.
        """
        if isinstance(store, tuple):
            if quota_mib is not None:
                raise LabError(_QUOTA_ELSEWHERE)
            await EtcdElsewhere(store).check()
        quota_bytes = DEFAULT_QUOTA_BYTES if quota_mib is None else quota_mib * 2**20
        keys = await in_thread(ClusterKeys.open, directory.pki, addresses, clock.now())
        engines = await in_thread(_engines, addresses, store, quota_bytes, directory, clock.now())
        masters = [Master(name, address, engines[name], keys) for name, address in addresses.items()]
        return cls(masters, keys, directory, clock)

    @asynccontextmanager
    async def serving_host(self, port: int, dial: Callable[[], socket]) -> AsyncIterator[None]:
        """Let this host reach the API servers at one port of its loopback (0: a free one), by the
        kubeconfig that is written; *dial* opens sockets where the masters can be reached. Whatever any of
        them is asked goes to the audit log.

        Raises:
            LabError: the port is in use.
        """
        async with AsyncExitStack() as stack:
            for master in self.masters.values():
                stack.enter_context(master.requests.listening(self.requests.add))
            await stack.enter_async_context(audited(self.requests, self._directory.audit_log))
            await stack.enter_async_context(self._looking())
            listening = listen(socket(), LOOPBACK, port)
            await stack.enter_async_context(self.forwarder(dial).serving(listening))
            server = f"https://{LOOPBACK}:{listening.getsockname()[1]}"
            config = self.keys.client_config(self.keys.admin, server)
            await in_thread(kubeconfig.write, self._directory.kubeconfig, config)
            yield

    @asynccontextmanager
    async def serving(self, machine: NamespacedMachine) -> AsyncIterator[None]:
        """Let *machine* reach the API servers by the kubeconfig that is written there: a master its own, any
        other one all of them, behind one port of its loopback if there are several."""
        async with AsyncExitStack() as stack:
            server = next(iter(self.masters.values())).url
            if master := self.masters.get(machine.name):
                server = master.url
                await master.store.install(machine)
            elif len(self.masters) > 1:
                listening = listen(machine.socket(), LOOPBACK, PORT)
                await stack.enter_async_context(self.forwarder(machine.socket).serving(listening))
                server = f"https://{LOOPBACK}:{PORT}"
            content = kubeconfig.render(self.keys.client_config(self.keys.admin, server)).encode()
            await machine.write_file(KUBECONFIG_ON_MACHINE, content, mode=0o600)
            yield

    def forwarder(self, dial: Callable[[], socket]) -> Forwarder:
        targets = [
            Target(master.name, (str(master.address), PORT), lambda master=master: master.answers)  # type: ignore[misc]
            for master in self.masters.values()
        ]
        return Forwarder(targets, dial, self._clock)

    def servers(self, first: int) -> tuple[str, ...]:
        """Return the URLs of all API servers, beginning at another one for each *first*."""
        urls = [master.url for master in self.masters.values()]
        start = first % len(urls)
        return tuple(urls[start:] + urls[:start])

    def leave_out(self, name: str) -> None:
        """That master is none of the cluster any more."""
        del self.masters[name]

    def look_soon(self) -> None:
        """Something has happened to machines, cables or programs: the store may be otherwise soon."""
        if self._etcd:
            self._etcd.look_soon()

    @asynccontextmanager
    async def _looking(self) -> AsyncIterator[None]:
        """Ask a real etcd how it is, for as long as the block lasts."""
        async with AsyncExitStack() as stack:
            for elsewhere in self._elsewhere:
                await stack.enter_async_context(elsewhere.asking())
            if self._etcd:
                await stack.enter_async_context(background(self._etcd.keep_looking()))
            yield

    async def _ask_etcd(self) -> Sequence[Standing]:
        for elsewhere in self._elsewhere:
            return await elsewhere.standings()
        members = [master.store for master in self.masters.values()]
        return await asyncio.gather(*(each.standing() for each in members if isinstance(each, EtcdOnMaster)))

    @property
    def _is_own(self) -> bool:
        return all(isinstance(master.store, RaftMember) for master in self.masters.values())

    @property
    def _elsewhere(self) -> list[EtcdElsewhere]:
        """All masters have the same one, or none."""
        stores = (master.store for master in self.masters.values())
        return [each for each in stores if isinstance(each, EtcdElsewhere)][:1]

    def store_state(self) -> StoreState:
        """Return how the store is, as its living members see it: the newest term counts."""
        if self._etcd:
            return self._etcd_state(etcd_picture(self._etcd.standings))
        views = self.member_views()
        # Of one term those count that know its leader: whoever is cut off forgets it, and keeps the term.
        leading = max(
            views.values(), key=lambda view: (view.raft.term, view.raft.leader != NOBODY), default=None
        )
        leader = leading.name_by_id.get(leading.raft.leader) if leading else None
        return StoreState(
            tuple(self.masters),
            self.revision,
            term=leading.raft.term if leading else 0,
            leader=leader if leader in views else None,
            alive=tuple(views),
            quorum=len(views) > len(self.masters) // 2,
            compacted=max((view.compact_revision for view in views.values()), default=None),
        )

    def _etcd_state(self, view: StoreView) -> StoreState:
        if not view.names:  # It has not answered yet.
            served = any(master.answers for master in self.masters.values())
            return StoreState(tuple(self.masters), self.revision, quorum=served)
        alive = tuple(member.name for member in view.members)
        leader = view.leader or None
        return StoreState(view.names, self.revision, view.term, leader, alive, view.quorum)

    def store_view(self) -> StoreView:
        """Return the same for people, with each member's own view of it."""
        if self._etcd:
            return etcd_picture(self._etcd.standings)
        state = self.store_state()
        members = tuple(picture(view) for _, view in sorted(self.member_views().items()))
        stopped = tuple(
            name
            for name, master in self.masters.items()
            if isinstance(master.store, RaftMember) and master.store.is_stopped
        )
        return StoreView(state.members, state.leader or "", state.term or 0, state.quorum, members, stopped)

    def member_views(self) -> dict[str, MemberView]:
        """Return how the members are that run, by the names of their masters."""
        views = {name: master.store.view() for name, master in self.masters.items()}
        return {name: view for name, view in views.items() if view}

    def store_snapshot(self) -> AsyncIterator[bytes] | None:
        """Yield what `service.snapshot` does, of any member on the masters that answers; None if there is
        none."""
        standings = self._etcd.standings if self._etcd else ()
        answering = {standing.name for standing in standings if standing.status}
        for master in self.masters.values():
            match master.store:
                case RaftMember(store=LocalStore(answers=True) as store):
                    return store.member.snapshot()
                case EtcdOnMaster() as etcd if master.name in answering and (pieces := etcd.snapshot()):
                    return pieces
        return None

    @property
    def revision(self) -> int:
        """The newest that any API server knows of."""
        servers = [master.server for master in self.masters.values() if master.server]
        return max((server.registry.store.revision for server in servers), default=0)

    async def nodes_ready(self, names: Iterable[str], since: datetime) -> None:
        """Wait until these nodes are Ready, by what their kubelets have said after *since*."""
        missing, changed = {Key("", name) for name in names}, asyncio.Event()

        def see(_: Object | None, node: Object | None) -> None:
            if node and _is_ready(node, since):
                missing.discard(Key("", node["metadata"]["name"]))
                changed.set()

        async with Informer(self.api, NODES, clock=self._clock) as nodes:
            nodes.on_change(see)
            while missing:
                changed.clear()
                await changed.wait()

    def _any_server(self) -> Connections:
        """Return the server that was asked last, or another one if it does not answer."""
        asked = self.masters[self._asked]
        for master in (asked, *self.masters.values()):
            if master.answers:
                self._asked = master.name
                return master.reach()
        return asked.reach()


KUBECONFIG_ON_MACHINE = "/etc/kubernetes/admin.conf"


_QUOTA_ELSEWHERE = Text(
    es="Cuánto guarda un etcd que ya existe lo dice quien lo arranca (--quota-backend-bytes): quita "
    "--store-quota.",
    en="How much an etcd that is there already keeps is for whoever starts it (--quota-backend-bytes): leave "
    "--store-quota out.",
)


def _engines(
    masters: Mapping[str, IPv4Address],
    store: StoreChoice,
    quota_bytes: int,
    directory: LabDirectory,
    now: datetime,
) -> Mapping[str, StoreEngine]:
    if isinstance(store, tuple):
        return dict.fromkeys(masters, EtcdElsewhere(store))
    keys = EtcdKeys.open(directory.etcd_pki, masters, now)
    if store == "etcd":
        return {name: _etcd(name, masters, keys[name], directory, quota_bytes) for name in masters}
    cluster = StoreCluster.of(masters, masters, quota_bytes)
    return {
        name: RaftMember(name, address, cluster, keys[name], _private(directory.masters / name / "member"))
        for name, address in masters.items()
    }


def _private(directory: Path) -> Path:
    """Make *directory*, for this user alone: what is secret in the cluster lies in it, unencrypted."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory


def _etcd(
    name: str,
    masters: Mapping[str, IPv4Address],
    keys: EtcdKeys,
    directory: LabDirectory,
    quota_bytes: int,
) -> EtcdOnMaster:
    place, ca = directory.masters / name, keys.authority.certificate_path
    spec = EtcdSpec(
        name,
        str(masters[name]),
        _private(place / "etcd"),
        place / "etcd.log",
        {each: f"https://{each}:{PEER_PORT}" for each in masters},
        Certificates(ca, keys.server.certificate, keys.server.key),
        quota_bytes=quota_bytes,
        host=name,  # Which stays when the lab's network is another one in the cluster's next life.
    )
    others = (address for each, address in masters.items() if each != name)
    urls = [f"https://{address}:{CLIENT_PORT}" for address in (masters[name], *others)]
    files = TlsFiles(ca, keys.api_server.certificate, keys.api_server.key)
    return EtcdOnMaster(spec, urls, files, keys.install)


def _is_ready(node: Object, since: datetime) -> bool:
    ready = condition_of(node, "Ready")
    if ready is None or ready["status"] != "True":
        return False
    return datetime.fromisoformat(ready["lastHeartbeatTime"]) >= since.replace(microsecond=0)
