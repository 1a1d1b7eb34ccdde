from collections.abc import AsyncIterator

import pytest
from local_cluster import api, clock, registry

from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.controllers.manager import run_controllers
from kubelab.cluster.linux.background import background

__all__ = ["api", "clock", "registry"]


@pytest.fixture
async def controllers(api: LocalApi, clock: VirtualClock) -> AsyncIterator[None]:
    """All controllers, running on the API for the length of a test."""
    async with background(run_controllers(api, clock)):
        await clock.advance(0)
        yield
