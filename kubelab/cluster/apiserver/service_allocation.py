"""The addresses and node ports of services: each belongs to one service while that has it.

Source: kubernetes, pkg/registry/core/service/storage/alloc.go and ../{ipallocator,portallocator} (what is
chosen, and the refusals). Upstream keeps a bitmap, or an object for each address, and repairs it in a loop;
here each address and port in use is a key of the store, written and removed in the transaction of its
service. So no two services get the same, and nothing is left over, whoever dies when.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_address

from kubelab.cluster.apiserver import refusals, services
from kubelab.cluster.apiserver.fields import FieldError, invalid_value
from kubelab.cluster.apiserver.services import HEADLESS
from kubelab.cluster.objects import SERVICES, Object
from kubelab.cluster.store.protocol import Store

CLUSTER_IPS = IPv4Network("10.96.0.0/12")
NODE_PORTS = range(30000, 32768)
_IP_KEYS = b"/registry/ranges/serviceips/"
_PORT_KEYS = b"/registry/ranges/servicenodeports/"
_TAKEN_IP = "provided IP is already allocated"
_TAKEN_PORT = "provided port is already allocated"
_FULL = "range is full"


@dataclass(frozen=True, slots=True)
class Band:
    """The numbers of a range; the lowest are for those who ask for one (KEP-3070, KEP-3668)."""

    first: int
    size: int
    reserved: int

    def free(self, taken: Callable[[int], bool]) -> int | None:
        """Return a number that is not taken, at random, of the reserved ones last."""
        upper = (self.first + self.reserved, self.size - self.reserved)
        for first, size in (upper, (self.first, self.reserved)):
            begin = random.randrange(size)  # noqa: S311  (no secret)
            for step in range(size):
                number = first + (begin + step) % size
                if not taken(number):
                    return number
        return None


_IP_BAND = Band(int(CLUSTER_IPS.network_address) + 1, CLUSTER_IPS.num_addresses - 2, 256)
_PORT_BAND = Band(NODE_PORTS.start, len(NODE_PORTS), 86)


class ServiceClaims:
    """What services hold, as the registry asks for it (`kind.Claims`)."""

    def held(self, service: Object) -> frozenset[bytes]:
        ips = {_IP_KEYS + ip.encode() for ip in _ips(service)}
        return frozenset(ips | {b"%b%d" % (_PORT_KEYS, port) for port in _ports(service)})

    async def assign(self, store: Store, new: Object, old: Object | None) -> None:
        """Choose what *new* needs and does not name; refuse what it names and another service has."""
        own = self.held(old) if old is not None else frozenset()
        await _assign_ip(store, new, own)
        if services.needs_node_ports(new):
            await _assign_ports(store, new, own)


def _ips(service: Object) -> list[str]:
    return [ip for ip in service["spec"].get("clusterIPs") or () if ip != HEADLESS]


def _ports(service: Object) -> set[int]:
    spec = service["spec"]
    ports = {port.get("nodePort", 0) for port in spec.get("ports") or ()}
    return {port for port in (*ports, spec.get("healthCheckNodePort", 0)) if port}


async def _taken(store: Store, prefix: bytes) -> set[str]:
    result = await store.range(prefix)
    return {kv.key.removeprefix(prefix).decode() for kv in result.kvs}


def _invalid(service: Object, field: str, value: object, detail: str) -> Exception:
    error: FieldError = invalid_value(field, value, detail)
    return refusals.invalid(SERVICES, service["metadata"]["name"], [error])


async def _assign_ip(store: Store, service: Object, own: frozenset[bytes]) -> None:
    if not services.needs_cluster_ip(service) or services.is_headless(service):
        return
    spec = service["spec"]
    for ip in _ips(service):
        if _IP_KEYS + ip.encode() in own:
            continue
        if why := await _why_not_ip(store, ip):
            ips = spec["clusterIPs"]
            raise _invalid(service, "spec.clusterIPs", ips, f"failed to allocate IP {ip}: {why}")
    if not spec.get("clusterIPs"):
        taken = await _taken(store, _IP_KEYS)
        number = _IP_BAND.free(lambda each: str(ip_address(each)) in taken)
        if number is None:
            raise refusals.internal(f"failed to allocate a serviceIP: {_FULL}")
        spec["clusterIP"] = str(ip_address(number))
        spec["clusterIPs"] = [spec["clusterIP"]]


async def _why_not_ip(store: Store, ip: str) -> str:
    number = int(ip_address(ip)) - _IP_BAND.first
    if not 0 <= number < _IP_BAND.size:
        return "the provided network does not match the current range"
    return _TAKEN_IP if await store.get(_IP_KEYS + ip.encode()) else ""


async def _assign_ports(store: Store, service: Object, own: frozenset[bytes]) -> None:
    spec, taken = service["spec"], await _taken(store, _PORT_KEYS)
    mine = {int(key.removeprefix(_PORT_KEYS)) for key in own if key.startswith(_PORT_KEYS)}
    for field, port in _asked_ports(spec):
        if port not in mine and (why := _why_not_port(port, taken)):
            raise _invalid(service, field, port, why)
    used = {int(each) for each in taken} | _ports(service)
    if spec.get("allocateLoadBalancerNodePorts", True):
        _fill_ports(spec.get("ports") or [], used)
    if services.needs_health_check(service) and not spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = _free_port(used)


def _asked_ports(spec: Object) -> Iterator[tuple[str, int]]:
    for index, port in enumerate(spec.get("ports") or ()):
        if port.get("nodePort"):
            yield f"spec.ports[{index}].nodePort", port["nodePort"]
    if spec.get("healthCheckNodePort"):
        yield "spec.healthCheckNodePort", spec["healthCheckNodePort"]


def _why_not_port(port: int, taken: set[str]) -> str:
    if port not in NODE_PORTS:
        valid = f"{NODE_PORTS.start}-{NODE_PORTS.stop - 1}"
        return f"provided port is not in the valid range. The range of valid ports is {valid}"
    return _TAKEN_PORT if str(port) in taken else ""


def _fill_ports(ports: list[Object], used: set[int]) -> None:
    """Ports of one number (TCP and UDP, say) share a node port."""
    chosen = {port.get("port"): port["nodePort"] for port in ports if port.get("nodePort")}
    for port in ports:
        if port.get("nodePort"):
            continue
        number = port.get("port")
        if number not in chosen or _collides(port, chosen[number], ports):
            chosen[number] = _free_port(used)
        port["nodePort"] = chosen[number]


def _collides(port: Object, node_port: int, ports: list[Object]) -> bool:
    mine = (port.get("protocol"), node_port)
    return any((each.get("protocol"), each.get("nodePort")) == mine for each in ports if each is not port)


def _free_port(used: set[int]) -> int:
    port = _PORT_BAND.free(lambda each: each in used)
    if port is None:
        raise refusals.internal(f"failed to allocate a nodePort: {_FULL}")
    used.add(port)
    return port
