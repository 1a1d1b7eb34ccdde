"""What was seen of the live state at one moment: frozen values that checks are evaluated over.

Source: proc(5), namespaces(7), pid_namespaces(7). All pids are those of the machine's own pid namespace,
which are the ones that the learner sees there.
Left out: mounts, links, cgroup fields, the store.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from kubelab.cluster.objects import Object, Resource
from kubelab.language import Text

NamespaceKind = Literal["mnt", "pid", "net", "ipc", "uts", "user", "cgroup", "time"]
NAMESPACE_KINDS: tuple[NamespaceKind, ...] = get_args(NamespaceKind)


@dataclass(frozen=True, slots=True)
class Process:
    """A process on a machine. `pids` is NSpid: (57, 1) is 57 on the machine and 1 in a namespace below.

    Namespaces are named by inode number. `children_pid_namespace` is where its next child will be born;
    `proc_pid_namespace` is the pid namespace that the /proc which it sees belongs to (0: it sees none).
    `cgroup` is the text of /proc/<pid>/cgroup. Signals are bit masks, bit 0 for signal 1.
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

    @property
    def own_pid(self) -> int:
        """The pid in its own pid namespace."""
        return self.pids[-1]

    @property
    def is_zombie(self) -> bool:
        return self.state == "Z"

    @property
    def identity(self) -> tuple[int, int]:
        """A pid is used again; together with the start time it is not."""
        return self.pid, self.start_ticks


@dataclass(frozen=True, slots=True)
class MachineState:
    """`departed` are the processes seen since the step began that are gone, as they were last seen."""

    name: str
    namespaces: Mapping[str, int]
    processes: tuple[Process, ...] = ()
    departed: tuple[Process, ...] = ()


@dataclass(frozen=True, slots=True)
class ResourceState:
    """`departed` are the objects seen since the step began that are gone, as they were last seen."""

    objects: tuple[Object, ...] = ()
    departed: tuple[Object, ...] = ()


@dataclass(frozen=True, slots=True)
class Unseen:
    """The probe itself failed, and why: no learner's mistake."""

    reason: Text


@dataclass(frozen=True, slots=True)
class Probe:
    """Ask from a machine whether something answers at an address (a refused TCP connection is an answer)."""

    machine: str
    address: str


@dataclass(frozen=True, slots=True)
class Observation:
    """What a check asks for and is not here has not been looked at yet."""

    machines: Mapping[str, MachineState | Unseen] = field(default_factory=dict)
    resources: Mapping[Resource, ResourceState | Unseen] = field(default_factory=dict)
    answers: Mapping[Probe, bool | Unseen] = field(default_factory=dict)
