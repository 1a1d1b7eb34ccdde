"""A lab's ground for tests: a journal, a wire, cgroups; and the proof that nothing of it is left."""
# ruff: noqa: PTH110, PTH208

import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path

from host_mounts import host_mounts

from kubelab.cluster.linux import cgroups
from kubelab.cluster.linux.journal import Journal, undo
from kubelab.cluster.linux.netlink import Netlink
from kubelab.cluster.machine.machine import Role
from kubelab.cluster.machine.namespaced import MachineSpec, NamespacedMachine, start_cgroups, start_machine
from kubelab.cluster.machine.network import PhysicalNetwork, start_network


@dataclass
class Ground:
    """Where a test's machines are started; they end with it."""

    journal: Journal
    network: PhysicalNetwork
    cgroups: cgroups.CgroupTree
    stack: contextlib.AsyncExitStack
    count: dict[Role, int] = field(default_factory=dict)

    async def machine(self, role: Role = "scratch", **fields: object) -> NamespacedMachine:
        index = self.count.get(role, 0)
        self.count[role] = index + 1
        interface = self.network.plan.machine(role, index)
        spec = MachineSpec(f"{role}-{index + 1}", role, interface, **fields)  # type: ignore[arg-type]
        return await self.stack.enter_async_context(
            start_machine(spec, self.network, self.cgroups, self.journal)
        )

    async def minion(self) -> tuple[NamespacedMachine, IPv4Network]:
        pods = self.network.plan.pod_network(self.count.get("minion", 0))
        return await self.machine("minion", pods=pods), pods


@contextlib.asynccontextmanager
async def ground_at(path: Path) -> AsyncIterator[Ground]:
    mounts_before = host_mounts()
    descriptors_before = len(os.listdir("/proc/self/fd"))
    with Journal.open(path) as journal:
        async with (
            start_network(journal) as network,
            start_cgroups(journal) as tree,
            contextlib.AsyncExitStack() as stack,
        ):
            yield Ground(journal, network, tree, stack)
        left = links_of(journal), cgroups_of(journal)
    undo(path)
    assert left == ((), ())
    assert not path.exists()
    assert host_mounts() == mounts_before
    assert (
        len(os.listdir("/proc/self/fd")) <= descriptors_before + 1
    )  # the executor's first thread keeps none


def links_of(journal: Journal) -> tuple[str, ...]:
    with Netlink() as netlink:
        return tuple(link.name for link in netlink.links() if link.alias == journal.alias)


def cgroups_of(journal: Journal) -> tuple[str, ...]:
    directories = cgroups.detect().at(f"kubelab-{journal.token}").directories
    return tuple(directory for directory in directories if os.path.exists(directory))
