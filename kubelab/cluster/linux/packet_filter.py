"""Drop what a bridge forwards between some of its ports, all of it or a random share, by nf_tables.

The rules are one table of their own in the bridge's network namespace, replaced as a whole: either all of
them count or none. They see every frame between two ports, whatever it carries, and do not depend on
bridge-nf-call-iptables, which hands frames to another family's rules.
Source: nft(8), ADDRESS FAMILIES (bridge); linux/netfilter/nf_tables.h, linux/netfilter/nfnetlink.h.
Written by hand, so that neither nft nor its library need be installed.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from kubelab.cluster.linux.netlink import Netlink, Request, attribute, nested
from kubelab.cluster.linux.nftables import open_netfilter

TABLE = "kubelab"
_CHAIN = "forward"
_SUBSYSTEM = 10
_BATCH_BEGIN, _BATCH_END = 16, 17
_NEWTABLE, _DELTABLE, _NEWCHAIN, _NEWRULE = 0, 2, 3, 6
_CREATE, _APPEND = 0x400, 0x800
_BRIDGE = 7
_FORWARD_HOOK = 2
_VERDICT_REGISTER, _REGISTER = 0, 1
_IIFNAME, _OIFNAME = 6, 7
_EQUAL, _LESS = 0, 2
_RANDOM = 1
_NAME_BYTES = 16
_SHARES = 1 << 20


@dataclass(frozen=True, slots=True)
class Drop:
    """Frames that come in at the port `iif` and go out at `oif` ("": at any); of those a `share`, 1.0 all."""

    iif: str = ""
    oif: str = ""
    share: float = 1.0


def set_drops(drops: Sequence[Drop]) -> None:
    """Have the bridges of the calling thread's network namespace drop these from now on, and no others.

    Raises:
        KernelError: this kernel has no nf_tables for bridges, or not all that the rules need.
    """
    requests = [_table(_NEWTABLE, _CREATE), _table(_DELTABLE, 0)]
    if drops:
        requests += [_table(_NEWTABLE, _CREATE), _chain(), *map(_rule, drops)]
    with Netlink(open_netfilter()) as netlink:
        netlink.do_together(_bracket(_BATCH_BEGIN), *requests, end=_bracket(_BATCH_END))


def _bracket(type_: int) -> Request:
    return Request("change rules", TABLE, type_, 0, struct.pack(">BBH", 0, 0, _SUBSYSTEM))


def _request(type_: int, flags: int, *attributes: bytes) -> Request:
    body = struct.pack(">BBH", _BRIDGE, 0, 0) + b"".join(attributes)
    return Request("change rules", f"bridge {TABLE}", _SUBSYSTEM << 8 | type_, flags, body)


def _table(type_: int, flags: int) -> Request:
    return _request(type_, flags, _text(1, TABLE))


def _chain() -> Request:
    hook = nested(4, _number(1, _FORWARD_HOOK), _number(2, 0))
    return _request(_NEWCHAIN, _CREATE, _text(1, TABLE), _text(3, _CHAIN), hook, _text(7, "filter"))


def _rule(drop: Drop) -> Request:
    expressions = [
        *(_port(_IIFNAME, drop.iif) if drop.iif else ()),
        *(_port(_OIFNAME, drop.oif) if drop.oif else ()),
        *(_at_random(drop.share) if drop.share < 1 else ()),
        _expression("counter"),
        _expression("immediate", _number(1, _VERDICT_REGISTER), nested(2, nested(2, _number(1, 0)))),
    ]
    listed = nested(4, *(nested(1, each) for each in expressions))
    return _request(_NEWRULE, _CREATE | _APPEND, _text(1, TABLE), _text(2, _CHAIN), listed)


def _port(key: int, name: str) -> tuple[bytes, bytes]:
    value = name.encode().ljust(_NAME_BYTES, b"\0")
    return _expression("meta", _number(1, _REGISTER), _number(2, key)), _compare(_EQUAL, value)


def _at_random(share: float) -> tuple[bytes, bytes, bytes]:
    """A number below `_SHARES` is less than so much of it; what is compared is bytes, hence the swap."""
    chosen = struct.pack(">I", round(share * _SHARES))
    number = _expression("numgen", *map(_number, (1, 2, 3), (_REGISTER, _SHARES, _RANDOM)))
    swapped = _expression("byteorder", *map(_number, (1, 2, 3, 4, 5), (_REGISTER, _REGISTER, 1, 4, 4)))
    return number, swapped, _compare(_LESS, chosen)


def _compare(operator: int, value: bytes) -> bytes:
    return _expression("cmp", _number(1, _REGISTER), _number(2, operator), nested(3, attribute(1, value)))


def _expression(name: str, *attributes: bytes) -> bytes:
    return _text(1, name) + (nested(2, *attributes) if attributes else b"")


def _text(type_: int, text: str) -> bytes:
    return attribute(type_, text.encode() + b"\0")


def _number(type_: int, number: int) -> bytes:
    return attribute(type_, struct.pack(">I", number))
