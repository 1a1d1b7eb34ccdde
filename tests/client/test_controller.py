"""The controller loop on the real API server in process, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.client.controller import Controller, Source, controller_key
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.linux.background import background
from kubelab.cluster.objects import CONFIGMAPS, DEPLOYMENTS, REPLICASETS, Key, Object

A, B = Key("default", "a"), Key("default", "b")


@asynccontextmanager
async def running(
    api: LocalApi, clock: VirtualClock, reconcile: Callable[[Key], Awaitable[float | None]], workers: int = 1
) -> AsyncIterator[Controller]:
    async with Informer(api, CONFIGMAPS, namespace="default", clock=clock) as informer:
        controller = Controller("test", reconcile, [Source(informer)], clock=clock, workers=workers)
        async with background(controller.run()):
            await clock.advance(0)
            yield controller


async def create(api: LocalApi, name: str) -> None:
    await api.create(CONFIGMAPS, {"metadata": {"name": name, "namespace": "default"}})


async def test_what_is_there_and_every_change_is_reconciled(api: LocalApi, clock: VirtualClock) -> None:
    seen = []

    async def reconcile(key: Key) -> None:
        seen.append(key)

    await create(api, "a")
    async with running(api, clock, reconcile):
        assert seen == [A]
        await create(api, "b")
        await api.delete(CONFIGMAPS, "default", "a")
        await clock.advance(0)
        assert seen == [A, B, A]


async def test_refusals_and_cut_cables_come_back_with_back_off(api: LocalApi, clock: VirtualClock) -> None:
    attempts_s = []

    async def reconcile(key: Key) -> None:
        attempts_s.append(clock.monotonic_s())
        if len(attempts_s) < 4:
            raise ConnectionError if len(attempts_s) % 2 else ApiError(409, "Conflict", "the object changed")

    await create(api, "a")
    async with running(api, clock, reconcile):
        await clock.advance(60)
        assert attempts_s == pytest.approx([0, 0.005, 0.015, 0.035])


async def test_a_key_comes_back_when_it_asked_to(api: LocalApi, clock: VirtualClock) -> None:
    seen_s = []

    async def reconcile(key: Key) -> float | None:
        seen_s.append(clock.monotonic_s())
        return 10 if len(seen_s) < 3 else None

    await create(api, "a")
    async with running(api, clock, reconcile):
        await clock.advance(600)
        assert seen_s == [0, 10, 20]


async def test_no_key_is_worked_on_twice_at_a_time(api: LocalApi, clock: VirtualClock) -> None:
    at_work: set[Key] = set()
    most = 0

    async def reconcile(key: Key) -> None:
        nonlocal most
        assert key not in at_work
        at_work.add(key)
        most = max(most, len(at_work))
        await clock.sleep(1)
        at_work.remove(key)

    await create(api, "a")
    await create(api, "b")
    async with running(api, clock, reconcile, workers=4) as controller:
        for _ in range(5):
            controller.enqueue(A)
            await clock.advance(0.3)
        await clock.advance(10)
    assert most == 2


async def test_a_bug_ends_the_controller_and_comes_out_as_itself(api: LocalApi, clock: VirtualClock) -> None:
    async def reconcile(key: Key) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with running(api, clock, reconcile):
            await create(api, "a")
            await asyncio.Event().wait()


async def test_a_stopped_controller_can_run_again(api: LocalApi, clock: VirtualClock) -> None:
    seen = []

    async def reconcile(key: Key) -> None:
        seen.append(key)

    async with Informer(api, CONFIGMAPS, namespace="default", clock=clock) as informer:
        controller = Controller("test", reconcile, [Source(informer)], clock=clock)
        for number in (1, 2):
            async with background(controller.run()):
                await create(api, f"c{number}")
                await clock.advance(0)
    assert seen == [Key("default", "c1"), Key("default", "c1"), Key("default", "c2")]


@pytest.mark.parametrize(
    ("owner", "keys"),
    [
        (
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "controller": True},
            [Key("n", "web")],
        ),
        ({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "controller": True}, []),
        ({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web"}, []),
    ],
)
def test_an_object_touches_the_key_of_its_controller(owner: Object, keys: list[Key]) -> None:
    pod = {"metadata": {"name": "web-1", "namespace": "n", "ownerReferences": [owner]}}
    assert list(controller_key(REPLICASETS)(pod)) == keys
    assert not list(controller_key(DEPLOYMENTS)({"metadata": {"name": "bare"}}))
