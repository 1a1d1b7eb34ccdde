"""The real API server in process, on virtual time: the fixtures that components' tests share.

A folder's conftest imports those that its tests use.
"""

import pytest
from bootstrapped import bootstrapped

from kubelab.cluster.apiserver import plugins
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.store.memory import MemoryStore

# No pod without the accounts that a controller makes, and none on a node that another has not seen ready.
NEEDING_CONTROLLERS = ("ServiceAccount", "TaintNodesByCondition")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def registry(clock: VirtualClock) -> Registry:
    registry = Registry(MemoryStore(), clock)
    plugins.install(registry, disabled=NEEDING_CONTROLLERS)
    return await bootstrapped(registry)


@pytest.fixture
def api(registry: Registry) -> LocalApi:
    return LocalApi(registry)
