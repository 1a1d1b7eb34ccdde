"""`kubelab`, typed on a machine."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from ground import ground_at

from kubelab.cluster.lab import errand, errand_program
from kubelab.cluster.machine.machine import Role, WindowSize
from kubelab.cluster.machine.namespaced import NamespacedMachine

pytestmark = pytest.mark.root
STANDS_IN = """
import os, sys, time
print("argv", *sys.argv[1:], "lang", os.environ.get("KUBELAB_LANG"), "home", os.environ["HOME"], flush=True)
print("complaint", file=sys.stderr, flush=True)
if "wait" in sys.argv:
    try:
        print(os.getpid(), flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
sys.exit(3)
"""


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[NamespacedMachine]:
    """A scratch machine with the command; what it has the lab run tells how it was called."""
    async with with_command(tmp_path, "scratch") as machine:
        yield machine


@asynccontextmanager
async def with_command(tmp_path: Path, role: Role) -> AsyncIterator[NamespacedMachine]:
    program, stands_in = tmp_path / "bin/kubelab", tmp_path / "stands_in.py"
    errand.install(program)
    stands_in.write_text(STANDS_IN)
    async with ground_at(tmp_path / "journal") as ground:
        machine = await ground.machine(role, binds={"/usr/local/bin/kubelab": program})
        command = (sys.executable, str(stands_in))
        async with errand.running_errands(machine, command, {"HOME": "/nowhere"}):
            yield machine


async def typed(machine: NamespacedMachine, line: str) -> tuple[int, str]:
    """Return the exit code of what was typed on *machine*, and all that it printed."""
    reading, writing = os.pipe()
    process = await machine.spawn(["sh", "-c", line], stdout=writing)
    os.close(writing)
    try:
        return await process.wait(), os.read(reading, 4096).decode()
    finally:
        await process.close()
        os.close(reading)


async def test_it_is_run_by_the_lab_with_the_callers_streams_and_language(machine: NamespacedMachine) -> None:
    code, said = await typed(machine, "KUBELAB_LANG=es SECRET=1 kubelab fault cut master-2")
    assert (code, said) == (3, "argv fault cut master-2 lang es home /nowhere\ncomplaint\n")


@pytest.mark.parametrize("words", ["", "up", "clean", "api", "lesson list", "shell master-1"])
async def test_what_is_for_the_computer_is_not_run_there(machine: NamespacedMachine, words: str) -> None:
    code, said = await typed(machine, f"KUBELAB_LANG=en kubelab {words}")
    assert code == errand.REFUSED
    assert said.startswith("kubelab: on this machine you can use `kubelab fault`")
    assert "shell" not in said


async def test_from_a_machine_of_the_cluster_there_is_a_shell_on_others(tmp_path: Path) -> None:
    async with with_command(tmp_path, "master") as master:
        code, said = await typed(master, "KUBELAB_LANG=en kubelab shell master-2 -- etcdctl get key")
        assert (code, said.splitlines()[0].split(" lang")[0]) == (3, "argv shell master-2 -- etcdctl get key")
        assert "`kubelab shell`" in (await typed(master, "KUBELAB_LANG=en kubelab up"))[1]


async def test_ctrl_c_interrupts_it(machine: NamespacedMachine) -> None:
    process = await machine.spawn(["kubelab", "status", "wait"], terminal=WindowSize(24, 80))
    await _read_until(process.fd, b"complaint\r\n", more=b"\r\n")
    os.write(process.fd, b"\x03")
    assert b"interrupted" in await _read_until(process.fd, b"interrupted")
    assert await process.wait() == 3
    await process.close()


async def test_it_ends_with_its_caller(machine: NamespacedMachine) -> None:
    process = await machine.spawn(["kubelab", "status", "wait"], terminal=WindowSize(24, 80))
    said = await _read_until(process.fd, b"complaint\r\n", more=b"\r\n")
    pid = int(said.split()[-1])
    process.kill(signal.SIGKILL)
    await _gone(pid)
    await process.close()


@pytest.mark.parametrize("sent", [b"", b"no json", b"{}", b'{"argv": [], "env": {}}'])
async def test_nonsense_does_it_no_harm(machine: NamespacedMachine, sent: bytes) -> None:
    with await machine.open_socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(errand_program.ADDRESS)
        client.send(sent)
    assert (await typed(machine, "kubelab status"))[0] == 3


async def _read_until(fd: int, end: bytes, *, more: bytes = b"") -> bytes:
    loop, said = asyncio.get_running_loop(), b""
    while end not in said or not said.partition(end)[2].endswith(more):
        readable: asyncio.Future[None] = loop.create_future()
        loop.add_reader(fd, readable.set_result, None)
        await readable
        loop.remove_reader(fd)
        said += os.read(fd, 4096)
    return said


async def _gone(pid: int) -> None:
    descriptor = os.pidfd_open(pid)
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_reader(descriptor, ended.set_result, None)
    await ended
    asyncio.get_running_loop().remove_reader(descriptor)
    os.close(descriptor)
