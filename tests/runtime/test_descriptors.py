"""A shim, or a lab, that has no file descriptor left says so; nothing that it has begun is left over."""
# ruff: noqa: ASYNC110

import asyncio
import contextlib
import errno
import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubelab.cluster.errors import KernelError, LabError
from kubelab.cluster.runtime import messages, terminal
from kubelab.cluster.runtime.terminal import WindowSize
from tests.runtime.pod_node import Node

LIMIT = resource.RLIMIT_NOFILE
LONG = "x" * messages.PACKET_BYTES_MAX


@contextlib.contextmanager
def limited(pid: int, count: int) -> Iterator[None]:
    """Let the process open no descriptor whose number is *count* or above."""
    before = resource.prlimit(pid, LIMIT)
    resource.prlimit(pid, LIMIT, (count, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, LIMIT, before)


def descriptors(pid: int) -> list[int]:
    found = list(Path(f"/proc/{pid}/fd").iterdir())
    return sorted(int(each.name) for each in found if each.is_symlink())  # Not the one of this look itself.


def held(pid: int) -> tuple[list[int], list[str]]:
    """Return the descriptors and the children that it has."""
    return descriptors(pid), Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


async def settled(node: Node) -> tuple[list[int], list[str]]:
    """Return what its shim has when it has done with all that it was asked for."""
    await node.runtime.statistics()
    return held(node.machine.pid)


async def become(pid: int, before: tuple[list[int], list[str]]) -> None:
    """Wait until what it has begun is gone."""
    while held(pid) != before:
        await asyncio.sleep(0.002)


def lowest_free(pid: int) -> int:
    used = set(descriptors(pid))
    return next(number for number in range(len(used) + 1) if number not in used)


@pytest.mark.parametrize("body", [{"id": 7}, {"id": 7, "params": LONG}])
def test_a_message_whose_descriptors_are_lost_is_told_by_its_number(body: dict[str, object]) -> None:
    ours, theirs = messages.pair()
    with ours, theirs, open(os.devnull, "rb") as passed:  # noqa: PTH123 - a descriptor
        messages.send(theirs, body, [passed.fileno()])
        before = descriptors(os.getpid())
        with limited(os.getpid(), lowest_free(os.getpid())), pytest.raises(messages.LostError) as lost:
            messages.receive(ours)
        assert lost.value.body["id"] == 7
        assert descriptors(os.getpid()) == before
        messages.send(theirs, body)
        assert messages.receive(ours).body == body


def test_a_terminal_that_is_lost_is_told() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, open(os.devnull, "rb") as passed:  # noqa: PTH123 - a descriptor
        socket.send_fds(theirs, [b"x"], [passed.fileno()])
        with limited(os.getpid(), lowest_free(os.getpid())), pytest.raises(KernelError):
            terminal.receive_master(ours)
        theirs.close()
        with pytest.raises(KernelError):
            terminal.receive_master(ours)


@pytest.mark.root
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("what", ["plain", "terminal", "exec", "sandbox"])
async def test_a_shim_without_descriptors_starts_nothing_and_goes_on(node: Node, what: str) -> None:
    shim = node.machine.pid
    idle = await settled(node)
    pod = await node.pod()
    first = await node.start(pod, "sleep", "infinity")

    async def start() -> None:
        if what == "exec":
            await node.runtime.exec(first.id, ("sleep", "infinity"), terminal=WindowSize())
        elif what == "sandbox":
            await node.pod()
        else:
            await node.start(pod, "sleep", "infinity", tty=what == "terminal")

    before = await settled(node)
    refused = 0
    for count in range(lowest_free(shim), lowest_free(shim) + 24):
        with limited(shim, count):
            try:
                await start()
            except LabError:
                refused += 1
            else:
                break
        await become(shim, before)
    assert refused > 2
    await node.runtime.remove_all()
    await become(shim, idle)


@pytest.mark.root
@pytest.mark.asyncio(loop_scope="module")
async def test_a_lab_without_descriptors_ends_what_it_cannot_follow(node: Node) -> None:
    container = await node.start(await node.pod(), "sleep", "infinity")
    before = await settled(node)
    with limited(os.getpid(), lowest_free(os.getpid())), pytest.raises(KernelError) as refusal:
        await node.runtime.exec(container.id, ("sleep", "infinity"))
    assert refusal.value.errno == errno.EMFILE
    await become(node.machine.pid, before)
