"""Beside the server in process: the real HTTPS server with a kubectl for it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from local_cluster import api, clock, registry
from served_cluster import Cluster, serving

__all__ = ["api", "clock", "registry"]


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with serving(tmp_path) as cluster:
        yield cluster
