"""A cluster that is there already, behind a kubeconfig: lessons that look at its API alone run on it as well.

What this starts is one machine, the workstation, for the learner's shell; whatever connects to the API server
from there goes through a relay, for the machine's network leads nowhere else.
Left out: what is inside such a cluster (its machines, its store), and users that an `exec` plugin proves.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from kubelab.cluster.client import kubeconfig
from kubelab.cluster.client.api import Api
from kubelab.cluster.client.https import HttpsApi
from kubelab.cluster.client.kubeconfig import ClientConfig
from kubelab.cluster.errors import ApiError, LabError
from kubelab.cluster.lab.config import LabConfig
from kubelab.cluster.lab.control import ShellOffer
from kubelab.cluster.lab.control_plane import KUBECONFIG_ON_MACHINE
from kubelab.cluster.lab.keeper import Held, Keeper
from kubelab.cluster.lab.lab import PROGRAMS_ON_MACHINE, lab_journal
from kubelab.cluster.lab.listening import listen
from kubelab.cluster.linux.cgroups import CgroupTree
from kubelab.cluster.linux.journal import Journal
from kubelab.cluster.machine.machine import Machine
from kubelab.cluster.machine.namespaced import MachineSpec, NamespacedMachine, start_cgroups, start_machine
from kubelab.cluster.machine.network import PhysicalNetwork, start_network
from kubelab.cluster.store.requests import KeyValue
from kubelab.cluster.store.state import StoreState
from kubelab.language import Text

WORKSTATION = "workstation"
RELAY_PORT = 6443
CHUNK_BYTES = 65536
SCRATCH_NUMBERS = range(1, 100)  # 0 is the workstation, whose address no other machine may get.


@asynccontextmanager
async def attach(client: ClientConfig, config: LabConfig) -> AsyncIterator["ExistingCluster"]:
    """Hold the lab's place and give the cluster behind *client* a workstation; that is gone on exit.

    Raises:
        LabError: the cluster does not answer, or another lab is running.
    """
    async with lab_journal(config.directory) as journal, HttpsApi.connect(client) as api, Keeper() as keeper:
        await _answering(api, client.server)
        async with start_cgroups(journal) as cgroups, start_network(journal) as network:
            ground = _Ground(network, cgroups, journal, _binds(config.programs))
            cluster = ExistingCluster(client, api, ground, keeper)
            await cluster.start()
            try:
                yield cluster
            finally:
                await cluster.stop()


@dataclass(frozen=True, slots=True)
class _Ground:
    """What machines are started on."""

    network: PhysicalNetwork
    cgroups: CgroupTree
    journal: Journal
    binds: Mapping[str, Path]

    def machine(self, name: str, index: int) -> MachineSpec:
        return MachineSpec(name, "scratch", self.network.plan.machine("scratch", index), binds=self.binds)


class ExistingCluster:
    """What lessons need of a lab. `home` is where the shell of a cluster's lesson runs."""

    home = WORKSTATION
    kubeconfig_on_machine = KUBECONFIG_ON_MACHINE

    def __init__(self, client: ClientConfig, api: Api, ground: _Ground, keeper: Keeper) -> None:
        self.api = api
        self._client = client
        self._ground = ground
        self._keeper = keeper
        self._machines: dict[str, NamespacedMachine] = {}
        self._workstation: Held[None] | None = None
        self._numbers = itertools.cycle(SCRATCH_NUMBERS)

    @property
    def machines(self) -> Mapping[str, Machine]:
        return MappingProxyType(self._machines)

    def store(self) -> StoreState | None:
        return None

    async def stored(self, key: bytes, member: str = "") -> KeyValue | None:
        """Raises LabError: nobody lets us look into somebody else's store."""
        raise LabError(_NO_STORE)

    def requests(self) -> None:
        return None

    async def ready(self) -> None:
        """The cluster was there before we were."""

    async def restart(self, name: str) -> None:
        """Start the workstation anew. Raises LabError."""
        if name != WORKSTATION:
            raise LabError(_NOT_OURS.format(name=name))
        await self.stop()
        await self.start()

    def offering(self, offer: ShellOffer) -> AbstractContextManager[None]:
        """No other terminal joins: there is no control socket."""
        return nullcontext()

    @asynccontextmanager
    async def scratch(self, name: str) -> AsyncIterator[Machine]:
        async with self._machine(self._ground.machine(name, next(self._numbers))) as machine:
            yield machine

    async def start(self) -> None:
        self._workstation = await self._keeper.open(self._run_workstation())

    async def stop(self) -> None:
        if workstation := self._workstation:
            self._workstation = None
            await self._keeper.close(workstation)

    @asynccontextmanager
    async def _run_workstation(self) -> AsyncIterator[None]:
        async with self._machine(self._ground.machine(WORKSTATION, 0)) as machine:
            with listen(machine.socket(), str(machine.address), RELAY_PORT) as listening:
                async with await asyncio.start_server(self._relay, sock=listening):
                    content = kubeconfig.render(relayed(self._client, str(machine.address))).encode()
                    await machine.write_file(KUBECONFIG_ON_MACHINE, content, mode=0o600)
                    yield

    @asynccontextmanager
    async def _machine(self, spec: MachineSpec) -> AsyncIterator[NamespacedMachine]:
        if spec.name in self._machines:
            raise LabError(_NAME_TAKEN.format(name=spec.name))
        ground = self._ground
        async with start_machine(spec, ground.network, ground.cgroups, ground.journal) as machine:
            self._machines[spec.name] = machine
            try:
                yield machine
            finally:
                del self._machines[spec.name]

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to the API server and back until both directions have ended."""
        server = urlsplit(self._client.server)
        with contextlib.closing(writer), contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection(server.hostname, server.port or 443)
            with contextlib.closing(far_writer):
                await asyncio.gather(_carry(reader, far_writer), _carry(far_reader, writer))


def relayed(client: ClientConfig, address: str) -> ClientConfig:
    """Return the same credentials for the relay's address; certificate and paths are still the server's own
    (one address may serve many clusters, each below a path)."""
    server = urlsplit(client.server)
    name = client.tls_server_name or str(server.hostname)
    return replace(client, server=f"https://{address}:{RELAY_PORT}{server.path}", tls_server_name=name)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def _answering(api: HttpsApi, server: str) -> None:
    try:
        await api.resources()
    except (ApiError, OSError) as error:
        raise LabError(_SILENT.format(server=server, reason=error)) from error


def _binds(programs: Mapping[str, Path]) -> dict[str, Path]:
    return {f"{PROGRAMS_ON_MACHINE}/{name}": path for name, path in programs.items() if path.exists()}


_SILENT = Text(
    es="El clúster de {server} no responde ({reason}): mira KUBECONFIG y la red.",
    en="The cluster at {server} does not answer ({reason}): look at KUBECONFIG and the network.",
)
_NO_STORE = Text(
    es="En el almacén de un clúster ajeno no se puede mirar: abre la lección en un laboratorio propio.",
    en="The store of somebody else's cluster cannot be looked into: open the lesson on a lab of your own.",
)
_NOT_OURS = Text(
    es="{name} no es una máquina del laboratorio: no se puede arrancar de nuevo.",
    en="{name} is no machine of the lab: it cannot be started anew.",
)
_NAME_TAKEN = Text(
    es="Ya hay una máquina {name}: elige otro nombre.",
    en="There is a machine {name} already: choose another name.",
)
