"""postStart and preStop of a pod's containers, on virtual time with a runtime of plain values."""

from typing import Any

import pytest
from memory_runtime import MemoryRuntime

from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.node.kubelet import Kubelet
from kubelab.cluster.node.lifecycle_hooks import HookError, port_number
from kubelab.cluster.objects import EVENTS, PODS, Object

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


def test_a_port_may_be_named() -> None:
    container = {"name": "web", "ports": [{"name": "http", "containerPort": 8080}]}
    assert [port_number(container, port) for port in (80, "81", "http")] == [80, 81, 8080]
    with pytest.raises(HookError, match="couldn't find port: other in web"):
        port_number(container, "other")
