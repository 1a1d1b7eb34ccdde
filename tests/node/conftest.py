import socket
from collections.abc import AsyncIterator, Callable, Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from local_cluster import api, clock, registry
from memory_runtime import MemoryRuntime

from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.linux.background import background
from kubelab.cluster.node.config import KubeletConfig
from kubelab.cluster.node.kubelet import Kubelet
from kubelab.cluster.objects import Object

MakePod = Callable[..., Object]

__all__ = ["api", "clock", "registry"]


@pytest.fixture
def runtime(clock: VirtualClock) -> MemoryRuntime:
    return MemoryRuntime(clock)


@pytest.fixture
def config(tmp_path: Path) -> KubeletConfig:
    return KubeletConfig(
        node_name="minion-1",
        address=IPv4Address("192.168.7.2"),
        pod_cidr=IPv4Network("10.244.1.0/24"),
        log_directory=tmp_path,
        cpus=2,
        memory_bytes=2 << 30,
    )


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture
async def kubelet(
    config: KubeletConfig,
    api: LocalApi,
    runtime: MemoryRuntime,
    clock: VirtualClock,
    listening: socket.socket,
) -> AsyncIterator[Kubelet]:
    """A kubelet that runs for the length of a test, on virtual time."""
    kubelet = Kubelet(config, api, runtime, clock)
    async with background(kubelet.run(listening.dup(), None)):
        await clock.advance(0)
        yield kubelet


@pytest.fixture
def make_pod() -> MakePod:
    """Return a function that makes a pod bound to minion-1, as the API has it."""

    def make(name: str = "web", **spec: Any) -> Object:
        made = [{"name": "web", "image": "kubelab/shell:1"}]
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "uid": f"uid-of-{name}"},
            "spec": {"nodeName": "minion-1", "restartPolicy": "Always", "containers": made} | spec,
        }

    return make
