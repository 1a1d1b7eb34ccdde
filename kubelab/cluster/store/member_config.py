"""How a member of the store is set up, and the state with which a new cluster begins. Pure.

Source: etcd, server/config/config.go and server/etcdserver/api/membership (identities are hashes of the
peers' addresses and the cluster's token, so that all members come to the same without talking).
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kubelab.cluster.raft.config import Config
from kubelab.cluster.raft.messages import Configuration, MemberId, Snapshot
from kubelab.cluster.store.mvcc import DEFAULT_QUOTA_BYTES, Mvcc
from kubelab.cluster.store.requests import Membership
from kubelab.cluster.store.service import MemberState


@dataclass(frozen=True, slots=True)
class MemberConfig:
    """`cluster` are the members as they were when the cluster began, or for one that joins later as they are:
    the first addresses to talk to. What is on disk counts more than that.

    A leader that dies is missed for `election_ticks` to twice as many, then another is elected. A tick must
    be much longer than what usually holds up the loop; all are less than etcd's (a heartbeat in 0.1 s, an
    election after 1 s), because a lab's members are near to one another. Its lease lasts for a heartbeat and
    a half: a heartbeat that comes more often costs an idle lab more than anything else.
    """

    id: MemberId
    name: str
    cluster_id: int
    cluster: tuple[MemberState, ...]
    is_new_cluster: bool = True
    client_urls: tuple[str, ...] = ()
    tick_s: float = 0.015
    heartbeat_ticks: int = 4
    election_ticks: int = 10
    snapshot_entries: int = 10_000
    catch_up_entries: int = 5_000
    quota_bytes: int = DEFAULT_QUOTA_BYTES
    request_timeout_s: float = 5.0
    hands_over: bool = True
    """When it is stopped, have another member lead first."""

    @property
    def raft(self) -> Config:
        return Config(
            self.id,
            election_ticks=self.election_ticks,
            heartbeat_ticks=self.heartbeat_ticks,
            catch_up_entries=self.catch_up_entries,
        )

    @property
    def peer_urls(self) -> tuple[str, ...]:
        return next((member.peer_urls for member in self.cluster if member.id == self.id), ())


def found_cluster(token: str, peer_urls: Mapping[str, str]) -> tuple[int, tuple[MemberState, ...]]:
    """Return the id of a new cluster and its members, by name, from the URL that each has for its peers."""
    members = tuple(
        MemberState(member_id(token, url), name, (url,)) for name, url in sorted(peer_urls.items())
    )
    ids = sorted(member.id for member in members)
    return _identity(each.to_bytes(8, "big") for each in ids), members


def member_id(token: str, peer_url: str) -> MemberId:
    return _identity((peer_url.encode(), token.encode()))


def _identity(parts: Iterable[bytes]) -> int:
    return int.from_bytes(hashlib.sha1(b"".join(parts), usedforsecurity=False).digest()[:8], "big") or 1


def first_snapshot(config: MemberConfig) -> Snapshot:
    """Return where a member without a log begins.

    In a new cluster that is index 1, alike for all, with everybody voting. One that joins begins before
    that, so that its log agrees with nobody's, and the leader sends it a whole snapshot.
    """
    if not config.is_new_cluster:
        return Snapshot(0, 0, Configuration(()), encoded(Mvcc()))
    mvcc = Mvcc()
    for member in config.cluster:
        mvcc.apply(Membership(member.id, member.name, member.peer_urls, member.client_urls), 1)
    voters = tuple(sorted(member.id for member in config.cluster))
    return Snapshot(1, 1, Configuration(voters), encoded(mvcc))


def encoded(mvcc: Mvcc) -> bytes:
    return b"".join(mvcc.image().encode())
