"""Another process in a running container: its namespaces, its root, its limits, and then the command.

Source: OCI runtime specification has no words for it; runc, `runc exec`, libcontainer/setns_init_linux.go;
setns(2). The namespaces are those of a process of the container, whichever they are: what it shares with the
runtime is entered all the same, which changes nothing.
A pid namespace takes in only children: `start_flags` is for the parent, which clones with it.
"""
# ruff: noqa: PTH115, PTH123

import contextlib
import fcntl
import os
import termios
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import syscalls
from kubelab.cluster.linux.cgroups import Cgroup
from kubelab.cluster.linux.seccomp_profile import Seccomp
from kubelab.cluster.runtime import confinement, container_devices, container_namespaces
from kubelab.cluster.runtime.config import Process
from kubelab.cluster.runtime.container_namespaces import FLAGS
from kubelab.cluster.runtime.execution import use_streams

_NAMES = {
    "network": "net",
    "mount": "mnt",
    "ipc": "ipc",
    "uts": "uts",
    "cgroup": "cgroup",
    "time": "time",
    "user": "user",
}


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Enter:
    """What the parent hands to the child. `pidfd`: of a process in the container. For the rest see
    `container.Start`."""

    pidfd: int
    process: Process
    cgroup: Cgroup
    streams: tuple[int, int, int] = (-1, -1, -1)
    console_fd: int = -1
    seccomp: Seccomp | None = None
    preserved_fds: int = 0
    keyring: str = "kubelab"
    before_command: Callable[[], None] = _nothing


@contextlib.contextmanager
def start_flags(pidfd: int) -> Iterator[int]:
    """Let children be born into the pid namespace of the container meanwhile; yield the flags to clone with.

    Raises:
        KernelError: the container has ended.
    """
    own = os.pidfd_open(os.getpid())
    try:
        syscalls.setns(pidfd, FLAGS["pid"])
        yield 0
    finally:
        syscalls.setns(own, FLAGS["pid"])
        os.close(own)


def run(enter: Enter) -> NoReturn:
    """Become the process.

    Raises:
        ConfigError, CommandError: it cannot be executed as it is described.
        KernelError, OSError: the kernel refuses a step; the container has ended (ESRCH).
    """
    confinement.check(enter.process)
    confinement.hide()
    enter.cgroup.add_thread()
    os.setsid()
    namespaces = _foreign(pid_of(enter.pidfd))
    # In a user namespace of its own nobody may enter the others before that one; from above one may, and does
    # it last, for limits and the like need rights outside.
    last = "user" in namespaces and _is_privileged()
    flags = sum(FLAGS[name] for name in namespaces if not (last and name == "user"))
    if flags:
        syscalls.setns(enter.pidfd, flags)
    if "user" in namespaces and not last:
        container_namespaces.become_root()
    _use_streams(enter)
    confined = confinement.Confinement(
        seccomp=enter.seccomp,
        userns_fd=enter.pidfd if last else -1,
        keyring=enter.keyring,
        preserved_fds=enter.preserved_fds,
    )
    confinement.become(enter.process, confined, enter.before_command)


def pid_of(pidfd: int) -> int:
    """Return the number that /proc has for the process.

    Raises:
        KernelError: it has ended (ESRCH).
    """
    with open(f"/proc/self/fdinfo/{pidfd}", encoding="ascii") as info:
        pid = next(int(line.split()[1]) for line in info if line.startswith("Pid:"))
    if pid <= 0:
        raise KernelError("enter container", "its process", 3)
    return pid


def _foreign(pid: int) -> list[str]:
    """Return which of the process's namespaces are not this process's: to enter one's own user namespace is
    refused."""
    return [kind for kind, name in _NAMES.items() if _id(pid, name) != _id("self", name)]


def _id(pid: int | str, name: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/{name}")
    except FileNotFoundError:
        return ""


def _is_privileged() -> bool:
    return bool(syscalls.capget() >> 21 & 1)  # CAP_SYS_ADMIN, where this process is now.


def _use_streams(enter: Enter) -> None:
    if enter.console_fd < 0:
        use_streams(*enter.streams)
        return
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    master, slave = container_devices.open_terminal(root, enter.process.console_size)
    with contextlib.suppress(PermissionError):
        os.fchown(slave, enter.process.user.uid, -1)
    container_devices.send_terminal(enter.console_fd, master)
    os.close(enter.console_fd)
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    use_streams(slave, slave, slave)
