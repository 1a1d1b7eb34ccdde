"""Control groups in the words of cgroup v2, whichever version the controllers are mounted as.

Source: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/, cgroups(7). A hybrid host has v1 controllers plus
a v2 hierarchy that holds no controllers but can list, freeze, kill and tell pressure. What v1's files say,
and what it has nothing like, is told in v2's words by `cgroup_v1`; the directories are `cgroup_directory`'s,
and what happens as it happens is told by `cgroup_events`.
Left out: hugetlb, rdma and misc; threaded cgroups.
"""
# ruff: noqa: PTH102, PTH110, PTH112, PTH119 - the shim imports this, and pathlib is slow to

import errno
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import cgroup_v1
from kubelab.cluster.linux.cgroup_directory import REMOVE_TIMEOUT_S, create_directory, kill_below
from kubelab.cluster.linux.cgroup_directory import remove_directory as remove_directory
from kubelab.cluster.linux.cgroup_files import flat, nested, read, read_if_there, read_quietly, write
from kubelab.cluster.linux.cgroup_v1.cpu import shares_of_weight as shares_of_weight
from kubelab.cluster.linux.cgroup_v1.cpu import weight_of_shares as weight_of_shares
from kubelab.cluster.linux.cgroup_v1.field import Writes
from kubelab.cluster.linux.cgroup_v1.memory import write_max_without_swap
from kubelab.cluster.linux.mounts import MountEntry, mount_table
from kubelab.language import Text

CONTROLLERS = ("cpu", "cpuacct", "memory", "pids", "blkio", "cpuset", "freezer")
V2_CONTROLLERS = ("cpu", "memory", "pids", "io", "cpuset")


class UnsupportedError(KernelError):
    """This host's cgroups have nothing like the field; the sentence says why."""

    def __init__(self, operation: str, field: str, why: Text) -> None:
        super().__init__(operation, field, errno.EOPNOTSUPP)
        self.why = why
        self.sentence = Text(f"no hay {field}: {why.es}", f"there is no {field}: {why.en}")


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted hierarchy. `name` is its directory's name under /sys/fs/cgroup ("" for a v2-only host);
    `base` the directory below which our cgroups go, as it is seen from here."""

    name: str
    base: str
    version: int
    controllers: tuple[str, ...]


_ALSO = {"io": ("io", "blkio"), "freezer": ("", "freezer")}  # Other names of v2's.


@dataclass(frozen=True, slots=True)
class CgroupTree:
    """The hierarchies that our cgroups are made in: `at(path)` is the cgroup of that path in all of them."""

    hierarchies: tuple[Hierarchy, ...]

    def at(self, path: str) -> "Cgroup":
        return Cgroup(self, path.strip("/"))

    def below(self, path: str) -> "CgroupTree":
        """Return the tree whose base is the cgroup at *path*."""
        return CgroupTree(
            tuple(
                Hierarchy(h.name, os.path.join(h.base, path), h.version, h.controllers)
                for h in self.hierarchies
            )
        )

    def as_seen_inside(self) -> "CgroupTree":
        """Return the same tree as a process sees it whose cgroup namespace has our base as its root."""
        return CgroupTree(
            tuple(
                Hierarchy(
                    h.name, os.path.join("/sys/fs/cgroup", h.name).rstrip("/"), h.version, h.controllers
                )
                for h in self.hierarchies
            )
        )

    def hierarchy_of(self, controller: str) -> Hierarchy | None:
        """Return the hierarchy that has the controller, by its v2 name; "" is the v2 hierarchy itself, which
        freezes without any."""
        for name in _ALSO.get(controller, (controller,)):
            for h in self.hierarchies:
                if name in h.controllers or (name == "" and h.version == 2):
                    return h
        return None

    @property
    def controllers(self) -> frozenset[str]:
        return frozenset(controller for h in self.hierarchies for controller in h.controllers)

    def to_json(self) -> list[dict[str, Any]]:
        return [asdict(hierarchy) for hierarchy in self.hierarchies]

    @staticmethod
    def from_json(hierarchies: Iterable[Mapping[str, Any]]) -> "CgroupTree":
        return CgroupTree(
            tuple(Hierarchy(h["name"], h["base"], h["version"], tuple(h["controllers"])) for h in hierarchies)
        )


def detect(table: Iterable[MountEntry] | None = None, membership: str | None = None) -> CgroupTree:
    """Return where this process may make cgroups.

    v1: below its own, so that limits it was given stay in force. v2: at the top, for a cgroup that has
    processes, as its own has, cannot pass controllers on.
    """
    own = _memberships(membership if membership is not None else read("/proc/self/cgroup"))
    found: dict[str, Hierarchy] = {}
    for entry in mount_table() if table is None else table:
        hierarchy = _hierarchy(entry, own)
        if hierarchy and hierarchy.name not in found:
            found[hierarchy.name] = hierarchy
    has_v2 = any(h.version == 2 for h in found.values())
    # Every cgroup of v2 freezes by itself, also where the controllers are v1's: one directory less for each.
    return CgroupTree(tuple(h for h in found.values() if not (has_v2 and h.controllers == ("freezer",))))


def _hierarchy(entry: MountEntry, own: Mapping[str, str]) -> Hierarchy | None:
    if entry.kind == "cgroup2":
        name = "" if entry.target == "/sys/fs/cgroup" else os.path.basename(entry.target)
        offered = read_quietly(os.path.join(entry.target, "cgroup.controllers")).split()
        return Hierarchy(name, entry.target, 2, tuple(c for c in V2_CONTROLLERS if c in offered))
    if entry.kind != "cgroup":
        return None
    controllers = tuple(c for c in CONTROLLERS if c in entry.options)
    if not controllers:
        return None
    path = own.get(controllers[0], "/").removeprefix(entry.root.rstrip("/")).strip("/")
    base = os.path.join(entry.target, path).rstrip("/")
    return Hierarchy(os.path.basename(entry.target), base, 1, controllers)


def _memberships(text: str) -> dict[str, str]:
    """Parse /proc/<pid>/cgroup into controller -> path (v2 is "")."""
    lines = (line.split(":", 2) for line in text.splitlines())
    return {controller: path for _, controllers, path in lines for controller in controllers.split(",")}


class Cgroup:
    """One cgroup: the directories of the same path in every hierarchy of its tree."""

    def __init__(self, tree: CgroupTree, path: str) -> None:
        self._tree = tree
        self.path = path

    def __repr__(self) -> str:
        return f"Cgroup({self.path!r})"

    @property
    def directories(self) -> tuple[str, ...]:
        return tuple(f"{h.base}/{self.path}" for h in self._tree.hierarchies)

    def directory(self, controller: str) -> str | None:
        """Return the directory that has the controller's files; "" names the v2 hierarchy itself."""
        h = self._tree.hierarchy_of(controller)
        return f"{h.base}/{self.path}" if h else None

    def below(self, name: str) -> "Cgroup":
        return Cgroup(self._tree, os.path.join(self.path, name))

    def create(self) -> None:
        """Make the directories, and those above them; v2 controllers are passed on down to them."""
        for h in self._tree.hierarchies:
            create_directory(h.base, self.path, h.version, h.controllers)

    def make_room(self) -> None:
        """Move this process, alone at the base and with one thread, to here: v2 passes no controllers on past
        processes."""
        for directory in self.directories:
            os.mkdir(directory)
        self.add_self()
        self.create()

    def add(self, pid: int = 0) -> None:
        """Move a process (0: the calling one) here."""
        for directory in self.directories:
            write(os.path.join(directory, "cgroup.procs"), str(pid))

    def add_self(self) -> None:
        """Move the calling process, which has one thread, here; of v1 as quickly as `add_thread`."""
        self.add_thread()
        for hierarchy in self._tree.hierarchies:
            if hierarchy.version == 2:
                write(os.path.join(hierarchy.base, self.path, "cgroup.procs"), "0")

    def add_thread(self) -> None:
        """Move the calling process, which has one thread and was cloned into the v2 cgroup, here in v1's too.

        Ten times as quick as `add`: to move a whole process the kernel waits until no thread group can change
        (kernel/cgroup/cgroup.c, cgroup_procs_write_start), which a clone and the move of oneself do without.
        """
        for file in self.task_files:
            write(file, "0")

    @property
    def task_files(self) -> tuple[str, ...]:
        """Return the files of v1 that take a thread in."""
        return tuple(f"{h.base}/{self.path}/tasks" for h in self._tree.hierarchies if h.version == 1)

    def open_v2(self) -> int:
        """Return a descriptor of the v2 directory to clone into; -1 if the host has no v2 hierarchy."""
        directory = self.directory("")
        return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if directory else -1

    def processes(self) -> tuple[int, ...]:
        """Return the members' pids, as this process's pid namespace has them."""
        return tuple(int(pid) for pid in read(os.path.join(self.directories[0], "cgroup.procs")).split())

    def limit(self, field: str, value: str) -> None:
        """Set a limit as Kubernetes means it: with `memory.max` goes a ban on swap (KEP-2400), only v2 has
        `memory.oom.group`, and a controller that is not there limits nothing.

        Raises:
            KernelError: as `write`.
        """
        if self._tree.hierarchy_of(_controller_of(field)) is None:
            return
        if field == "memory.oom.group" and self._version_of(field) == 1:
            return
        if field != "memory.max" or value == "max":
            self.write(field, value)
        elif self._version_of(field) == 1:
            self._write_v1(field, write_max_without_swap(value, self._read_v1))
        else:
            self.write(field, value)
            # Swap may not be accounted for: then there is nothing to limit.
            if os.path.exists(os.path.join(self.directory("memory") or "", "memory.swap.max")):
                self.write("memory.swap.max", "0")

    def write(self, field: str, value: str) -> None:
        """Write a field by its cgroup-v2 name, as v2's file takes it. `cgroup.kill` is `kill`, and
        `cgroup.procs` is `add`.

        Raises:
            UnsupportedError: no mounted controller has it, or v1 has nothing like it.
            KernelError: there is no such cgroup (ENOENT), the value is none (EINVAL), the kernel refuses it.
        """
        if field == "cgroup.kill":
            self.kill()
        elif field == "cgroup.procs":
            self.add(int(value))
        elif self.version(field) == 2:
            self._write_file(field, self.directory(_controller_of(field)), field, value)
        else:
            self._write_v1(field, self._writes(field, value))

    def _writes(self, field: str, value: str) -> Writes:
        known = cgroup_v1.FIELDS.get(field)
        if known is None:
            return ((field, value),)
        if known.write is None:
            raise KernelError("write", f"{value!r} to {field}", errno.EACCES)
        try:
            return known.write(value, self._read_v1)
        except ValueError:
            raise KernelError("write", f"{value!r} to {field}", errno.EINVAL) from None

    def _write_v1(self, field: str, writes: Writes) -> None:
        for name, content in writes:
            self._write_file(field, self.directory(name.partition(".")[0]), name, content)

    def _write_file(self, field: str, directory: str | None, name: str, content: str) -> None:
        if directory is None:
            raise UnsupportedError("write", field, _NO_CONTROLLER)
        try:
            write(os.path.join(directory, name), content)
        except KernelError as error:
            if error.errno == errno.ENOENT and os.path.isdir(directory):
                raise UnsupportedError("write", field, self._why_not(field)) from None
            raise

    def _why_not(self, field: str) -> Text:
        if self._version_of(field) == 1:
            return cgroup_v1.CANNOT.get(field, _UNKNOWN)
        return _UNKNOWN

    def file(self, field: str) -> str | None:
        """Return the path of the file that says a field, by its cgroup-v2 name; None if no mounted controller
        has it. With v1 it has most often another name, and need not exist."""
        h = self._tree.hierarchy_of(_controller_of(field))
        if field in _IN_EVERY:
            h = next((h for h in self._tree.hierarchies if os.path.isdir(self._at(h))), h)
        if h is None:
            return None
        return os.path.join(self._at(h), field if h.version == 2 else cgroup_v1.file_of(field))

    def read(self, field: str) -> str | None:
        """Return a field by its cgroup-v2 name, as v2's file says it; None if no mounted controller has it.

        Raises:
            UnsupportedError: v1 has nothing like it, or this kernel does not know it.
            KernelError: there is no such cgroup (ENOENT).
        """
        if field == "cgroup.controllers":
            return " ".join(self._controllers())
        path = self.file(field)
        if path is None:
            return None
        known = cgroup_v1.FIELDS.get(field) if self._version_of(field) == 1 else None
        try:
            content = read(path)
        except KernelError as error:
            if error.errno == errno.ENOENT and os.path.isdir(os.path.dirname(path)):
                raise UnsupportedError("read", field, self._why_not(field)) from None
            raise
        return known.read(self._read_v1) if known else content.strip()

    def numbers(self, field: str) -> dict[str, int]:
        """Return a flat-keyed field, such as cpu.stat; {} if no controller has it. Raises as `read`."""
        return flat(self.read(field) or "")

    def devices(self, field: str) -> dict[str, dict[str, str]]:
        """Return a nested-keyed field, such as io.max, by MAJ:MIN; {} if no mounted controller has it.
        Raises as `read`."""
        return nested(self.read(field) or "")

    def _read_v1(self, name: str) -> str | None:
        controller = name.removeprefix("../").partition(".")[0]
        directory = self.directory(controller)
        return read_if_there(os.path.join(directory, name)) if directory else None

    def _controllers(self) -> list[str]:
        """Return the controllers that this cgroup has, by their v2 names. Raises KernelError: it has none."""
        found = [h for h in self._tree.hierarchies if os.path.isdir(self._at(h))]
        if not found:
            raise KernelError("read", f"{self.path}/cgroup.controllers", errno.ENOENT)
        names: dict[str, None] = {}
        for h in found:
            own = read(f"{self._at(h)}/cgroup.controllers").split() if h.version == 2 else h.controllers
            names |= dict.fromkeys(cgroup_v1.CONTROLLERS.get(name, name) for name in own)
        return list(names)

    def _at(self, hierarchy: Hierarchy) -> str:
        return f"{hierarchy.base}/{self.path}"

    def oom_kills(self) -> int:
        """Return how many processes the kernel killed here because `memory.max` was reached."""
        if self.version("memory.events") == 1:  # Of one file; memory.events is made of two.
            return flat(self._read_v1("memory.oom_control") or "").get("oom_kill", 0)
        return self.numbers("memory.events").get("oom_kill", 0)

    def kill(self) -> None:
        """Kill all that runs here and below now; set `pids.max` to 0 before, or forks may escape.

        Not by `cgroup.kill`: Linux 6.18 kills whatever is cloned into a cgroup that was once killed so
        (kernel/cgroup/cgroup.c, cgroup_css_set_fork, takes the parent's kill_seq for the target's).
        """
        self._thaw_v1()
        for directory in self.directories:
            kill_below(directory)

    def remove(self, timeout_s: float = REMOVE_TIMEOUT_S) -> None:
        """Remove it with everything below, killing what still runs there."""
        self._thaw_v1()
        for directory in self.directories:
            remove_directory(directory, timeout_s)

    def _thaw_v1(self) -> None:
        """What v1 has frozen dies only when it goes on."""
        if self.version("cgroup.freeze") == 1 and os.path.isdir(self.directory("freezer") or ""):
            self.write("cgroup.freeze", "0")

    def version(self, field: str) -> int | None:
        """Return the cgroup version of the hierarchy that has the field; None if no mounted one has it."""
        h = self._tree.hierarchy_of(_controller_of(field))
        return h.version if h else None

    def _version_of(self, field: str) -> int:
        return self.version(field) or 1


# What every cgroup of every hierarchy has; of the last v1 has no file, but `Cgroup.read` knows it.
_IN_EVERY = ("cgroup.procs", "cgroup.threads", "cgroup.controllers")


def _controller_of(field: str) -> str:
    """Return the controller whose hierarchy has the field; "": every cgroup of the v2 hierarchy has it."""
    if field == "cgroup.freeze":
        return "freezer"
    controller = field.partition(".")[0]
    return "" if controller == "cgroup" or field.endswith(".pressure") else controller


_NO_CONTROLLER = Text(
    es="ninguna jerarquía de cgroups montada lo tiene",
    en="no mounted cgroup hierarchy has it",
)
_UNKNOWN = Text(
    es="este kernel no lo conoce, o su controlador no llega hasta este cgroup",
    en="this kernel does not know it, or its controller does not reach this cgroup",
)
