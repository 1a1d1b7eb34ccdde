"""Control groups in the words of cgroup v2, whichever version the controllers are mounted as.

Source: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/, cgroups(7); the conversion between `cpu.weight`
and v1's `cpu.shares` is Kubernetes' (KEP-2254). A hybrid host has v1 controllers plus a v2 hierarchy that
holds no controllers but can list and kill. Fields that no mounted controller has are left alone by
`Cgroup.limit`. What v1's files say is told in v2's words by `cgroup_v1`.
Left out: events by inotify.
"""
# ruff: noqa: PTH102, PTH106, PTH110, PTH112, PTH119 - the shim imports this, and pathlib is slow to

import errno
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import cgroup_v1
from kubelab.cluster.linux.cgroup_v1 import weight_of_shares as weight_of_shares
from kubelab.cluster.linux.mounts import MountEntry, mount_table

CONTROLLERS = ("cpu", "cpuacct", "memory", "pids", "blkio", "cpuset", "freezer")
V2_CONTROLLERS = ("cpu", "memory", "pids", "io", "cpuset")
REMOVE_TIMEOUT_S = 5.0
_READ_BYTES = 65536
_PASSING = (errno.EBUSY, errno.ENOTEMPTY, errno.ENOENT)


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted hierarchy. `name` is its directory's name under /sys/fs/cgroup ("" for a v2-only host);
    `base` the directory below which our cgroups go, as it is seen from here."""

    name: str
    base: str
    version: int
    controllers: tuple[str, ...]


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
        names = {"": ("",), "io": ("io", "blkio"), "freezer": ("", "freezer")}.get(controller, (controller,))
        for name in names:
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
    own = _memberships(membership if membership is not None else _read("/proc/self/cgroup"))
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
        offered = _read_quietly(os.path.join(entry.target, "cgroup.controllers")).split()
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
        return tuple(os.path.join(h.base, self.path) for h in self._tree.hierarchies)

    def directory(self, controller: str) -> str | None:
        """Return the directory that has the controller's files; "" names the v2 hierarchy itself."""
        h = self._tree.hierarchy_of(controller)
        return os.path.join(h.base, self.path) if h else None

    def below(self, name: str) -> "Cgroup":
        return Cgroup(self._tree, os.path.join(self.path, name))

    def create(self) -> None:
        """Make the directories, and those above them; v2 controllers are passed on down to them."""
        for hierarchy in self._tree.hierarchies:
            _create(hierarchy, self.path)

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
            _write(os.path.join(directory, "cgroup.procs"), str(pid))

    def add_self(self) -> None:
        """Move the calling process, which has one thread, here; of v1 as quickly as `add_thread`."""
        self.add_thread()
        for hierarchy in self._tree.hierarchies:
            if hierarchy.version == 2:
                _write(os.path.join(hierarchy.base, self.path, "cgroup.procs"), "0")

    def add_thread(self) -> None:
        """Move the calling process, which has one thread and was cloned into the v2 cgroup, here in v1's too.

        Ten times as quick as `add`: to move a whole process the kernel waits until no thread group can change
        (kernel/cgroup/cgroup.c, cgroup_procs_write_start), which a clone and the move of oneself do without.
        """
        for hierarchy in self._tree.hierarchies:
            if hierarchy.version == 1:
                _write(os.path.join(hierarchy.base, self.path, "tasks"), "0")

    def open_v2(self) -> int:
        """Return a descriptor of the v2 directory to clone into; -1 if the host has no v2 hierarchy."""
        directory = self.directory("")
        return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if directory else -1

    def processes(self) -> tuple[int, ...]:
        """Return the members' pids, as this process's pid namespace has them."""
        return tuple(int(pid) for pid in _read(os.path.join(self.directories[0], "cgroup.procs")).split())

    def limit(self, field: str, value: str) -> None:
        """Set a limit by its cgroup-v2 name: cpu.weight, cpu.max, memory.max or pids.max."""
        directory = self.directory(field.partition(".")[0])
        if directory is None:
            return
        writes = _V2_WRITES if self._version_of(field) == 2 else _V1_WRITES
        for name, content in writes[field](value):
            path = os.path.join(directory, name)
            # Accounting of swap may be off: then there is nothing to limit.
            if "sw" not in name or os.path.exists(path):
                _write(path, content)

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
        """Return a field by its cgroup-v2 name; None if no mounted controller has it.

        Raises:
            KernelError: there is no such cgroup, or no such field in the version that its controller is
                mounted as (ENOENT).
        """
        if field == "cgroup.controllers":
            return " ".join(self._controllers())
        path = self.file(field)
        if path is None:
            return None
        text = _read(path)
        translated = cgroup_v1.FIELDS.get(field) if self._version_of(field) == 1 else None
        return translated.read(self._read_v1) if translated else text.strip()

    def _read_v1(self, name: str) -> str | None:
        directory = self.directory(name.partition(".")[0])
        try:
            return _read(os.path.join(directory, name)) if directory else None
        except KernelError as error:
            if error.errno == errno.ENOENT:
                return None
            raise

    def _controllers(self) -> list[str]:
        """Return the controllers that this cgroup has, by their v2 names. Raises KernelError: it has none."""
        found = [h for h in self._tree.hierarchies if os.path.isdir(self._at(h))]
        if not found:
            raise KernelError("read", f"{self.path}/cgroup.controllers", errno.ENOENT)
        names: dict[str, None] = {}
        for h in found:
            own = _read(f"{self._at(h)}/cgroup.controllers").split() if h.version == 2 else h.controllers
            names |= dict.fromkeys(cgroup_v1.CONTROLLERS.get(name, name) for name in own)
        return list(names)

    def _at(self, hierarchy: Hierarchy) -> str:
        return os.path.join(hierarchy.base, self.path)

    def oom_kills(self) -> int:
        """Return how many processes the kernel killed here because `memory.max` was reached."""
        return cgroup_v1.flat(self.read("memory.events") or "").get("oom_kill", 0)

    def kill(self) -> None:
        """Kill all that runs here and below now; set `pids.max` to 0 before, or forks may escape.

        Not by `cgroup.kill`: Linux 6.18 kills whatever is cloned into a cgroup that was once killed so
        (kernel/cgroup/cgroup.c, cgroup_css_set_fork, takes the parent's kill_seq for the target's).
        """
        for directory in self.directories:
            for pid in _members_below(directory):
                _kill(pid)

    def remove(self, timeout_s: float = REMOVE_TIMEOUT_S) -> None:
        """Remove it with everything below, killing what still runs there."""
        for directory in self.directories:
            remove_directory(directory, timeout_s)

    def _version_of(self, field: str) -> int:
        h = self._tree.hierarchy_of(_controller_of(field))
        return h.version if h else 1


# What every cgroup of every hierarchy has; of the last v1 has no file, but `Cgroup.read` knows it.
_IN_EVERY = ("cgroup.procs", "cgroup.threads", "cgroup.controllers")


def _controller_of(field: str) -> str:
    """Return the controller whose hierarchy has the field; "": every cgroup of the v2 hierarchy has it."""
    controller = field.partition(".")[0]
    return "" if controller == "cgroup" or field.endswith(".pressure") else controller


def remove_directory(directory: str, timeout_s: float = REMOVE_TIMEOUT_S) -> None:
    """Remove one cgroup directory of one hierarchy with everything below, killing what still runs there.

    Raises:
        KernelError: something keeps it busy beyond the timeout.
    """
    deadline_s = time.monotonic() + timeout_s
    while os.path.isdir(directory):
        try:
            _remove_tree(directory)
        except OSError as error:
            if error.errno not in _PASSING or time.monotonic() > deadline_s:
                raise KernelError("rmdir", directory, error.errno or 0) from None
            for pid in _members_below(directory):
                _kill(pid)
            time.sleep(0.002)


def _remove_tree(directory: str) -> None:
    try:
        os.rmdir(directory)  # As good as always there is nothing below, and a listing costs ten times this.
    except OSError as error:
        if error.errno not in _PASSING:
            raise
        for below in _directories_below(directory):
            os.rmdir(below)


def _create(hierarchy: Hierarchy, path: str) -> None:
    """Make the directory; the one above is most often there, and is only looked after if it is not."""
    directory = os.path.join(hierarchy.base, path)
    above = path.rpartition("/")[0]
    if hierarchy.version == 2 and hierarchy.controllers:
        if above:
            _create(hierarchy, above)
        _pass_on(os.path.join(hierarchy.base, above), hierarchy.controllers)
    try:
        os.mkdir(directory)
    except FileExistsError:
        return
    except FileNotFoundError:
        if not above:
            raise KernelError("mkdir", directory, errno.ENOENT) from None
        _create(hierarchy, above)
        _create(hierarchy, path)
    except OSError as error:
        raise KernelError("mkdir", directory, error.errno or 0) from None
    if hierarchy.version == 1 and "cpuset" in hierarchy.controllers:
        _inherit_cpuset(directory)


def _inherit_cpuset(directory: str) -> None:
    """Give a new cpuset of v1 what the one above has: empty, as it is made, it takes no process.

    Those below ours get theirs from the kernel (cgroup-v1/cgroups.rst, 1.5, clone_children).
    """
    if _read(os.path.join(directory, "cpuset.cpus")).strip():
        return
    above = os.path.dirname(directory)
    for name in ("cpuset.cpus", "cpuset.mems"):
        _write(os.path.join(directory, name), _read(os.path.join(above, name)))
    _write(os.path.join(directory, "cgroup.clone_children"), "1")


def _pass_on(directory: str, controllers: tuple[str, ...]) -> None:
    path = os.path.join(directory, "cgroup.subtree_control")
    missing = set(controllers) - set(_read(path).split())
    if missing:
        _write(path, " ".join(f"+{controller}" for controller in sorted(missing)))


def _directories_below(directory: str) -> Iterator[str]:
    """Yield the directory and all below it, innermost first."""
    for path, _, _ in os.walk(directory, topdown=False):
        yield path


def _members_below(directory: str) -> Iterator[int]:
    for path in _directories_below(directory):
        for pid in _read_quietly(os.path.join(path, "cgroup.procs")).split():
            yield int(pid)


def _kill(pid: int) -> None:
    try:
        # A pid of 0 is a process that our pid namespace cannot name.
        if pid > 0:
            os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def shares_of_weight(weight: int) -> int:
    """Return v1's cpu.shares for v2's cpu.weight, the least that `weight_of_shares` turns into it again."""
    return 2 - (1 - weight) * 262142 // 9999


_Writes = list[tuple[str, str]]


def _v1_cpu_max(value: str) -> _Writes:
    quota, _, period = value.partition(" ")
    return [
        ("cpu.cfs_period_us", period or "100000"),
        ("cpu.cfs_quota_us", "-1" if quota == "max" else quota),
    ]


def _v1_memory_max(value: str) -> _Writes:
    # Memory and swap together may not be below memory alone: it is set second, and raised first nowhere here.
    limit = "-1" if value == "max" else value
    return [("memory.limit_in_bytes", limit), ("memory.memsw.limit_in_bytes", limit)]


_V1_WRITES: dict[str, Callable[[str], _Writes]] = {
    "cpu.weight": lambda value: [("cpu.shares", str(shares_of_weight(int(value))))],
    "cpu.max": _v1_cpu_max,
    "memory.max": _v1_memory_max,
    "pids.max": lambda value: [("pids.max", value)],
}
_V2_WRITES: dict[str, Callable[[str], _Writes]] = {
    "cpu.weight": lambda value: [("cpu.weight", value)],
    "cpu.max": lambda value: [("cpu.max", value)],
    # Kubernetes gives containers no swap unless asked to (KEP-2400).
    "memory.max": lambda value: [
        ("memory.max", value),
        ("memory.swap.max", "0" if value != "max" else value),
    ],
    "pids.max": lambda value: [("pids.max", value)],
}


def _read(path: str) -> str:
    """Return the file's text. Bare system calls, here and in `_write`: a quarter of what `open` costs."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = b""
            while chunk := os.read(fd, _READ_BYTES):
                content += chunk
        finally:
            os.close(fd)
    except OSError as error:
        raise KernelError("read", path, error.errno or 0) from None
    return content.decode("ascii")


def _read_quietly(path: str) -> str:
    try:
        return _read(path)
    except KernelError:
        return ""


def _write(path: str, content: str) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            os.write(fd, content.encode("ascii"))
        finally:
            os.close(fd)
    except OSError as error:
        raise KernelError("write", f"{content!r} to {path}", error.errno or 0) from None
