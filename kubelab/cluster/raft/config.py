"""How a member of Raft is set up. Pure.

Source: Ongaro's thesis, section 9.2 (election time-outs at random between one and two times a least one);
etcd/raft, Config.
"""

from dataclasses import dataclass

from kubelab.cluster.raft.messages import NOBODY, MemberId


@dataclass(frozen=True, slots=True)
class Config:
    """Times are in ticks, whose length is the driver's choice; all members must have the same.

    `election_ticks`: the least election time-out; each is drawn anew below twice that. `check_quorum`: a
    leader that hears of no majority for so long gives up, and whoever hears a leader ignores who asks for
    votes (sections 6.2 and 4.2.3). `catch_up_entries` stay in the log behind a snapshot. `life` is another
    one each time that a member starts: an unsigned number of 64 bits.
    """

    id: MemberId
    life: int = 0
    election_ticks: int = 10
    heartbeat_ticks: int = 1
    pre_vote: bool = True
    check_quorum: bool = True
    max_append_bytes: int = 512 * 1024
    max_inflight: int = 256
    max_committed_entries: int = 1024
    """In one Ready, so that applying them does not hold up the rest."""
    max_uncommitted_entries: int = 50_000
    catch_up_entries: int = 5_000

    def __post_init__(self) -> None:
        if self.id == NOBODY:
            raise ValueError("0 is nobody, not a member")
        if not 0 < self.heartbeat_ticks < self.election_ticks:
            raise ValueError("there must be several heartbeats to an election time-out")
        if min(self.max_inflight, self.max_committed_entries, self.max_uncommitted_entries) < 1:
            raise ValueError("a bound below 1 lets nothing through")

    @property
    def lease_ticks(self) -> int:
        """How long after a heartbeat its leader is trusted: two thirds of what its followers surely wait (the
        first tick may come at once), so that a clock may run 1.5 times as fast as another (section 6.4.1)."""
        return (self.election_ticks - 1) * 2 // 3

    @property
    def snapshot_ticks(self) -> int:
        """When a snapshot of which nothing was heard is given up and sent once more."""
        return self.election_ticks * 10
