"""A machine to which nobody has delegated a cgroup: as a rootless lab's on a host with cgroup v1."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from ground import ground_at
from pod_node import Node

from kubelab.cluster.images.store import ImageStore
from kubelab.cluster.linux.cgroups import CgroupTree
from kubelab.cluster.linux.processes import scan
from kubelab.cluster.machine.namespaced import MachineSpec, NamespacedMachine, start_machine
from kubelab.cluster.runtime.pods import start_pods

pytestmark = pytest.mark.root


async def run(machine: NamespacedMachine, script: str) -> int:
    return await (await machine.spawn(["sh", "-c", script])).wait()


async def test_its_programs_are_ended_by_their_descent(tmp_path: Path) -> None:
    """Even those whose parents have gone, and quick ones; not the pods, nor orphans in them."""
    async with ground_at(tmp_path / "journal") as ground, AsyncExitStack() as stack:
        pods = ground.network.plan.pod_network(0)
        spec = MachineSpec("minion-1", "minion", ground.network.plan.machine("minion", 0), pods=pods)
        started = start_machine(spec, ground.network, CgroupTree(()), ground.journal)
        machine = await stack.enter_async_context(started)
        runtime = start_pods(machine.shim, pods, ImageStore.open(tmp_path / "images"))
        node = Node(machine, await stack.enter_async_context(runtime), tmp_path)
        pod = await node.pod()
        await node.named(pod, "(sleep 2000 &); sleep 3000")
        while not {"sleep 2000", "sleep 3000"} <= set(of_pod := commands(machine)):  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        assert await run(machine, "setsid sleep 1000 & exit 0") == 0
        await machine.spawn(["sh", "-c", "while :; do (setsid sleep 1000 &); sleep 0.01; done"])
        assert len(commands(machine)) > len(of_pod)
        await machine.end_programs()
        assert await run(machine, "true") == 0
        assert commands(machine) == of_pod
        await node.runtime.remove_sandbox(pod.uid)


def commands(machine: NamespacedMachine) -> list[str]:
    """Return those that live: what has ended the init takes in a moment later."""
    return sorted(process.command for process in scan([machine.pid]) if process.state != "Z")
