"""The clocks of a time namespace: by how much they differ from the host's.

Source: time_namespaces(7). Offsets are set once, after a time namespace was made and before any process is in
it: `/proc/<pid>/timens_offsets` says those for the children of that process.
"""
# ruff: noqa: PTH123 - paths of /proc are text

from dataclasses import dataclass

from kubelab.cluster.errors import KernelError

NS_PER_S = 1_000_000_000
_CLOCKS = {"monotonic": "monotonic", "boottime": "boottime", "1": "monotonic", "7": "boottime"}


@dataclass(frozen=True, slots=True)
class TimeOffsets:
    """What a process in there reads beyond what the host does."""

    monotonic_ns: int = 0
    boottime_ns: int = 0

    def to_text(self) -> str:
        """Return the lines that the kernel takes; nanoseconds are never below 0 there."""
        offsets = (("monotonic", self.monotonic_ns), ("boottime", self.boottime_ns))
        return "".join(f"{clock} {ns // NS_PER_S} {ns % NS_PER_S}\n" for clock, ns in offsets)


def parse(text: str) -> TimeOffsets:
    """Parse timens_offsets; before Linux 5.6.3 clocks have numbers there."""
    rows = (line.split() for line in text.splitlines())
    offsets = {_CLOCKS[row[0]]: int(row[1]) * NS_PER_S + int(row[2]) for row in rows if len(row) == 3}
    return TimeOffsets(offsets.get("monotonic", 0), offsets.get("boottime", 0))


def offsets_of(pid: int | str = "self") -> TimeOffsets:
    """Return the offsets for the children of the process: its own, unless it has just made a namespace.

    Raises:
        KernelError: there is no such process (ENOENT), or the kernel has no time namespaces (ENOENT).
    """
    path = _path(pid)
    try:
        with open(path, encoding="ascii") as file:
            return parse(file.read())
    except OSError as error:
        raise KernelError("read", path, error.errno or 0) from None


def set_offsets(offsets: TimeOffsets, pid: int | str = "self") -> None:
    """Set the offsets for the children of a process that has just unshared its time namespace.

    Raises:
        KernelError: a process is in there already (EACCES), or a clock would be before 0 (ERANGE).
    """
    path = _path(pid)
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(offsets.to_text())
    except OSError as error:
        raise KernelError("write", path, error.errno or 0) from None


def _path(pid: int | str) -> str:
    return f"/proc/{pid}/timens_offsets"
