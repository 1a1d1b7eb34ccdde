"""What a container's process is, and gives up, as calls of a program, in the order of `confinement`.

Whom it executes is looked for where `execution.find` looks. Facts of the process that starts the program
(what it may hold itself) are read when the program is written.
"""

import errno
import os
import resource
import struct
from dataclasses import dataclass

from kubelab.cluster.linux import capabilities, seccomp_profile, syscalls
from kubelab.cluster.linux.seccomp_profile import Seccomp
from kubelab.cluster.linux.syscall_program import Cell, Label, Program, unblock_signals
from kubelab.cluster.runtime.config import Capabilities, Process, Rlimit, User
from kubelab.cluster.runtime.mount_program import AT_FDCWD
from kubelab.cluster.runtime.process_program import (
    bound,
    clear_ambient,
    close_others,
    set_capabilities,
)

_JOIN_SESSION_KEYRING = 1
_PR_SET_KEEPCAPS = 8
_AMBIENT_RAISE = 2
_DEFAULT_UMASK = 0o022
_PATH_BYTES = 4096
_UNLIMITED = (1 << 64) - 1
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.EACCES)


@dataclass(frozen=True, slots=True)
class Become:
    """The process has its OOM score already. `user` has numbers alone. `candidates`: in so many places the
    command is looked for; where they are, its arguments and environment are variables (`path0`, ..., `argv`,
    `env`)."""

    process: Process
    user: User
    seccomp: Seccomp | None
    keyring: str
    candidates: int


def become(program: Program, wanted: Become) -> None:
    process, user = wanted.process, wanted.user
    name = f"_ses.{wanted.keyring}"
    program.try_call("keyctl", _JOIN_SESSION_KEYRING, name, errors=(errno.ENOSYS, errno.EPERM))
    for limit in process.rlimits:
        _limit(program, limit)
    program.call("umask", _DEFAULT_UMASK if user.umask is None else user.umask)
    entered = program.try_call("chdir", process.cwd, errors=(errno.EACCES,))
    _check_inside(program)
    filter_ = _filter(program, wanted.seccomp)
    close_others(program)
    unblock_signals(program)
    if filter_ and not process.no_new_privileges:
        _install(program, filter_)
    _give_up(program, process.capabilities, user)
    _enter_again(program, process.cwd, entered)
    _execute(program, wanted, filter_ if process.no_new_privileges else None)


def _limit(program: Program, limit: Rlimit) -> None:
    words = [_UNLIMITED if each == -1 else each for each in (limit.soft, limit.hard)]
    program.call("prlimit64", 0, getattr(resource, limit.type), struct.pack("<2Q", *words), 0)


def _check_inside(program: Program) -> None:
    """See `confinement`: the directory may be outside of the root (CVE-2024-21626)."""
    path = program.room(_PATH_BYTES)
    program.call("getcwd", path, _PATH_BYTES)
    program.check(path, ord("/"), 0xFF, target="getcwd")


def _enter_again(program: Program, cwd: str, entered: Cell) -> None:
    after = Label()
    program.check(program.address_of(entered), -errno.EACCES, otherwise=after)
    program.call("chdir", cwd)
    _check_inside(program)
    program.place(after)


def _filter(program: Program, seccomp: Seccomp | None) -> Cell | None:
    """Return a cell with the address of the filter's head; None without one."""
    filter_ = seccomp_profile.program(seccomp) if seccomp else b""
    if not filter_:
        return None
    head = program.room(16)
    program.fill(head, struct.pack("<H6x", len(filter_) // 8))
    program.link(head, 8, program.data(filter_))
    return head


def _install(program: Program, head: Cell) -> None:
    program.call("prctl", syscalls.PR_SET_SECCOMP, syscalls.SECCOMP_MODE_FILTER, head, 0, 0)


def _give_up(program: Program, sets: Capabilities | None, user: User) -> None:
    if sets:
        bound(program, sets.bounding)
        program.call("prctl", _PR_SET_KEEPCAPS, 1, 0, 0, 0)
    groups = struct.pack(f"<{len(user.additional_gids)}I", *user.additional_gids)
    tolerated = () if user.additional_gids else (errno.EPERM,)
    program.try_call("setgroups", len(user.additional_gids), groups, errors=tolerated)
    program.call("setresgid", *[user.gid] * 3)
    program.call("setresuid", *[user.uid] * 3)
    if sets:
        program.call("prctl", _PR_SET_KEEPCAPS, 0, 0, 0, 0)
        _set_capabilities(program, sets)


def _set_capabilities(program: Program, sets: Capabilities) -> None:
    """See `capabilities.set_sets`."""
    held = syscalls.capget()
    known = set(capabilities.NAMES)
    asked = (sets.effective, sets.permitted, sets.inheritable)
    effective, permitted, inheritable = (capabilities.mask_of(names & known) & held for names in asked)
    set_capabilities(program, effective & permitted, permitted, inheritable & permitted)
    clear_ambient(program)
    for bit, name in enumerate(capabilities.NAMES):
        if name in sets.ambient and permitted & inheritable & 1 << bit:
            program.call("prctl", syscalls.PR_CAP_AMBIENT, _AMBIENT_RAISE, bit, 0, 0)


def _execute(program: Program, wanted: Become, filter_: Cell | None) -> None:
    for number in range(wanted.candidates):
        path, after = program.variable(f"path{number}"), Label()
        is_last = number == wanted.candidates - 1
        elsewhere = {} if is_last else dict.fromkeys(_NOT_THERE, after)
        program.call("faccessat", AT_FDCWD, path, os.X_OK, otherwise=elsewhere, target="command")
        if wanted.process.no_new_privileges:
            program.call("prctl", syscalls.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if filter_:
            _install(program, filter_)
        program.call("execve", path, program.variable("argv"), program.variable("env"), target="command")
        program.place(after)
