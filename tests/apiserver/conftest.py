"""A registry over a real store, its in-process Api, and the real HTTPS server with a kubectl for it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from served_cluster import Cluster, serving

from kubelab.cluster.apiserver.bootstrap import bootstrap
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.store.memory import MemoryStore


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def registry(clock: VirtualClock) -> Registry:
    registry = Registry(MemoryStore(), clock)
    await bootstrap(registry)
    return registry


@pytest.fixture
def api(registry: Registry) -> LocalApi:
    return LocalApi(registry)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with serving(tmp_path) as cluster:
        yield cluster
