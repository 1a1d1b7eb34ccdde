"""Running containers are paused, measured, limited anew; and ends that are odd are told all the same."""
# ruff: noqa: ASYNC110

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from pod_node import Node

from kubelab.cluster.errors import LabError
from kubelab.cluster.images.store import ImageStore
from kubelab.cluster.linux.syscalls import mount, umount
from kubelab.cluster.runtime.cri import (
    Container,
    ContainerExit,
    EmptyDir,
    Limits,
    Mount,
    StartError,
    volume_path,
)
from kubelab.cluster.runtime.pods import start_pods

pytestmark = [pytest.mark.root, pytest.mark.asyncio(loop_scope="module")]

COUNT = "trap 'exit 0' TERM; i=0; while :; do i=$((i+1)); echo $i > /dev/shm/count; done"


async def exit_of(node: Node, container: Container, act: object = None) -> ContainerExit:
    async with node.runtime.exits() as exits:
        if act:
            await act
        return await anext(end async for end in exits if end.id == container.id)


def count_of(container: Container) -> str:
    return Path(f"/proc/{container.pid}/root/dev/shm/count").read_text()


async def counting(container: Container, before: str = "") -> str:
    while not (now := count_of(container)).strip() or now == before:
        await asyncio.sleep(0.002)
    return now


async def test_a_paused_container_stands_still_until_it_is_resumed(node):
    container = await node.named(await node.sandbox(), f"touch /dev/shm/count; echo up; {COUNT}")
    await node.logged(container, "up")
    await counting(container)
    await node.runtime.pause_container(container.id)
    cgroup = node.machine.cgroups.at(f"kubepods/pod{container.sandbox_uid}/{container.id}")
    assert cgroup.read("cgroup.freeze") == "1"
    before = count_of(container)
    with pytest.raises(StartError, match=r"is paused|en pausa"):
        await node.runtime.exec(container.id, ("true",))
    await node.shell(await node.sandbox(), "true")
    assert count_of(container) == before
    await node.runtime.resume_container(container.id)
    await counting(container, before)


async def test_a_paused_container_can_be_stopped_and_its_pod_removed(node):
    pod = await node.sandbox()
    stopped, removed = [await node.named(pod, f"touch /dev/shm/count; echo up; {COUNT}") for _ in range(2)]
    for container in (stopped, removed):
        await node.logged(container, "up")
        await node.runtime.pause_container(container.id)
    end = await exit_of(node, stopped, node.runtime.stop_container(stopped.id, 5))
    assert (end.exit_code, end.reason) == (0, "Completed")
    await node.runtime.remove_sandbox(pod.uid)
    assert not Path(f"/proc/{removed.pid}").exists()


async def test_statistics_are_those_of_the_cgroups(node):
    pod = await node.sandbox()
    # Once it is up it makes no process any more: the pod's and its own numbers are not read at one moment.
    spin = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"
    script = f"head -c 8M /dev/zero > /tmp/x; {spin}; echo up; exec sleep 60"
    container = await node.named(pod, script)
    await node.logged(container, "up")
    statistics = await node.runtime.statistics()
    used = statistics.containers[container.id]
    assert used.cpu_us > 0
    assert used.memory_bytes >= used.memory_working_set_bytes > 8 << 20
    assert used.pids == 1
    assert statistics.pods[pod.uid].pids > used.pids
    assert statistics.machine.cpu_us >= used.cpu_us
    assert statistics.machine.memory_working_set_bytes >= used.memory_working_set_bytes
    await node.runtime.remove_sandbox(pod.uid)
    after = await node.runtime.statistics()
    assert container.id not in after.containers
    assert pod.uid not in after.pods


async def test_limits_change_while_it_runs(node):
    container = await node.named(await node.sandbox(), "sleep infinity", limits=Limits(cpu_weight=39))
    cgroup = node.machine.cgroups.at(f"kubepods/pod{container.sandbox_uid}/{container.id}")
    limits = Limits(cpu_quota_us=30_000, memory_max_bytes=48 << 20, pids_max=33)
    await node.runtime.update_container(container.id, limits)
    fields = [cgroup.read(name) for name in ("cpu.weight", "cpu.max", "memory.max", "pids.max")]
    assert fields == ["39", "30000 100000", str(48 << 20), "33"]


async def test_what_has_ended_is_neither_paused_nor_limited(node):
    container = await node.named(await node.sandbox(), "true")
    while node.runtime.pids(container.sandbox_uid)[1:]:
        await asyncio.sleep(0.002)
    for call in (
        node.runtime.pause_container(container.id),
        node.runtime.update_container(container.id, Limits(pids_max=1)),
    ):
        with pytest.raises(LabError):
            await call


async def test_the_reason_of_an_end_is_told_with_it(node):
    pod = await node.sandbox()
    ends = [(await node.run(pod, "sh", "-c", script))[0] for script in ("true", "exit 7")]
    assert [(end.exit_code, end.reason) for end in ends] == [(0, "Completed"), (7, "Error")]
    greedy = "x=$(head -c 64M /dev/zero | tr '\\0' x)"
    end, _ = await node.run(pod, "sh", "-c", greedy, limits=Limits(memory_max_bytes=16 << 20))
    assert (end.exit_code, end.reason) == (137, "OOMKilled")


async def test_an_image_s_or_a_pod_s_own_stop_signal_ends_it(node):
    script = "trap 'exit 12' QUIT; echo up; while :; do sleep 0.01; done"
    container = await node.named(await node.sandbox(), script, stop_signal="SIGQUIT")
    await node.logged(container, "up")
    end = await exit_of(node, container, node.runtime.stop_container(container.id, 10))
    assert end.exit_code == 12


async def test_a_process_that_has_left_its_cgroup_ends_with_its_container(node):
    container = await node.named(await node.sandbox(), "sleep infinity & echo up; wait")
    await node.logged(container, "up")
    escaped = [
        int(pid) for pid in Path(f"/proc/{container.pid}/task/{container.pid}/children").read_text().split()
    ]
    for directory in node.machine.cgroups.at("programs").directories:
        (Path(directory) / "cgroup.procs").write_text(str(escaped[0]))
    await node.runtime.stop_container(container.id, 0.01)
    assert not Path(f"/proc/{escaped[0]}").exists()


async def test_a_full_volume_is_full_for_the_container_alone(node):
    pod = await node.sandbox()
    small = EmptyDir("small", size_bytes=1 << 20)
    await node.runtime.set_up_volumes(pod.uid, (small,))
    mounts = (Mount("/data", volume_path(pod.uid, small)),)
    told = await node.shell(
        pod, "head -c 2M /dev/zero > /data/x; echo $?; df -B1 --output=size /data", mounts=mounts
    )
    assert "No space left on device" in told
    assert str(1 << 20) in told
    assert await node.shell(pod, "echo works") == "works\n"


async def test_a_full_disk_for_logs_loses_lines_and_nothing_else(node, tmp_path):
    mount("none", str(tmp_path), "tmpfs", data="size=64k")
    try:
        log = tmp_path / "full.log"
        async with node.runtime.exits() as exits:
            container = await node.start(
                await node.sandbox(), "sh", "-c", "seq 1 30000; exit 4", log_path=log
            )
            end = await anext(each async for each in exits if each.id == container.id)
        assert end.exit_code == 4
        lines = log.read_text().splitlines()
        assert lines
        assert all(len(line.split(" ")) == 4 for line in lines)
    finally:
        umount(str(tmp_path))


async def test_a_machine_that_dies_takes_its_containers_and_tells(ground, tmp_path):
    machine, network = await ground.minion()
    node = Node(machine, None, Path("/tmp"))
    async with start_pods(machine.shim, network, ImageStore.open(tmp_path / "images")) as runtime:
        node = replace(node, runtime=runtime)
        container = await node.start(await node.sandbox(), "sleep", "infinity", log_path=Path("/dev/null"))
        end = await exit_of(node, container, _killed(machine.pid))
        assert (end.exit_code, end.reason) == (137, "Error")
        with pytest.raises(LabError):
            await node.runtime.exec(container.id, ("true",))
    while Path(f"/proc/{container.pid}").exists():
        await asyncio.sleep(0.002)


async def _killed(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
