"""Root on a machine cannot hurt the host, whatever he types into his shell, and the machine can tell it.

Each attempt is one that fails by construction, or that is harmless where it should not fail: values are
written back as they are, disks are opened for reading, the machine's own files are destroyed.
"""
# ruff: noqa: ASYNC110, ASYNC230, PTH110, PTH116, PTH123, PTH208

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from shell import PATIENCE_S, Shell

from kubelab.cluster.linux.capabilities import names_in
from kubelab.cluster.linux.processes import scan
from kubelab.cluster.machine.namespaced import NamespacedMachine
from kubelab.cluster.runtime import privileges

pytestmark = [pytest.mark.root, pytest.mark.asyncio(loop_scope="module")]
NOT_PERMITTED = "Operation not permitted"
HOST_S = ("/", "/usr/bin", "/dev")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def whole(ground) -> NamespacedMachine:
    """A machine that the tests leave as it is."""
    return await ground.machine("scratch")


@pytest_asyncio.fixture(loop_scope="module")
async def doomed(ground) -> NamespacedMachine:
    """A machine to be destroyed."""
    return await ground.machine("scratch")


@pytest_asyncio.fixture(loop_scope="module")
async def shell(whole) -> AsyncIterator[Shell]:
    async with Shell(whole) as opened:
        yield opened


def status_of(pid: int, field: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split(maxsplit=1)[1] for line in lines if line.startswith(f"{field}:"))


@pytest.mark.parametrize("set_", ["CapBnd", "CapPrm", "CapEff"])
async def test_neither_its_shells_nor_its_init_have_what_no_lesson_needs(whole, set_):
    process = await whole.spawn(["sleep", "infinity"])
    for pid in (whole.pid, process.pid):
        assert not names_in(int(status_of(pid, set_), 16)) & privileges.FORBIDDEN
        assert status_of(pid, "Seccomp") == "2"
    await process.close()


@pytest.mark.parametrize("command", ["reboot -f", "poweroff -f", "halt -f"])
async def test_the_host_is_not_rebooted(shell, command):
    # `--no-wall` and the like differ between systemd's and busybox's; the last word is the system call's.
    bounding = (await shell.run("grep CapBnd /proc/self/status")).split()[1]
    assert "SYS_BOOT" not in names_in(int(bounding, 16))
    assert "<0>" not in await shell.run(command)


async def test_the_reboot_system_call_is_refused_before_its_arguments_are_looked_at(shell):
    call = "import ctypes; c = ctypes.CDLL(None, use_errno=True); c.reboot(0); print(ctypes.get_errno())"
    assert (await shell.run(f"python3 -c '{call}'")).startswith("1\r\n")


async def test_the_clock_is_not_set(shell):
    assert NOT_PERMITTED in await shell.run('date -s "$(date)"')


async def test_device_nodes_are_not_made_nor_found(shell):
    assert NOT_PERMITTED in await shell.run("mknod /root/disk b 7 0")
    assert "<2>" in await shell.run("ls /dev/vda /dev/sda /dev/nvme0n1 /dev/loop0 /dev/mem /dev/kmsg")


async def test_a_disk_of_the_host_is_not_opened_though_its_node_is_found(shell):
    """The host's own device nodes come with a devtmpfs; they are opened for reading here, and refused."""
    await shell.run("mkdir -p /tmp/host-dev && mount -t devtmpfs none /tmp/host-dev")
    disks = [name for name in os.listdir("/sys/class/block") if os.path.exists(f"/dev/{name}")]
    try:
        for name in (*disks[:3], "mem", "kmsg"):
            if os.path.exists(f"/dev/{name}"):
                assert NOT_PERMITTED in await shell.run(f"head -c 1 /tmp/host-dev/{name}")
        if disks:
            assert "<0>" not in await shell.run(f"mkfs.ext4 -n -q /tmp/host-dev/{disks[0]}")
    finally:
        assert "<0>" in await shell.run("umount /tmp/host-dev")


@pytest.mark.parametrize("wrap", ["sh -c '{}'", "unshare --pid --fork --mount-proc sh -c '{}'"])
async def test_the_kernel_s_settings_are_not_written(shell, wrap):
    """Not through a /proc of his own either. What is written is what is there."""
    write = "read v < /proc/sys/kernel/panic && echo $v > /proc/sys/kernel/panic"
    assert "<0>" not in await shell.run(wrap.format(write))


async def test_remounting_proc_does_not_help(shell):
    remount = "mount -o remount,rw,bind /proc/sys && read v < /proc/sys/vm/swappiness"
    said = await shell.run(f"unshare -m bash -c '{remount} && echo $v > /proc/sys/vm/swappiness'")
    assert NOT_PERMITTED in said


async def test_the_settings_of_his_network_are_his_own(shell):
    assert "<0>" in await shell.run("sysctl -w net.ipv4.ip_forward=1")


async def test_the_trigger_of_sysrq_is_read_only(shell):
    assert "<0>" not in await shell.run("test -w /proc/sysrq-trigger")


async def test_real_time_priorities_are_refused(shell):
    assert NOT_PERMITTED in await shell.run("chrt --fifo 1 true")
    assert "<0>" in await shell.run("nice -n -5 true")


async def test_what_the_lessons_are_about_works(shell):
    assert "<0>" in await shell.run("unshare --pid --fork --mount-proc --net --uts --ipc --cgroup true")
    assert "<0>" in await shell.run("unshare --user --map-root-user --mount-proc --pid --fork true")
    assert "<0>" in await shell.run("ip link add veth9 type veth peer name veth8 && ip link del veth9")
    assert "<0>" in await shell.run("mkdir -p /tmp/m && mount -t tmpfs none /tmp/m && umount /tmp/m")
    assert "<0>" in await shell.run("mkdir /sys/fs/cgroup/pids/x 2>/dev/null || mkdir /sys/fs/cgroup/x")
    assert "<0>" in await shell.run("rmdir /sys/fs/cgroup/pids/x 2>/dev/null || rmdir /sys/fs/cgroup/x")


async def test_no_file_system_of_the_host_can_be_remounted(whole, ground, tmp_path):
    """`umount -a -r` remounts what is busy read-only: that must not be the host's disk."""
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    machine = await ground.machine("scratch", binds={"/usr/local/bin/tool": tool})
    on_disks = {os.stat(path).st_dev for path in ("/", "/usr", tmp_path)}
    with open(f"/proc/{machine.pid}/mountinfo") as lines:
        mounted = {os.makedev(*map(int, line.split()[2].split(":"))) for line in lines}
    assert not mounted & on_disks


async def test_a_fork_bomb_ends_at_its_bound_and_with_its_shell(doomed):
    bound = doomed.spec.limits.programs_pids_max
    assert bound <= 1024
    programs = pids_directory(doomed)
    assert (programs / "pids.max").read_text() == f"{bound}\n"  # In force before the bomb is let off.
    try:
        async with Shell(doomed) as shell:
            shell.send("bomb() { bomb | bomb & }; bomb")
            async with asyncio.timeout(40):
                while int((programs / "pids.current").read_text()) < bound * 9 // 10:
                    await asyncio.sleep(0.01)
            # The lab's loop lives, the init answers, and the host has pids left.
            await doomed.write_file("/tmp/alive", b"")
            assert await (await asyncio.create_subprocess_exec("true")).wait() == 0
            await doomed.end_programs()
    finally:
        os.kill(doomed.pid, signal.SIGKILL)


def pids_directory(machine: NamespacedMachine) -> Path:
    directory = machine.cgroups.at("programs").directory("pids")
    assert directory
    return Path(directory)


async def test_after_a_fork_bomb_the_machine_is_whole(doomed):
    async with Shell(doomed) as shell:
        assert (pids_directory(doomed) / "pids.max").exists()
        shell.send("bomb() { bomb | bomb & }; bomb")
        await asyncio.sleep(0.3)
        await doomed.end_programs()
    assert [info for info in scan([doomed.pid])[1:] if info.state != "Z"] == []
    assert await doomed.examine() == ()
    async with Shell(doomed) as shell:
        assert "<0>" in await shell.run("true")


async def test_a_shell_is_closed_under_its_fork_bomb(doomed):
    async with asyncio.timeout(PATIENCE_S):
        async with Shell(doomed) as shell:
            shell.send("bomb() { bomb | bomb & }; bomb")
            await asyncio.sleep(0.3)
    assert await doomed.examine() == ()


async def test_kill_everything_leaves_the_machine(doomed):
    """kill(2) spares the caller, and the kernel a pid namespace's init."""
    async with Shell(doomed) as shell, Shell(doomed) as other:
        shell.send("kill -9 -1")
        async with asyncio.timeout(PATIENCE_S):
            assert await other.ended() == 128 + signal.SIGKILL
    assert await doomed.examine() == ()
    async with Shell(doomed) as shell:
        assert "<0>" in await shell.run("true")


async def test_a_full_disk_says_so_and_is_a_damage(doomed):
    free_before = os.statvfs("/").f_bavail
    async with Shell(doomed) as shell:
        assert "No space left on device" in await shell.run("dd if=/dev/zero of=/fill bs=1M")
        assert "<0>" in await shell.run("ls / > /dev/null")
    assert await doomed.examine() == ("/ is full",)
    assert os.statvfs("/").f_bavail >= free_before * 9 // 10


async def test_a_memory_hog_is_killed_alone(doomed):
    hog = "x = [bytearray(1 << 24) for _ in range(10_000)]"
    async with Shell(doomed) as shell:
        assert "<137>" in await shell.run(f"python3 -c '{hog}'")
        assert "<0>" in await shell.run("true")
    assert await doomed.examine() == ()


async def test_deleting_everything_deletes_nothing_of_the_host(doomed):
    """And the machine says that it is damaged, though hardly a program is left on it."""
    host = [set(os.listdir(path)) for path in HOST_S]
    async with Shell(doomed) as shell:
        shell.send("rm -rf --no-preserve-root / 2>/dev/null; echo *")
        async with asyncio.timeout(40):
            while not any(damage.endswith("is gone") for damage in await doomed.examine()):
                await asyncio.sleep(0.05)
    assert [names - set(os.listdir(path)) for path, names in zip(HOST_S, host, strict=True)] == [set()] * 3


@pytest.mark.parametrize(
    ("command", "damage"),
    [
        ("rm /usr/bin/env", "/usr/bin/env is gone"),
        ("cp /bin/true /usr/bin/env", "/usr/bin/env is changed"),
        ("echo > /etc/hosts", "/etc/hosts is changed"),
        ("rm /etc/hosts", "/etc/hosts is gone"),
        ("rm -r /var/lib && mkdir /var/lib", "/var/lib is gone"),
        ("ip link del eth0", "link eth0 is down or gone"),
        ("ip link set lo down", "link lo is down or gone"),
        ("ip address flush dev eth0", "is gone"),
        ("rm /dev/null", "/dev/null is gone"),
        ("umount -l /dev", "/dev is not mounted"),
        ("umount -l /proc", "/proc"),
        ("mount -t tmpfs none /usr", "/usr is mounted"),
        ("sysctl -w net.ipv4.ip_forward=0", "net/ipv4/ip_forward is changed"),
        ("hostname elsewhere", "the host name is elsewhere"),
        ("cat /dev/zero > /tmp/fill", "/tmp is full"),
    ],
)
async def test_a_damage_is_found(doomed, command, damage):
    assert await doomed.examine() == ()
    async with Shell(doomed) as shell:
        await shell.run(command)
    assert damage in " ".join(await doomed.examine())


async def test_a_machine_that_waits_for_a_processor_is_not_damaged(ground):
    slow = await ground.machine("scratch")
    cgroup = ground.cgroups.at(slow.name)
    cgroup.limit("cpu.max", "2000 100000")
    assert await slow.examine() == ()
    cgroup.limit("cpu.max", "max")


async def test_what_a_learner_leaves_in_his_own_places_is_no_damage(whole, shell):
    await shell.run("cd; mkdir -p a/b; echo > a/b/c; rm -rf a; echo > /tmp/x; touch /srv/y /opt/z")
    await shell.run("ip link add spare type dummy; ip link del spare; python3 -c 'import json'")
    assert await whole.examine() == ()


async def test_the_bounds_are_out_of_reach(shell, whole):
    """The root of his cgroup namespace lies below the cgroup that bounds it."""
    files = "/sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max"
    await shell.run(f"for file in {files}; do echo max > $file; done 2>/dev/null")
    box = pids_directory(whole).parent.parent
    assert (box / "pids.max").read_text() == f"{whole.spec.limits.pids_max}\n"


async def test_a_machine_is_up_again_in_the_time_that_a_reset_may_take(ground):
    async with asyncio.timeout(PATIENCE_S):  # A bound for one that hangs, not a measurement.
        await ground.machine("scratch")
