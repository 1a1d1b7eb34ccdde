"""All that is watched of one machine, put together into its `MachineState`."""

import os
from contextlib import ExitStack

from kubelab.cluster.linux.cgroups import CgroupTree
from kubelab.cluster.machine.machine import Machine
from kubelab.cluster.machine.namespaced import NamespacedMachine
from kubelab.lessons.observation import MachineState
from kubelab.lessons.process_scan import ProcessScan
from kubelab.lessons.watching.cgroups import Cgroups, DirectoryWatches
from kubelab.lessons.watching.mounts import MountTables
from kubelab.lessons.watching.networks import Networks, paths_to_namespaces
from kubelab.lessons.watching.processor import ProcessorAccount

# What is done to a machine from outside runs in no process of its own.
SAFETY_INTERVAL_S = 2.0
_STATUS_BYTES = 8192


class WatchedMachine:
    def __init__(self, machine: Machine, networks: Networks, watches: DirectoryWatches | None) -> None:
        """Raises OSError when the machine is gone."""
        self.machine = machine
        self._networks = networks
        with ExitStack() as stack:
            self._scan = stack.enter_context(ProcessScan(machine.pid))
            tree = _cgroup_tree(machine)
            self._processor = ProcessorAccount(tree)
            stack.callback(self._processor.close)
            self._cgroups = Cgroups(tree or CgroupTree(()), watches)
            stack.callback(self._cgroups.close)
            self._mounts = MountTables(self._scan.directory)
            stack.callback(networks.forget, machine.name)
            self._resources = stack.pop_all()
        self._depth = len(_pids(machine.pid)) - 1
        self._scanned_s = float("-inf")
        self._pid_namespaces: frozenset[int] = frozenset()
        self._network_inodes: frozenset[int] = frozenset()
        self.has_moved = False

    def close(self) -> None:
        self._resources.close()

    @property
    def is_complete(self) -> bool:
        """No process is left that could not be read in the time that a look may take."""
        return self._scan.is_complete

    def begin(self) -> None:
        self._scan.forget_departed()

    def doubt(self) -> None:
        """Scan at the next look, whether anybody ran or not."""
        self._scanned_s = float("-inf")

    def note(self, host_pid: int, pid_namespace: int) -> bool:
        """Read a process of the host, in that namespace, now, if it is on this machine: it may be gone at the
        next look."""
        if pid_namespace not in self._pid_namespaces:
            return False
        pids = _pids(host_pid)
        if self._depth < len(pids):
            self._scan.note(pids[self._depth])
        return True

    def look(self, now_s: float) -> MachineState:
        """Return what is there now. Raises OSError when the machine is gone."""
        # The account is asked first: what runs from here on has moved it at the next look.
        self.has_moved = self._processor.has_moved()
        if self.has_moved or not self.is_complete or now_s - self._scanned_s > SAFETY_INTERVAL_S:
            self._scanned_s = now_s
            self._look_at_all()
        self._cgroups.find()
        if self._cgroups.members_moved:
            self._scan.reread_cgroups()
        self._cgroups.look(self._scan.processes)
        return self.state()

    def state(self) -> MachineState:
        """Return what was seen last."""
        return MachineState(
            name=self.machine.name,
            namespaces=self._scan.namespaces,
            processes=self._scan.processes,
            departed=self._scan.departed,
            mounts=dict(self._mounts.tables),
            networks=self._networks.of(self._network_inodes),
            cgroups=dict(self._cgroups.seen),
        )

    def _look_at_all(self) -> None:
        known, processes = self._scan.processes, self._scan.scan()
        if changed := self._mounts.look(processes):
            # pivot_root(2) gave them another root, or another /proc lies on theirs.
            self._scan.suspect(p.pid for p in processes if p.namespaces.get("mnt") in changed)
            processes = self._scan.scan()
        if changed or processes is not known:
            self._pid_namespaces = frozenset(process.namespaces.get("pid", 0) for process in processes)
            paths = paths_to_namespaces(processes, self._mounts)
            self._network_inodes = frozenset(paths)
            self._networks.follow(self.machine.name, self._scan.directory, paths)


def _pids(host_pid: int) -> tuple[int, ...]:
    """Return the process's pids from the host's pid namespace down to its own; nothing if it has ended."""
    try:
        fd = os.open(f"/proc/{host_pid}/status", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ()
    try:
        _, _, after = os.read(fd, _STATUS_BYTES).partition(b"\nNSpid:")
    except OSError:
        return ()
    finally:
        os.close(fd)
    return tuple(map(int, after.partition(b"\n")[0].split()))


def _cgroup_tree(machine: Machine) -> CgroupTree | None:
    """Return the machine's own cgroups, if this kernel has them."""
    return machine.cgroups if isinstance(machine, NamespacedMachine) else None
