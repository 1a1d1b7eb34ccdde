"""Stop all processes of a cgroup where they stand, and let them go on.

Source: Documentation/admin-guide/cgroup-v2.rst, cgroup.freeze; cgroup-v1/freezer-subsystem.rst. What is asked
for is not there at once: v2 tells by cgroup.events when it is, of v1 it has to be asked.
"""

import errno
import os
import select
import time
from types import TracebackType

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.cgroup_files import read
from kubelab.cluster.linux.cgroup_v1.freezer import FROZEN
from kubelab.cluster.linux.cgroups import Cgroup

TIMEOUT_S = 5.0
_V1_PAUSE_S = 0.001


def freeze(cgroup: Cgroup, timeout_s: float = TIMEOUT_S) -> None:
    """Return when all that is in it and below stands still.

    Raises:
        UnsupportedError: this host freezes no cgroups.
        KernelError: something did not stop in time (ETIMEDOUT); then all go on.
    """
    cgroup.write("cgroup.freeze", "1")
    if not _becomes(cgroup, frozen=True, timeout_s=timeout_s):
        cgroup.write("cgroup.freeze", "0")
        raise KernelError("freeze", cgroup.path, errno.ETIMEDOUT)


def thaw(cgroup: Cgroup, timeout_s: float = TIMEOUT_S) -> None:
    """Return when it runs again. Raises as `freeze`: a cgroup above it may still be frozen."""
    cgroup.write("cgroup.freeze", "0")
    if not _becomes(cgroup, frozen=False, timeout_s=timeout_s):
        raise KernelError("thaw", cgroup.path, errno.ETIMEDOUT)


def is_frozen(cgroup: Cgroup) -> bool:
    """Return whether all of it stands still by now, be it for a cgroup above."""
    events = cgroup.file("cgroup.events")
    if events is not None:
        return "frozen 1" in read(events).splitlines()
    state = cgroup.file("cgroup.freeze")
    return state is not None and read(state).strip() == FROZEN


def _becomes(cgroup: Cgroup, *, frozen: bool, timeout_s: float) -> bool:
    deadline_s = time.monotonic() + timeout_s
    with _Teller(cgroup) as teller:
        while is_frozen(cgroup) != frozen:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return False
            teller.wait(left_s)
    return True


class _Teller:
    """Waits until the kernel says that cgroup.events has changed since it was last read here."""

    def __init__(self, cgroup: Cgroup) -> None:
        path = cgroup.file("cgroup.events")
        self._fd = -1 if path is None else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._read()

    def __enter__(self) -> "_Teller":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def wait(self, timeout_s: float) -> None:
        if self._fd < 0:
            time.sleep(_V1_PAUSE_S)
            return
        poll = select.poll()
        poll.register(self._fd, select.POLLPRI)
        poll.poll(timeout_s * 1000)
        self._read()

    def _read(self) -> None:
        if self._fd >= 0:
            os.pread(self._fd, 4096, 0)
