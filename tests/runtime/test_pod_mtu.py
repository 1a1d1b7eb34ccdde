"""Pods send packets as large as their machine's cable takes."""

import os
from pathlib import Path

import pytest
from pod_node import Node

from kubelab.cluster.images.store import ImageStore
from kubelab.cluster.linux.namespaces import open_namespace, open_socket_in
from kubelab.cluster.linux.netlink import NETLINK_ROUTE, Netlink, set_link
from kubelab.cluster.runtime.pods import start_pods

pytestmark = [pytest.mark.root, pytest.mark.asyncio(loop_scope="module")]


def network_of(pid: int) -> Netlink:
    netns_fd = open_namespace(pid, "net")
    try:
        return Netlink(open_socket_in(netns_fd, *NETLINK_ROUTE))
    finally:
        os.close(netns_fd)


async def test_a_pod_and_its_bridge_have_the_mtu_of_the_cable(ground, tmp_path: Path) -> None:
    machine, pods = await ground.minion()
    with network_of(machine.pid) as there:
        there.do(set_link(there.index("eth0"), mtu_bytes=1400))
        async with start_pods(machine.shim, pods, ImageStore.open(tmp_path / "images")) as runtime:
            pod = await Node(machine, runtime, tmp_path).pod()
            with network_of(pod.pid) as inside:
                links = inside.link("eth0"), there.link("cni0")
    assert [link and link.mtu_bytes for link in links] == [1400, 1400]
