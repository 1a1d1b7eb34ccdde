"""A pod that was bound to a node without room for it fails, and says for want of what."""

import socket
from collections.abc import Callable
from dataclasses import replace

import pytest
from memory_runtime import MemoryRuntime

from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.linux.background import background
from kubelab.cluster.node.admission import Refusal, refusal
from kubelab.cluster.node.config import KubeletConfig
from kubelab.cluster.node.kubelet import Kubelet
from kubelab.cluster.objects import EVENTS, PODS, Object

MakePod = Callable[..., Object]

CAPACITY = {"cpu": 2000, "memory": 1 << 30}


@pytest.fixture
def config(config: KubeletConfig) -> KubeletConfig:
    return replace(config, pods_max=2)


def requesting(**requests: str) -> list[Object]:
    return [{"name": "main", "image": "kubelab/shell:1", "resources": {"requests": requests}}]


async def test_the_pod_too_many_fails(
    api: LocalApi, kubelet: Kubelet, runtime: MemoryRuntime, clock: VirtualClock, make_pod: MakePod
) -> None:
    for name in ("one", "two", "three"):
        await api.create(PODS, make_pod(name))
        await clock.advance(0)
    status = (await api.get(PODS, "default", "three"))["status"]
    why = "Node didn't have enough resource: pods, requested: 1, used: 2, capacity: 2"
    assert (status["phase"], status["reason"]) == ("Failed", "OutOfpods")
    assert status["message"] == f"Pod was rejected: {why}"
    assert "start three" not in runtime.calls
    (event,) = [e for e in (await api.list(EVENTS)).items if e["involvedObject"]["name"] == "three"]
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "OutOfpods", why)


async def test_a_pod_is_taken_where_another_has_gone_or_ended(
    api: LocalApi, kubelet: Kubelet, runtime: MemoryRuntime, clock: VirtualClock, make_pod: MakePod
) -> None:
    await api.create(PODS, make_pod("gone"))
    await api.create(PODS, make_pod("ended", restartPolicy="Never", containers=requesting()))
    await clock.advance(0)
    runtime.end("main", 0)
    await api.delete(PODS, "default", "gone", grace_period_s=0)
    await clock.advance(0)
    for name in ("third", "fourth"):
        await api.create(PODS, make_pod(name))
        await clock.advance(0)
        assert (await api.get(PODS, "default", name))["status"]["phase"] == "Running"


async def test_a_refused_pod_can_be_deleted(
    api: LocalApi, kubelet: Kubelet, clock: VirtualClock, make_pod: MakePod
) -> None:
    await api.create(PODS, make_pod("big", containers=requesting(cpu="64")))
    await clock.advance(0)
    assert (await api.get(PODS, "default", "big"))["status"]["reason"] == "OutOfcpu"
    await api.delete(PODS, "default", "big")
    await clock.advance(0)
    assert not (await api.list(PODS)).items
    assert kubelet.pods() == []


def test_what_is_asked_for_is_weighed_against_what_others_have(make_pod: MakePod) -> None:
    others = [make_pod("other", containers=requesting(cpu="1500m", memory="512Mi"))]
    fits = make_pod("fits", containers=requesting(cpu="500m", memory="512Mi"))
    assert refusal(fits, others, CAPACITY, 110) is None
    wide = make_pod("wide", containers=requesting(cpu="501m"))
    assert refusal(wide, others, CAPACITY, 110) == Refusal(
        "OutOfcpu", "Node didn't have enough resource: cpu, requested: 501, used: 1500, capacity: 2000"
    )
    tall = make_pod("tall", containers=requesting(memory="513Mi"))
    found = refusal(tall, others, CAPACITY, 110)
    assert found
    assert found.reason == "OutOfmemory"


async def test_a_refused_pod_stays_so_when_the_kubelet_begins_anew(
    api: LocalApi,
    config: KubeletConfig,
    clock: VirtualClock,
    runtime: MemoryRuntime,
    make_pod: MakePod,
    listening: socket.socket,
) -> None:
    async with background(Kubelet(config, api, runtime, clock).run(listening.dup(), None)):
        await clock.advance(0)
        await api.create(PODS, make_pod("big", containers=requesting(cpu="64")))
        await clock.advance(0)
    before = await api.get(PODS, "default", "big")
    assert before["status"]["reason"] == "OutOfcpu"
    async with background(Kubelet(config, api, runtime, clock).run(listening.dup(), None)):
        await clock.advance(60)
        assert await api.get(PODS, "default", "big") == before
    assert not [call for call in runtime.calls if call.startswith("start")]


def test_who_asks_for_nothing_fits_where_too_much_is_taken(make_pod: MakePod) -> None:
    others = [make_pod("other", containers=requesting(cpu="8"))]
    assert refusal(make_pod("small"), others, CAPACITY, 110) is None
