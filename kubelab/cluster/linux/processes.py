"""Processes as /proc has them: single ones, and all below a machine's init.

Source: proc(5), pid_namespaces(7). A machine's processes are found by walking from its init through
/proc/<pid>/task/*/children, for orphans of a pid namespace go to its init: what else runs on the host costs
nothing. What cannot change while a process lives is read once.
"""
# ruff: noqa: PTH208 - the shim imports this, and pathlib is slow to

import os
from collections.abc import Iterable
from dataclasses import dataclass

from kubelab.cluster.linux.namespaces import namespace_id

_READ_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """`nspids` is NSpid without the host's: its pids from the outermost namespace below the host inwards.
    `state` is the letter of proc(5); `start_ticks` with `pid` identifies the process for good."""

    pid: int
    parent_pid: int
    nspids: tuple[int, ...]
    pid_namespace: int
    state: str
    session: int
    start_ticks: int
    command: str


@dataclass(frozen=True, slots=True)
class Stat:
    """The first words of /proc/<pid>/stat."""

    command: str
    state: str
    parent_pid: int
    session: int
    start_ticks: int


def parse_stat(text: str) -> Stat:
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return Stat(head.partition("(")[2], fields[0], int(fields[1]), int(fields[3]), int(fields[19]))


def stat_of(pid: int) -> Stat | None:
    """Return the process's state; None if there is none of that pid."""
    text = _read(f"/proc/{pid}/stat")
    return parse_stat(text) if text else None


def start_ticks_of(pid: int) -> int | None:
    """Return when the process started, in clock ticks since boot; None if none of that pid runs (any
    more)."""
    stat = stat_of(pid)
    return stat.start_ticks if stat and stat.state not in "ZX" else None


def children_of(pid: int) -> tuple[int, ...]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return ()
    return tuple(
        int(child) for thread in threads for child in _read(f"/proc/{pid}/task/{thread}/children").split()
    )


def command_of(pid: int, fallback: str = "") -> str:
    """Return the command line with spaces; of a kernel thread or a zombie the *fallback* in brackets."""
    line = _read(f"/proc/{pid}/cmdline").rstrip("\0").replace("\0", " ")
    return line or f"[{fallback}]"


def cgroup_of(pid: int) -> str:
    """Return the process's path in the first hierarchy that has one, as this cgroup namespace has it."""
    for line in _read(f"/proc/{pid}/cgroup").splitlines():
        path = line.split(":", 2)[2]
        if path != "/":
            return path
    return "/"


def nspids_of(pid: int) -> tuple[int, ...]:
    """Return NSpid: the process's pids from this pid namespace inwards."""
    for line in _read(f"/proc/{pid}/status").splitlines():
        if line.startswith("NSpid:"):
            return tuple(int(word) for word in line.split()[1:])
    return ()


class ProcessScanner:
    """Reads the processes below given inits; keeps what it read of those that still live."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[tuple[int, ...], int]] = {}

    def scan(self, inits: Iterable[int]) -> tuple[ProcessInfo, ...]:
        """Return the processes at and below the *inits* (host pids), parents before their children."""
        found: list[ProcessInfo] = []
        fresh: dict[tuple[int, int], tuple[tuple[int, ...], int]] = {}
        waiting = list(inits)
        for pid in waiting:
            info = self._info(pid, fresh)
            if info:
                found.append(info)
                waiting.extend(children_of(pid))
        self._known = fresh
        return tuple(found)

    def _info(
        self, pid: int, fresh: dict[tuple[int, int], tuple[tuple[int, ...], int]]
    ) -> ProcessInfo | None:
        stat = stat_of(pid)
        if stat is None:
            return None
        identity = (pid, stat.start_ticks)
        fixed = self._known.get(identity) or _fixed(pid)
        if fixed is None:
            return None
        fresh[identity] = fixed
        nspids, namespace = fixed
        command = command_of(pid, stat.command)
        return ProcessInfo(
            pid,
            stat.parent_pid,
            nspids[1:] or nspids,
            namespace,
            stat.state,
            stat.session,
            stat.start_ticks,
            command,
        )


def _fixed(pid: int) -> tuple[tuple[int, ...], int] | None:
    """Return NSpid and the pid namespace; both stay what they were when the process was made."""
    nspids = nspids_of(pid)
    try:
        namespace = namespace_id(pid, "pid")
    except (OSError, ValueError):  # A zombie has no namespaces any more; it was seen alive or not at all.
        namespace = 0
    return (nspids, namespace) if nspids else None


def scan(inits: Iterable[int]) -> tuple[ProcessInfo, ...]:
    """Read the processes at and below the *inits* once."""
    return ProcessScanner().scan(inits)


def _read(path: str) -> str:
    """Return the file's text, "" if it cannot be read. Bare system calls: half of what `open` costs."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return _read_all(fd).decode(errors="replace")
    except OSError:  # It ended meanwhile.
        return ""
    finally:
        os.close(fd)


def _read_all(fd: int) -> bytes:
    content = chunk = os.read(fd, _READ_BYTES)
    # A full read may not be all there is; /proc gives less than was asked for only at the end.
    while len(chunk) == _READ_BYTES:
        chunk = os.read(fd, _READ_BYTES)
        content += chunk
    return content
