"""A member as live views show it: one frozen picture. Pure."""

from dataclasses import dataclass

from kubelab.cluster.raft.messages import MemberId
from kubelab.cluster.raft.status import RaftStatus
from kubelab.cluster.store.service import MemberState


@dataclass(frozen=True, slots=True)
class MemberView:
    """`written_s`: how long the last writes took until the disk had them, oldest first."""

    id: MemberId
    name: str
    cluster_id: int
    raft: RaftStatus
    members: tuple[MemberState, ...]
    applied_index: int
    revision: int
    compact_revision: int
    db_size_bytes: int
    db_size_in_use_bytes: int
    watches: int
    written_s: tuple[float, ...]

    @property
    def name_by_id(self) -> dict[MemberId, str]:
        return {member.id: member.name for member in self.members}

    def written_quantile_s(self, part: float) -> float | None:
        """Return what *part* of the writes (0.5: half of them) took at the most; None if there was none."""
        latencies = sorted(self.written_s)
        return latencies[min(int(len(latencies) * part), len(latencies) - 1)] if latencies else None
