"""The namespaces of a container: those that its parent makes by clone, those that it makes or joins itself.

Source: OCI runtime specification, config-linux.md, Namespaces; namespaces(7), user_namespaces(7),
time_namespaces(7), pid_namespaces(7). A pid namespace takes only children in, so `start_flags` is for the
parent; all others are entered in `enter`.
A user namespace is entered last of all, by `enter_user`, where the runtime is privileged: until then the root
file system is made with the runtime's own rights and, by `act_as_root_of`, with the owners that the container
will see. So volumes can be idmapped, and what is mounted is beyond the container's reach.
"""
# ruff: noqa: PTH123 - the shim imports this, and pathlib is slow to

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import struct
from collections.abc import Iterator, Sequence

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import syscalls
from kubelab.cluster.runtime.config import SANDBOX, Config, IdMapping

FLAGS = {
    "pid": syscalls.CLONE_NEWPID,
    "network": syscalls.CLONE_NEWNET,
    "mount": syscalls.CLONE_NEWNS,
    "ipc": syscalls.CLONE_NEWIPC,
    "uts": syscalls.CLONE_NEWUTS,
    "user": syscalls.CLONE_NEWUSER,
    "cgroup": syscalls.CLONE_NEWCGROUP,
    "time": syscalls.CLONE_NEWTIME,
}
# Not the pid namespace, which the parent has chosen, nor the user namespace, which comes last.
_ENTERED = ("network", "ipc", "uts", "cgroup", "time", "mount")
_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP = 28, 1 << 2
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


def flags(config: Config) -> int:
    """Return those of the namespaces that the container's first process is cloned into."""
    return sum(FLAGS[kind] for kind in ("mount", "pid") if config.makes(kind))


@contextlib.contextmanager
def start_flags(config: Config, sandbox_pidfd: int = -1) -> Iterator[int]:
    """Yield the flags to clone the container's first process with; a pid namespace that it joins is this
    process's children's meanwhile.

    Raises:
        KernelError: the namespace cannot be joined.
    """
    pid = config.namespace("pid")
    if pid is None or not pid.path:
        yield flags(config)
        return
    own = os.pidfd_open(os.getpid())
    try:
        _join(pid.path, FLAGS["pid"], sandbox_pidfd)
        yield flags(config)
    finally:
        syscalls.setns(own, FLAGS["pid"])
        os.close(own)


def enter(config: Config, sandbox_pidfd: int = -1) -> None:
    """Join and make the namespaces, all but pid and user.

    Raises:
        KernelError: the kernel refuses one.
    """
    entries = [each for each in config.namespaces if each.type in _ENTERED]
    of_sandbox = sum(FLAGS[each.type] for each in entries if each.path == SANDBOX)
    if of_sandbox:
        syscalls.setns(sandbox_pidfd, of_sandbox)
    for each in entries:
        if each.path and each.path != SANDBOX:
            _join(each.path, FLAGS[each.type], -1)
    made = sum(FLAGS[each.type] for each in entries if not each.path and each.type != "mount")
    if made:
        syscalls.unshare(made)
    if config.makes("time"):
        _set_clocks(config)


def _join(path: str, flag: int, sandbox_pidfd: int) -> None:
    if path == SANDBOX:
        syscalls.setns(sandbox_pidfd, flag)
        return
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError("open", path, error.errno or 0) from None
    try:
        syscalls.setns(fd, flag)
    finally:
        os.close(fd)


def loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        request = fcntl.ioctl(sock, _SIOCGIFFLAGS, struct.pack("16sH22x", b"lo", 0))
        (flags,) = struct.unpack_from("H", request, 16)
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | _IFF_UP))


def _set_clocks(config: Config) -> None:
    """The command enters the time namespace by being executed (Linux 6.2 and later)."""
    lines = [f"{clock} {seconds} {nano}" for clock, (seconds, nano) in config.time_offsets.items()]
    if lines:
        write("/proc/self/timens_offsets", "\n".join(lines))


def act_as_root_of(uids: Sequence[IdMapping], gids: Sequence[IdMapping]) -> None:
    """Let what this process makes from now on belong to the container's root; its rights stay what they are.

    Source: setfsuid(2); capabilities(7), SECBIT_NO_SETUID_FIXUP.
    """
    syscalls.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP)
    libc = ctypes.PyDLL(None)
    libc.setfsgid(ctypes.c_int(host_id(gids, 0)))
    libc.setfsuid(ctypes.c_int(host_id(uids, 0)))


def host_id(mappings: Sequence[IdMapping], id_: int) -> int:
    """Return what the container's id is outside; without mappings the same.

    Raises:
        KernelError: it is none (EINVAL).
    """
    if not mappings:
        return id_
    for each in mappings:
        if each.container_id <= id_ < each.container_id + each.size:
            return each.host_id + id_ - each.container_id
    raise KernelError("map id", id_, 22)


def enter_user(fd: int) -> None:
    """Enter the user namespace (a descriptor of it, or a pidfd of a process in it), as its root.

    Raises:
        KernelError: it cannot be entered.
    """
    syscalls.setns(fd, FLAGS["user"])
    become_root()


def become_root() -> None:
    """Be root in a user namespace that was just entered; where setgroups is denied, groups stay."""
    with contextlib.suppress(PermissionError):
        os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


@contextlib.contextmanager
def held(uids: Sequence[IdMapping], gids: Sequence[IdMapping], flags: int = 0) -> Iterator[int]:
    """Make a user namespace, and the namespaces of *flags* that belong to it; yield a pidfd to join them by.

    A process of its own holds them until somebody else does.

    Raises:
        KernelError: the kernel refuses one, or the mappings.
    """
    pid, pidfd = syscalls.clone(FLAGS["user"] | flags)
    if pid == 0:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        os.closerange(0, os.sysconf("SC_OPEN_MAX"))  # Or whoever waits for their end would wait for ever.
        while True:
            signal.pause()
    try:
        write_mappings(pid, uids, gids)
        yield pidfd
    finally:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)
        os.waitpid(pid, 0)


def write_mappings(pid: int, uids: Sequence[IdMapping], gids: Sequence[IdMapping]) -> None:
    """Give the new user namespace of a process its ids; who may not set groups gives that up, as the kernel
    asks (user_namespaces(7)).

    Raises:
        KernelError: the kernel refuses them.
    """
    if os.geteuid() != 0:
        write(f"/proc/{pid}/setgroups", "deny")
    for name, mappings in (("gid_map", gids), ("uid_map", uids)):
        lines = "".join(f"{each.container_id} {each.host_id} {each.size}\n" for each in mappings)
        write(f"/proc/{pid}/{name}", lines)


def write(path: str, content: str) -> None:
    """Write the file. As bytes: in a container's root there are no modules of ours, and codecs are such."""
    try:
        with open(path, "wb") as file:
            file.write(content.encode())
    except OSError as error:
        raise KernelError("write", path, error.errno or 0) from None
