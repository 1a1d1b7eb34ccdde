"""postStart and preStop of a pod's containers, on virtual time with a runtime of plain values."""

import asyncio
import os
import ssl
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from memory_runtime import MemoryRuntime

from kubelab.cluster.apiserver import pki
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.node.kubelet import Kubelet
from kubelab.cluster.node.lifecycle_hooks import HookError, HookPlace, port_number, run_hook
from kubelab.cluster.objects import EVENTS, PODS, Object

ROUNDS = 10  # Of the loop: more than it takes to end what waits for nobody.
IMPOSSIBLE = {"tcpSocket": {"port": 80}}  # Upstream keeps the field, and refuses to carry it out.


def hooked(grace_s: int = 30, **hooks: Any) -> Object:
    container = {"name": "web", "image": "kubelab/shell:1", "lifecycle": hooks}
    spec = {"nodeName": "minion-1", "terminationGracePeriodSeconds": grace_s, "containers": [container]}
    return {"metadata": {"name": "web", "namespace": "default"}, "spec": spec}


async def is_running(api: LocalApi) -> bool:
    status = (await api.get(PODS, "default", "web"))["status"]
    return "running" in status["containerStatuses"][0]["state"]


async def told(api: LocalApi) -> list[str]:
    return [event["reason"] for event in (await api.list(EVENTS)).items]


async def test_a_container_counts_as_running_only_after_post_start(
    api: LocalApi, kubelet: Kubelet, runtime: MemoryRuntime, clock: VirtualClock
) -> None:
    await api.create(PODS, hooked(postStart={"sleep": {"seconds": 5}}))
    await clock.advance(4)
    assert runtime.calls[-1] == "start web"
    assert not await is_running(api)
    await clock.advance(1)
    assert await is_running(api)


async def test_a_container_whose_post_start_fails_is_ended_and_tried_again(
    api: LocalApi, kubelet: Kubelet, runtime: MemoryRuntime, clock: VirtualClock
) -> None:
    await api.create(PODS, hooked(postStart=IMPOSSIBLE))
    await clock.advance(0)
    assert runtime.calls.count("stop web 30") == 2
    assert "FailedPostStartHook" in await told(api)
    status = (await api.get(PODS, "default", "web"))["status"]["containerStatuses"][0]
    assert status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert status["lastState"]["terminated"]["exitCode"] == 143


async def test_a_deletion_does_not_wait_for_post_start(
    api: LocalApi, kubelet: Kubelet, runtime: MemoryRuntime, clock: VirtualClock
) -> None:
    await api.create(PODS, hooked(postStart={"sleep": {"seconds": 29}}))
    await clock.advance(0)
    await api.delete(PODS, "default", "web")
    await clock.advance(0)
    assert "stop web 30" in runtime.calls


@pytest.mark.parametrize(("seconds", "left"), [(10, 20), (29, 2)])
async def test_pre_stop_takes_its_time_from_the_grace_period(
    api: LocalApi, kubelet: Kubelet, runtime: MemoryRuntime, clock: VirtualClock, seconds: int, left: int
) -> None:
    await api.create(PODS, hooked(preStop={"sleep": {"seconds": seconds}}))
    await clock.advance(0)
    await api.delete(PODS, "default", "web")
    await clock.advance(seconds - 1)
    assert runtime.calls[-1] == "start web"
    await clock.advance(1)
    assert f"stop web {left}" in runtime.calls


async def test_a_pre_stop_that_fails_is_told_and_does_not_stop_the_end(
    api: LocalApi, kubelet: Kubelet, runtime: MemoryRuntime, clock: VirtualClock
) -> None:
    await api.create(PODS, hooked(preStop=IMPOSSIBLE))
    await clock.advance(0)
    await api.delete(PODS, "default", "web")
    await clock.advance(0)
    assert "stop web 30" in runtime.calls
    assert "FailedPreStopHook" in await told(api)


async def test_without_grace_there_is_no_pre_stop(
    api: LocalApi, kubelet: Kubelet, runtime: MemoryRuntime, clock: VirtualClock
) -> None:
    await api.create(PODS, hooked(preStop={"sleep": {"seconds": 10}}))
    await clock.advance(0)
    await api.delete(PODS, "default", "web", grace_period_s=0)
    await clock.advance(0)
    assert "stop web 0" in runtime.calls


class Silent(asyncio.Protocol):
    """Takes in whoever comes, and does not even hear a goodbye."""

    def __init__(self) -> None:
        self.came = asyncio.Event()
        self.transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        self.transport = transport
        self.came.set()


@pytest.mark.root  # It connects from within the pod's network.
async def test_a_hook_whose_time_is_over_waits_for_nobodys_goodbye(
    tmp_path: Path, runtime: MemoryRuntime, clock: VirtualClock
) -> None:
    authority = pki.Authority.create(tmp_path, datetime.now(UTC))
    pair = authority.kubelet_server("pod", [pki.LOOPBACK])
    tls = pki.server_context(authority.certificate_path, pair, ssl.CERT_OPTIONAL)
    silent = Silent()
    async with await asyncio.get_running_loop().create_server(
        lambda: silent, "127.0.0.1", 0, ssl=tls
    ) as server:
        hook = {"httpGet": {"scheme": "HTTPS", "port": server.sockets[0].getsockname()[1]}}
        place = HookPlace("web", os.getpid(), IPv4Address("127.0.0.1"))
        asking = asyncio.ensure_future(run_hook(runtime, clock, {"name": "web"}, hook, place))
        await silent.came.wait()
        for _ in range(ROUNDS):
            await asyncio.sleep(0)
        asking.cancel()
        for _ in range(ROUNDS):
            await asyncio.sleep(0)
        assert asking.cancelled()
        assert isinstance(silent.transport, asyncio.Transport)
        silent.transport.abort()


def test_a_port_may_be_named() -> None:
    container = {"name": "web", "ports": [{"name": "http", "containerPort": 8080}]}
    assert [port_number(container, port) for port in (80, "81", "http")] == [80, 81, 8080]
    with pytest.raises(HookError, match="couldn't find port: other in web"):
        port_number(container, "other")
