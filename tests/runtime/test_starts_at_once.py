"""Many pods and containers started at the same moment are each what they would be alone."""
# ruff: noqa: ASYNC110

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from pod_node import SHELL, Node

from kubelab.cluster.linux.namespaces import namespaces_of
from kubelab.cluster.linux.processes import command_of
from kubelab.cluster.runtime.cri import (
    Container,
    ContainerExit,
    ContainerSpec,
    Sandbox,
    SandboxSpec,
    StartError,
)

pytestmark = [pytest.mark.root, pytest.mark.asyncio(loop_scope="module")]

COUNT = 12


async def sandboxes(node: Node, name: str) -> list[Sandbox]:
    specs = [SandboxSpec(f"{name}-{n}", "default", f"{name}-{n}", f"{name}-{n}") for n in range(COUNT)]
    return await asyncio.gather(*(node.runtime.run_sandbox(spec) for spec in specs))


async def all_run(containers: Sequence[Container]) -> None:
    """Wait until each is what it was started as: for a moment after execve(2) a process has no arguments."""
    for container in containers:
        while command_of(container.pid) != "sleep infinity":
            await asyncio.sleep(0.002)


async def own_ends(
    exits: AsyncIterator[ContainerExit], containers: Sequence[Container]
) -> list[ContainerExit]:
    """Wait for as many ends of *containers* as there are of them; those of others come in between."""
    ids = {container.id for container in containers}
    ends: list[ContainerExit] = []
    while len(ends) < len(ids):
        end = await anext(exits)
        ends += [end] if end.id in ids else []
    return ends


async def test_each_has_its_own_pod_s_namespaces(node: Node) -> None:
    pods = await sandboxes(node, "own")
    containers = await asyncio.gather(*(node.start(pod, "sleep", "infinity") for pod in pods))
    assert len({pod.address for pod in pods}) == COUNT
    for pod, container in zip(pods, containers, strict=True):
        pause, own = namespaces_of(pod.pid), namespaces_of(container.pid)
        assert (own.net, own.ipc, own.uts) == (pause.net, pause.ipc, pause.uts)
    assert len({namespaces_of(each.pid).mnt for each in containers}) == COUNT
    await all_run(containers)
    await asyncio.gather(*(node.runtime.remove_sandbox(pod.uid) for pod in pods))


async def test_each_end_is_told_once_with_its_own_code(node: Node) -> None:
    """Those that are quick have ended before their start was told of."""
    pod = await node.sandbox()
    async with node.runtime.exits() as exits:
        containers = await asyncio.gather(
            *(node.start(pod, "sh", "-c", f"exit {code}") for code in range(COUNT))
        )
        wanted = {container.id: code for code, container in enumerate(containers)}
        ends = await own_ends(exits, containers)
    assert {end.id: end.exit_code for end in ends} == wanted


async def test_each_writes_into_its_own_log_what_its_own_file_says(node: Node, tmp_path: Path) -> None:
    pods = await sandboxes(node, "logs")
    specs = [
        ContainerSpec("main", SHELL, ("cat", "/etc/hostname"), {}, tmp_path / f"{pod.uid}.log")
        for pod in pods
    ]
    async with node.runtime.exits() as exits:
        started = await asyncio.gather(
            *(node.runtime.start_container(pod.uid, spec) for pod, spec in zip(pods, specs, strict=True))
        )
        ended = {end.id for end in await own_ends(exits, started)}
    assert ended == {each.id for each in started}
    logs = [spec.log_path.read_text("utf-8").split() for spec in specs]
    assert [log[3:] for log in logs] == [[pod.uid] for pod in pods]
    await asyncio.gather(*(node.runtime.remove_sandbox(pod.uid) for pod in pods))


async def test_one_that_cannot_be_started_spoils_no_other(node: Node) -> None:
    pod = await node.sandbox()
    commands = ["sleep" if number % 3 else "no-such-command" for number in range(COUNT)]
    outcomes = await asyncio.gather(
        *(node.start(pod, command, "infinity") for command in commands), return_exceptions=True
    )
    refused = [isinstance(outcome, StartError) for outcome in outcomes]
    assert refused == [command != "sleep" for command in commands]
    await node.runtime.remove_sandbox(pod.uid)


async def test_a_pod_may_be_removed_while_others_start(node: Node) -> None:
    pods = await sandboxes(node, "going")
    removals = [node.runtime.remove_sandbox(pod.uid) for pod in pods[::2]]
    starts = [node.start(pod, "sleep", "infinity") for pod in pods[1::2]]
    _, started = await asyncio.gather(asyncio.gather(*removals), asyncio.gather(*starts))
    await all_run(started)
    await asyncio.gather(*(node.runtime.remove_sandbox(pod.uid) for pod in pods[1::2]))


async def test_whose_start_is_given_up_is_gone_with_its_pod(node: Node) -> None:
    pod = await node.sandbox()
    starting = [asyncio.create_task(node.start(pod, "sleep", "infinity")) for _ in range(COUNT)]
    await starting[0]
    for task in starting:
        task.cancel()
    await asyncio.gather(*starting, return_exceptions=True)
    await node.runtime.remove_sandbox(pod.uid)
    assert node.runtime.pids(pod.uid) == ()
