"""A member as live views and `kubelab status --raft` show it: one frozen snapshot. Pure.

Source: etcd/raft, status.go; the API's `etcdctl endpoint status` shows the same words.
"""

from dataclasses import dataclass

from kubelab.cluster.raft.messages import Configuration, Entry, MemberId
from kubelab.cluster.raft.progress import ProgressState
from kubelab.cluster.raft.states import Role


@dataclass(frozen=True, slots=True)
class PeerProgress:
    """What the leader knows of `member`. `inflight`: appends that it has not answered."""

    member: MemberId
    state: ProgressState
    match: int
    next: int
    inflight: int
    heard_ticks: int
    is_learner: bool


@dataclass(frozen=True, slots=True)
class RaftStatus:
    """`progress` is empty but on the leader. `heard_ticks`: how many ticks ago each peer was last heard, but
    those that never were. `is_removed`: it is committed that the member belongs no more."""

    id: MemberId
    role: Role
    term: int
    vote: MemberId
    leader: MemberId
    commit: int
    applied: int
    persisted: int
    first_index: int
    last_index: int
    snapshot_index: int
    configuration: Configuration
    configuration_index: int
    is_learner: bool
    is_removed: bool
    transferee: MemberId
    election_elapsed_ticks: int
    has_lease: bool
    progress: tuple[PeerProgress, ...]
    heard_ticks: tuple[tuple[MemberId, int], ...]
    log_tail: tuple[Entry, ...]
