"""One ground for the machines of each module's tests."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from ground import Ground, ground_at


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    async with ground_at(tmp_path_factory.mktemp("lab") / "journal") as made:
        yield made
