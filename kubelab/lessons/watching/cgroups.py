"""The cgroups of a machine: their limits in the words of cgroup v2, and who is in them.

Source: cgroups(7), Documentation/admin-guide/cgroup-v2.rst, inotify(7). Watches on the directories tell when
cgroups are made and removed and which files somebody wrote to, wherever the learner has them mounted; only
the limits of those cgroups are read again. Members are no file to watch: a process's own `cgroup` says where
it is, and that somebody was moved is told by the write to cgroup.procs, or may have been before a new cgroup
was watched. Where the kernel gives no watches, everything is read at every look.
Left out: limits that `linux.cgroups` does not know on cgroup v1.
"""

import errno
import os
from collections.abc import Iterable, Iterator, Mapping

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.cgroups import CgroupTree, weight_of_shares
from kubelab.cluster.linux.inotify import Inotify
from kubelab.lessons.observation import Cgroup, Process

# What a new cgroup has; as v1 has it where that differs.
DEFAULTS: Mapping[str, tuple[str, ...]] = {
    "cpu.weight": ("100", str(weight_of_shares(1024))),
    "cpu.max": ("max 100000",),
    "cpuset.cpus": ("",),
    "io.max": ("",),
    "memory.min": ("0",),
    "memory.low": ("0",),
    "memory.high": ("max",),
    "memory.max": ("max",),
    "memory.swap.max": ("max",),
    "pids.max": ("max",),
}
MEMBER_FILES = frozenset({"cgroup.procs", "cgroup.threads", "tasks"})


class DirectoryWatches:
    """The watches of all machines: one inotify, for a user may have but few."""

    def __init__(self, inotify: Inotify) -> None:
        self._inotify = inotify
        self._owners: dict[int, tuple[Cgroups, str]] = {}

    def watch(self, owner: "Cgroups", path: str, directory: str) -> None:
        """Raises KernelError: it is gone, or there are too many watches."""
        self._owners[self._inotify.watch(directory)] = owner, path

    def forget(self, owner: "Cgroups") -> None:
        for watch in [watch for watch, (of, _) in self._owners.items() if of is owner]:
            del self._owners[watch]
            self._inotify.forget(watch)

    def hear(self) -> None:
        """Hand out what was told."""
        for event in self._inotify.events():
            if event.watch == 0:
                for owner, _ in self._owners.values():
                    owner.mark_all()
            elif event.watch in self._owners:
                owner, path = self._owners[event.watch]
                owner.mark(path, event.name, is_tree=event.is_tree)
                if not event.name:
                    del self._owners[event.watch]


class Cgroups:
    def __init__(self, tree: CgroupTree, watches: DirectoryWatches | None) -> None:
        self.seen: dict[str, Cgroup] = {}
        self.members_moved = False
        self._tree = tree
        self._watches = watches
        self._limits: dict[str, Mapping[str, str]] = {}
        self._is_tree_stale = True
        self._stale: set[str] = set()
        self._is_outdated = False
        self._processes: tuple[Process, ...] = ()

    @property
    def is_stale(self) -> bool:
        """Something was told since the last look."""
        return self._is_tree_stale or bool(self._stale) or self.members_moved

    def close(self) -> None:
        if self._watches is not None:
            self._watches.forget(self)

    def mark(self, path: str, name: str, *, is_tree: bool) -> None:
        if is_tree:
            self._is_tree_stale = True
        elif name in MEMBER_FILES:
            self.members_moved = True
        else:
            self._stale.add(path)

    def mark_all(self) -> None:
        self._is_tree_stale = self.members_moved = True
        self._stale |= self._limits.keys()

    def find(self) -> None:
        """Read what was told of; after it `members_moved` says whether the processes must be asked again."""
        if self._watches is None:
            self.mark_all()
        if self._is_tree_stale or self._stale:
            self._is_outdated = True
            self._read_limits()

    def look(self, processes: tuple[Process, ...]) -> None:
        """Put together what `find` has read and who is in it, as these processes say."""
        self.members_moved = False
        if not self._is_outdated and processes is self._processes:
            return
        self._is_outdated = False
        self._processes = processes
        members = _members(processes)
        seen = {
            path: Cgroup(path, limits, tuple(members.get(path, ()))) for path, limits in self._limits.items()
        }
        self.seen = {
            path: same if (same := self.seen.get(path)) == new else new for path, new in seen.items()
        }

    def _read_limits(self) -> None:
        stale, self._stale = self._stale, set()
        if self._is_tree_stale:
            self._is_tree_stale = False
            paths = self._paths()
            if new := paths - self._limits.keys():
                stale |= new
                self.members_moved = True
            self._limits = {path: self._limits.get(path, {}) for path in sorted(paths)}
        for path in stale & self._limits.keys():
            self._limits[path] = dict(self._read(path))

    def _read(self, path: str) -> Iterator[tuple[str, str]]:
        """Yield the limits that are set."""
        cgroup = self._tree.at(path)
        for name, defaults in DEFAULTS.items():
            try:
                value = cgroup.read(name)
            except (
                KernelError,
                ValueError,
            ):  # Not there (any more), or no controller of this version has it.
                continue
            if value is not None and value not in defaults and not self._is_inherited(path, name, value):
                yield name, value

    def _is_inherited(self, path: str, name: str, value: str) -> bool:
        """v1 writes down in each cgroup the processors of the one above, where v2 leaves it empty."""
        hierarchy = self._tree.hierarchy_of(name.partition(".")[0])
        if name != "cpuset.cpus" or hierarchy is None or hierarchy.version == 2:
            return False
        return value == self._tree.at(f"{path}/..").read(name)

    def _paths(self) -> set[str]:
        return {path for h in self._tree.hierarchies for path in self._paths_below(h.base, "")}

    def _paths_below(self, base: str, path: str) -> Iterator[str]:
        """Yield the cgroup and those below it, each watched before it is looked into."""
        directory = os.path.join(base, path)
        self._watch(path, directory)
        try:
            with os.scandir(directory) as entries:
                names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:  # It was removed meanwhile, which is told, too.
            return
        yield path
        for name in names:
            yield from self._paths_below(base, os.path.join(path, name))

    def _watch(self, path: str, directory: str) -> None:
        if self._watches is None:
            return
        try:
            self._watches.watch(self, path, directory)
        except KernelError as error:
            if error.errno == errno.ENOSPC:  # fs.inotify.max_user_watches: then do without.
                self.close()
                self._watches = None


def _members(processes: Iterable[Process]) -> dict[str, list[int]]:
    """Return the pids by path below the machine's own cgroup, which is above that of its init."""
    by_text: dict[str, list[int]] = {}
    for process in processes:
        if not process.is_zombie:
            by_text.setdefault(process.cgroup, []).append(process.pid)
    init = next((text for text, pids in by_text.items() if 1 in pids), "")
    members: dict[str, list[int]] = {}
    for text, pids in by_text.items():
        for path in _paths_of(text, init):
            members.setdefault(path, []).extend(pids)
    return {path: sorted(pids) for path, pids in members.items()}


def _paths_of(text: str, init: str) -> frozenset[str]:
    bases = {key: path.rpartition("/")[0] for key, path in _lines(init)}
    return frozenset(
        path.removeprefix(base).strip("/")
        for key, path in _lines(text)
        if key in bases and f"{path}/".startswith(f"{(base := bases[key])}/")
    )


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield controllers and path of each hierarchy; those without controllers (name=systemd) are no lab's."""
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers.startswith("name="):
            yield controllers, path
