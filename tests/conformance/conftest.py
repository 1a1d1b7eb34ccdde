"""The real HTTPS server, and a client of it that speaks as upstream's e2e tests do."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from served_cluster import Cluster, admin, serving
from spec_client import Client

from kubelab.cluster.controllers.manager import run_controllers
from kubelab.cluster.linux.background import background


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with serving(tmp_path) as cluster:
        yield cluster


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[Client]:
    async with admin(cluster) as session:
        yield Client(session)


@pytest.fixture
async def controllers(cluster: Cluster) -> AsyncIterator[None]:
    async with background(run_controllers(cluster.api, cluster.registry.clock)):
        yield
