"""One ground for the machines of each module's tests."""

import contextlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from ground import Ground, ground_at
from pod_node import Node

from kubelab.cluster.images.store import ImageStore
from kubelab.cluster.linux.processes import scan
from kubelab.cluster.runtime.pods import start_pods


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    async with ground_at(tmp_path_factory.mktemp("lab") / "journal") as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def nodes(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Node, Node]]:
    logs = tmp_path_factory.mktemp("logs")
    images = ImageStore.open(tmp_path_factory.mktemp("images"))
    async with contextlib.AsyncExitStack() as stack:
        made = []
        for _ in range(2):
            machine, pods = await ground.minion()
            runtime = await stack.enter_async_context(start_pods(machine.shim, pods, images))
            made.append(Node(machine, runtime, logs))
        yield made[0], made[1]
    # The init takes in the last of them a moment after their end.
    assert [sum(left.state != "Z" for left in scan([node.machine.pid])) for node in made] == [1, 1]


@pytest.fixture(scope="module")
def node(nodes: tuple[Node, Node]) -> Node:
    return nodes[0]
