"""A lab with real machines and no cluster: all that a lesson without one asks of it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from kubelab.cluster.client.api import Api
from kubelab.cluster.errors import LabError
from kubelab.cluster.lab.control import ShellOffer
from kubelab.cluster.linux.cgroups import CgroupTree
from kubelab.cluster.linux.journal import Journal, undo
from kubelab.cluster.machine.machine import Machine
from kubelab.cluster.machine.namespaced import MachineSpec, start_cgroups, start_machine
from kubelab.cluster.machine.network import PhysicalNetwork, start_network
from kubelab.cluster.store.requests import KeyValue
from kubelab.cluster.store.state import StoreState
from kubelab.lessons.progress import Progress


class ScratchLab:
    home = "master-1"
    kubeconfig_on_machine = "/etc/kubernetes/admin.conf"

    def __init__(self, network: PhysicalNetwork, cgroups: CgroupTree, journal: Journal) -> None:
        self._network = network
        self._cgroups = cgroups
        self._journal = journal
        self.machines: dict[str, Machine] = {}
        self.offers: list[ShellOffer] = []

    @property
    def api(self) -> Api:
        raise LabError("this lab has no cluster")

    def store(self) -> StoreState | None:
        return None

    async def stored(self, key: bytes, member: str = "") -> KeyValue | None:
        raise LabError("this lab has no cluster")

    def requests(self) -> None:
        return None

    async def ready(self) -> None: ...

    async def restart(self, name: str) -> None:
        raise LabError(f"this lab has no cluster, and in it no {name}")

    @contextmanager
    def offering(self, offer: ShellOffer) -> Iterator[None]:
        self.offers.append(offer)
        yield
        self.offers.remove(offer)

    @asynccontextmanager
    async def scratch(self, name: str) -> AsyncIterator[Machine]:
        spec = MachineSpec(name, "scratch", self._network.plan.machine("scratch", 0))
        async with start_machine(spec, self._network, self._cgroups, self._journal) as machine:
            self.machines[name] = machine
            try:
                yield machine
            finally:
                del self.machines[name]


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[ScratchLab]:
    path = tmp_path / "journal"
    with Journal.open(path) as journal:
        try:
            async with start_network(journal) as network, start_cgroups(journal) as cgroups:
                yield ScratchLab(network, cgroups, journal)
        finally:
            undo(path)


@pytest.fixture
def progress(tmp_path: Path) -> AsyncIterator[Progress]:
    with Progress.open(tmp_path / "state" / "progress.sqlite3") as opened:
        yield opened
