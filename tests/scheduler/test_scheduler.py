"""The scheduler on the real API in process, alone and with the controllers, on virtual time."""

import asyncio
from collections import Counter, deque
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nodes_and_pods import make_node, make_pod

from kubelab.cluster.apiserver.bootstrap import bootstrap
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.controllers.manager import run_controllers
from kubelab.cluster.linux.background import background
from kubelab.cluster.objects import DEPLOYMENTS, EVENTS, NODES, PODS, Object
from kubelab.cluster.scheduler.decision import Decision
from kubelab.cluster.scheduler.scheduler import run_scheduler
from kubelab.cluster.store.memory import MemoryStore


async def placed(api: LocalApi) -> Counter[str]:
    return Counter(pod["spec"].get("nodeName", "") for pod in (await api.list(PODS, "default")).items)


async def test_a_pod_is_bound_and_told(api: LocalApi, clock: VirtualClock) -> None:
    decisions = deque[Decision]()
    async with background(run_scheduler(api, clock, decisions=decisions)):
        await api.create(NODES, make_node("n"))
        await api.create(PODS, make_pod())
        await clock.advance(0)
        (event,) = (await api.list(EVENTS, "default")).items
    assert await placed(api) == {"n": 1}
    assert event["message"] == "Successfully assigned default/p to n"
    assert [decision.node for decision in decisions] == ["n"]
    assert decisions[0].verdicts[0].scores.keys() >= {"NodeResourcesFit"}


async def test_a_burst_fills_the_nodes_and_no_more(api: LocalApi, clock: VirtualClock) -> None:
    """Decisions are faster than the watch: without assuming, all pods would see empty nodes."""
    for name in ("a", "b"):
        await api.create(NODES, make_node(name, cpu="1"))
    for number in range(25):
        await api.create(PODS, make_pod(f"p-{number}", cpu="100m"))
    async with background(run_scheduler(api, clock)):
        await clock.advance(0)
    assert await placed(api) == {"a": 10, "b": 10, "": 5}


async def test_a_pod_that_fits_nowhere_says_why_and_waits_for_a_change(
    api: LocalApi, clock: VirtualClock
) -> None:
    decisions = deque[Decision]()
    async with background(run_scheduler(api, clock, decisions=decisions)):
        await api.create(NODES, make_node("small", cpu="1"))
        await api.create(PODS, make_pod(cpu="2"))
        await clock.advance(60)
        pod = await api.get(PODS, "default", "p")
        (condition,) = (c for c in pod["status"]["conditions"] if c["type"] == "PodScheduled")
        assert (condition["status"], condition["reason"]) == ("False", "Unschedulable")
        assert condition["message"] == "0/1 nodes are available: 1 Insufficient cpu."
        assert len(decisions) == 1
        await api.create(NODES, make_node("big", cpu="4"))
        await clock.advance(0)
    assert await placed(api) == {"big": 1}


async def test_a_pod_that_ends_makes_room(api: LocalApi, clock: VirtualClock) -> None:
    async with background(run_scheduler(api, clock)):
        await api.create(NODES, make_node("n", cpu="1"))
        for name in ("first", "second"):
            await api.create(PODS, make_pod(name, cpu="1"))
            await clock.advance(0)
        assert await placed(api) == {"n": 1, "": 1}
        await api.delete(PODS, "default", "first", grace_period_s=0)
        await clock.advance(1)
    assert await placed(api) == {"n": 1}


async def test_a_cordoned_node_gets_nothing_until_it_is_uncordoned(
    api: LocalApi, clock: VirtualClock
) -> None:
    async with background(run_scheduler(api, clock)):
        await api.create(NODES, make_node("n", unschedulable=True))
        await api.create(PODS, make_pod())
        await clock.advance(5)
        assert await placed(api) == {"": 1}
        await api.patch(NODES, "", "n", {"spec": {"unschedulable": None}})
        await clock.advance(0)
    assert await placed(api) == {"n": 1}


def deployment(name: str, replicas: int) -> Object:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": make_pod(cpu="100m")["spec"]},
        },
    }


async def disturb(api: LocalApi, random: Random) -> None:
    """Do something that people and accidents do: scale, change the template, lose a pod."""
    match random.randrange(3):
        case 0:
            await api.patch(DEPLOYMENTS, "default", "web", {"spec": {"replicas": random.randrange(8)}})
        case 1:
            labels = {"app": "web", "version": str(random.randrange(3))}
            template = {"metadata": {"labels": labels}}
            await api.patch(DEPLOYMENTS, "default", "web", {"spec": {"template": template}})
        case 2:
            pods = (await api.list(PODS, "default")).items
            if pods:
                name = random.choice(pods)["metadata"]["name"]
                await api.delete(PODS, "default", name, grace_period_s=0)


async def play_kubelet(api: LocalApi) -> None:
    """Let bound pods be ready, and let those that are being deleted go."""
    for pod in (await api.list(PODS, "default")).items:
        if "deletionTimestamp" in pod["metadata"]:
            await api.delete(PODS, "default", pod["metadata"]["name"], grace_period_s=0)
        elif pod["spec"].get("nodeName") and pod["status"]["phase"] == "Pending":
            ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
            status = pod["status"] | {"phase": "Running", "conditions": [ready]}
            await api.update(PODS, pod | {"status": status}, subresource="status")


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000))
def test_whatever_happens_the_wanted_pods_end_up_running(seed: int) -> None:
    asyncio.run(simulate(Random(seed)))


async def simulate(random: Random) -> None:
    clock = VirtualClock()
    registry = Registry(MemoryStore(), clock)
    await bootstrap(registry)
    api = LocalApi(registry)
    async with background(run_controllers(api, clock), run_scheduler(api, clock, seed=random.randrange(100))):
        for name in ("a", "b"):
            await api.create(NODES, make_node(name, cpu="2"))
        await api.create(DEPLOYMENTS, deployment("web", 3))
        for _ in range(6):
            await disturb(api, random)
            await clock.advance(random.random())
            await play_kubelet(api)
        for _ in range(15):  # Well within the 40 s after which silent nodes count as lost.
            await clock.advance(1.5)
            await play_kubelet(api)
        await clock.advance(1)
        wanted = await api.get(DEPLOYMENTS, "default", "web")
        pods = (await api.list(PODS, "default")).items
    labels = wanted["spec"]["template"]["metadata"]["labels"]
    assert len(pods) == wanted["spec"]["replicas"]
    assert all(pod["spec"].get("nodeName") for pod in pods)
    assert all(labels.items() <= pod["metadata"]["labels"].items() for pod in pods)
    assert wanted["status"].get("updatedReplicas", 0) == wanted["spec"]["replicas"]


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_same_seed_places_the_same_pods_on_the_same_nodes(clock: VirtualClock, seed: int) -> None:
    outcomes = []
    for _ in range(2):
        registry = Registry(MemoryStore(), clock)
        await bootstrap(registry)
        api = LocalApi(registry)
        for name in ("a", "b", "c"):
            await api.create(NODES, make_node(name))
        for number in range(6):
            await api.create(PODS, make_pod(f"p-{number}"))
        async with background(run_scheduler(api, clock, seed=seed)):
            await clock.advance(0)
        pods = (await api.list(PODS, "default")).items
        outcomes.append({pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in pods})
    assert outcomes[0] == outcomes[1]
