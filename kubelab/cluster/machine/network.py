"""The physical network: a bridge in a network namespace of its own, a cable to each machine, one to the host.

The bridge lives apart from the host's network, so no firewall rule, bridge-netfilter setting or other bridge
there touches what machines and pods say to each other. The namespace is kept alive by a file descriptor and
by nothing else: when the lab dies, it and every cable go. The host's end of its cable is the one link that
the host sees. Unplugging a cable takes the bridge's side down: the machine's own side loses its carrier, as
with a real cable. The bridge's MTU is that of every cable; inside a machine, pods follow that of `eth0`.
In a user namespace the host's network is out of reach: there the cable leads to a network namespace that
stands in for it, and the host's own programs reach neither machines nor pods.
What else can be done to cables: `cable`.
Left out: routes out of the lab, IPv6.
"""

import asyncio
import contextlib
import fcntl
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import TypeVar

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import user_namespace
from kubelab.cluster.linux.journal import Journal
from kubelab.cluster.linux.namespaces import (
    call_in_network,
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
    delete_link,
    move_link,
    set_link,
    set_sysctls,
)
from kubelab.cluster.linux.threads import in_thread
from kubelab.cluster.machine.addresses import AddressPlan, choose
from kubelab.cluster.machine.cable import Cables

BRIDGE = "wire"
_HOST_PORT = "host"
# A machine that is started again has the address that its neighbours remember.
HARDWARE_PREFIX = b"\x0a\x58"
_HOST_LINKS_MAX = 100
_EEXIST, _ENODEV = 17, 19
_SYSCTLS = (
    ("bridge/bridge-nf-call-iptables", "0"),
    ("bridge/bridge-nf-call-ip6tables", "0"),
    ("bridge/bridge-nf-call-arptables", "0"),
    ("ipv6/conf/all/disable_ipv6", "1"),
    ("ipv6/conf/default/disable_ipv6", "1"),
)

_Result = TypeVar("_Result")


class PhysicalNetwork:
    """The wire. `host_link` is the host's link to it; `plan` the addresses in use."""

    def __init__(self, netns_fd: int, plan: AddressPlan, host_link: str, host: "_Host") -> None:
        self.plan = plan
        self.host_link = host_link
        self._netns_fd = netns_fd
        self._host = host
        self._machines: dict[str, tuple[int, IPv4Address]] = {}
        self._pod_routes: dict[IPv4Network, IPv4Address] = {}
        self._changing = asyncio.Lock()
        self.cables = Cables(netns_fd, self._namespace, self._changing)

    @contextlib.asynccontextmanager
    async def plugged(self, name: str, netns_fd: int, interface: IPv4Interface) -> AsyncIterator[None]:
        """Lay a cable from the wire to `eth0` in the machine's network namespace, and address that. The cable
        goes with the namespace; at the end of the block no thread uses *netns_fd* any more."""
        async with self._changing:
            await in_thread(self._plug, name, netns_fd, interface)
            self._machines[name] = (netns_fd, interface.ip)
        try:
            yield
        finally:
            async with self._changing:
                del self._machines[name]
                routes = self._pod_routes.items()
                self._pod_routes = {network: via for network, via in routes if via != interface.ip}

    async def route_pods(self, network: IPv4Network, via: IPv4Address) -> None:
        """Let the host and every machine, present and to come, reach these pods by way of *via*."""
        async with self._changing:
            self._pod_routes[network] = via
            await in_thread(self._route_everywhere, network, via)

    async def damages(self, name: str) -> tuple[str, ...]:
        """Return what is missing of the machine's link, address and routes, in a few words each."""
        async with self._changing:
            if name not in self._machines:
                return (f"{name} is not plugged in",)
            netns_fd, address = self._machines[name]
            routes = [network for network, via in self._pod_routes.items() if via != address]
            return await in_thread(_in_network, netns_fd, lambda netlink: _damages(netlink, address, routes))

    def host_socket(self) -> socket.socket:
        """Return a non-blocking TCP socket where the host's cable ends: from there machines are reached."""
        return self._host.socket()

    async def cut(self, name: str) -> None:
        """Pull the machine's cable out."""
        await self.cables.cut(name)

    async def heal(self, name: str) -> None:
        """Put the machine's cable back in."""
        await self.cables.heal(name)

    def _plug(self, name: str, netns_fd: int, interface: IPv4Interface) -> None:
        hardware_address = HARDWARE_PREFIX + interface.ip.packed
        self._here(lambda netlink: _add_port(netlink, name, netns_fd, hardware_address))
        self.cables.restore(name, netns_fd)
        routes = tuple(self._pod_routes.items())
        _in_network(netns_fd, lambda netlink: _ready_machine(netlink, interface, routes))

    def _route_everywhere(self, network: IPv4Network, via: IPv4Address) -> None:
        for netns_fd, address in self._machines.values():
            if address != via:
                _in_network(netns_fd, lambda n: n.do(add_route(network, via, n.index("eth0"))))
        self._host.call(lambda: self._route_on_host(network, via))

    def _route_on_host(self, network: IPv4Network, via: IPv4Address) -> None:
        with Netlink() as netlink:
            netlink.do(add_route(network, via, netlink.index(self.host_link)))

    def _namespace(self, name: str) -> int | None:
        return self._machines[name][0] if name in self._machines else None

    def _here(self, act: Callable[[Netlink], _Result]) -> _Result:
        return _in_network(self._netns_fd, act)


@contextlib.asynccontextmanager
async def start_network(journal: Journal, mtu_bytes: int = MTU_BYTES) -> AsyncIterator[PhysicalNetwork]:
    """Make the wire and join the host to it, on networks that the host has no use for.

    Raises:
        LabError: no network is free.
        KernelError: the kernel refused a link.
    """
    host = await in_thread(_Host.find)
    netns_fd = -1
    host_link = ""
    try:
        netns_fd = await in_thread(new_network_namespace, lambda: _make_bridge(mtu_bytes))
        plan, host_link = await in_thread(host.call, lambda: _claim(netns_fd, journal))
        yield PhysicalNetwork(netns_fd, plan, host_link, host)
    finally:
        if netns_fd >= 0:
            os.close(netns_fd)
        if host_link:
            await in_thread(host.call, lambda: _leave_host(host_link, journal.alias))
        host.close()


class _Host:
    """The network at the other end of the host's cable: this process's, or what stands in for it."""

    def __init__(self, stand_in_fd: int) -> None:
        self._stand_in_fd = stand_in_fd

    @staticmethod
    def find() -> "_Host":
        return _Host(new_network_namespace(_raise_loopback) if user_namespace.is_nested() else -1)

    def call(self, act: Callable[[], _Result]) -> _Result:
        return act() if self._stand_in_fd < 0 else call_in_network(self._stand_in_fd, act)

    def socket(self) -> socket.socket:
        if self._stand_in_fd < 0:
            opened = socket.socket()
        else:
            opened = open_socket_in(self._stand_in_fd, socket.AF_INET, socket.SOCK_STREAM)
        opened.setblocking(False)
        return opened

    def close(self) -> None:
        if self._stand_in_fd >= 0:
            os.close(self._stand_in_fd)


def _raise_loopback() -> None:
    with Netlink() as netlink:
        netlink.do(set_link(1, up=True))


def _in_network(netns_fd: int, act: Callable[[Netlink], _Result]) -> _Result:
    def run() -> _Result:
        with Netlink() as netlink:
            return act(netlink)

    return call_in_network(netns_fd, run)


def _make_bridge(mtu_bytes: int) -> None:
    set_sysctls(_SYSCTLS)
    with Netlink() as netlink:
        netlink.do(set_link(1, up=True), add_bridge(BRIDGE))
        netlink.do(set_link(netlink.index(BRIDGE), mtu_bytes=mtu_bytes))


def _claim(netns_fd: int, journal: Journal) -> tuple[AddressPlan, str]:
    """Choose networks and route them on the host, before another lab that starts now looks for its own."""
    with _host_network_locked():
        plan = _plan()
        return plan, _join_host(netns_fd, plan, journal)


@contextlib.contextmanager
def _host_network_locked() -> Iterator[None]:
    """Hold the lock on the host's network namespace itself: it is the one file that all labs there share."""
    fd = open_namespace("thread-self", "net")
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _plan() -> AddressPlan:
    with Netlink() as netlink:
        return choose(route.network for route in netlink.routes())


def _damages(netlink: Netlink, address: IPv4Address, routes: list[IPv4Network]) -> tuple[str, ...]:
    links = {link.name: link for link in netlink.links() if link.up}
    down = tuple(f"link {name} is down or gone" for name in ("lo", "eth0") if name not in links)
    if down:
        return down
    index = links["eth0"].index
    found = {(route.network, route.index) for route in netlink.routes()}
    return (
        *(() if (address, index) in set(netlink.addresses()) else (f"address {address} is gone",)),
        *(f"route {network} is gone" for network in routes if (network, index) not in found),
    )


def _add_port(netlink: Netlink, name: str, netns_fd: int, hardware_address: bytes) -> None:
    """Make the cable. The kernel may not yet have taken down that of a machine of this name which is gone."""
    if left := netlink.link(name):
        _delete(netlink, left.index)
    bridge = _bridge(netlink)
    address, mtu_bytes = hardware_address, bridge.mtu_bytes
    netlink.do(add_veth(name, "eth0", netns_fd, peer_hardware_address=address, mtu_bytes=mtu_bytes))
    netlink.do(set_link(netlink.index(name), master=bridge.index, up=True))


def _bridge(netlink: Netlink) -> Link:
    bridge = netlink.link(BRIDGE)
    if bridge is None:
        raise KernelError("find link", BRIDGE, _ENODEV)
    return bridge


def _ready_machine(
    netlink: Netlink, interface: IPv4Interface, routes: tuple[tuple[IPv4Network, IPv4Address], ...]
) -> None:
    index = netlink.index("eth0")
    pods = [add_route(network, via, index) for network, via in routes if via != interface.ip]
    netlink.do(add_address(index, interface), set_link(index, up=True), *pods)


def _join_host(netns_fd: int, plan: AddressPlan, journal: Journal) -> str:
    """Lay the host's cable: made on the wire's side and marked there, so that it is never on the host
    unmarked."""
    host_netns_fd = open_namespace("thread-self", "net")
    try:
        name = _in_network(netns_fd, lambda netlink: _make_host_cable(netlink, host_netns_fd, journal))
    finally:
        os.close(host_netns_fd)
    with Netlink() as netlink:
        index = netlink.index(name)
        claim = add_link_route(plan.pods, index)  # Each node's own part is routed to the node as it comes.
        netlink.do(add_address(index, plan.host), set_link(index, up=True), claim)
    return name


def _make_host_cable(netlink: Netlink, host_netns_fd: int, journal: Journal) -> str:
    for number in range(_HOST_LINKS_MAX):
        name = f"kubelab{number}"
        alias = journal.link(name)
        try:
            return _hand_over(netlink, name, alias, host_netns_fd)
        except KernelError as error:
            if error.errno != _EEXIST:
                raise
    raise KernelError("add veth", f"kubelab0..{_HOST_LINKS_MAX - 1}", _EEXIST)


def _hand_over(netlink: Netlink, name: str, alias: str, host_netns_fd: int) -> str:
    wire_netns_fd = open_namespace("thread-self", "net")
    try:
        bridge = _bridge(netlink)
        netlink.do(add_veth(name, _HOST_PORT, wire_netns_fd, mtu_bytes=bridge.mtu_bytes))
    finally:
        os.close(wire_netns_fd)
    index = netlink.index(name)
    port = netlink.index(_HOST_PORT)
    netlink.do(set_link(index, alias=alias), set_link(port, master=bridge.index, up=True))
    try:
        netlink.do(move_link(index, host_netns_fd))
    except KernelError:
        netlink.do(delete_link(index))
        raise
    return name


def _leave_host(name: str, alias: str) -> None:
    with Netlink() as netlink:
        link = netlink.link(name)
        if link is None or link.alias != alias:
            return
        _delete(netlink, link.index)


def _delete(netlink: Netlink, index: int) -> None:
    """Delete a link, unless it goes by itself meanwhile."""
    try:
        netlink.do(delete_link(index))
    except KernelError as error:
        if error.errno != _ENODEV:
            raise
