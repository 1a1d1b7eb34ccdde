"""What was seen of the live state at one moment: frozen values that checks are evaluated over.

Source: proc(5), namespaces(7), pid_namespaces(7), user_namespaces(7), rtnetlink(7), nft(8), cgroups(7). All
pids are those of the machine's own pid namespace, which are the ones that the learner sees there.
What only few checks want to know is not looked at until one asks for it: see `question`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from kubelab.cluster.objects import Object, Resource
from kubelab.cluster.store.state import StoreState
from kubelab.language import Text
from kubelab.lessons.question import Question

NamespaceKind = Literal["mnt", "pid", "net", "ipc", "uts", "user", "cgroup", "time"]
NAMESPACE_KINDS: tuple[NamespaceKind, ...] = get_args(NamespaceKind)
OVERFLOW_UID = 65534  # How a user namespace shows every id that it does not map: user_namespaces(7).


@dataclass(frozen=True, slots=True)
class Unseen:
    """The probe itself failed, and why: no learner's mistake."""

    reason: Text


@dataclass(frozen=True, slots=True)
class IdRange:
    """A line of /proc/<pid>/uid_map: *count* ids from *inside* on are those from *outside* on, as the machine
    counts them."""

    inside: int
    outside: int
    count: int

    def inside_of(self, outside: int) -> int | None:
        """Return the id inside that stands for *outside*; None if none does."""
        is_in = 0 <= outside - self.outside < self.count
        return self.inside + outside - self.outside if is_in else None


@dataclass(frozen=True, slots=True)
class ClockOffsets:
    """By how many seconds the clocks of a time namespace are ahead of the kernel's own."""

    boottime_s: int = 0
    monotonic_s: int = 0


@dataclass(frozen=True, slots=True)
class Process:
    """A process on a machine. `pids` is NSpid: (57, 1) is 57 on the machine and 1 in a namespace below.

    Namespaces are named by inode number. `children_pid_namespace` is where its next child will be born;
    `proc_pid_namespace` is the pid namespace that the /proc which it sees belongs to (0: it sees none).
    `cgroup` is the text of /proc/<pid>/cgroup. Signals are bit masks, bit 0 for signal 1; `capabilities` is
    the effective set, bit 0 for CAP_CHOWN. `uid` is the effective one as the machine counts. `root` and `cwd`
    are paths in its mount namespace; a root other than "/" means that it lives in a chroot. `clocks`
    are those of its time namespace, if that is not the machine's; `seccomp_mode` is 2 if system calls are
    filtered.
    """

    pid: int
    start_ticks: int
    parent_pid: int
    pids: tuple[int, ...]
    comm: str
    argv: tuple[str, ...]
    state: str
    namespaces: Mapping[str, int]
    children_pid_namespace: int = 0
    proc_pid_namespace: int = 0
    caught_signals: int = 0
    pending_signals: int = 0
    cgroup: str = ""
    root: str = "/"
    cwd: str = ""
    uid: int = 0
    uid_map: tuple[IdRange, ...] = ()
    capabilities: int = 0
    no_new_privs: bool = False
    seccomp_mode: int = 0
    clocks: ClockOffsets = ClockOffsets()

    @property
    def own_pid(self) -> int:
        """The pid in its own pid namespace."""
        return self.pids[-1]

    @property
    def own_uid(self) -> int:
        """The uid in its own user namespace, as it sees it itself."""
        inside = (known.inside_of(self.uid) for known in self.uid_map)
        return next((uid for uid in inside if uid is not None), OVERFLOW_UID)

    @property
    def is_zombie(self) -> bool:
        return self.state == "Z"

    @property
    def identity(self) -> tuple[int, int]:
        """A pid is used again; together with the start time it is not."""
        return self.pid, self.start_ticks


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of /proc/<pid>/mountinfo. `point` is seen from the root of the mount namespace, `root` is what
    of the file system is mounted there. `propagation`: "shared:7", "master:3", …; empty if private."""

    id: int
    parent_id: int
    device: str
    root: str
    point: str
    options: tuple[str, ...]
    propagation: tuple[str, ...]
    type: str
    source: str
    super_options: tuple[str, ...]

    def layers(self) -> tuple[str, ...]:
        """Return an overlay's lower directories, the uppermost first."""
        lower = (option for option in self.super_options if option.startswith("lowerdir="))
        return tuple(next(lower, "lowerdir=").removeprefix("lowerdir=").split(":"))


@dataclass(frozen=True, slots=True)
class Link:
    """`kind` is "veth", "bridge", …, "" for what is none of rtnetlink's kinds (loopback). `carrier`: a cable
    is plugged in and its other end is up. `master` is the name of the bridge that it is a port of."""

    index: int
    name: str
    kind: str
    up: bool
    carrier: bool
    mtu_bytes: int
    mac: str
    master: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """`address` has its prefix length: "10.1.0.7/24"."""

    link: str
    address: str


@dataclass(frozen=True, slots=True)
class Route:
    """`destination` is "default" or "10.1.0.0/24"; `gateway` "" where there is none."""

    destination: str
    gateway: str
    link: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as nft(8) lists it: `text` is "ip daddr 10.96.0.1 tcp dport 80 dnat to 10.1.0.7:8080"."""

    family: str
    table: str
    chain: str
    text: str


@dataclass(frozen=True, slots=True)
class Network:
    """What is in one network namespace."""

    links: tuple[Link, ...] = ()
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] | Unseen = ()


@dataclass(frozen=True, slots=True)
class Cgroup:
    """`path` is below the machine's own cgroup, "" for that itself. `limits` are those that are set, by their
    cgroup-v2 names and as the kernel writes them: {"memory.max": "33554432"}; `members` are pids."""

    path: str
    limits: Mapping[str, str] = field(default_factory=dict)
    members: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class MachineState:
    """`departed` are the processes seen since the step began that are gone, as they were when they lived.

    `mounts` is by the inode of the mount namespace, `networks` by that of the network namespace, for every
    one that a process of the machine is in; `cgroups` by path. They are empty while nobody needs them.
    """

    name: str
    namespaces: Mapping[str, int]
    processes: tuple[Process, ...] = ()
    departed: tuple[Process, ...] = ()
    mounts: Mapping[int, tuple[Mount, ...] | Unseen] = field(default_factory=dict)
    networks: Mapping[int, Network | Unseen] = field(default_factory=dict)
    cgroups: Mapping[str, Cgroup] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ResourceState:
    """`departed` are the objects seen since the step began that are gone, as they were last seen."""

    objects: tuple[Object, ...] = ()
    departed: tuple[Object, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionState:
    """What the learner did in the lesson itself: the current step's `hints` that are shown, how often it was
    reset since the lesson was opened, and the language that is chosen."""

    hints: int
    resets: int
    language: str


@dataclass(frozen=True, slots=True)
class Observation:
    """`at_s` is monotonic. `host` are the namespaces of the host itself, by kind. What a check asks for and
    is not here has not been looked at yet."""

    machines: Mapping[str, MachineState | Unseen] = field(default_factory=dict)
    resources: Mapping[Resource, ResourceState | Unseen] = field(default_factory=dict)
    answers: Mapping[Question[Any], Any] = field(default_factory=dict)
    host: Mapping[str, int] = field(default_factory=dict)
    store: StoreState | None = None
    session: SessionState | None = None
    at_s: float = 0.0
