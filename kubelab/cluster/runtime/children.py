"""The processes that the shim starts: cloned, followed by their pidfds, reaped, their ends told.

Source: clone(2), pidfd_open(2), waitpid(2). Children that nobody started here (orphans of the machine) are
reaped too.
"""

import contextlib
import errno
import json
import os
import select
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import syscalls
from kubelab.cluster.linux.cgroups import Cgroup
from kubelab.cluster.linux.program_launcher import ProgramLauncher
from kubelab.cluster.runtime import execution, privileges

START_TIMEOUT_S = 5
_REPORT_BYTES = 65536

Told = dict[str, Any]
"""What a process's end is told with, beside its exit code."""


@dataclass(frozen=True, slots=True)
class Child:
    """A process that the shim started. `pidfd` is open until it was reaped. `finish` is called when it has
    ended. `is_program`: of the machine's user; `is_component`: of the cluster itself; others are of pods."""

    pid: int
    pidfd: int
    finish: Callable[[], Told] = field(default=dict)
    is_program: bool = False
    is_component: bool = False


class ChildError(Exception):
    """A child's report of why it could not execute its command."""

    def __init__(self, report: dict[str, Any]) -> None:
        super().__init__(report)
        self.report = report


class Children:
    """Those that live. *tell* sends the event of an end; what *starting* is making has not begun to live."""

    def __init__(self, tell: Callable[[dict[str, Any]], None], starting: ProgramLauncher) -> None:
        self._tell = tell
        self._starting = starting
        self._living: dict[int, Child] = {}

    def add(self, child: Child) -> None:
        self._living[child.pid] = child

    def not_programs(self) -> frozenset[int]:
        """Return the pids of components, and those from which all processes of pods descend: orphans too, for
        a container's first process adopts those."""
        return frozenset(pid for pid, child in self._living.items() if not child.is_program)

    def components(self) -> frozenset[int]:
        return frozenset(pid for pid, child in self._living.items() if child.is_component)

    def reap(self) -> None:
        """Tell of those that have ended. Call it when a start has been told, too: what is not there any more
        cannot be, so one that is starting is left as it is, and with it those behind it."""
        while ended := self._next():
            pid, status = ended
            child = self._living.pop(pid, None)
            if child:
                self._report(child, os.waitstatus_to_exitcode(status))

    def _next(self) -> tuple[int, int] | None:
        """Return one that has ended, with its status, and let it go; None if there is none."""
        try:
            if not self._starting.is_idle:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if found is None or self._starting.has(found.si_pid):
                    return None
                return os.waitpid(found.si_pid, 0)
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        return (pid, status) if pid else None

    def _report(self, child: Child, code: int) -> None:
        told = child.finish()
        os.close(child.pidfd)
        exit_code = code if code >= 0 else 128 - code
        event = {"event": "exit", "pid": child.pid, "exit_code": exit_code, "at_s": time.time()}
        self._tell(event | told)


def start(flags: int, become: Callable[[], None], cgroup: Cgroup | None = None) -> tuple[int, int]:
    """Clone a child that becomes something else; return its pid and pidfd once it has executed that.

    Raises:
        ChildError: it could not.
        KernelError: it did not in time (ETIMEDOUT): its cgroup may be frozen.
    """
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            pid, pidfd = _clone(flags, cgroup)
            if pid == 0:
                privileges.expose_to_oom()
                execution.run_child(write_end, become)
        finally:
            os.close(write_end)
        report = _report_of(read_end, pidfd)
    finally:
        os.close(read_end)
    if report:
        os.waitpid(pid, 0)
        os.close(pidfd)
        raise ChildError(json.loads(report))
    return pid, pidfd


def end(pid: int, pidfd: int) -> None:
    """Take back a start. One in a frozen cgroup of v1 dies when that is thawed, and is reaped then."""
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    if _ends_in_time(pidfd):
        os.waitpid(pid, 0)
    os.close(pidfd)


def _report_of(fd: int, pidfd: int) -> bytes:
    """Return what the child tells by the pipe: nothing if it has executed its command. When it has ended it
    tells no more, though somebody else may hold the pipe, who was cloned meanwhile or by it."""
    report = b""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.register(pidfd, select.POLLIN)
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while ready := {each for each, _ in poll.poll(max(deadline_s - time.monotonic(), 0) * 1000)}:
        if fd not in ready:
            return report
        if not (chunk := os.read(fd, _REPORT_BYTES)):
            return report
        report += chunk
    return _give_up(pidfd)


def _ends_in_time(fd: int) -> bool:
    """Wait for a child's end. Whoever is in a frozen cgroup of v1 does not come to it."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(START_TIMEOUT_S * 1000))


def _give_up(pidfd: int) -> NoReturn:
    """Kill the child. It is not waited for: in a frozen cgroup of v1 it dies when that is thawed."""
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)
    raise KernelError("start", "process", errno.ETIMEDOUT)


def _clone(flags: int, cgroup: Cgroup | None) -> tuple[int, int]:
    cgroup_fd = cgroup.open_v2() if cgroup else -1
    try:
        return syscalls.clone(flags, cgroup_fd)
    finally:
        if cgroup_fd >= 0:
            os.close(cgroup_fd)


def limit(cgroup: Cgroup, fields: Mapping[str, str]) -> None:
    for name, value in fields.items():
        cgroup.limit(name, value)


def leave_cgroup(cgroup: Cgroup) -> bool:
    """Remove an ended container's cgroup; return whether the kernel killed in it for want of memory."""
    oom_killed = False
    # It may have gone with its pod's already; what cannot be removed now will.
    with contextlib.suppress(KernelError):
        oom_killed = cgroup.oom_kills() > 0
        cgroup.remove(timeout_s=0.02)
    return oom_killed
