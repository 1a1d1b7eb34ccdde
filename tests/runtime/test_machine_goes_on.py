"""Whatever a machine's user or a pod leaves in its way, a machine's init goes on answering: it has one
thread, and everything on the machine dies with it."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kubelab.cluster.errors import KernelError
from kubelab.cluster.runtime import children, messages, terminal
from kubelab.cluster.runtime.client import Shim
from kubelab.cluster.runtime.cri import EmptyDir, FilesVolume, HostPath, Volume, VolumeFile, message_file
from kubelab.cluster.runtime.execution import CommandError
from tests.runtime.pod_node import Node

root_on_a_node = pytest.mark.asyncio(loop_scope="module")
FILES = {"name": VolumeFile(b"first")}


@pytest.mark.root
@root_on_a_node
async def test_a_pipe_in_the_message_file_s_place_says_nothing(node: Node) -> None:
    pod = await node.pod()
    async with node.runtime.exits() as exits:
        container = await node.start(pod, "sleep", "infinity", message_path="/dev/termination-log")
        path = on_machine(node, message_file(pod.uid, "main", container.id))
        path.unlink()
        os.mkfifo(path)
        os.kill(container.pid, 9)
        end = await anext(end async for end in exits if end.id == container.id)
    assert (end.exit_code, end.message, path.exists()) == (137, "", False)


@pytest.mark.root
@root_on_a_node
@pytest.mark.parametrize("content", [b"first", b"second"])
async def test_a_pipe_among_a_volume_s_files_is_replaced(node: Node, content: bytes) -> None:
    pod = await node.pod()
    volume = FilesVolume("v", "configmap", FILES)
    await node.runtime.set_up_volumes(pod.uid, [volume])
    top = on_machine(node, f"/var/lib/kubelet/pods/{pod.uid}/volumes/kubernetes.io~configmap/v")
    (top / "..data/name").unlink()
    os.mkfifo(top / "..data/name")
    changed = FilesVolume("v", "configmap", {"name": VolumeFile(content)})
    await node.runtime.set_up_volumes(pod.uid, [changed])
    assert (top / "name").read_bytes() == content


@pytest.mark.root
@root_on_a_node
@pytest.mark.parametrize("path", ["/srv/\0", "/srv/\ud800"])
async def test_what_is_no_path_is_refused(node: Node, path: str) -> None:
    refused: Volume = HostPath("v", path, "DirectoryOrCreate")
    with pytest.raises(KernelError):
        await node.runtime.set_up_volumes("uid", [refused])
    await node.runtime.set_up_volumes("uid", [EmptyDir("empty")])


@pytest.mark.root
@root_on_a_node
async def test_a_machine_is_examined_however_deep_its_directories_are(node: Node) -> None:
    with deep_directory(on_machine(node, "/"), levels=2_000):
        assert (await node.machine.shim.request("examine", {}))["damages"] == []


@pytest.mark.root
def test_a_start_that_failed_is_told_though_somebody_holds_its_pipe() -> None:
    read_end, write_end = os.pipe()

    def become() -> None:
        os.close(write_end)
        if os.fork() == 0:
            os.read(read_end, 1)
            os._exit(0)
        raise CommandError("no such command")

    try:
        with pytest.raises(children.ChildError) as told:
            children.start(0, become)
    finally:
        os.close(write_end)
        os.close(read_end)
    assert told.value.report["sentence"] == "no such command"


def test_nobody_waits_for_a_terminal_that_was_not_sent() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(KernelError):
        terminal.receive_master(ours)


async def test_a_machine_that_was_never_ready_and_died_unheard_has_no_init() -> None:
    """The kernel tells of what nobody has read before it tells of the end: unix(7), ECONNRESET."""
    lab, shim_end = messages.pair()
    shim = Shim("m", lab, os.open(os.devnull, os.O_RDONLY))
    messages.send(lab, {"name": "m"})
    shim.hang_up()
    shim_end.close()
    assert await asyncio.to_thread(shim.late_pid) == 0
    shim.close()


def on_machine(node: Node, path: str) -> Path:
    return Path(f"/proc/{node.machine.pid}/root{path}")


@contextmanager
def deep_directory(top: Path, levels: int) -> Iterator[None]:
    """Make directories below *top*, deeper than a path can be long; take them away from below."""
    fds = [os.open(top, os.O_RDONLY | os.O_DIRECTORY)]
    fd = fds[0]
    for _ in range(levels):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        if fd != fds[0]:
            os.close(fd)
        fd = below
    try:
        yield
    finally:
        for _ in range(levels):
            above = os.open("..", os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
            os.close(fd)
            os.rmdir("d", dir_fd=above)
            fd = above
        os.close(fd)
        os.close(fds[0])
