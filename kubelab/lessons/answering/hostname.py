"""Answers `HostnameIn`: asks for the name inside the UTS namespace, in a thread that enters it.

Source: uname(2), setns(2), uts_namespaces(7).
"""

import errno
import os

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.namespaces import call_in_thread, open_namespace
from kubelab.cluster.linux.syscalls import CLONE_NEWUTS, setns
from kubelab.language import Text
from kubelab.lessons.answering.answer import look
from kubelab.lessons.checks.hostname import HostnameIn
from kubelab.lessons.lab import LabPort
from kubelab.lessons.observation import Unseen

_GONE = (errno.ENOENT, errno.ESRCH)


@look.register
def _(question: HostnameIn, lab: LabPort) -> str | Unseen | None:
    """Return None while the process is not to be found: it has just ended, and the next look will tell."""
    machine = lab.machines.get(question.machine)
    if machine is None:
        name = question.machine
        return Unseen(Text(f"no hay máquina {name}", f"there is no machine {name}"))
    # A machine's own /proc, which its root leads to, has the pids that are seen on it.
    process = f"{machine.pid}/root/proc/{question.pid}" if question.pid else machine.pid
    try:
        return _hostname_of(process, question.namespace)
    except KernelError as error:
        if error.errno in _GONE:
            return None
        return Unseen(Text(f"no se puede mirar ahí ({error})", f"it cannot be looked at ({error})"))


def _hostname_of(process: int | str, namespace: int) -> str | None:
    """Return None if the process is in another UTS namespace, and so another one. Raises KernelError."""
    fd = open_namespace(process, "uts")
    try:
        is_meant = namespace in (0, os.fstat(fd).st_ino)
        return hostname_in(fd) if is_meant else None
    finally:
        os.close(fd)


def hostname_in(uts_fd: int) -> str:
    """Return the name in a UTS namespace. Raises KernelError: it may not be entered."""

    def ask() -> str:
        setns(uts_fd, CLONE_NEWUTS)
        return os.uname().nodename

    return call_in_thread(ask)
