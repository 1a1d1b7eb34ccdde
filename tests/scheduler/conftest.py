import pytest

from kubelab.cluster.apiserver.bootstrap import bootstrap
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.store.memory import MemoryStore


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def api(clock: VirtualClock) -> LocalApi:
    registry = Registry(MemoryStore(), clock)
    await bootstrap(registry)
    return LocalApi(registry)
