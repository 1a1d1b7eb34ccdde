"""What the pods of one node are given: addresses, and ranges of user ids. Pure.

Source of the ranges: kubernetes, pkg/kubelet/userns/userns_manager.go: each pod with a user namespace of its
own has 65536 ids of the node that no other pod has.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from kubelab.cluster.errors import LabError
from kubelab.language import Text

IDS_PER_POD = 65536
ID_RANGES = 512


class AddressPool:
    """The next free one after the last is taken, so that none is soon reused."""

    def __init__(self, network: IPv4Network) -> None:
        self._hosts = tuple(network.hosts())[1:]  # The first is the bridge's.
        self._used: set[IPv4Address] = set()
        self._next = 0

    def take(self) -> IPv4Address:
        """Raises LabError when all are in use."""
        for step in range(len(self._hosts)):
            at = (self._next + step) % len(self._hosts)
            if self._hosts[at] not in self._used:
                self._next = at + 1
                self._used.add(self._hosts[at])
                return self._hosts[at]
        raise LabError(_NO_ADDRESS.format(count=len(self._hosts)))

    def give_back(self, address: IPv4Address) -> None:
        self._used.discard(address)


class IdPool:
    def __init__(self) -> None:
        self._free = set(range(1, ID_RANGES + 1))

    def take(self) -> int:
        """Return the first id of a range. Raises LabError when all are in use."""
        if not self._free:
            raise LabError(_NO_IDS.format(count=ID_RANGES))
        number = min(self._free)
        self._free.remove(number)
        return number * IDS_PER_POD

    def give_back(self, first_id: int) -> None:
        if first_id:
            self._free.add(first_id // IDS_PER_POD)


@dataclass(frozen=True, slots=True)
class Lease:
    """What a pod has of the node's as long as it is there; `ids_from` 0: no user ids of its own."""

    address: IPv4Address
    ids_from: int


class Leases:
    def __init__(self, network: IPv4Network) -> None:
        self._addresses = AddressPool(network)
        self._ids = IdPool()

    def take(self, host_address: IPv4Address | None, *, own_ids: bool) -> Lease:
        """Return a lease; *host_address*: of a pod that has the node's instead of its own. Raises LabError
        when there is nothing left; then nothing is taken."""
        address = host_address or self._addresses.take()
        try:
            return Lease(address, self._ids.take() if own_ids else 0)
        except LabError:
            self._addresses.give_back(address)
            raise

    def give_back(self, lease: Lease) -> None:
        self._addresses.give_back(lease.address)
        self._ids.give_back(lease.ids_from)


_NO_ADDRESS = Text(
    es="las {count} direcciones de pod de este nodo están en uso: borra algún pod",
    en="all {count} pod addresses of this node are in use: delete a pod",
)
_NO_IDS = Text(
    es="los {count} rangos de usuarios de este nodo están en uso: borra algún pod con hostUsers: false",
    en="all {count} ranges of user ids of this node are in use: delete a pod with hostUsers: false",
)
