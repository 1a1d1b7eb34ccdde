"""Real members of etcd for tests, on loopback addresses of their own: no port can be somebody else's.

They elect within milliseconds, so a test has a new one in a tenth of a second.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from own_addresses import own_address

from kubelab.cluster.store.etcd_client import EtcdClient, open_client
from kubelab.cluster.store.etcd_client_endpoints import Endpoint
from kubelab.cluster.store.etcd_process import EtcdMember, EtcdSpec, run_member
from kubelab.cluster.store.etcd_process_place import LoopbackPlace


def loopback_specs(place: Path, number: int = 1, *, heartbeat_ms: int = 2) -> list[EtcdSpec]:
    addresses = {f"member-{each + 1}": own_address() for each in range(number)}
    peers = {name: f"http://{address}:2380" for name, address in addresses.items()}
    return [
        EtcdSpec(
            *(name, address, place / name, place / f"{name}.log", peers),
            heartbeat_ms=heartbeat_ms,
            election_ms=10 * heartbeat_ms,
        )
        for name, address in addresses.items()
    ]


@asynccontextmanager
async def running(specs: Sequence[EtcdSpec]) -> AsyncIterator[list[EtcdMember]]:
    """Yield the members when all answer."""
    async with AsyncExitStack() as stack:
        members = [await stack.enter_async_context(run_member(spec, LoopbackPlace())) for spec in specs]
        for member in members:
            await member.ready()
        yield members


@asynccontextmanager
async def real_etcd(place: Path) -> AsyncIterator[EtcdClient]:
    """Yield a client of a new etcd of one member."""
    specs = loopback_specs(place)
    async with running(specs), open_client([Endpoint.parse(specs[0].client_url)]) as client:
        yield client


@dataclass(frozen=True, slots=True)
class Cluster:
    members: list[EtcdMember]
    client: EtcdClient


@asynccontextmanager
async def real_cluster(place: Path) -> AsyncIterator[Cluster]:
    """Yield three members and a client of them all."""
    specs = loopback_specs(place, 3, heartbeat_ms=20)
    endpoints = [Endpoint.parse(spec.client_url) for spec in specs]
    async with running(specs) as members, open_client(endpoints) as client:
        yield Cluster(members, client)
