"""Labs beside each other: each finds networks of its own, however close together they start."""

import asyncio
import os
from contextlib import AsyncExitStack
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from kubelab.cluster.linux.journal import Journal, undo
from kubelab.cluster.linux.namespaces import new_network_namespace, open_socket_in
from kubelab.cluster.linux.netlink import NETLINK_ROUTE, Netlink
from kubelab.cluster.machine.addresses import AddressPlan
from kubelab.cluster.machine.network import start_network

pytestmark = pytest.mark.root

LABS = 4


async def test_labs_that_start_at_the_same_moment_share_no_network(tmp_path: Path) -> None:
    paths = [tmp_path / f"journal-{number}" for number in range(LABS)]
    async with AsyncExitStack() as stack:
        journals = [stack.enter_context(Journal.open(path)) for path in paths]
        starting = (stack.enter_async_context(start_network(journal)) for journal in journals)
        plans: list[AddressPlan] = [network.plan for network in await asyncio.gather(*starting)]
    for path in paths:
        undo(path)
    assert len({plan.machines for plan in plans}) == LABS
    assert len({plan.pods for plan in plans}) == LABS


async def test_nothing_of_its_networks_stays_on_the_host(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal") as journal:
        async with start_network(journal) as network:
            plan, own = network.plan, index_of(network.host_link)
            assert {(plan.machines, own), (plan.pods, own)} <= routed()
    undo(tmp_path / "journal")
    # By their link: the networks themselves may be another lab's at once.
    assert own not in {index for _, index in routed()}


async def test_every_cable_has_the_mtu_of_the_network(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal") as journal:
        async with start_network(journal, mtu_bytes=1400) as network:
            netns_fd = new_network_namespace(lambda: None)
            async with network.plugged("m", netns_fd, network.plan.machine("scratch", 0)):
                with Netlink(open_socket_in(netns_fd, *NETLINK_ROUTE)) as inside, Netlink() as outside:
                    links = inside.link("eth0"), outside.link(network.host_link)
            os.close(netns_fd)
    undo(tmp_path / "journal")
    assert [link and link.mtu_bytes for link in links] == [1400, 1400]


def routed() -> set[tuple[IPv4Network, int]]:
    with Netlink() as netlink:
        return {(route.network, route.index) for route in netlink.routes()}


def index_of(link: str) -> int:
    with Netlink() as netlink:
        return netlink.index(link)
