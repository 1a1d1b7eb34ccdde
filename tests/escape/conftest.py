"""What there is to be reached outside, and a machine from which it is tried."""

import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from ground import Ground, ground_at
from outside import Outside

from kubelab.cluster.images.store import ImageStore
from kubelab.cluster.runtime.pods import start_pods

sys.path.append(str(Path(__file__).parent.parent / "runtime"))  # For what its tests have in common.
from pod_node import Node


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    canary = tmp_path_factory.mktemp("outside") / "canary"
    canary.write_text("untouched")
    addresses = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0{canary}")
        abstract.listen()
        environment = {"HOST_PORT": str(server.getsockname()[1]), "HOST_ADDRESSES": addresses.strip()}
        yield Outside(canary, environment)
    assert canary.read_text() == "untouched"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    async with ground_at(tmp_path_factory.mktemp("lab") / "journal") as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def node(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Node]:
    images = ImageStore.open(tmp_path_factory.mktemp("images"))
    async with AsyncExitStack() as stack:
        machine, pods = await ground.minion()
        runtime = await stack.enter_async_context(start_pods(machine.shim, pods, images))
        yield Node(machine, runtime, tmp_path_factory.mktemp("logs"))
