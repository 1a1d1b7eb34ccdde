"""What the hand-written requests make is what pyroute2, written by others, reads."""

import os
import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import TypeVar

import pytest
from pyroute2 import IPRoute

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import syscalls
from kubelab.cluster.linux.namespaces import (
    call_in_network,
    call_in_thread,
    namespace_id,
    new_network_namespace,
    open_namespace,
    open_socket_in,
)
from kubelab.cluster.linux.netlink import (
    MTU_BYTES,
    Link,
    Netlink,
    add_address,
    add_bridge,
    add_link_route,
    add_route,
    add_veth,
    delete_route,
    isolate_port,
    set_link,
    set_sysctls,
)

pytestmark = pytest.mark.root
T = TypeVar("T")


def in_new_network(act: Callable[[], T]) -> T:
    def run() -> T:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        return act()

    return call_in_thread(run)


def test_a_pod_s_network_in_one_batch():
    def act() -> None:
        with Netlink() as netlink, IPRoute() as oracle:
            netns_fd = open_namespace("thread-self", "net")
            netlink.do(
                add_bridge("cni0", bytes.fromhex("0a580a000001")),
                add_veth("eth0", "veth0", netns_fd, index=42),
                add_address(42, IPv4Interface("10.0.0.2/24")),
                set_link(42, up=True, alias="kubelab:x"),
                add_route(IPv4Network("0.0.0.0/0"), IPv4Address("10.0.0.1"), 42),
            )
            bridge, port = netlink.index("cni0"), netlink.index("veth0")
            netlink.do(set_link(port, master=bridge, up=True), isolate_port(port))
            links = {link.get("ifname"): link for link in oracle.get_links()}
            assert links["cni0"].get("address") == "0a:58:0a:00:00:01"
            assert links["veth0"].get("master") == bridge
            assert links["eth0"]["flags"] & 1
            slave = links["veth0"].get(("linkinfo", "slave_data"))
            assert slave.get("isolated") == 1
            (address,) = oracle.get_addr(index=42, family=socket.AF_INET)
            assert (address.get("address"), address["prefixlen"]) == ("10.0.0.2", 24)
            (route,) = oracle.get_default_routes(family=socket.AF_INET)
            assert (route.get("gateway"), route.get("oif")) == ("10.0.0.1", 42)
            assert netlink.link("eth0") == Link(42, "eth0", "kubelab:x", up=True, master=0)

    in_new_network(act)


def test_routes_are_listed_and_deleted():
    def act() -> None:
        with Netlink() as netlink:
            netlink.do(set_link(1, up=True), add_address(1, IPv4Interface("10.9.0.1/24")))
            network = IPv4Network("10.8.0.0/16")
            netlink.do(add_route(network, IPv4Address("10.9.0.2"), 1))
            assert network in {route.network for route in netlink.routes()}
            netlink.do(delete_route(network))
            assert network not in {route.network for route in netlink.routes()}

    in_new_network(act)


def test_a_refusal_names_the_request():
    def act() -> None:
        with Netlink() as netlink:
            netlink.do(add_bridge("twice"))
            with pytest.raises(KernelError, match=r"add bridge twice: File exists \(EEXIST\)"):
                netlink.do(add_bridge("once"), add_bridge("twice"))
            assert netlink.link("once")

    in_new_network(act)


def test_a_socket_lives_in_the_namespace_it_was_opened_in_and_we_stay_in_ours():
    before = namespace_id("thread-self", "net")
    netns_fd = new_network_namespace(lambda: None)

    def listen() -> None:
        with Netlink() as netlink:
            netlink.do(set_link(1, up=True))

    call_in_network(netns_fd, listen)
    with open_socket_in(netns_fd) as listener, open_socket_in(netns_fd) as client, socket.socket() as outside:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client.connect(listener.getsockname())
        with pytest.raises(ConnectionRefusedError):
            outside.connect(listener.getsockname())
    assert namespace_id("thread-self", "net") == before


def test_a_link_is_found_by_its_name_alone():
    def act() -> None:
        with Netlink() as netlink:
            netlink.do(add_bridge("one"), add_bridge("two"))
            assert netlink.link("two") in netlink.links()
            assert netlink.link("three") is None
            with pytest.raises(KernelError, match="find link three: No such device"):
                netlink.index("three")

    in_new_network(act)


def test_ipv6_is_addressed_and_routed_at_once():
    """An address is used without asking who has it: no time passes until packets go."""

    def act() -> None:
        set_sysctls((("ipv6/conf/all/disable_ipv6", "0"),))
        with Netlink() as netlink, IPRoute() as oracle:
            netlink.do(set_link(1, up=True), add_bridge("br0"))
            index = netlink.index("br0")
            interface, gateway = IPv6Interface("fd00:89::11/64"), IPv6Address("fd00:89::1")
            pods, here = IPv6Network("fd00:244::/48"), IPv6Network("fd00:245::/64")
            netlink.do(
                add_address(index, interface),
                add_route(pods, gateway, index, mtu_bytes=1400),
                add_link_route(here, index),
            )
            assert (interface.ip, index) in set(netlink.addresses_v6())
            found = {route.network: route for route in netlink.routes_v6() if route.index == index}
            assert (found[pods].mtu_bytes, found[here].mtu_bytes) == (1400, 0)
            assert interface.network in found
            assert pods not in {route.network for route in netlink.routes()}
            (address,) = oracle.get_addr(index=index, family=socket.AF_INET6, scope=0)
            assert (address.get("address"), address["prefixlen"]) == ("fd00:89::11", 64)
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
                sender.bind((str(interface.ip), 0))  # Refused (EADDRNOTAVAIL) while an address is tentative.
            netlink.do(delete_route(pods))
            assert pods not in {route.network for route in netlink.routes_v6()}

    in_new_network(act)


def test_both_ends_of_a_cable_its_bridge_and_a_route_have_the_mtu():
    def act() -> None:
        netns_fd = open_namespace("thread-self", "net")
        with os.fdopen(netns_fd), Netlink() as netlink, IPRoute() as oracle:
            netlink.do(
                add_bridge("br0"),
                add_veth("left", "right", netns_fd, mtu_bytes=1400),
                add_veth("plain", "other", netns_fd),
            )
            bridge, port = netlink.index("br0"), netlink.index("right")
            netlink.do(set_link(bridge, mtu_bytes=1400))
            # It keeps it, whoever is plugged in and out.
            netlink.do(set_link(port, master=bridge), set_link(port, master=0))
            mtus = {link.name: link.mtu_bytes for link in netlink.links()}
            assert {mtus[name] for name in ("br0", "left", "right")} == {1400}
            assert mtus["plain"] == mtus["other"] == MTU_BYTES
            index = netlink.index("left")
            netlink.do(
                set_link(index, up=True, mtu_bytes=9000),
                add_address(index, IPv4Interface("10.9.0.1/24")),
                add_route(IPv4Network("10.8.0.0/16"), IPv4Address("10.9.0.2"), index, mtu_bytes=1280),
            )
            assert {link.get("ifname"): link.get("mtu") for link in oracle.get_links()}["left"] == 9000
            (route,) = [r for r in netlink.routes() if r.network == IPv4Network("10.8.0.0/16")]
            assert route.mtu_bytes == 1280

    in_new_network(act)
