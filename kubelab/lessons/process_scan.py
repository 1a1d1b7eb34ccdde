"""Reads the processes of one machine through its own /proc: only they are there, and with their own pids.

Source: proc(5), pid_namespaces(7), user_namespaces(7), Documentation/scheduler/sched-stats.rst. The directory
is held open from the start, so that a learner who mounts another /proc over it blinds the shell, and not us.

What a process does itself (exec, chdir, chroot, setuid, unshare, a signal handler) it does by running, and
/proc/<pid>/schedstat, the cheapest file there, counts that. So a scan reads this one file per process, and
the others only when it changed. What is done to a process that does not run is found otherwise:

- a signal that stays pending does so in a process that blocks signals, or is stopped or waits for a disk, and
  another thread's doing only where there are several: of these `status` is read each time;
- who loses the parent: when that ended;
- a map of user ids: as long as it is empty, for it can be written only once;
- the cgroup, the root after pivot_root(2), a /proc mounted over the one that it saw: when the cgroup's files
  or the mounts tell of it (`suspect`, `reread_cgroups`);
- anything else (somebody else writes its comm, its working directory is removed): when it is STALE_S old.

/proc/<pid>/root is a path from the root of the process's mount namespace (d_path(9) finds the reader's root
nowhere above it), which is what it should be: "/" after pivot_root(2) or in a container, longer in a chroot.
"""

import contextlib
import errno
import os
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from kubelab.lessons.observation import NAMESPACE_KINDS, ClockOffsets, IdRange, Process

STALE_S = 60.0
STALE_MAX = 8  # Of those that are old, as many are read again in one scan.
BUDGET_S = (
    0.01  # A scan stops reading then, for it holds the loop; `is_complete` is false, and the next goes on.
)
OPEN_MAX = 256  # Files that stay open, which makes reading them a third as long; many may open only 1024.
DEPARTED_MAX = 1000  # The last ones: a loop in a shell starts more in a minute than any check wants to know.
_READ_BYTES = 65536
_SHORT_BYTES = 2048  # These files come in lines far shorter than a page: less than this is all of it.
_NO_ACCOUNT = b"0 0 0"  # What a kernel without CONFIG_SCHED_INFO says in every schedstat.
_NO_MEMORY = b"0 "
_STILL = frozenset("TtD")

_INODE = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class _Seen:
    """`pulse` is what tells whether the process did something since; `is_passive`: things can be done to it
    that only `status` tells. `living` is how it was before it began to end, when little is left of it. `fd`
    is the file that is read each time, if that stays open; it is of this process for ever, its pid is not."""

    pulse: bytes
    is_passive: bool
    read_s: float
    process: Process
    living: Process
    fd: int


class ProcessScan:
    def __init__(self, init_pid: int) -> None:
        """*init_pid*: the host's pid of the machine's init. Raises OSError when the machine is gone."""
        self._proc = os.open(f"/proc/{init_pid}/root/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.namespaces = self._namespaces(1)
        self.processes: tuple[Process, ...] = ()
        self.is_complete = False
        self._known: dict[int, _Seen] = {}
        self._departed: deque[Process] = deque(maxlen=DEPARTED_MAX)
        self._open: set[int] = set()
        self._texts: dict[str, str] = {}
        self._pulse = self._pulse_file()

    @property
    def directory(self) -> int:
        """The descriptor of the machine's /proc."""
        return self._proc

    @property
    def departed(self) -> tuple[Process, ...]:
        """The processes that are gone since `forget_departed`, as they were last seen."""
        return tuple(self._departed)

    def forget_departed(self) -> None:
        self._departed.clear()

    def close(self) -> None:
        for fd in (*self._open, self._proc):
            os.close(fd)
        self._open.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def scan(self, budget_s: float | None = None) -> tuple[Process, ...]:
        """Return the machine's processes now, by pid. Raises OSError when the machine is gone."""
        budget_s = BUDGET_S if budget_s is None else budget_s
        now_s = time.monotonic()
        before, self._known = self._known, {}
        self.is_complete = True
        stale = self._stale(before, now_s - STALE_S)
        pids = frozenset(self._pids())
        for pid in before.keys() & pids:
            if pid not in stale and _did_nothing(before[pid]):
                self._known[pid] = before[pid]
            elif seen := self._look_at(pid, before[pid], pid in stale, now_s + budget_s):
                self._known[pid] = seen
        # Those that are new go last: what is known is looked at even while more is started than can be read.
        deadline_s = max(now_s + budget_s, time.monotonic() + budget_s / 2)
        for pid in sorted(pids - before.keys()):
            if seen := self._look_at(pid, None, False, deadline_s):
                self._known[pid] = seen
        if not self._known:
            raise ProcessLookupError("the machine's init is gone")
        self._bury(before)
        return self._publish()

    def note(self, pid: int) -> None:
        """Read the process now, for it may be gone at the next scan: then it counts as departed."""
        before = self._known.get(pid)
        if seen := self._look_at(pid, before, True, time.monotonic() + BUDGET_S):
            self._known[pid] = seen
            if before is not None:
                self._succeed(before, seen)

    def suspect(self, pids: Iterable[int]) -> None:
        """Read these again at the next scan, for something was done to them."""
        for pid in pids:
            if seen := self._known.get(pid):
                self._known[pid] = replace(seen, pulse=b"")

    def reread_cgroups(self) -> tuple[Process, ...]:
        """Return the processes after looking in which cgroups they are."""
        for pid, seen in self._known.items():
            try:
                cgroup = self._cgroup(pid)
            except OSError:  # It ended while we looked.
                continue
            if cgroup != seen.process.cgroup:
                self._known[pid] = replace(seen, process=replace(seen.process, cgroup=cgroup))
        return self._publish()

    def _pids(self) -> Iterator[int]:
        names = os.listdir(self._proc)  # noqa: PTH208 -- it is a descriptor
        return (int(name) for name in names if name.isdigit())

    def _stale(self, known: dict[int, _Seen], before_s: float) -> frozenset[int]:
        old = [pid for pid, seen in known.items() if seen.read_s < before_s]
        return frozenset(sorted(old, key=lambda pid: known[pid].read_s)[:STALE_MAX])

    def _publish(self) -> tuple[Process, ...]:
        processes = tuple(self._known[pid].process for pid in sorted(self._known))
        if processes != self.processes:
            self.processes = processes
        return self.processes

    def _look_at(self, pid: int, known: _Seen | None, is_doubtful: bool, deadline_s: float) -> _Seen | None:
        """Return *known* if the process did nothing since, else what it is now; None if it has ended."""
        try:
            if known is not None and not is_doubtful and self._take_pulse(pid, known) == known.pulse:
                return known
            if time.monotonic() > deadline_s:
                self.is_complete = False
                return known
            return self._read_whole(pid, known)
        except (FileNotFoundError, ProcessLookupError):  # It ended while we looked.
            return None

    def _take_pulse(self, pid: int, known: _Seen) -> bytes:
        if not known.process.uid_map:
            return b""  # It may be given one by another process.
        pulse = os.pread(known.fd, _READ_BYTES, 0) if known.fd >= 0 else self._read(f"{pid}/{self._pulse}")
        return pulse + self._read(f"{pid}/status") if known.is_passive else pulse

    def _read_whole(self, pid: int, before: _Seen | None) -> _Seen:
        # The pulse first: what happens while the rest is read shall be read again.
        fd, pulse = self._open_pulse(pid, before)
        try:
            status = self._read(f"{pid}/status")
            fields = dict(line.split(":", 1) for line in status.decode(errors="replace").splitlines())
            same = before.process if before is not None and before.fd == fd >= 0 else None
            process = self._process(pid, fields, same)
            is_ending = self._is_ending(pid)  # Last: what was read of one that was not yet is whole.
        except BaseException:
            if before is None or before.fd != fd:
                self._close_pulse(fd)
            raise
        is_passive = (
            int(fields["Threads"]) > 1 or int(fields["SigBlk"], 16) != 0 or process.state in _STILL
        ) and not process.is_zombie
        living = process
        if before is not None and before.process.identity == process.identity:
            if process.is_zombie:
                living, process = before.living, replace(process, argv=before.living.argv)
            elif is_ending:
                living = process = before.living
            if process == before.process:
                process = before.process
        pulse = pulse + status if is_passive else pulse
        return _Seen(pulse, is_passive, time.monotonic(), process, living, fd)

    def _is_ending(self, pid: int) -> bool:
        """Tell whether the process has lost its memory, or is about to, and then its files and namespaces.
        That may last: the first one of a pid namespace waits for all others (kernel/exit.c, do_exit;
        kernel/pid_namespace.c, zap_pid_ns_processes)."""
        return self._read(f"{pid}/statm").startswith(_NO_MEMORY)

    def _open_pulse(self, pid: int, before: _Seen | None) -> tuple[int, bytes]:
        """Return the open file, the one from before if it is of the same process still, and what it says; -1
        if it does not stay open."""
        if before is not None and before.fd >= 0:
            with contextlib.suppress(ProcessLookupError):
                return before.fd, os.pread(before.fd, _READ_BYTES, 0)
        fd = os.open(f"{pid}/{self._pulse}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
        self._open.add(fd)
        try:
            pulse = os.pread(fd, _READ_BYTES, 0)
        except BaseException:
            self._close_pulse(fd)
            raise
        if len(self._open) <= OPEN_MAX:
            return fd, pulse
        self._close_pulse(fd)
        return -1, pulse

    def _close_pulse(self, fd: int) -> None:
        if fd in self._open:
            self._open.remove(fd)
            os.close(fd)

    def _pulse_file(self) -> str:
        try:
            has_accounts = not self._read("1/schedstat").startswith(_NO_ACCOUNT)
        except OSError:
            has_accounts = False
        return "schedstat" if has_accounts else "status"

    def _bury(self, before: dict[int, _Seen]) -> None:
        """Note who departed, and read again whose parent ended, for they have another one now."""
        ended = set()
        for pid, seen in before.items():
            now = self._known.get(pid)
            if now is not seen and self._succeed(seen, now):
                ended.add(pid)
        if ended:
            for pid in [pid for pid, seen in self._known.items() if seen.process.parent_pid in ended]:
                self.note(pid)

    def _succeed(self, before: _Seen, now: _Seen | None) -> bool:
        """Tell whether the process that *before* was has ended."""
        if now is None or now.fd != before.fd:
            self._close_pulse(before.fd)
        if now is None or now.process.identity != before.process.identity:
            self._departed.append(before.living)
            return True
        return now.process.is_zombie and not before.process.is_zombie

    def _process(self, pid: int, fields: dict[str, str], same: Process | None) -> Process:
        """*same*: what is known of this very process."""
        namespaces = self._namespaces(pid)
        has_map = same is not None and same.uid_map and same.namespaces.get("user") == namespaces.get("user")
        return Process(
            pid=pid,
            start_ticks=same.start_ticks if same is not None else self._start_ticks(pid),
            parent_pid=int(fields["PPid"]),
            pids=tuple(map(int, fields["NSpid"].split())),
            comm=fields["Name"].strip(),
            argv=tuple(self._text(f"{pid}/cmdline").rstrip("\0").split("\0")),
            state=fields["State"].strip()[0],
            namespaces=namespaces,
            children_pid_namespace=self._inode(f"{pid}/ns/pid_for_children"),
            proc_pid_namespace=self._inode(f"{pid}/root/proc/1/ns/pid"),
            caught_signals=int(fields["SigCgt"], 16),
            pending_signals=int(fields["SigPnd"], 16) | int(fields["ShdPnd"], 16),
            cgroup=self._cgroup(pid),
            root=self._link(f"{pid}/root") or "/",
            cwd=self._link(f"{pid}/cwd"),
            uid=int(fields["Uid"].split()[1]),
            uid_map=same.uid_map if same is not None and has_map else self._uid_map(pid),
            capabilities=int(fields["CapEff"], 16),
            no_new_privs=fields["NoNewPrivs"].strip() == "1",
            seccomp_mode=int(fields.get("Seccomp", "0")),  # Without CONFIG_SECCOMP there is no such line.
            clocks=self._clocks(pid, namespaces),
        )

    def _clocks(self, pid: int, namespaces: dict[str, int]) -> ClockOffsets:
        """Those of the machine's own time namespace are not read: nobody is interested."""
        if namespaces.get("time") == self.namespaces.get("time"):
            return ClockOffsets()
        lines = (line.split() for line in self._text(f"{pid}/timens_offsets").splitlines())
        seconds = {line[0]: int(line[1]) for line in lines}
        return ClockOffsets(seconds.get("boottime", 0), seconds.get("monotonic", 0))

    def _start_ticks(self, pid: int) -> int:
        return int(self._read(f"{pid}/stat").rpartition(b")")[2].split()[19])

    def _cgroup(self, pid: int) -> str:
        """Return the text, which is one and the same for all processes of a cgroup."""
        text = self._text(f"{pid}/cgroup")
        return self._texts.setdefault(text, text)

    def _uid_map(self, pid: int) -> tuple[IdRange, ...]:
        try:
            lines = self._text(f"{pid}/uid_map").splitlines()
        except OSError as error:
            # Linux, fs/proc/base.c (proc_id_map_open): so it says that the process has ended just now.
            if error.errno == errno.EINVAL:
                raise ProcessLookupError(f"process {pid} has ended") from error
            raise
        return tuple(IdRange(*map(int, line.split())) for line in lines)

    def _namespaces(self, pid: int) -> dict[str, int]:
        inodes = ((kind, self._inode(f"{pid}/ns/{kind}")) for kind in NAMESPACE_KINDS)
        return {kind: inode for kind, inode in inodes if inode}

    def _inode(self, path: str) -> int:
        """Return the number in a link such as `pid:[4026531836]`; 0 where there is none, as of a zombie."""
        match = _INODE.search(self._link(path))
        return int(match[1]) if match else 0

    def _link(self, path: str) -> str:
        try:
            return os.readlink(path, dir_fd=self._proc)
        except OSError:
            return ""

    def _text(self, path: str) -> str:
        return self._read(path).decode(errors="replace")

    def _read(self, path: str) -> bytes:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
        try:
            content = os.read(fd, _READ_BYTES)
            if len(content) < _SHORT_BYTES:
                return content
            while more := os.read(fd, _READ_BYTES):
                content += more
            return content
        finally:
            os.close(fd)


def _did_nothing(seen: _Seen) -> bool:
    """Tell whether the process surely did nothing since, in the quickest way; most never do."""
    if seen.fd < 0 or seen.is_passive or not seen.process.uid_map:
        return False
    try:
        return os.pread(seen.fd, _READ_BYTES, 0) == seen.pulse
    except OSError:  # It has ended.
        return False
