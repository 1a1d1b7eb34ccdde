"""What a container's process is, and gives up, before its command takes its place.

The same for a container's first process and for one that is executed in it. The order matters: limits and
the OOM score need rights outside, so they come before the user namespace; the working directory is entered
again after the user was changed, for the one or the other may not be allowed to; a filter is installed last,
but before the capabilities go if the process may gain privileges (seccomp(2)).
Source: runc, libcontainer/init_linux.go (finalizeNamespace), standard_init_linux.go; capabilities(7),
keyctl(2).
"""
# ruff: noqa: PTH109, PTH123 - the shim imports this, and pathlib is slow to

import ctypes
import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import capabilities, classic_bpf, seccomp_profile, syscalls
from kubelab.cluster.linux.seccomp_profile import Seccomp
from kubelab.cluster.runtime import users
from kubelab.cluster.runtime.config import ConfigError, Process, User
from kubelab.cluster.runtime.container_namespaces import enter_user, write
from kubelab.cluster.runtime.execution import DEFAULT_PATH, CommandError, default_signals, execute, find
from kubelab.cluster.runtime.rlimits import apply_rlimits
from kubelab.language import Text

_PR_SET_DUMPABLE, _PR_SET_KEEPCAPS = 4, 8
_SYS_CLOSE_RANGE, _CLOSE_RANGE_CLOEXEC = 436, 4
_SYS_KEYCTL = {"x86_64": 250, "aarch64": 219}
_JOIN_SESSION_KEYRING = 1
_DEFAULT_UMASK = 0o022


@dataclass(frozen=True, slots=True)
class Confinement:
    """`userns_fd`: the user namespace to enter (-1: stay); `keyring`: the name of the session's new one ("":
    the old one stays); `preserved_fds`: how many descriptors from 3 on the command keeps."""

    seccomp: Seccomp | None = None
    userns_fd: int = -1
    keyring: str = ""
    preserved_fds: int = 0


def check(process: Process) -> None:
    """Raises ConfigError: as `check_command` and `check_labels`."""
    check_command(process.args)
    check_labels(process)


def check_labels(process: Process) -> None:
    """Raises ConfigError: it asks for what this runtime cannot give and must not drop silently."""
    if process.apparmor_profile not in ("", "unconfined"):
        raise ConfigError(_LABEL.format(kind="AppArmor", label=process.apparmor_profile))
    if process.selinux_label:
        raise ConfigError(_LABEL.format(kind="SELinux", label=process.selinux_label))


def check_command(args: Sequence[str]) -> None:
    """Raises ConfigError: there is none."""
    if not args or not args[0]:
        raise ConfigError(_NO_COMMAND)


def hide() -> None:
    """Let nobody in the container trace this process, or read its memory, before the command is executed."""
    syscalls.prctl(_PR_SET_DUMPABLE, 0)
    # In a user namespace this process's own files in /proc would be closed to itself.
    if not os.access("/proc/self/fd", os.R_OK):
        syscalls.prctl(_PR_SET_DUMPABLE, 1)


def become(process: Process, confinement: Confinement, wait: Callable[[], None]) -> NoReturn:
    """Become the process; *wait* is called when all but the filter and the command itself is done.

    Raises:
        CommandError: the command, its directory or its user is not there.
        KernelError, OSError: the kernel refuses a step.
    """
    _join_session_keyring(confinement.keyring)
    if process.oom_score_adj is not None:
        write("/proc/self/oom_score_adj", str(process.oom_score_adj))
    apply_rlimits(process.rlimits)
    if confinement.userns_fd >= 0:
        enter_user(confinement.userns_fd)
    user = _user(process.user)
    os.umask(_DEFAULT_UMASK if user.umask is None else user.umask)
    env = _environment(process, user)
    entered = _enter(process.cwd)
    filter_ = seccomp_profile.program(confinement.seccomp) if confinement.seccomp else b""
    _close_others(confinement.preserved_fds)
    if filter_ and not process.no_new_privileges:
        classic_bpf.install(filter_)
    _give_up(process, user)
    if not entered and not _enter(process.cwd):
        raise CommandError(f"chdir to cwd ({process.cwd!r}): permission denied")
    path = find(process.args[0], env.get("PATH", DEFAULT_PATH))
    wait()
    default_signals()
    if process.no_new_privileges:
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        if filter_:
            classic_bpf.install(filter_)
    execute(process.args, env, path)


def _join_session_keyring(name: str) -> None:
    """A container has keys of its own; where keys are out of reach altogether there are none to be had."""
    number = _SYS_KEYCTL.get(os.uname().machine)
    if not name or number is None:
        return
    libc = ctypes.PyDLL(None, use_errno=True)
    arguments = (ctypes.c_long(_JOIN_SESSION_KEYRING), f"_ses.{name}".encode())
    if libc.syscall(ctypes.c_long(number), *arguments) < 0:
        error = ctypes.get_errno()
        if error not in (errno.ENOSYS, errno.EPERM):
            raise KernelError("keyctl", name, error)


def _user(user: User) -> User:
    """Return the user with the numbers that the container's own files have for its name."""
    if not user.name:
        return user
    try:
        found = users.find_user(user.name, _read("/etc/passwd"), _read("/etc/group"), user)
    except users.UnknownUserError as error:
        raise CommandError(str(error)) from None
    return replace(found, name="")


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except OSError:
        return ""


def _environment(process: Process, user: User) -> dict[str, str]:
    pairs = (each.partition("=") for each in process.env if "=" in each)
    env = {name: value for name, _, value in pairs}
    if not env.get("HOME"):
        env["HOME"] = users.home_of(user.uid, _read("/etc/passwd"))
    return env


def _enter(path: str) -> bool:
    """Return whether this process may enter the directory. Raises CommandError: there is none."""
    try:
        os.chdir(path)
    except PermissionError:
        return False
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise CommandError(f"chdir to cwd ({path!r}): {reason}") from None
    _check_directory(path)
    return True


def _check_directory(path: str) -> None:
    """Refuse a directory outside of the root: a descriptor of the runtime's may have led there
    (CVE-2024-21626)."""
    try:
        inside = os.getcwd().startswith("/")
    except FileNotFoundError:
        inside = False
    if not inside:
        raise CommandError(f"current working directory is outside of container mount namespace root: {path}")


def _give_up(process: Process, user: User) -> None:
    sets = process.capabilities
    if sets:
        capabilities.bound(sets.bounding)
        syscalls.prctl(_PR_SET_KEEPCAPS, 1)
    _set_groups(user)
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)
    if sets:
        syscalls.prctl(_PR_SET_KEEPCAPS, 0)
        capabilities.set_sets(sets.effective, sets.permitted, sets.inheritable, sets.ambient)


def _set_groups(user: User) -> None:
    """There are user namespaces in which that is denied: who asks for no groups gets what he asks for."""
    try:
        os.setgroups(user.additional_gids)
    except PermissionError:
        if user.additional_gids:
            raise


def _close_others(preserved: int) -> None:
    """Pass no descriptor on but the three and those that are preserved (close_range(2))."""
    libc = ctypes.PyDLL(None, use_errno=True)
    first, last = ctypes.c_uint(3 + preserved), ctypes.c_uint(0xFFFFFFFF)
    if libc.syscall(ctypes.c_long(_SYS_CLOSE_RANGE), first, last, ctypes.c_uint(_CLOSE_RANGE_CLOEXEC)):
        raise KernelError("close_range", 3 + preserved, ctypes.get_errno())


_LABEL = Text(
    es="este runtime no conoce perfiles de {kind} ({label}): quítalo de la descripción",
    en="this runtime knows no {kind} profiles ({label}): take it out of the description",
)
_NO_COMMAND = Text(
    es="no hay ningún comando que ejecutar: ni la imagen ni la descripción dicen uno",
    en="there is no command to execute: neither the image nor the description has one",
)
