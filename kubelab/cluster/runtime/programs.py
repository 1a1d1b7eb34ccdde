"""The programs of a machine's user: the learner's, or a lesson's; and components of the cluster.

The user's go into the cgroup `programs`: a fork bomb exhausts its own cgroup and can be killed as a whole.
Where a machine has no cgroups (a rootless lab without delegated ones) nothing bounds them; then they are told
from the pods by their ancestors, and while they are killed everything on the machine stands still.
A component is a program that the cluster runs on the machine for itself (a real etcd, say): it is in the
machine's own cgroup and outlives what ends the user's programs.
"""
# ruff: noqa: PTH112, PTH208 - the shim imports this, and pathlib is slow to

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import capabilities
from kubelab.cluster.linux.processes import cgroup_of, stat_of
from kubelab.cluster.runtime import execution, privileges, terminal
from kubelab.cluster.runtime.answers import Answer, Method, Params, started
from kubelab.cluster.runtime.children import Child, Children, start
from kubelab.cluster.runtime.machine_init import PODS_CGROUP, PROGRAMS_CGROUP, SYSTEM_CGROUP, MachineInit

END_S = 10.0  # On a busy host; a thousand programs are killed in a fifth of a second otherwise.
_INIT, _ALL = 1, -1


class Programs:
    def __init__(self, machine: MachineInit, children: Children) -> None:
        self._machine = machine
        self._children = children

    def methods(self) -> dict[str, Method]:
        return {
            "spawn": self.spawn,
            "signal_session": self.signal_session,
            "end_programs": self.end_all,
        }

    def spawn(self, params: Params, fds: tuple[int, ...]) -> Answer:
        env = self._machine.env | params["env"]
        master, slave = terminal.open_pair(params["terminal"])
        streams = iter(fds)
        stdin = next(streams) if params["stdin"] else -1
        stdout = next(streams) if params["stdout"] else -1
        stderr = next(streams) if params["stderr"] else stdout
        is_component = bool(params["component"])
        cgroup = self._machine.cgroups.at(SYSTEM_CGROUP if is_component else PROGRAMS_CGROUP)

        def become() -> None:
            cgroup.add_thread()
            if slave >= 0:
                execution.take_terminal(slave)
            else:
                os.setsid()
                execution.use_streams(stdin, stdout, stderr)
            os.chdir(params["cwd"] if os.path.isdir(params["cwd"]) else "/")
            os.umask(0o022)
            execution.default_signals()
            capabilities.keep_only(privileges.PROGRAMS)
            execution.execute(params["argv"], env)

        try:
            pid, pidfd = start(0, become, cgroup)
        except BaseException:
            _close(master)
            raise
        finally:
            _close(slave)
        self._children.add(Child(pid, pidfd, is_program=not is_component, is_component=is_component))
        return started(pid, pidfd, (master,) if master >= 0 else ())

    def signal_session(self, params: Params, fds: tuple[int, ...]) -> Answer:
        """Signal every process of the session; answer how many there were."""
        session, number = params["session"], params["signal"]
        if number != signal.SIGKILL:
            return Answer({"count": _signal_all(_in_session(session), number)})
        with self._no_forks():
            return Answer({"count": _signal_all(_in_session(session), number)})

    def end_all(self, params: Params, fds: tuple[int, ...]) -> Answer:
        """Kill all that runs but pods and components, remove cgroups that were made; answer how many are
        left."""
        deadline_s = time.monotonic() + END_S
        with self._no_forks():
            for name in {PROGRAMS_CGROUP, *self._foreign_cgroups()}:
                with contextlib.suppress(KernelError):  # A learner has removed or unmounted it.
                    self._machine.cgroups.at(name).kill()
            while (
                left := _signal_all(self._outside_pods(), signal.SIGKILL)
            ) and time.monotonic() < deadline_s:
                self._children.reap()
                time.sleep(0.005)
        self._remove_foreign_cgroups()
        return Answer({"count": left})

    @contextlib.contextmanager
    def _no_forks(self) -> Iterator[None]:
        """Let the programs make no more processes meanwhile: a fork bomb is quicker than any loop."""
        if not self._machine.cgroups.hierarchies:
            with _standing_still():
                yield
            return
        programs = self._machine.cgroups.at(PROGRAMS_CGROUP)
        try:
            before = programs.read("pids.max")
            programs.limit("pids.max", "0")
        except KernelError:  # A learner has removed or unmounted it: then it bounds nobody.
            before = None
        try:
            yield
        finally:
            if before is not None:
                with contextlib.suppress(KernelError):
                    programs.limit("pids.max", before)

    def _outside_pods(self) -> Iterator[int]:
        if not self._machine.cgroups.hierarchies:
            return _not_below(self._children.not_programs())
        others = _living().keys() - self._children.components()
        return (pid for pid in others if not cgroup_of(pid).startswith(f"/{PODS_CGROUP}/"))

    def _foreign_cgroups(self) -> set[str]:
        """Return those that others made: beside ours, and in the programs'."""
        ours = {SYSTEM_CGROUP, PROGRAMS_CGROUP, PODS_CGROUP}
        tops = self._machine.cgroups.at("").directories
        beside = {name for top in tops for name in _directories_in(top)} - ours
        inside = {name for top in tops for name in _directories_in(f"{top}/{PROGRAMS_CGROUP}")}
        return beside | {f"{PROGRAMS_CGROUP}/{name}" for name in inside}

    def _remove_foreign_cgroups(self) -> None:
        """What cannot be removed now is in nobody's way."""
        for name in self._foreign_cgroups():
            with contextlib.suppress(KernelError):
                self._machine.cgroups.at(name).remove(timeout_s=0.05)


def _close(fd: int) -> None:
    if fd >= 0:
        os.close(fd)


def _pids() -> Iterator[int]:
    """Yield the machine's processes but its init."""
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) > 1:
            yield int(name)


def _in_session(session: int) -> Iterator[int]:
    for pid in _pids():
        stat = stat_of(pid)
        if stat and stat.session == session and stat.state != "Z":
            yield pid


def _living() -> dict[int, int]:
    """Return the parents of the processes that live."""
    stats = ((pid, stat_of(pid)) for pid in _pids())
    return {pid: stat.parent_pid for pid, stat in stats if stat and stat.state != "Z"}


def _not_below(ancestors: frozenset[int]) -> Iterator[int]:
    """Yield the processes that have none of *ancestors* above them, nor are one; those above which one has
    ended meanwhile are found when they have been adopted."""
    parents = _living()
    for pid in parents:
        above = pid
        while above in parents and above not in ancestors:
            above = parents[above]
        if above == _INIT:
            yield pid


@contextlib.contextmanager
def _standing_still() -> Iterator[None]:
    """Stop every process on this machine but its init, which this is, at one moment: kill(2), pid -1."""
    _signal(_ALL, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(_ALL, signal.SIGCONT)


def _signal_all(pids: Iterable[int], number: int) -> int:
    count = 0
    for pid in pids:
        count += 1
        _signal(pid, number)
    return count


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _directories_in(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:  # A learner has removed or unmounted it.
        return []
