"""A machine of the lab is started again in place: nothing is forgotten, nothing leaks, the others go on."""
# ruff: noqa: PTH208

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from kubelab.cluster.client.https import HttpsApi
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.client.kubeconfig import read
from kubelab.cluster.clock import SystemClock
from kubelab.cluster.errors import LabError
from kubelab.cluster.lab.config import LabConfig
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.lab import Lab, start_lab
from kubelab.cluster.linux.processes import scan
from kubelab.cluster.objects import NODES, PODS, Object

pytestmark = [pytest.mark.root, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    """One lab for all; it ends clean, whatever was restarted in it."""
    directory = LabDirectory(tmp_path_factory.mktemp("lab") / "lab")
    before = {each.pid for each in scan([os.getpid()])}  # Other tests' own, which outlive these.
    async with start_lab(LabConfig(directory=directory)) as lab:
        await lab.ready()
        yield lab
    assert sorted(left.name for left in directory.path.iterdir()) == ["lock", "masters"]
    assert {each.pid for each in scan([os.getpid()])} <= before


def pod(name: str, node: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": "kubelab/shell"}],
        },
    }


async def reached(informer: Informer, holds: Callable[[], bool]) -> None:
    changed = asyncio.Event()
    unsubscribe = informer.on_change(lambda old, new: changed.set())
    try:
        async with asyncio.timeout(40):
            while not holds():
                changed.clear()
                await changed.wait()
    finally:
        unsubscribe()


def is_running(pods: Informer, name: str) -> bool:
    found = [each for each in pods.objects() if each["metadata"]["name"] == name]
    states = [state for each in found for state in each.get("status", {}).get("containerStatuses", ())]
    return bool(states) and all("running" in state.get("state", {}) for state in states)


async def test_a_restarted_machine_has_its_name_and_address_and_a_disk_as_new(lab):
    before = lab.machines["minion-1"]
    await before.write_file("/usr/bin/left-behind", b"")
    await lab.restart("minion-1")
    after = lab.machines["minion-1"]
    assert after is not before
    assert (after.name, after.address, after.role) == (before.name, before.address, before.role)
    assert not Path(f"/proc/{after.pid}/root/usr/bin/left-behind").exists()
    assert Path(f"/proc/{after.pid}/root{lab.kubeconfig_on_machine}").exists()
    assert await after.examine() == ()


async def test_its_pods_come_back_and_those_of_others_go_on(lab):
    async with Informer(lab.api, PODS, clock=SystemClock(), namespace="default") as pods:
        await pods.wait_synced()
        for node in ("minion-1", "minion-2"):
            await lab.api.create(PODS, pod(f"on-{node}", node))
        await reached(pods, lambda: is_running(pods, "on-minion-1") and is_running(pods, "on-minion-2"))
        before = {view.name: view.host_pids for view in lab.snapshot().pods}
        await lab.restart("minion-1")
        await reached(pods, lambda: is_running(pods, "on-minion-1") and bool(pids(lab, "on-minion-1")))
        assert not set(pids(lab, "on-minion-1")) & set(before["on-minion-1"])
        assert pids(lab, "on-minion-2") == before["on-minion-2"]
        for node in ("minion-1", "minion-2"):
            await lab.api.delete(PODS, "default", f"on-{node}")
        await reached(pods, lambda: not pods.objects())


def pids(lab: Lab, name: str) -> tuple[int, ...]:
    return next(view.host_pids for view in lab.snapshot().pods if view.name == name)


async def test_a_restarted_master_has_forgotten_nothing_and_answers_at_the_same_place(lab):
    uids = {node["metadata"]["uid"] for node in (await lab.api.list(NODES)).items}
    config = read(lab.directory.kubeconfig)
    await lab.restart("master-1")
    assert read(lab.directory.kubeconfig).server == config.server
    async with HttpsApi.connect(config) as api:  # With the keys that were handed out before.
        assert {node["metadata"]["uid"] for node in (await api.list(NODES)).items} == uids


async def test_kubelets_find_the_restarted_master_by_themselves(lab):
    await lab.restart("master-1")
    async with Informer(lab.api, PODS, clock=SystemClock(), namespace="default") as pods:
        await lab.api.create(PODS, pod("later", "minion-2"))
        await reached(pods, lambda: is_running(pods, "later"))
        await lab.api.delete(PODS, "default", "later")
        await reached(pods, lambda: not pods.objects())


async def test_a_machine_that_is_dead_is_started_again(lab):
    dead = lab.machines["minion-2"]
    os.kill(dead.pid, signal.SIGKILL)
    with pytest.raises(LabError, match="minion-2"):
        await dead.examine()
    await lab.restart("minion-2")
    assert await lab.machines["minion-2"].examine() == ()


async def test_a_machine_without_its_link_is_started_again(lab):
    process = await lab.machines["minion-2"].spawn(["ip", "link", "del", "eth0"])
    assert await process.wait() == 0
    assert await lab.machines["minion-2"].examine() == ("link eth0 is down or gone",)
    await lab.restart("minion-2")
    assert await lab.machines["minion-2"].examine() == ()


async def test_restarts_leave_no_descriptor_process_or_link(lab):
    before = max([await left(0.05) for _ in range(20)])  # Kubelets are still about to connect.
    for _ in range(3):
        await lab.restart("minion-1")
        await lab.restart("master-1")
    async with asyncio.timeout(40):
        while await left(0.05) > before:
            pass  # A connection closes when its other end has gone.


async def left(after_s: float) -> tuple[int, int]:
    await asyncio.sleep(after_s)
    return len(scan([os.getpid()])), len(os.listdir("/proc/self/fd"))


async def test_two_at_once_take_turns(lab):
    await asyncio.gather(*(lab.restart(name) for name in ("minion-1", "minion-2", "minion-1")))
    for name in ("minion-1", "minion-2"):
        assert await lab.machines[name].examine() == ()


@pytest.mark.parametrize("name", ["minion-9", ""])
async def test_an_unknown_machine_is_refused(lab, name):
    with pytest.raises(LabError, match="master-1, minion-1, minion-2"):
        await lab.restart(name)


async def test_a_machine_that_dies_while_the_lab_comes_up_is_told(tmp_path):
    async with start_lab(LabConfig(directory=LabDirectory(tmp_path / "lab"))) as lab:
        begun = 0
        async for phase in lab.phases():
            begun += not phase.done
            if begun == 4:
                break
        os.kill(lab.machines["minion-2"].pid, signal.SIGKILL)
        with pytest.raises(LabError, match="minion-2"):
            await lab.ready()
