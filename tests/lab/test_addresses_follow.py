"""The members of a store find each other also where their machines have other addresses than in the cluster's
last life: another lab may have taken the network."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from ground import Ground, ground_at

from kubelab.cluster.clock import SystemClock
from kubelab.cluster.lab.config import StoreChoice
from kubelab.cluster.lab.control_plane import ControlPlane
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.local_store import LocalStore
from kubelab.cluster.linux.suspension import Suspension
from kubelab.cluster.machine.namespaced import NamespacedMachine
from kubelab.cluster.store.etcd_client import EtcdClient
from kubelab.cluster.store.member import Member
from kubelab.cluster.store.requests import Put, Range
from kubelab.cluster.store.service import KeyValueService

pytestmark = pytest.mark.root

NAMES = ("master-1", "master-2", "master-3")


@asynccontextmanager
async def members(
    machines: Mapping[str, NamespacedMachine], choice: StoreChoice, directory: LabDirectory
) -> AsyncIterator[KeyValueService]:
    """Run the store's members on *machines*, named as given here; yield what the first one's clients see."""
    addresses = {name: IPv4Address(machine.address) for name, machine in machines.items()}
    plane = await ControlPlane.create(addresses, choice, directory, SystemClock())
    async with AsyncExitStack() as stack:
        for name, machine in machines.items():
            run = plane.masters[name].store.run(machine, SystemClock(), Suspension())
            stack.push_async_callback(await stack.enter_async_context(run))
        yield await stack.enter_async_context(plane.masters[NAMES[0]].store.opened(machines[NAMES[0]]))


async def three(ground: Ground, first: int) -> dict[str, NamespacedMachine]:
    """Start three machines on which the masters' names stand for these machines themselves."""
    plan = ground.network.plan
    hosts = {name: plan.machine("master", first + index).ip for index, name in enumerate(NAMES)}
    return {name: await ground.machine("master", hosts=hosts) for name in NAMES}


@pytest.mark.parametrize("choice", ["raft", "etcd"])
async def test_members_find_each_other_at_other_addresses(tmp_path: Path, choice: StoreChoice) -> None:
    directory = LabDirectory(tmp_path / "lab")
    async with ground_at(tmp_path / "journal") as ground:
        async with members(await three(ground, 0), choice, directory) as store:
            await store.put(Put(b"key", b"value"))
        async with members(moved := await three(ground, 3), choice, directory) as store:
            await store.put(Put(b"other"))  # Which takes a majority.
            assert (await store.range(Range(b"key"))).kvs[0].value == b"value"
            await until_known(store, {n: f"https://{moved[n].address}:2379" for n in NAMES})


async def until_known(store: KeyValueService, clients: Mapping[str, str]) -> None:
    """Wait until all members are known by their names, with these URLs for clients, which they tell when they
    have come up; the test's own time-out ends it."""
    cluster = store.member if isinstance(store, LocalStore) else store
    assert isinstance(cluster, Member | EtcdClient)
    while {each.name: each.client_urls[:1] for each in await cluster.members()} != {
        name: (url,) for name, url in clients.items()
    }:
        await SystemClock().sleep(0.05)
    for each in await cluster.members():
        assert each.peer_urls == (f"https://{each.name}:2380",)
