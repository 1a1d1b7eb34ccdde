"""All that answer as a member of a store does, behind one fixture: a test with `service` holds for each.

The real etcd judges what we hold to be its semantics.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from member_cluster import store_members
from real_etcd import real_etcd

from kubelab.cluster.linux.background import background
from kubelab.cluster.store.memory import MemoryStore
from kubelab.cluster.store.service import Service


@asynccontextmanager
async def _memory(_place: Path) -> AsyncIterator[Service]:
    store = MemoryStore()
    async with background(store.run()):
        yield store


@asynccontextmanager
async def _raft(place: Path) -> AsyncIterator[Service]:
    """Yield a follower, which has to hand everything on."""
    async with store_members(place, tick_s=0.01) as cluster:
        yield cluster.others(await cluster.leader())[0]


@asynccontextmanager
async def _etcd(place: Path) -> AsyncIterator[Service]:
    async with real_etcd(place) as client:
        yield client


ENGINES: dict[str, Callable[[Path], AbstractAsyncContextManager[Service]]] = {
    "memory": _memory,
    "raft": _raft,
    "etcd": _etcd,
}


@pytest.fixture(params=ENGINES)
async def service(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Service]:
    async with ENGINES[request.param](tmp_path) as service:
        yield service
