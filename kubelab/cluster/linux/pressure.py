"""Pressure stall information: for how long tasks waited for a processor, memory or a disk; and a descriptor
that tells when that is too long.

Source: Documentation/accounting/psi.rst; kernel/sched/psi.c. Of a cgroup it is told by `<resource>.pressure`
in the v2 hierarchy, of the whole host by /proc/pressure.
Left out: `irq`.
"""

import os
import select
from dataclasses import dataclass
from typing import Literal, get_args

from kubelab.cluster.errors import KernelError

Resource = Literal["cpu", "memory", "io"]
RESOURCES: tuple[Resource, ...] = get_args(Resource)
WINDOW_US = 2_000_000  # Any other than a multiple of it takes CAP_SYS_RESOURCE.


@dataclass(frozen=True, slots=True)
class Stall:
    """The share of the last 10, 60 and 300 seconds, and the whole time."""

    avg10_percent: float
    avg60_percent: float
    avg300_percent: float
    total_us: int


@dataclass(frozen=True, slots=True)
class Pressure:
    """`some` task waited; `full`: all did, so nothing was done at all. None: the kernel has no such line."""

    some: Stall
    full: Stall | None


@dataclass(frozen=True, slots=True)
class Trigger:
    """Within any window, tasks waited for so long. `some` and `full` as in `Pressure`."""

    resource: Resource
    stall_us: int
    window_us: int = WINDOW_US
    kind: Literal["some", "full"] = "some"


def parse(content: str) -> Pressure:
    stalls = {words[0]: _stall(words[1:]) for line in content.splitlines() if (words := line.split())}
    return Pressure(stalls["some"], stalls.get("full"))


def _stall(words: list[str]) -> Stall:
    values = dict(word.split("=") for word in words)
    avg10, avg60, avg300 = (float(values[name]) for name in ("avg10", "avg60", "avg300"))
    return Stall(avg10, avg60, avg300, int(values["total"]))


def host_file(resource: Resource) -> str:
    return f"/proc/pressure/{resource}"


class PressureWatch:
    """`fileno` becomes readable, once, when the trigger fires: what the pressure file itself says by POLLPRI,
    which asyncio does not know. At most once a window."""

    def __init__(self, path: str, trigger: Trigger) -> None:
        """Raises KernelError: there is no such file, or the kernel takes no such trigger."""
        self._fd = _open_trigger(path, trigger)
        self._epoll = select.epoll()
        self._epoll.register(self._fd, select.EPOLLPRI)

    def close(self) -> None:
        self._epoll.close()
        os.close(self._fd)

    def fileno(self) -> int:
        return self._epoll.fileno()

    def is_alive(self) -> bool:
        """Return whether it can fire again; not when its cgroup was removed."""
        return not any(mask & select.EPOLLERR for _, mask in self._epoll.poll(0))


def _open_trigger(path: str, trigger: Trigger) -> int:
    line = f"{trigger.kind} {trigger.stall_us} {trigger.window_us}"
    try:
        fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError("open", path, error.errno or 0) from None
    try:
        os.write(fd, line.encode() + b"\0")
    except OSError as error:
        os.close(fd)
        raise KernelError("write", f"{line!r} to {path}", error.errno or 0) from None
    return fd
