from collections.abc import AsyncIterator

import pytest

from kubelab.cluster.apiserver.bootstrap import bootstrap
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.client.background import background
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.controllers.manager import run_controllers
from kubelab.cluster.store.memory import MemoryStore


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def api(clock: VirtualClock) -> LocalApi:
    registry = Registry(MemoryStore(), clock)
    await bootstrap(registry)
    return LocalApi(registry)


@pytest.fixture
async def controllers(api: LocalApi, clock: VirtualClock) -> AsyncIterator[None]:
    """All controllers, running on the API for the length of a test."""
    async with background(run_controllers(api, clock)):
        await clock.advance(0)
        yield
