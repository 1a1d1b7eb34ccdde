"""The API server while its store has no leader: it refuses, lives on, and catches up."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest
from bootstrapped import bootstrapped

from kubelab.cluster.apiserver import plugins
from kubelab.cluster.apiserver.crd import establishing
from kubelab.cluster.apiserver.listers import Listers
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.apiserver.logs import Kubelets
from kubelab.cluster.apiserver.metrics_api import SCRAPE_EVERY_S, MetricsApi
from kubelab.cluster.apiserver.persistence import RETRY_S
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.linux.background import background
from kubelab.cluster.objects import NAMESPACES, PRIORITYCLASSES
from kubelab.cluster.store.memory import MemoryStore
from kubelab.cluster.store.requests import Range, RangeResponse
from kubelab.cluster.store.service import NoLeaderError


class Interrupted(MemoryStore):
    """A store that can be without a leader: then no read is answered."""

    has_leader = True

    async def range(self, request: Range) -> RangeResponse:
        if not self.has_leader:
            raise NoLeaderError
        return await super().range(request)


@dataclass
class Served:
    store: Interrupted
    registry: Registry
    listers: Listers


@pytest.fixture
async def served(clock: VirtualClock) -> AsyncIterator[Served]:
    """All that an API server does by itself, on a store that has lost its leader when it begins."""
    store = Interrupted()
    registry = Registry(store, clock)
    listers = plugins.install(registry)
    await bootstrapped(registry)
    async with aiohttp.ClientSession() as session, establishing.following(registry):
        store.has_leader = False
        async with background(listers.run(), MetricsApi(registry, Kubelets(session)).run()):
            yield Served(store, registry, listers)


async def test_it_refuses_with_the_stores_words(served: Served) -> None:
    with pytest.raises(ApiError, match="etcdserver: no leader"):
        await LocalApi(served.registry).list(NAMESPACES)


async def test_it_lives_on_and_follows_again(served: Served, clock: VirtualClock) -> None:
    await clock.advance(3 * RETRY_S + SCRAPE_EVERY_S)
    served.store.has_leader = True
    await clock.advance(RETRY_S)
    served.store.has_leader = False  # What is followed is at hand all the same.
    found = await served.listers[PRIORITYCLASSES].list()
    assert {each["metadata"]["name"] for each in found} == {
        "system-cluster-critical",
        "system-node-critical",
    }
