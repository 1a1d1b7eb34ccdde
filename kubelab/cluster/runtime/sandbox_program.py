"""A plain sandbox made by a program of system calls: `sandbox.run` without a copy of this process.

Plain is one with a network and a host name of its own and the machine's users. One whose program fails is
made by `sandbox.run`, which can tell why. See `container_program` and `linux.syscall_program`.
Left out: sandboxes with a user namespace or in the machine's network; processors but x86-64.
"""

import errno
import functools
import os
import signal
import struct

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import syscall_program, user_namespace
from kubelab.cluster.linux.cgroup_freezer import is_frozen
from kubelab.cluster.linux.loaded_program import LoadedProgram
from kubelab.cluster.linux.netlink import NETLINK_ROUTE, batch
from kubelab.cluster.linux.syscall_program import Program, Value, string
from kubelab.cluster.runtime import process_program
from kubelab.cluster.runtime.mount_program import AT_FDCWD
from kubelab.cluster.runtime.process_program import Prepared, write
from kubelab.cluster.runtime.sandbox import PAUSE_ROOT, SYSCTLS, Start, network, own_sysctl

_ANSWER_BYTES, _ERRNO_AT, _INT = 4096, 16, 0xFFFFFFFF
_REQUESTS = 5
_SHAPES_MAX = 8
Sysctls = tuple[tuple[str, str], ...]


def prepare(wanted: Start) -> Prepared | None:
    """Return what starts the pause process, None if that is for `sandbox.run` to do."""
    if not is_plain(wanted):
        return None
    try:
        # As in `container_program`.
        if is_frozen(wanted.cgroup):
            return None
        program = _program(wanted.sysctls, len(wanted.cgroup.task_files))
        return process_program.prepared(program, _values(wanted), wanted.cgroup)
    except (KernelError, OSError, ValueError, struct.error):
        return None


def is_plain(wanted: Start) -> bool:
    return (
        syscall_program.is_possible()
        and not user_namespace.is_nested()
        and not (wanted.host_network or wanted.id_mappings)
    )


def _values(wanted: Start) -> dict[str, Value]:
    requests = batch(*network(wanted))
    hostname = string(wanted.hostname)
    return {
        "hostname": hostname,
        "hostname_bytes": len(hostname),
        "requests": requests,
        "requests_bytes": len(requests),
        "argv": (b"/pause",),
        "env": (),
    }


@functools.lru_cache(maxsize=_SHAPES_MAX)
def _program(sysctls: Sysctls, task_files: int) -> LoadedProgram:
    program = Program()
    syscall_program.guard(program)
    process_program.be_killable(program)
    process_program.enter_cgroup(program, task_files)
    program.call("setsid")
    program.call("sethostname", program.variable("hostname"), program.variable("hostname_bytes"))
    for name, value in SYSCTLS:
        _write_if_there(program, f"/proc/sys/net/{name}", value.encode())
    _make_network(program)
    for name, value in sysctls:
        path, content = own_sysctl(name, value)
        write(program, path, content.encode())
    _enter_root(program)
    _become_pause(program)
    return program.load()


def _write_if_there(program: Program, path: str, content: bytes) -> None:
    after = syscall_program.Label()
    flags = os.O_WRONLY | os.O_CLOEXEC
    fd = program.call("openat", AT_FDCWD, path, flags, otherwise={errno.ENOENT: after})
    program.call("write", fd, content, len(content), target=path)
    program.place(after)


def _make_network(program: Program) -> None:
    """Each request is answered by a message of its own, in which 0 means that it was carried out."""
    sock = program.call("socket", *NETLINK_ROUTE)
    requests, size = program.variable("requests"), program.variable("requests_bytes")
    program.call("sendto", sock, requests, size, 0, 0, 0, target="network")
    answer = program.room(_ANSWER_BYTES)
    for _ in range(_REQUESTS):
        program.call("recvfrom", sock, answer, _ANSWER_BYTES, 0, 0, 0, target="network")
        program.check(program.within(answer, _ERRNO_AT), 0, _INT, target="network")


def _enter_root(program: Program) -> None:
    process_program.make_private(program)
    process_program.bind_read_only(program, PAUSE_ROOT, PAUSE_ROOT)
    process_program.use_streams(program, -1, -1, -1)
    process_program.enter_root(program, PAUSE_ROOT)


def _become_pause(program: Program) -> None:
    process_program.close_others(program)
    syscall_program.unblock_signals(program)
    ignore = struct.pack("<4Q", int(signal.SIG_IGN), 0, 0, 0)
    program.call("rt_sigaction", int(signal.SIGCHLD), ignore, 0, 8)
    process_program.bound(program, frozenset())
    process_program.clear_ambient(program)
    process_program.set_capabilities(program, 0, 0, 0)
    arguments = program.variable("argv")
    program.call("execve", "/pause", arguments, program.variable("env"))
