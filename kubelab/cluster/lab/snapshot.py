"""One frozen picture of the lab, for people: the app draws it, `kubelab status` prints it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProcessView:
    """A process on a machine. `pids` is NSpid from the machine's pid namespace inwards: (17, 1) is pid 17 on
    the machine and pid 1 in a namespace below. `pid_namespace` is the inode number of its own."""

    host_pid: int
    parent_host_pid: int
    pids: tuple[int, ...]
    pid_namespace: int
    command: str


@dataclass(frozen=True, slots=True)
class MachineView:
    """`role` is master, minion or scratch (a machine with no Node, for lessons that need no cluster)."""

    name: str
    role: str
    address: str
    pid_namespace: int
    processes: tuple[ProcessView, ...]


@dataclass(frozen=True, slots=True)
class NodeView:
    name: str
    ready: bool
    status: str
    address: str


@dataclass(frozen=True, slots=True)
class PodView:
    """`status` is what kubectl prints in its STATUS column; `host_pids` are its processes, pause first."""

    namespace: str
    name: str
    status: str
    ready: str
    restarts: int
    node: str
    ip: str
    age_s: float
    host_pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EventView:
    """`about` is kind/name."""

    type: str
    reason: str
    about: str
    message: str
    count: int


@dataclass(frozen=True, slots=True)
class RequestView:
    """A request to the API server that a person made, no component. `target` is resource/name or a path."""

    time: str
    user: str
    verb: str
    target: str
    namespace: str
    code: int
    duration_ms: float


@dataclass(frozen=True, slots=True)
class LogEntryView:
    """`words`: what the entry does, and to which key first."""

    index: int
    term: int
    words: str


@dataclass(frozen=True, slots=True)
class RaftView:
    """A member of the store, in Raft's words. `heard`: the peers that it has heard within an election's time;
    `match`: on the leader, how far each member's log agrees with its own; `tail`: the log's last entries.
    A real etcd tells no vote and no log, but how large its database is (`db_size_bytes`, else 0)."""

    name: str
    role: str
    term: int
    vote: str
    leader: str
    commit: int
    applied: int
    persisted: int
    last_index: int
    snapshot_index: int
    heard: tuple[str, ...] = ()
    match: tuple[tuple[str, int], ...] = ()
    tail: tuple[LogEntryView, ...] = ()
    db_size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class StoreView:
    """`leader` is empty while there is none, `members` are those that run and tell, `stopped` those that are
    there and stand still. `engine`: "raft" is the lab's own store; else what a real etcd says it is."""

    names: tuple[str, ...]
    leader: str
    term: int
    quorum: bool
    members: tuple[RaftView, ...] = ()
    stopped: tuple[str, ...] = ()
    engine: str = "raft"


@dataclass(frozen=True, slots=True)
class LeaderView:
    """Which master's component leads (by its Lease); `holder` is empty when nobody does."""

    component: str
    holder: str
    transitions: int


@dataclass(frozen=True, slots=True)
class LabSnapshot:
    """`starting` names what is still coming up, in both languages elsewhere; empty when the lab is ready."""

    machines: tuple[MachineView, ...] = ()
    nodes: tuple[NodeView, ...] = ()
    pods: tuple[PodView, ...] = ()
    events: tuple[EventView, ...] = ()
    revision: int = 0
    requests: tuple[RequestView, ...] = ()
    store: StoreView | None = None
    leaders: tuple[LeaderView, ...] = ()
