"""Capability sets by name, and giving them up for good.

Source: capabilities(7), linux/capability.h. Docker's default set: moby, oci/caps/defaults.go.
"""
# ruff: noqa: SIM905 - a long list of names is read best as a text

from collections.abc import Iterable

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.syscalls import (
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_CLEAR_ALL,
    PR_CAPBSET_DROP,
    PR_CAPBSET_READ,
    capget,
    capset,
    prctl,
)

_AMBIENT_RAISE = 2

NAMES = tuple(
    (
        "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
        "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT "
        "SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE "
        "AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ "
        "PERFMON BPF CHECKPOINT_RESTORE"
    ).split()
)

DOCKER_DEFAULT = frozenset(
    (
        "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE "
        "SYS_CHROOT KILL AUDIT_WRITE"
    ).split()
)


def mask_of(names: Iterable[str]) -> int:
    return sum(1 << NAMES.index(name) for name in set(names))


def names_in(mask: int) -> frozenset[str]:
    return frozenset(name for bit, name in enumerate(NAMES) if mask >> bit & 1)


def keep_only(names: frozenset[str]) -> None:
    """Give up all capabilities but *names* in every set, for this process and whatever it executes."""
    bounded = _drop_from_bounding_set(names)
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    mask = mask_of(names & bounded) & capget()
    capset(mask, mask, 0)


def _drop_from_bounding_set(keep: frozenset[str]) -> frozenset[str]:
    kept = set()
    for bit, name in enumerate(NAMES):
        try:
            held = prctl(PR_CAPBSET_READ, bit)
        except KernelError:  # This kernel ends before this capability.
            break
        if held and name not in keep:
            prctl(PR_CAPBSET_DROP, bit)
        elif held:
            kept.add(name)
    return frozenset(kept)


def bound(names: frozenset[str]) -> None:
    """Let nothing that is executed from now on gain any capability but *names*."""
    _drop_from_bounding_set(names)


def set_sets(
    effective: frozenset[str], permitted: frozenset[str], inheritable: frozenset[str], ambient: frozenset[str]
) -> None:
    """Set this thread's sets; what it does not hold itself it cannot keep, and names that the kernel does not
    know are passed over, as runc has it."""
    held = capget()
    masks = [mask_of(names & set(NAMES)) & held for names in (effective, permitted, inheritable)]
    capset(masks[0] & masks[1], masks[1], masks[2] & masks[1])
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    for bit, name in enumerate(NAMES):
        if name in ambient and masks[1] & masks[2] & 1 << bit:
            prctl(PR_CAP_AMBIENT, _AMBIENT_RAISE, bit)
