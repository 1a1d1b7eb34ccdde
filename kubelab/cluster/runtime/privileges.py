"""What root on a machine may not: capabilities that no lesson needs, and system calls beyond capabilities.

Given up by the machine's init itself as soon as the machine is built, so that whoever traces it gains
nothing. What the lessons need stays: mounts, namespaces, links, firewalls, tracing, other users.
Source: capabilities(7).
"""
# ruff: noqa: PTH123, SIM905 - the shim imports this, and pathlib is slow to

import contextlib
import functools

from kubelab.cluster.linux import capabilities, seccomp, user_namespace

FORBIDDEN = frozenset(
    (
        "AUDIT_CONTROL AUDIT_READ BLOCK_SUSPEND BPF CHECKPOINT_RESTORE IPC_LOCK LEASE LINUX_IMMUTABLE "
        "MAC_ADMIN MAC_OVERRIDE MKNOD PERFMON SYSLOG SYS_BOOT SYS_MODULE SYS_PACCT SYS_RAWIO SYS_TIME "
        "SYS_TTY_CONFIG WAKE_ALARM"
    ).split()
)
# The init's alone: its children could not be made killable again without it.
OF_INIT = frozenset({"SYS_RESOURCE"})
PROGRAMS = frozenset(capabilities.NAMES) - FORBIDDEN - OF_INIT

_UNKILLABLE, _ORDINARY = "-1000", "0"


def give_up() -> None:
    """Leave this process, a machine's init, and all that it starts with what a machine may do.

    Raises:
        KernelError: the kernel has no seccomp filters.
    """
    seccomp.install()
    capabilities.keep_only(PROGRAMS | OF_INIT)


def shield_from_oom() -> None:
    """Let the kernel kill any other process for want of memory, but not this one."""
    _adjust(_UNKILLABLE)


def expose_to_oom() -> None:
    """Undo `shield_from_oom` in a child."""
    _adjust(_ORDINARY)


def permitted_oom_score(wanted: int) -> int:
    """Return *wanted*, or what comes nearest of those that a child of this process may have: in a user
    namespace nobody becomes less killable than who starts him.

    Source: containerd, internal/cri/server (restrict_oom_score_adj).
    """
    if not _is_nested():
        return wanted
    with open("/proc/self/oom_score_adj", encoding="ascii") as file:
        return max(wanted, int(file.read()))


@functools.cache
def _is_nested() -> bool:
    """A process that starts others stays where it is."""
    return user_namespace.is_nested()


def _adjust(score: str) -> None:
    # In a user namespace nobody may make himself less killable: then there is nothing to undo either.
    if _is_nested():
        return
    # Where this process may not (no CAP_SYS_RESOURCE in a container), or a learner has unmounted /proc, there
    # is nothing to be done about it.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write(score)
