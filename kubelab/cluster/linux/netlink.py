"""Links, addresses and routes by rtnetlink: several requests in one write, the answers in one read.

Source: rtnetlink(7), netlink(7), linux/if_link.h, linux/rtnetlink.h. A socket acts on the network namespace
that it was opened in (`namespaces.open_socket_in`). Written by hand because the shim runs without
site-packages, because importing pyroute2 takes 0.2 s of a 2 s start, and because a pod's whole network is one
write here.
Each request takes IPv4 or IPv6; what is listed is said to be of the one or the other. An IPv6 address is used
at once: the lab gives each out once, so nobody is asked whether he has it (RFC 4862, 5.4).
Left out: neighbours, rules. Traffic control: `traffic_control`.
"""
# ruff: noqa: PTH110, PTH123 - the shim imports this, and pathlib is slow to

import os
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from types import TracebackType
from typing import Generic, TypeVar

from kubelab.cluster.errors import KernelError

_ENODEV = 19
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NEWLINK, _DELLINK, _GETLINK, _SETLINK = 16, 17, 18, 19
_NEWADDR, _GETADDR, _NEWROUTE, _DELROUTE, _GETROUTE = 20, 22, 24, 25, 26
_REQUEST, _ACK, _DUMP, _REPLACE, _EXCL, _CREATE = 0x1, 0x4, 0x300, 0x100, 0x200, 0x400
_IFF_UP = 0x1
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_IFALIAS = 1, 3, 4, 10, 18, 20
_IFLA_NET_NS_FD = 28
_INFO_KIND, _INFO_DATA, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 1, 2, 4, 5
_VETH_INFO_PEER = 1
_BRPORT_ISOLATED = 33
_BR_MCAST_SNOOPING = 23
_NESTED = 0x8000
_IFA_LOCAL, _IFA_ADDRESS = 2, 1
_IFA_F_NODAD = 0x2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_METRICS, _RTAX_MTU = 1, 4, 5, 8, 2
_SCOPE_LINK = 253
_TABLE_MAIN, _TABLE_LOCAL, _PROTO_STATIC, _TYPE_UNICAST = 254, 255, 4, 1

MTU_BYTES = 1500  # Ethernet's, which the kernel gives bridges and veths by itself.

IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface
IPNetwork = IPv4Network | IPv6Network
_Network = TypeVar("_Network", IPv4Network, IPv6Network)


@dataclass(frozen=True, slots=True)
class Request:
    """One rtnetlink message. `operation` and `target` are for the error's sentence."""

    operation: str
    target: str
    type: int
    flags: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Link:
    index: int
    name: str
    alias: str
    up: bool
    master: int
    mtu_bytes: int = MTU_BYTES


@dataclass(frozen=True, slots=True)
class Route(Generic[_Network]):
    """`mtu_bytes` is 0 where the route goes by its link's."""

    network: _Network
    table: int
    index: int
    mtu_bytes: int = 0


def attribute(type_: int, content: bytes) -> bytes:
    """Return one attribute of a request's body; *nested* ones contain others."""
    return struct.pack("HH", 4 + len(content), type_) + content + b"\0" * (-len(content) % 4)


def _text(type_: int, text: str) -> bytes:
    return attribute(type_, text.encode() + b"\0")


def _number(type_: int, number: int) -> bytes:
    return attribute(type_, struct.pack("I", number))


def nested(type_: int, *attributes: bytes) -> bytes:
    return attribute(type_ | _NESTED, b"".join(attributes))


def _link_header(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("BxHiII", socket.AF_UNSPEC, 0, index, flags, change)


def _flags(up: bool | None) -> tuple[int, int]:
    return (0, 0) if up is None else (_IFF_UP if up else 0, _IFF_UP)


def _family(version: int) -> int:
    return socket.AF_INET if version == 4 else socket.AF_INET6


def add_bridge(name: str, hardware_address: bytes = b"") -> Request:
    """A bridge, up, without multicast snooping (it would hold back nothing here but costs every flood).

    Without a *hardware_address* it takes the lowest of its ports', a new one whenever they change. Its MTU,
    too, is the least of theirs, unless `set_link` gives it one (net/bridge/br_if.c, br_mtu_auto_adjust).
    """
    data = nested(_INFO_DATA, attribute(_BR_MCAST_SNOOPING, b"\0"))
    info = nested(_IFLA_LINKINFO, _text(_INFO_KIND, "bridge"), data)
    body = _link_header(0, *_flags(up=True)) + _text(_IFLA_IFNAME, name) + info
    if hardware_address:
        body += attribute(_IFLA_ADDRESS, hardware_address)
    return Request("add bridge", name, _NEWLINK, _CREATE | _EXCL, body)


def add_veth(
    name: str,
    peer: str,
    peer_netns_fd: int,
    *,
    index: int = 0,
    peer_hardware_address: bytes = b"",
    mtu_bytes: int = MTU_BYTES,
) -> Request:
    """A pair: *name* here, *peer* in the other network namespace, both down (neither can be up before both
    are)."""
    far_end = _link_header() + _text(_IFLA_IFNAME, peer) + _number(_IFLA_MTU, mtu_bytes)
    if peer_hardware_address:
        far_end += attribute(_IFLA_ADDRESS, peer_hardware_address)
    far_end += _number(_IFLA_NET_NS_FD, peer_netns_fd)
    data = nested(_INFO_DATA, attribute(_VETH_INFO_PEER, far_end))
    info = nested(_IFLA_LINKINFO, _text(_INFO_KIND, "veth"), data)
    body = _link_header(index) + _text(_IFLA_IFNAME, name) + info + _number(_IFLA_MTU, mtu_bytes)
    return Request("add veth", name, _NEWLINK, _CREATE | _EXCL, body)


def set_link(
    index: int,
    *,
    up: bool | None = None,
    master: int | None = None,
    alias: str = "",
    mtu_bytes: int | None = None,
) -> Request:
    body = _link_header(index, *_flags(up))
    if mtu_bytes is not None:
        body += _number(_IFLA_MTU, mtu_bytes)
    if master is not None:
        body += _number(_IFLA_MASTER, master)
    if alias:
        body += attribute(_IFLA_IFALIAS, alias.encode())
    return Request("set link", str(index), _SETLINK, 0, body)


def move_link(index: int, netns_fd: int) -> Request:
    """Hand the link over to another network namespace; it keeps its name and alias and goes down."""
    body = _link_header(index) + _number(_IFLA_NET_NS_FD, netns_fd)
    return Request("move link", str(index), _SETLINK, 0, body)


def isolate_port(index: int) -> Request:
    """Let the bridge port talk to the bridge itself only, not to other isolated ports."""
    data = nested(_INFO_SLAVE_DATA, attribute(_BRPORT_ISOLATED, b"\1"))
    info = nested(_IFLA_LINKINFO, _text(_INFO_SLAVE_KIND, "bridge"), data)
    return Request("isolate port", str(index), _NEWLINK, 0, _link_header(index) + info)


def delete_link(index: int) -> Request:
    return Request("delete link", str(index), _DELLINK, 0, _link_header(index))


def add_address(index: int, interface: IPInterface) -> Request:
    flags = _IFA_F_NODAD if interface.version == 6 else 0
    family = _family(interface.version)
    header = struct.pack("BBBBi", family, interface.network.prefixlen, flags, 0, index)
    packed = interface.ip.packed
    body = header + attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed)
    return Request("add address", str(interface), _NEWADDR, _CREATE | _REPLACE, body)


def _route_body(network: IPNetwork, scope: int) -> bytes:
    family = _family(network.version)
    fields = (family, network.prefixlen, 0, 0, _TABLE_MAIN, _PROTO_STATIC, scope, _TYPE_UNICAST, 0)
    return struct.pack("BBBBBBBBI", *fields) + attribute(_RTA_DST, network.network_address.packed)


def add_route(network: IPNetwork, gateway: IPAddress, index: int, *, mtu_bytes: int = 0) -> Request:
    """Route *network* by way of *gateway*, in packets of at most *mtu_bytes* (0: what the link takes)."""
    body = _route_body(network, 0) + attribute(_RTA_GATEWAY, gateway.packed) + _number(_RTA_OIF, index)
    if mtu_bytes:
        body += nested(_RTA_METRICS, _number(_RTAX_MTU, mtu_bytes))
    return Request("add route", f"{network} via {gateway}", _NEWROUTE, _CREATE | _REPLACE, body)


def add_link_route(network: IPNetwork, index: int) -> Request:
    """Route *network* straight onto a link; the route goes with the link."""
    body = _route_body(network, _SCOPE_LINK) + _number(_RTA_OIF, index)
    return Request("add route", f"{network} dev {index}", _NEWROUTE, _CREATE | _REPLACE, body)


def delete_route(network: IPNetwork) -> Request:
    return Request("delete route", str(network), _DELROUTE, 0, _route_body(network, 255))


class Netlink:
    """A route socket of the network namespace that the calling thread is in, or the given one."""

    def __init__(self, sock: socket.socket | None = None) -> None:
        self._socket = sock or _open()
        self._sequence = 0

    def __enter__(self) -> "Netlink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def do(self, *requests: Request) -> None:
        """Carry out the requests in order.

        Raises:
            KernelError: the first that was refused; the others were tried all the same.
        """
        self._send_and_check(requests)

    def do_together(self, begin: Request, *requests: Request, end: Request) -> None:
        """Carry out all of the requests or none, where the kernel takes them between a *begin* and an *end*.

        Raises:
            KernelError: the first that was refused.
        """
        brackets = [_message(bracket, _REQUEST, 0) for bracket in (begin, end)]
        self._send_and_check(requests, *brackets)

    def _send_and_check(self, requests: Sequence[Request], begin: bytes = b"", end: bytes = b"") -> None:
        first = self._sequence + 1
        self._sequence += len(requests)
        messages = (
            _message(request, _REQUEST | _ACK | request.flags, first + offset)
            for offset, request in enumerate(requests)
        )
        self._socket.send(b"".join((begin, *messages, end)))
        answers = self._acknowledgements(len(requests))
        for offset, request in enumerate(requests):
            if number := answers.get(first + offset, answers.get(0, 0)):
                raise KernelError(request.operation, request.target, number)

    def _acknowledgements(self, count: int) -> dict[int, int]:
        answers: dict[int, int] = {}
        while len(answers) < count:
            for type_, sequence, body in _split(self._socket.recv(65536)):
                if type_ == _NLMSG_ERROR:
                    answers[sequence] = _errno_in(body)
                    if not sequence:  # It is about all that was sent together.
                        return answers
        return answers

    def links(self) -> tuple[Link, ...]:
        return tuple(_link(body) for body in self.dump(_GETLINK, _link_header()))

    def link(self, name: str) -> Link | None:
        self._sequence += 1
        request = Request("find link", name, _GETLINK, 0, _link_header() + _text(_IFLA_IFNAME, name))
        self._socket.send(_message(request, _REQUEST, self._sequence))
        # One link, or the refusal: no need to read all of them.
        ((type_, _, body),) = _split(self._socket.recv(65536))
        if type_ != _NLMSG_ERROR:
            return _link(body)
        if (number := _errno_in(body)) != _ENODEV:
            raise KernelError(request.operation, name, number)
        return None

    def index(self, name: str) -> int:
        link = self.link(name)
        if link is None:
            raise KernelError("find link", name, _ENODEV)
        return link.index

    def routes(self) -> tuple[Route[IPv4Network], ...]:
        """Return the IPv4 routes of all tables."""
        return tuple(_route(body, IPv4Network, bytes(4)) for body in self._dump_routes(socket.AF_INET))

    def routes_v6(self) -> tuple[Route[IPv6Network], ...]:
        """Return the IPv6 routes of all tables."""
        return tuple(_route(body, IPv6Network, bytes(16)) for body in self._dump_routes(socket.AF_INET6))

    def _dump_routes(self, family: int) -> Iterator[bytes]:
        return self.dump(_GETROUTE, struct.pack("BBBBBBBBI", family, *[0] * 8))

    def addresses(self) -> Iterator[tuple[IPv4Address, int]]:
        """Yield each IPv4 address with the index of its link."""
        for packed, index in self._dump_addresses(socket.AF_INET):
            yield IPv4Address(packed), index

    def addresses_v6(self) -> Iterator[tuple[IPv6Address, int]]:
        """Yield each IPv6 address with the index of its link."""
        for packed, index in self._dump_addresses(socket.AF_INET6):
            yield IPv6Address(packed), index

    def _dump_addresses(self, family: int) -> Iterator[tuple[bytes, int]]:
        for body in self.dump(_GETADDR, struct.pack("BBBBi", family, 0, 0, 0, 0)):
            (index,) = struct.unpack_from("4xi", body)
            found = attributes(body[8:])
            # IPv6 has a local one only where there is another at the far end.
            if packed := found.get(_IFA_LOCAL, found.get(_IFA_ADDRESS)):
                yield packed, index

    def dump(self, type_: int, body: bytes) -> Iterator[bytes]:
        self._sequence += 1
        self._socket.send(_message(Request("list", "", type_, 0, body), _REQUEST | _DUMP, self._sequence))
        while True:
            for kind, _, content in _split(self._socket.recv(262144)):
                if kind == _NLMSG_ERROR:
                    raise KernelError("list", f"rtnetlink {type_}", _errno_in(content))
                if kind == _NLMSG_DONE:
                    return
                yield content


NETLINK_ROUTE = (socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)


def batch(*requests: Request) -> bytes:
    """Return the requests as one packet, for who sends it himself; each is answered by an acknowledgement."""
    flags = (_REQUEST | _ACK | request.flags for request in requests)
    return b"".join(
        _message(*each) for each in zip(requests, flags, range(1, len(requests) + 1), strict=True)
    )


def _open() -> socket.socket:
    try:
        return socket.socket(*NETLINK_ROUTE)
    except OSError as error:
        raise KernelError("socket", "netlink", error.errno or 0) from None


def _errno_in(body: bytes) -> int:
    """Return the errno of an NLMSG_ERROR, which is 0 in an acknowledgement."""
    return -int(struct.unpack_from("i", body)[0])


def _message(request: Request, flags: int, sequence: int) -> bytes:
    return struct.pack("IHHII", 16 + len(request.body), request.type, flags, sequence, 0) + request.body


def _split(buffer: bytes) -> Iterator[tuple[int, int, bytes]]:
    offset = 0
    while offset + 16 <= len(buffer):
        length, type_, _, sequence, _ = struct.unpack_from("IHHII", buffer, offset)
        yield type_, sequence, buffer[offset + 16 : offset + length]
        offset += (length + 3) & ~3


def attributes(buffer: bytes) -> dict[int, bytes]:
    found, offset = {}, 0
    while offset + 4 <= len(buffer):
        length, type_ = struct.unpack_from("HH", buffer, offset)
        if length < 4:
            break
        found[type_ & 0x3FFF] = buffer[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def _string(content: bytes) -> str:
    return content.rstrip(b"\0").decode(errors="replace")


def _link(body: bytes) -> Link:
    _, _, index, flags, _ = struct.unpack_from("BxHiII", body)
    found = attributes(body[16:])
    master = int.from_bytes(found.get(_IFLA_MASTER, b""), "little")
    name, alias = _string(found[_IFLA_IFNAME]), _string(found.get(_IFLA_IFALIAS, b""))
    mtu_bytes = int.from_bytes(found.get(_IFLA_MTU, b""), "little")
    return Link(index, name, alias, bool(flags & _IFF_UP), master, mtu_bytes)


def _route(body: bytes, network: type[_Network], default: bytes) -> Route[_Network]:
    _, prefix_length, _, _, table = struct.unpack_from("BBBBB", body)
    found = attributes(body[12:])
    address = found.get(_RTA_DST, default)
    index = int.from_bytes(found.get(_RTA_OIF, b""), "little")
    metrics = attributes(found.get(_RTA_METRICS, b""))
    mtu_bytes = int.from_bytes(metrics.get(_RTAX_MTU, b""), "little")
    return Route(network((address, prefix_length)), table, index, mtu_bytes)


def set_sysctls(values: Iterable[tuple[str, str]]) -> None:
    """Write /proc/sys/net values of the calling thread's network namespace; skip what this kernel lacks."""
    for name, value in values:
        path = f"/proc/sys/net/{name}"
        if os.path.exists(path):
            _write(path, value)


def _write(path: str, value: str) -> None:
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(value)
    except OSError as error:
        raise KernelError("write", f"{value} to {path}", error.errno or 0) from None
