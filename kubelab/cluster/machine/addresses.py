"""Which addresses the lab uses: free networks, and a fixed place in them for each machine. Pure.

The machines' network is 10.89.N.0/24: .1 the host, masters from .11, minions from .21, scratch machines from
.101. Each node has a /24 of the pods' network, 10.244.0.0/16 as kubeadm and flannel have it, or the next
free: 253 pods, for the first address is the bridge's; a kubelet takes 110. Where all of 10.0.0.0/8 leads
somewhere else (into an office, by a VPN) both come from the other networks that are nobody's: RFC 1918, and
RFC 6598 for pods.
Left out: IPv6; networks chosen by hand.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from itertools import chain

from kubelab.cluster.errors import LabError
from kubelab.cluster.machine.machine import Role
from kubelab.language import Text

_FIRST = {"master": 11, "minion": 21, "scratch": 101}
_COUNT_MAX = {"master": 10, "minion": 80, "scratch": 100}
_TOP_BITS_MIN = 8
_MACHINE_NETWORKS = ("10.89.0.0/16", "172.30.0.0/16", "192.168.0.0/16")
_POD_NETWORKS = (
    *(f"10.{n}.0.0/16" for n in chain([244], range(128, 244), range(32, 128))),
    *(f"172.{n}.0.0/16" for n in range(16, 32)),
    *(f"100.{n}.0.0/16" for n in range(64, 128)),
)
# Where Services have theirs; a test compares it with the API server's.
SERVICES = IPv4Network("10.96.0.0/12")


@dataclass(frozen=True, slots=True)
class AddressPlan:
    """The two networks of one lab."""

    machines: IPv4Network
    pods: IPv4Network

    @property
    def host(self) -> IPv4Interface:
        return self._interface(1)

    def machine(self, role: Role, index: int) -> IPv4Interface:
        """Return the address of the *index*-th machine of that role, from 0."""
        if not 0 <= index < _COUNT_MAX[role]:
            raise LabError(_TOO_MANY.format(role=role, count=_COUNT_MAX[role]))
        return self._interface(_FIRST[role] + index)

    def pod_network(self, index: int) -> IPv4Network:
        """Return the pod network of the *index*-th node: a /24 of the pods' network."""
        first = int(self.pods.network_address) + index * 256
        return IPv4Network((first, 24))

    def _interface(self, host_number: int) -> IPv4Interface:
        address = IPv4Address(int(self.machines.network_address) + host_number)
        return IPv4Interface((address, self.machines.prefixlen))


def choose(taken: Iterable[IPv4Network]) -> AddressPlan:
    """Return networks that overlap none of *taken*, the host's routes, nor each other. What is wider than
    any private network takes nothing: it is the default route, or a part of it (0.0.0.0/1 and 128.0.0.0/1,
    with which a VPN takes the place of the default route without touching that).

    Raises:
        LabError: the host's routes leave no room.
    """
    busy = tuple(network for network in taken if network.prefixlen >= _TOP_BITS_MIN)
    machines = _first_free(_machine_networks(), busy)
    pods = _first_free(map(IPv4Network, _POD_NETWORKS), (*busy, machines, SERVICES))
    return AddressPlan(machines, pods)


def _machine_networks() -> Iterator[IPv4Network]:
    return chain.from_iterable(IPv4Network(top).subnets(new_prefix=24) for top in _MACHINE_NETWORKS)


def _first_free(candidates: Iterator[IPv4Network], busy: tuple[IPv4Network, ...]) -> IPv4Network:
    for candidate in candidates:
        if not any(candidate.overlaps(network) for network in busy):
            return candidate
    raise LabError(_NO_ROOM)


_NO_ROOM = Text(
    es="las rutas del equipo ocupan todas las redes privadas en que cabría el laboratorio (10.0.0.0/8, "
    "172.16.0.0/12, 192.168.0.0/16): quita alguna («ip route»)",
    en="this host's routes take all the private networks that the lab would fit in (10.0.0.0/8, "
    "172.16.0.0/12, 192.168.0.0/16): remove one (`ip route`)",
)
_TOO_MANY = Text(
    es="el laboratorio admite como mucho {count} máquinas de tipo {role}",
    en="the lab holds at most {count} machines of the role {role}",
)
