"""Plain containers and sandboxes are made by programs of system calls, all others by a child of the shim:
from within nobody can tell which way it was."""

import errno
import re
from dataclasses import replace
from pathlib import Path

import pytest

from kubelab.cluster.errors import KernelError
from kubelab.cluster.images.image import ImageConfig
from kubelab.cluster.linux.cgroups import CgroupTree
from kubelab.cluster.runtime import container_program, pod_config
from kubelab.cluster.runtime.config import parse
from kubelab.cluster.runtime.container import Start
from kubelab.cluster.runtime.container_root import Rootfs
from kubelab.cluster.runtime.cri import ContainerSpec, Mount, Rlimit, SandboxSpec, Security
from tests.runtime.pod_node import SHELL, Node

pytestmark = [pytest.mark.root, pytest.mark.asyncio(loop_scope="module")]

# Who looks for a command in so many places is no plain container; it is the same otherwise.
MANY_PLACES = ":".join(f"/nowhere/{number}" for number in range(16)) + ":/usr/bin:/bin"
LOOK = r"""
cut -d' ' -f4- /proc/self/mountinfo
grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|Sig[BIC]|Umask)' /proc/self/status
cut -d' ' -f4-7 /proc/$$/stat
cat /proc/$$/limits /proc/$$/oom_score_adj /proc/$$/cgroup /etc/hosts /etc/hostname /etc/resolv.conf
cat /etc/passwd /etc/group /etc/nsswitch.conf
for fd in 0 1 2 3 4 5 6 7 8 9; do readlink /proc/$$/fd/$fd || echo none; done
pwd; hostname; umask; env | grep -v ^PATH= | sort
stat -c '%N %A %u %g %t %T' / /* /etc/* /dev/* /tmp /var/tmp /root 2>&1
for path in /proc/kcore /proc/keys /proc/acpi /proc/sys/kernel/hostname /sys/firmware; do
  cat $path 2>&1 || ls $path 2>&1; echo x 2>&1 > $path
done
ls /proc/$$/ns; readlink /proc/$$/ns/net /proc/$$/ns/ipc /proc/$$/ns/uts /proc/$$/ns/user
cat /proc/$$/coredump_filter /proc/$$/timerslack_ns
"""
DESCRIPTIONS = {
    "as it comes": {},
    "read-only root": {"security": Security(read_only_root=True)},
    "no privileges": {
        "security": Security(
            user=1000, group=1001, groups=(1002, 7), no_new_privs=True, drop_capabilities=("ALL",)
        )
    },
    "other capabilities": {
        "security": Security(add_capabilities=("NET_ADMIN",), drop_capabilities=("KILL",))
    },
    "no filter": {"security": Security(seccomp="Unconfined")},
    "privileged": {"security": Security(privileged=True)},
    "limits and a directory": {
        "cwd": "/srv/deep/below",
        "env": {"HOME": "/tmp", "LANG": "C"},
        "rlimits": (Rlimit("RLIMIT_NOFILE", 64, 128), Rlimit("RLIMIT_CORE", 0, 0)),
        "oom_score_adj": 500,
    },
    "volumes": {
        "mounts": (
            Mount("/data/deep", "/usr/share", read_only=True),
            Mount("/var/run/shared", "/tmp", propagation="HostToContainer"),
            Mount("/data/name", "/etc/hostname"),
        )
    },
}


@pytest.mark.parametrize("name", DESCRIPTIONS)
async def test_both_ways_make_the_same_container(node: Node, name: str) -> None:
    fields = DESCRIPTIONS[name]
    pod = await node.pod(sysctls={"net.ipv4.ip_unprivileged_port_start": "0"})
    env = dict(fields.get("env", {}))
    one = await node.shell(pod, LOOK, **fields)
    other = await node.shell(pod, LOOK, **(fields | {"env": env | {"PATH": MANY_PLACES}}))
    assert _without_numbers_of_pipes(one) == _without_numbers_of_pipes(other)


def _without_numbers_of_pipes(report: str) -> list[str]:
    return re.sub(r"pipe:\[\d+\]", "pipe", report).splitlines()


@pytest.mark.parametrize("name", DESCRIPTIONS)
async def test_a_plain_container_takes_one_process_to_be_made(node: Node, name: str) -> None:
    """A program that fails is followed by a child of the shim, whose number is the next."""
    pod = await node.pod()
    first = await node.start(pod, "sleep", "60", **DESCRIPTIONS[name])
    second = await node.start(pod, "sleep", "60", **DESCRIPTIONS[name])
    assert _pid_on_machine(second.pid) == _pid_on_machine(first.pid) + 1


async def test_a_plain_sandbox_takes_one_process_to_be_made(node: Node) -> None:
    first, second = await node.pod(), await node.pod()
    assert _pid_on_machine(second.pid) == _pid_on_machine(first.pid) + 1


async def test_a_sandbox_that_cannot_be_made_tells_why(node: Node) -> None:
    """The program fails after it has made the network, whose link is not gone at once."""
    with pytest.raises(KernelError) as refusal:
        await node.pod(sysctls={"net.ipv4.ip_forward": "maybe"})
    assert refusal.value.operation == "write"
    assert refusal.value.target == "/proc/sys/net/ipv4/ip_forward"
    assert refusal.value.errno == errno.EINVAL


@pytest.mark.parametrize("name", DESCRIPTIONS)
async def test_these_containers_are_plain(name: str) -> None:
    fields = {"name": "main", "image": SHELL, "command": ("true",), "env": {}, "log_path": None}
    spec = ContainerSpec(**(fields | DESCRIPTIONS[name]))
    document = pod_config.container_config(spec, SandboxSpec("uid", "default", "pod", "pod"), ImageConfig())
    tree = CgroupTree(())
    start = Start(parse(document), Rootfs(), tree.at("x"), tree, shm="/run/shm")
    assert container_program.describes_plain(start)
    assert not container_program.describes_plain(replace(start, owns_sandbox=True))
    assert not container_program.describes_plain(replace(start, rootfs=Rootfs(lowers=("/layer",))))


def _pid_on_machine(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[2]) for line in status if line.startswith("NSpid:"))
