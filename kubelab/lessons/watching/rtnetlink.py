"""What rtnetlink's messages say about links, addresses and routes.

Source: rtnetlink(7), linux/if_link.h, linux/if_addr.h, linux/rtnetlink.h. What the kernel gives to every link
by itself for IPv6 (an address in fe80::/64, the route to it, multicast) is left out, and so are all routing
tables but the main one.
"""

import socket
import struct
from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_network

from kubelab.cluster.linux.netlink import Netlink, attributes
from kubelab.lessons.observation import Address, Link, Route

# The groups in which the kernel tells of changes, as a mask: links, IPv4 addresses and routes, and IPv6's.
CHANGES_MASK = sum(1 << group - 1 for group in (1, 5, 7, 9, 11))

_GETLINK, _GETADDR, _GETROUTE = 18, 22, 26
_IFF_UP, _IFF_LOWER_UP = 0x1, 0x10000
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_LINKINFO, _INFO_KIND = 1, 3, 4, 10, 18, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC, _RTA_MULTIPATH, _RTA_TABLE, _RTA_VIA = 1, 4, 5, 7, 9, 15, 18
_RTM_F_CLONED = 0x200
_TABLE_MAIN = 254
_TYPES = {6: "blackhole", 7: "unreachable", 8: "prohibit"}
_TYPE_UNICAST = 1
_FAMILIES = (socket.AF_INET, socket.AF_INET6)


def links(netlink: Netlink) -> tuple[Link, ...]:
    bodies = list(netlink.dump(_GETLINK, bytes(16)))
    names = {_index(body): _name(attributes(body[16:])) for body in bodies}
    return tuple(_link(body, names) for body in bodies)


def addresses(netlink: Netlink, names: Mapping[int, str]) -> tuple[Address, ...]:
    """*names* are those of the links, by index."""
    found = (_address(body, names) for body in netlink.dump(_GETADDR, bytes(8)))
    return tuple(address for address in found if address is not None)


def routes(netlink: Netlink, names: Mapping[int, str]) -> tuple[Route, ...]:
    return tuple(route for body in netlink.dump(_GETROUTE, bytes(12)) for route in _routes(body, names))


def _index(body: bytes) -> int:
    return int(struct.unpack_from("4xi", body)[0])


def _name(found: Mapping[int, bytes]) -> str:
    return found.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace")


def _number(content: bytes | None) -> int:
    return int.from_bytes(content or b"", "little")


def _link(body: bytes, names: Mapping[int, str]) -> Link:
    (flags,) = struct.unpack_from("8xI", body)
    found = attributes(body[16:])
    kind = attributes(found.get(_IFLA_LINKINFO, b"")).get(_INFO_KIND, b"")
    return Link(
        index=_index(body),
        name=_name(found),
        kind=kind.rstrip(b"\0").decode(errors="replace"),
        up=bool(flags & _IFF_UP),
        carrier=bool(flags & _IFF_LOWER_UP),
        mtu_bytes=_number(found.get(_IFLA_MTU)),
        mac=found.get(_IFLA_ADDRESS, b"").hex(":"),
        master=names.get(_number(found.get(_IFLA_MASTER)), ""),
    )


def _address(body: bytes, names: Mapping[int, str]) -> Address | None:
    family, prefix_length = struct.unpack_from("BB", body)
    found = attributes(body[8:])
    packed = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS)
    if family not in _FAMILIES or packed is None:
        return None
    address = ip_address(packed)
    if family == socket.AF_INET6 and address.is_link_local:
        return None
    return Address(names.get(_index(body), ""), f"{address}/{prefix_length}")


def _routes(body: bytes, names: Mapping[int, str]) -> Iterator[Route]:
    """Yield a route for each next hop."""
    family, prefix_length, _, _, table, _, _, type_, flags = struct.unpack_from("BBBBBBBBI", body)
    found = attributes(body[12:])
    table = _number(found.get(_RTA_TABLE)) or table
    known = type_ == _TYPE_UNICAST or type_ in _TYPES
    if family not in _FAMILIES or table != _TABLE_MAIN or not known or flags & _RTM_F_CLONED:
        return
    destination = _destination(family, found.get(_RTA_DST), prefix_length)
    if destination is None:
        return
    if type_ in _TYPES:
        destination = f"{_TYPES[type_]} {destination}"
    source = _ip(found.get(_RTA_PREFSRC))
    hops = (
        _hops(found[_RTA_MULTIPATH]) if _RTA_MULTIPATH in found else [(_number(found.get(_RTA_OIF)), found)]
    )
    for index, hop in hops:
        yield Route(destination, _gateway(hop), names.get(index, ""), source)


def _destination(family: int, packed: bytes | None, prefix_length: int) -> str | None:
    """Return it as ip-route(8) writes it; None for what the kernel has for every link."""
    if packed is None:
        return "default"
    address = ip_address(packed)
    if family == socket.AF_INET6 and (address.is_link_local or address.is_multicast):
        return None
    return str(ip_network((packed, prefix_length), strict=False))


def _gateway(found: Mapping[int, bytes]) -> str:
    via = found.get(_RTA_VIA)  # An IPv6 gateway of an IPv4 route, behind its address family.
    return _ip(found.get(_RTA_GATEWAY)) or _ip(via[2:] if via else None)


def _ip(packed: bytes | None) -> str:
    return str(ip_address(packed)) if packed else ""


def _hops(content: bytes) -> Iterator[tuple[int, Mapping[int, bytes]]]:
    """Yield link and attributes of each `struct rtnexthop`."""
    offset = 0
    while offset + 8 <= len(content):
        length, _, _, index = struct.unpack_from("HBBi", content, offset)
        if length < 8:
            return
        yield index, attributes(content[offset + 8 : offset + length])
        offset += (length + 3) & ~3
