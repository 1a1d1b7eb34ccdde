"""How a real etcd is, for people: what its members said (`etcd_status`) in the words of `StoreView`.

Of a link an etcd says nothing, but a follower that still names its leader has heard it within an election's
time, and is heard by it: a leader steps down when a majority is silent.
"""

from collections.abc import Iterable, Sequence

from kubelab.cluster.lab.snapshot import RaftView, StoreView
from kubelab.cluster.store.etcd_status import Standing
from kubelab.cluster.store.service import MemberStatus


def etcd_picture(standings: Sequence[Standing]) -> StoreView:
    """Return the whole. The newest term counts, as `ControlPlane.store_state` has it."""
    told = {each.name: each.status for each in standings if each.status}
    names = {status.member: name for name, status in told.items()}
    leading = max(told.values(), key=lambda status: (status.raft_term, status.leader != 0), default=None)
    return StoreView(
        names=tuple(each.name for each in standings),
        leader=names.get(leading.leader, "") if leading else "",
        term=leading.raft_term if leading else 0,
        quorum=len(told) > len(standings) // 2,
        members=tuple(_member(name, status, told.values(), names) for name, status in told.items()),
        stopped=tuple(each.name for each in standings if each.is_there and not each.status),
        engine=_engine(told.values()),
    )


def _member(name: str, status: MemberStatus, all_: Iterable[MemberStatus], names: dict[int, str]) -> RaftView:
    heard = [other for other in all_ if other is not status and _is_linked(status, other)]
    return RaftView(
        name=name,
        role=_role(status),
        term=status.raft_term,
        vote="",
        leader=names.get(status.leader, f"{status.leader:x}" if status.leader else ""),
        commit=status.raft_index,
        applied=status.raft_applied_index,
        persisted=0,
        last_index=status.raft_index,
        snapshot_index=0,
        heard=tuple(names[other.member] for other in heard),
        db_size_bytes=status.db_size_bytes,
    )


def _role(status: MemberStatus) -> str:
    if status.is_learner:
        return "learner"
    return "leader" if status.leader == status.member else "follower"


def _is_linked(one: MemberStatus, other: MemberStatus) -> bool:
    """Whether one of the two leads and the other follows it."""
    same = one.raft_term == other.raft_term and one.leader == other.leader
    return same and one.leader in (one.member, other.member)


def _engine(statuses: Iterable[MemberStatus]) -> str:
    versions = sorted({status.version for status in statuses})
    return " ".join(("etcd", "/".join(versions))).rstrip()
