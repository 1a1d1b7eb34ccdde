"""How a link sends: later (netem), or no more than so much a second (netem, tbf), by rtnetlink.

A queueing discipline delays what leaves by its link, so a cable that is slow in both directions has one at
each end. A rate alone takes tbf, which more kernels have than netem.
Source: tc(8), tc-netem(8), tc-tbf(8), linux/pkt_sched.h, linux/rtnetlink.h. The kernel's own times are ticks
of 64 ns; the attributes with 64 bits are in nanoseconds, and bursts in bytes, so that no ticks are needed.
Left out: classes, filters, correlations, loss (see `packet_filter`).
"""

import errno
import struct
from dataclasses import dataclass

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.netlink import MTU_BYTES, Netlink, Request, attribute, attributes

_NEWQDISC, _DELQDISC, _GETQDISC = 36, 37, 38
_REPLACE, _CREATE = 0x100, 0x400
_ROOT, _HANDLE = 0xFFFFFFFF, 0x6B6C0000  # "kl:", so that only what was put here is taken away.
_KIND, _OPTIONS = 1, 2
_NETEM_RATE, _NETEM_RATE64, _NETEM_LATENCY64, _NETEM_JITTER64 = 6, 8, 10, 11
_TBF_PARMS, _TBF_RATE64, _TBF_BURST = 1, 4, 6
_LINK_LAYER_ETHERNET = 1
_NETEM_PACKETS_MAX = 10_000
_TBF_QUEUE_S = 0.2
_32_BITS = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Slowness:
    """A packet comes `delay_s` later, give or take `jitter_s`; 0 bits a second do not bound the rate."""

    delay_s: float = 0.0
    jitter_s: float = 0.0
    rate_bits_per_s: int = 0


def set_slowness(netlink: Netlink, index: int, slowness: Slowness) -> None:
    """Have the link send so from now on; a `Slowness()` has it send as before.

    Raises:
        KernelError: refused; nothing slows the link then. `lacks_netem` knows the error of a kernel without.
    """
    if discipline(netlink, index):
        netlink.do(_delete(index))  # The kernel does not let one kind be replaced by another.
    if slowness.delay_s or slowness.jitter_s:
        netlink.do(_root(index, "netem", _netem(slowness)))
    elif slowness.rate_bits_per_s:
        netlink.do(_root(index, "tbf", _tbf(slowness.rate_bits_per_s // 8)))


def lacks_netem(error: KernelError) -> bool:
    return error.errno == errno.ENOENT and str(error.target).endswith("netem")


def discipline(netlink: Netlink, index: int) -> str:
    """Return the kind of the link's own discipline; "" if it has none but the kernel's."""
    for body in netlink.dump(_GETQDISC, struct.pack("BxxxiIII", 0, index, 0, 0, 0)):
        at, handle = struct.unpack_from("4xiI", body)
        if (at, handle) == (index, _HANDLE):
            return attributes(body[20:])[_KIND].rstrip(b"\0").decode()
    return ""


def _delete(index: int) -> Request:
    body = struct.pack("BxxxiIII", 0, index, _HANDLE, _ROOT, 0)
    return Request("delete queueing discipline", str(index), _DELQDISC, 0, body)


def _root(index: int, kind: str, options: bytes) -> Request:
    header = struct.pack("BxxxiIII", 0, index, _HANDLE, _ROOT, 0)
    body = header + attribute(_KIND, kind.encode() + b"\0") + attribute(_OPTIONS, options)
    return Request("set queueing discipline", f"{index} {kind}", _NEWQDISC, _CREATE | _REPLACE, body)


def _netem(slowness: Slowness) -> bytes:
    options = struct.pack("IIIIII", 0, _NETEM_PACKETS_MAX, 0, 0, 0, 0)
    options += attribute(_NETEM_LATENCY64, struct.pack("q", round(slowness.delay_s * 1e9)))
    options += attribute(_NETEM_JITTER64, struct.pack("q", round(slowness.jitter_s * 1e9)))
    if rate := slowness.rate_bits_per_s // 8:
        options += attribute(_NETEM_RATE, struct.pack("IiIi", min(rate, _32_BITS), 0, 0, 0))
        options += attribute(_NETEM_RATE64, struct.pack("Q", rate)) if rate > _32_BITS else b""
    return options


def _tbf(rate_bytes_per_s: int) -> bytes:
    """Let a hundredth of a second's worth go at once, or two packets: a smaller burst would never go."""
    burst_bytes = max(rate_bytes_per_s // 100, 2 * (MTU_BYTES + 18))
    queue_bytes = burst_bytes + max(round(rate_bytes_per_s * _TBF_QUEUE_S), 10 * MTU_BYTES)
    rate = struct.pack("BBHhHI", 0, _LINK_LAYER_ETHERNET, 0, 0, 0, min(rate_bytes_per_s, _32_BITS))
    parms = rate + bytes(len(rate)) + struct.pack("III", queue_bytes, 0, 0)
    options = attribute(_TBF_PARMS, parms) + attribute(_TBF_BURST, struct.pack("I", burst_bytes))
    wide = attribute(_TBF_RATE64, struct.pack("Q", rate_bytes_per_s))
    return options + (wide if rate_bytes_per_s > _32_BITS else b"")
