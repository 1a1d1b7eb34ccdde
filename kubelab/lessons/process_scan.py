"""Reads the processes of one machine through its own /proc: only they are there, and with their own pids.

Source: proc(5), pid_namespaces(7). The directory is held open from the start, so that a learner who mounts
another /proc over it blinds the shell, and not us. A scan reads one file per process (`status`, where
anything that a process does changes a counter) and the rest only when that file changed.
"""

import os
import re
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from kubelab.lessons.observation import NAMESPACE_KINDS, Process

_INODE = re.compile(r"\[(\d+)\]")


class ProcessScan:
    def __init__(self, init_pid: int) -> None:
        """*init_pid*: the host's pid of the machine's init. Raises OSError when the machine is gone."""
        self._proc = os.open(f"/proc/{init_pid}/root/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.namespaces = self._namespaces(1)
        self._known: dict[int, tuple[bytes, Process]] = {}

    def close(self) -> None:
        os.close(self._proc)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def scan(self) -> tuple[Process, ...]:
        """Return the machine's processes now, by pid. Raises OSError when the machine is gone."""
        known = {}
        names = os.listdir(self._proc)  # noqa: PTH208 -- it is a descriptor
        for pid in sorted(int(name) for name in names if name.isdigit()):
            if (entry := self._entry(pid)) is not None:
                known[pid] = entry
        if not known:
            raise ProcessLookupError("the machine's init is gone")
        self._known = known
        return tuple(process for _, process in known.values())

    def _entry(self, pid: int) -> tuple[bytes, Process] | None:
        try:
            status = self._read(f"{pid}/status")
            known = self._known.get(pid)
            if known is not None and known[0] == status:
                return known
            return status, self._process(pid, status)
        except (FileNotFoundError, ProcessLookupError):  # It ended while we looked.
            return None

    def _process(self, pid: int, status: bytes) -> Process:
        fields = dict(line.split(":", 1) for line in status.decode(errors="replace").splitlines())
        stat = self._read(f"{pid}/stat").rpartition(b")")[2].split()
        return Process(
            pid=pid,
            start_ticks=int(stat[19]),
            parent_pid=int(fields["PPid"]),
            pids=tuple(map(int, fields["NSpid"].split())),
            comm=fields["Name"].strip(),
            argv=tuple(self._read(f"{pid}/cmdline").decode(errors="replace").rstrip("\0").split("\0")),
            state=fields["State"].strip()[0],
            namespaces=self._namespaces(pid),
            children_pid_namespace=self._inode(f"{pid}/ns/pid_for_children"),
            proc_pid_namespace=self._inode(f"{pid}/root/proc/1/ns/pid"),
            caught_signals=int(fields["SigCgt"], 16),
            pending_signals=int(fields["SigPnd"], 16) | int(fields["ShdPnd"], 16),
            cgroup=self._read(f"{pid}/cgroup").decode(errors="replace"),
        )

    def _namespaces(self, pid: int) -> dict[str, int]:
        inodes = ((kind, self._inode(f"{pid}/ns/{kind}")) for kind in NAMESPACE_KINDS)
        return {kind: inode for kind, inode in inodes if inode}

    def _inode(self, path: str) -> int:
        """Return the number in a link such as `pid:[4026531836]`; 0 where there is none, as of a zombie."""
        try:
            match = _INODE.search(os.readlink(path, dir_fd=self._proc))
        except OSError:
            return 0
        return int(match[1]) if match else 0

    def _read(self, path: str) -> bytes:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
        try:
            return b"".join(iter(lambda: os.read(fd, 65536), b""))
        finally:
            os.close(fd)


def departed(before: Iterable[Process], now: Iterable[Process]) -> list[Process]:
    """Return the processes of *before* that are not among *now*."""
    living = {process.identity for process in now}
    return [process for process in before if process.identity not in living]
