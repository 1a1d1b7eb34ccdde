"""Programs in pods find the API servers that live behind the service `kubernetes`, on virtual time."""

import asyncio
from contextlib import AsyncExitStack
from ipaddress import IPv4Address

import pytest

from kubelab.cluster.apiserver.bootstrap import bootstrap
from kubelab.cluster.apiserver.endpoint_reconciler import INTERVAL_S, LEASE_S, EndpointReconciler
from kubelab.cluster.apiserver.kubernetes_service import publish
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.apiserver.pki import SERVICE_ADDRESS
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.linux.background import background
from kubelab.cluster.objects import ENDPOINTS, ENDPOINTSLICES, SERVICES
from kubelab.cluster.store.memory import MemoryStore
from kubelab.cluster.store.requests import Range, RangeResponse

ADDRESSES = [f"10.89.0.{number}" for number in (11, 12, 13)]


class Servers:
    """Three API servers over one store; each can be started and killed."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self._store = MemoryStore()
        self._lives: dict[str, AsyncExitStack] = {}

    async def start(self, address: str) -> EndpointReconciler:
        registry = Registry(self._store, self.clock)
        await bootstrap(registry)
        reconciler = EndpointReconciler(registry, IPv4Address(address), 6443)
        life = self._lives[address] = AsyncExitStack()
        await life.enter_async_context(background(reconciler.run()))
        await self.clock.advance(0)
        return reconciler

    async def kill(self, address: str) -> None:
        await self._lives.pop(address).aclose()

    async def published(self) -> list[str]:
        """Return the endpoints, which are the slice's as well."""
        api = LocalApi(Registry(self._store, self.clock))
        endpoints = await api.get(ENDPOINTS, "default", "kubernetes")
        slice_ = await api.get(ENDPOINTSLICES, "default", "kubernetes")
        addresses = [each["ip"] for subset in endpoints["subsets"] for each in subset["addresses"]]
        assert [each["addresses"][0] for each in slice_["endpoints"]] == addresses
        return addresses

    async def end(self) -> None:
        for address in [*self._lives]:
            await self.kill(address)


@pytest.fixture
async def servers():
    servers = Servers()
    yield servers
    await servers.end()


async def test_each_server_that_starts_is_published(servers):
    for number, address in enumerate(ADDRESSES):
        await servers.start(address)
        assert await servers.published() == ADDRESSES[: number + 1]


async def test_a_killed_one_is_taken_out_when_its_lease_is_over(servers):
    for address in ADDRESSES:
        await servers.start(address)
    await servers.kill(ADDRESSES[0])
    await servers.clock.advance(LEASE_S - 1)
    assert await servers.published() == ADDRESSES
    await servers.clock.advance(INTERVAL_S + 1)
    assert await servers.published() == ADDRESSES[1:]


async def test_one_that_ends_in_order_is_taken_out_at_once(servers):
    reconcilers = {address: await servers.start(address) for address in ADDRESSES}
    await servers.kill(ADDRESSES[1])
    await reconcilers[ADDRESSES[1]].remove()
    assert await servers.published() == [ADDRESSES[0], ADDRESSES[2]]
    await servers.clock.advance(100)
    assert await servers.published() == [ADDRESSES[0], ADDRESSES[2]]


async def test_one_that_comes_back_is_published_again(servers):
    for address in ADDRESSES:
        await servers.start(address)
    await servers.kill(ADDRESSES[2])
    await servers.clock.advance(LEASE_S + INTERVAL_S)
    await servers.start(ADDRESSES[2])
    assert await servers.published() == ADDRESSES


async def test_that_nobody_is_there_is_never_published(servers):
    last = await servers.start(ADDRESSES[0])
    await servers.kill(ADDRESSES[0])
    await last.remove()
    assert await servers.published() == ADDRESSES[:1]


class DistantStore(MemoryStore):
    """One whose answers take a round of the loop."""

    def range_now(self, request: Range) -> RangeResponse | None:
        return None

    async def range(self, request: Range) -> RangeResponse:
        found = await super().range(request)
        await asyncio.sleep(0)
        return found


@pytest.mark.parametrize("later_rounds", range(5))
async def test_servers_that_start_at_once_make_one_service_together(later_rounds):
    """Masters that come up slowly begin all at once: whoever is later finds the service, or its address."""
    store = DistantStore()
    first, second = Registry(store, VirtualClock()), Registry(store, VirtualClock())

    async def publish_later() -> None:
        for _ in range(later_rounds):
            await asyncio.sleep(0)
        await publish(second, (), 6443)

    await asyncio.gather(publish(first, (), 6443), publish_later())
    services = await LocalApi(first).list(SERVICES)
    assert [each["spec"]["clusterIP"] for each in services.items] == [str(SERVICE_ADDRESS)]
