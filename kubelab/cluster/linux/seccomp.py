"""A seccomp filter of our own: system calls that reach past a machine are refused, whoever asks on it.

Source: seccomp(2), Documentation/userspace-api/seccomp_filter.rst; the choice is moby's default profile
(profiles/seccomp/default_linux.go) less what the lessons are about: mount, unshare, setns, pivot_root, ptrace
and the like stay. A filter sees numbers and arguments that are numbers, never what a pointer leads to: no
paths, no file system types. `compiled` is pure; `install` is for good, for this process and all below it.
Processors without an entry in `_COLUMNS` get no filter. Programs for another architecture than the
kernel's (32-bit ones) are told ENOSYS, for their calls have other numbers.
Left out: arguments beyond their lower 32 bits.
"""

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass

from kubelab.cluster.linux import classic_bpf
from kubelab.cluster.linux.classic_bpf import (
    ALLOW,
    ARGUMENTS_OFFSET,
    AT_LEAST,
    AUDIT,
    AUDIT_OFFSET,
    EQUAL,
    ERRNO,
    LOAD,
    NUMBER_OFFSET,
    RETURN,
    X32_BIT,
    Instruction,
)


@dataclass(frozen=True, slots=True)
class Denial:
    """Refuse the call with `error`; only if one of `values` is the argument of that number, if it has any.

    `numbers`: x86-64's and arm64's, 0 for a call that the latter does not have.
    """

    name: str
    numbers: tuple[int, int]
    error: int = errno.EPERM
    argument: int = 0
    values: tuple[int, ...] = ()


_SYSLOG_CHANGES = (2, 4, 5, 6, 7, 8)  # Read and take away, clear, console on, off, level; see syslog(2).
_RESET_ON_FORK = 0x40000000  # A flag beside the policy.
# SCHED_FIFO, SCHED_RR, SCHED_DEADLINE: no cgroup's weight bounds these.
_REAL_TIME = tuple(policy | flag for policy in (1, 2, 6) for flag in (0, _RESET_ON_FORK))

DENIALS = (
    # The machine that all share: its kernel, its power, its clock.
    Denial("reboot", (169, 142)),
    Denial("kexec_load", (246, 104)),
    Denial("kexec_file_load", (320, 294)),
    Denial("init_module", (175, 105)),
    Denial("finit_module", (313, 273)),
    Denial("delete_module", (176, 106)),
    Denial("settimeofday", (164, 170)),
    Denial("clock_settime", (227, 112)),
    Denial("adjtimex", (159, 171)),
    Denial("clock_adjtime", (305, 266)),
    # Its disks, its accounts, its ports, its console.
    Denial("swapon", (167, 224)),
    Denial("swapoff", (168, 225)),
    Denial("quotactl", (179, 60)),
    Denial("quotactl_fd", (443, 443)),
    Denial("acct", (163, 89)),
    Denial("iopl", (172, 0)),
    Denial("ioperm", (173, 0)),
    Denial("vhangup", (153, 58)),
    Denial("syslog", (103, 116), argument=0, values=_SYSLOG_CHANGES),
    # Files by their number: any file of a file system of which one file can be seen.
    Denial("open_by_handle_at", (304, 265)),
    # What belongs to no namespace, watches all of them, or gets around this filter.
    Denial("add_key", (248, 217)),
    Denial("request_key", (249, 218)),
    Denial("keyctl", (250, 219)),
    Denial("bpf", (321, 280)),
    Denial("perf_event_open", (298, 241)),
    Denial("userfaultfd", (323, 282)),
    Denial("io_uring_setup", (425, 425), errno.ENOSYS),
    # Real-time priorities starve everybody else.
    Denial("sched_setscheduler", (144, 119), argument=1, values=_REAL_TIME),
    Denial("sched_setattr", (314, 274)),
)


_COLUMNS = {"x86_64": 0, "aarch64": 1}  # Of `Denial.numbers`.


def supported(machine: str) -> bool:
    return machine in _COLUMNS


def compiled(machine: str, denials: tuple[Denial, ...] = DENIALS) -> tuple[Instruction, ...]:
    """Return the filter for a processor that `supported` knows."""
    column = _COLUMNS[machine]
    return (
        Instruction(LOAD, AUDIT_OFFSET),
        Instruction(EQUAL, AUDIT[machine], then=1),
        _refuse(errno.ENOSYS),
        Instruction(LOAD, NUMBER_OFFSET),
        Instruction(AT_LEAST, X32_BIT, otherwise=1),
        _refuse(errno.ENOSYS),
        *(each for denial in denials for each in _denied(denial, denial.numbers[column])),
        Instruction(RETURN, ALLOW),
    )


def _denied(denial: Denial, number: int) -> Iterator[Instruction]:
    """Yield the test for one call; it leaves the number loaded for the next."""
    if not number:
        return
    if not denial.values:
        yield Instruction(EQUAL, number, otherwise=1)
        yield _refuse(denial.error)
        return
    yield Instruction(EQUAL, number, otherwise=2 + 2 * len(denial.values))
    yield Instruction(LOAD, ARGUMENTS_OFFSET + 8 * denial.argument)
    for value in denial.values:
        yield Instruction(EQUAL, value, otherwise=1)
        yield _refuse(denial.error)
    yield Instruction(LOAD, NUMBER_OFFSET)


def _refuse(number: int) -> Instruction:
    return Instruction(RETURN, ERRNO | number)


def install() -> None:
    """Put this process, which has CAP_SYS_ADMIN, and all that it starts from now on under the filter.

    Raises:
        KernelError: the kernel has no seccomp filters.
    """
    machine = os.uname().machine
    if not supported(machine):
        return
    classic_bpf.install(classic_bpf.packed(compiled(machine)))
