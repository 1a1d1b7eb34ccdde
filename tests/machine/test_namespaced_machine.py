"""A machine is a place of its own: processes, root, devices, network; and no way to harm the host by
accident."""
# ruff: noqa: PTH123, ASYNC230

import asyncio
import fcntl
import os
import re
import signal
import socket
import struct
import termios
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.namespaces import NAMESPACE_TYPES, namespaces_of
from kubelab.cluster.linux.processes import scan
from kubelab.cluster.machine.machine import WindowSize
from kubelab.cluster.machine.namespaced import NamespacedMachine
from kubelab.cluster.runtime.client import MachineGoneError

pytestmark = [pytest.mark.root, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def machine(ground, tmp_path_factory) -> AsyncIterator[NamespacedMachine]:
    tool = tmp_path_factory.mktemp("tools") / "hello"
    tool.write_text("#!/bin/sh\necho hello\n")
    tool.chmod(0o755)
    yield await ground.machine("scratch", binds={"/usr/local/bin/hello-lab": tool})


async def output(machine: NamespacedMachine, script: str) -> str:
    """Run a shell script on the machine; return what it printed, its errors included."""
    read_end, write_end = os.pipe()
    process = await machine.spawn(["sh", "-c", script], stdout=write_end)
    os.close(write_end)
    with open(read_end, encoding="utf-8") as reader:
        text = await asyncio.to_thread(reader.read)
    await process.wait()
    return text


async def test_it_has_namespaces_of_its_own_and_shares_only_user_and_time(machine):
    ours, its = namespaces_of("self"), namespaces_of(machine.pid)
    shared = {type_ for type_ in NAMESPACE_TYPES if ours.of(type_) == its.of(type_)}
    assert shared == {"user", "time"}


async def test_it_sees_its_own_processes_only(machine):
    lines = (await output(machine, "ps -e -o pid=,args=")).splitlines()
    assert lines[0].split() == ["1", "kubelab-init", "scratch-1"]
    assert len(lines) == 3


async def test_it_has_its_name_and_address(machine):
    assert await output(machine, "hostname; cat /etc/hostname") == "scratch-1\nscratch-1\n"
    assert f"{machine.address}\tscratch-1" in await output(machine, "cat /etc/hosts")
    assert str(machine.address) in await output(machine, "ip -4 -brief address show eth0")


async def test_removing_files_does_not_harm_the_host(machine):
    assert "gone" in await output(machine, "rm -r /etc/os-release /etc/skel; test -e /etc/skel || echo gone")
    assert Path("/etc/os-release").exists()
    assert Path("/etc/skel").exists()


async def test_the_host_s_tmp_and_run_are_not_there(machine, tmp_path):
    assert await output(machine, f"test -e {tmp_path} && echo seen") == ""


async def test_device_nodes_cannot_be_made(machine):
    assert "Operation not permitted" in await output(machine, "mknod /root/disk b 254 0")


async def test_the_kernel_s_settings_are_read_only_but_those_of_its_network(machine):
    assert "Read-only" in await output(machine, "echo 1 > /proc/sys/kernel/panic")
    assert await output(machine, "echo 5 > /proc/sys/net/ipv4/ip_default_ttl") == ""


async def test_the_learner_can_unshare_mount_enter_and_make_cgroups(machine):
    namespaced = await output(machine, "unshare --pid --fork --mount-proc ps -e -o pid=,args=")
    assert namespaced.split() == ["1", "ps", "-e", "-o", "pid=,args="]
    assert await output(machine, "unshare -Urpf --mount-proc id -u") == "0\n"
    assert await output(machine, "mount -t tmpfs none /mnt && nsenter --target 1 --all echo in") == "in\n"
    assert "inside" in await output(machine, "ip netns add inside && ip netns list; ip netns delete inside")
    directory = "$(dirname $(ls -d /sys/fs/cgroup/pids/system /sys/fs/cgroup/system 2>/dev/null | head -1))"
    assert await output(machine, f"mkdir {directory}/demo && rmdir {directory}/demo && echo ok") == "ok\n"


async def test_processes_below_are_found_with_their_pids_in_each_namespace(machine):
    process = await machine.spawn(["unshare", "--pid", "--fork", "sleep", "infinity"])
    found = {info.command: info for info in scan([machine.pid])}
    while "sleep infinity" not in found:
        await asyncio.sleep(0.001)
        found = {info.command: info for info in scan([machine.pid])}
    sleep, parent = found["sleep infinity"], found["unshare --pid --fork sleep infinity"]
    assert parent.pid == process.pid
    assert len(parent.nspids) == 1
    assert len(sleep.nspids) == 2
    assert sleep.nspids[1] == 1
    assert sleep.parent_pid == parent.pid
    assert sleep.pid_namespace != parent.pid_namespace
    await process.close()


async def test_exit_codes_are_those_of_a_shell(machine):
    assert await (await machine.spawn(["sh", "-c", "exit 7"])).wait() == 7
    assert await (await machine.spawn(["sh", "-c", "kill -9 $$"])).wait() == 137


async def test_a_missing_command_is_an_error_that_names_it(machine):
    with pytest.raises(Exception, match='exec: "nosuch": executable file not found in \\$PATH'):
        await machine.spawn(["nosuch"])


async def test_a_terminal_is_the_machine_s_and_can_be_resized(machine):
    process = await machine.spawn(["bash", "--norc"], terminal=WindowSize(10, 40))
    try:
        os.write(process.fd, b"stty size; tty; echo done-$((40+2))\n")
        text = await _read_until(process.fd, "done-42")
        assert "10 40" in text
        assert "/dev/pts/0" in text
        process.resize(WindowSize(50, 132))
        size = fcntl.ioctl(process.fd, termios.TIOCGWINSZ, bytes(8))
        assert struct.unpack("4H", size)[:2] == (50, 132)
        os.write(process.fd, b"sleep infinity & nohup sleep infinity & stty size\n")
        assert "50 132" in await _read_until(process.fd, "50 132")
    finally:
        await process.close()
    # The init takes in the last of them a moment after their end.
    assert [left.command for left in scan([machine.pid])[1:] if left.state != "Z"] == []


async def test_a_socket_of_the_machine_reaches_what_listens_there(machine):
    listener = await machine.open_socket()
    listener.bind((str(machine.address), 8080))
    listener.listen()
    client = await machine.open_socket()
    with listener, client, socket.socket() as ours:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, (str(machine.address), 8080))
        accepted, _ = await loop.sock_accept(listener)
        accepted.close()
        ours.setblocking(False)
        await loop.sock_connect(ours, (str(machine.address), 8080))  # from the host, over the wire


async def test_files_are_written_with_their_directories(machine):
    await machine.write_file("/root/.kube/config", b"x" * 100_000, mode=0o600)
    assert await output(machine, "stat -c '%a %s' /root/.kube/config") == "600 100000\n"


async def test_binds_are_there_and_read_only(machine):
    assert await output(machine, "hello-lab") == "hello\n"
    assert "Read-only" in await output(machine, "echo x > /usr/local/bin/hello-lab")


async def test_cutting_the_cable_partitions_and_healing_joins_again(machine, ground):
    other = await ground.machine("scratch")
    loop = asyncio.get_running_loop()

    async def dial() -> None:
        with await other.open_socket() as sock:
            await loop.sock_connect(sock, (str(machine.address), 81))

    with pytest.raises(ConnectionRefusedError):
        await dial()
    await ground.network.cut(machine.name)
    while not re.search("state DOWN|NO-CARRIER", await output(machine, "ip link show eth0")):
        pass  # The kernel tells the other end's link in a worker of its own.
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(dial(), 0.1)
    await ground.network.heal(machine.name)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.wait_for(dial(), 10)


async def test_a_root_that_cannot_be_built_is_one_clear_error(ground):
    with pytest.raises(KernelError, match="open /no/such/file: No such file or directory"):
        await ground.machine("master", binds={"/x": Path("/no/such/file")})


async def _read_until(fd: int, wanted: str) -> str:
    text = ""
    while wanted not in text:
        try:
            text += os.read(fd, 4096).decode()
        except BlockingIOError:
            await asyncio.sleep(0.001)
    return text


async def test_the_death_of_a_machine_s_init_is_the_end_of_the_machine_only(ground):
    doomed = await ground.machine("minion")
    process = await doomed.spawn(["sleep", "infinity"], terminal=WindowSize())
    os.kill(doomed.pid, signal.SIGKILL)
    assert await process.wait() == 137
    with pytest.raises(MachineGoneError, match="minion-1 is gone"):
        await doomed.spawn(["true"])
    await process.close()
