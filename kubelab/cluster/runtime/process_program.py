"""Steps that a program has for every process that the shim starts: its cgroup, its root, what it gives up.

See `linux.syscall_program`. Facts of the process that starts the program (what it may hold itself) are read
when the program is written; capabilities(7).
"""

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import capabilities, syscalls
from kubelab.cluster.linux.cgroups import Cgroup
from kubelab.cluster.linux.loaded_program import LoadedProgram
from kubelab.cluster.linux.program_launcher import ProgramLauncher, Then
from kubelab.cluster.linux.syscall_program import Argument, Program, Value
from kubelab.cluster.runtime.mount_program import AT_FDCWD

_CAPABILITY_VERSION_3 = 0x20080522
_CLOSE_RANGE_CLOEXEC = 4


@dataclass(frozen=True, slots=True)
class Prepared:
    """A program with all that one process needs of it, to be started in its cgroup."""

    program: LoadedProgram
    values: Mapping[str, Value]
    cgroup: Cgroup

    def start(self, flags: int) -> tuple[int, int]:
        """Return pid and pidfd. Raises KernelError, OSError: it failed."""
        fd = self.cgroup.open_v2()
        try:
            return self.program.start(self.values, flags, fd)
        finally:
            if fd >= 0:
                os.close(fd)

    def launch(self, launcher: ProgramLauncher, flags: int, then: Then) -> None:
        """See `ProgramLauncher.launch`. Raises KernelError, OSError: it is not begun."""
        launcher.launch(self.program, self.values, flags, self.cgroup.open_v2(), then)


def prepared(program: LoadedProgram, values: dict[str, Value], cgroup: Cgroup) -> Prepared:
    files = {f"cgroup{number}": os.fsencode(path) for number, path in enumerate(cgroup.task_files)}
    return Prepared(program, values | files, cgroup)


def enter_cgroup(program: Program, task_files: int) -> None:
    """See `Cgroup.add_thread`: of v2 the process is born into it."""
    for number in range(task_files):
        path = program.variable(f"cgroup{number}")
        fd = program.call("openat", AT_FDCWD, path, os.O_WRONLY | os.O_CLOEXEC, target="cgroup")
        program.call("write", fd, b"0", 1, target="cgroup")


def be_killable(program: Program, score: int | None = None) -> None:
    """See `privileges.expose_to_oom`. Who is to have a score of his own has it from now on."""
    write(program, "/proc/self/oom_score_adj", str(score or 0).encode())


def write(program: Program, path: str, content: bytes) -> None:
    fd = program.call("openat", AT_FDCWD, path, os.O_WRONLY | os.O_CLOEXEC)
    program.call("write", fd, content, len(content), target=path)


def bind_read_only(program: Program, source: str, target: str) -> None:
    program.call("mount", source, target, 0, syscalls.MS_BIND | syscalls.MS_REC, 0)
    make_read_only(program, target, recursive=True)


def make_read_only(program: Program, path: str, *, recursive: bool) -> None:
    change = struct.pack("<4Q", syscalls.MOUNT_ATTR_RDONLY, 0, 0, 0)
    flags = syscalls.AT_RECURSIVE if recursive else 0
    program.call("mount_setattr", AT_FDCWD, path, flags, change, len(change))


def make_private(program: Program) -> None:
    program.call("mount", "none", "/", 0, syscalls.MS_REC | syscalls.MS_PRIVATE, 0)


def enter_root(program: Program, path: str) -> None:
    """See `mounts.enter_root`."""
    program.call("chdir", path)
    program.call("pivot_root", ".", ".")
    program.call("umount2", ".", syscalls.MNT_DETACH)
    program.call("chdir", "/")


def use_streams(program: Program, *streams: Argument) -> None:
    """Make the descriptors 0, 1 and 2 (-1: /dev/null), of others that are above."""
    null = program.call("openat", AT_FDCWD, "/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for number, stream in enumerate(streams):
        program.call("dup3", null if stream == -1 else stream, number, 0)


def close_others(program: Program) -> None:
    """Pass no descriptor on but the three."""
    program.call("close_range", 3, 0xFFFFFFFF, _CLOSE_RANGE_CLOEXEC)


def bound(program: Program, kept: frozenset[str]) -> None:
    """See `capabilities.bound`."""
    for bit, name in enumerate(capabilities.NAMES):
        if name not in kept and _is_bounded(bit):
            program.call("prctl", syscalls.PR_CAPBSET_DROP, bit, 0, 0, 0)


def _is_bounded(bit: int) -> bool:
    try:
        return bool(syscalls.prctl(syscalls.PR_CAPBSET_READ, bit))
    except KernelError:  # This kernel ends before this capability.
        return False


def set_capabilities(program: Program, effective: int, permitted: int, inheritable: int) -> None:
    masks = (effective, permitted, inheritable)
    words = [mask >> shift & 0xFFFFFFFF for shift in (0, 32) for mask in masks]
    program.call("capset", struct.pack("<Ii", _CAPABILITY_VERSION_3, 0), struct.pack("<6I", *words))


def clear_ambient(program: Program) -> None:
    program.call("prctl", syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
