"""How bad a simulated world is: drawn from its seed, so that some runs are calm and some are not."""

import random
from dataclasses import dataclass, replace
from typing import Any

from kubelab.cluster.raft.config import Config
from kubelab.cluster.raft.messages import MemberId


@dataclass(frozen=True, slots=True)
class Faults:
    """Chances are per message, rates per tick; times are in ticks of a clock that goes right."""

    members: int
    election_ticks: int
    pre_vote: bool
    check_quorum: bool
    max_inflight: int
    max_append_bytes: int
    catch_up_entries: int
    drop: float
    duplicate: float
    delay_ticks: float
    straggle: float
    """The chance to take ten times as long, and so be overtaken."""
    sync_ticks: float
    skew: tuple[float, float]
    crash_rate: float
    partition_rate: float
    strand_rate: float
    """How often a leader is cut off and then told to write."""
    stall_rate: float
    change_rate: float
    transfer_rate: float
    compact_rate: float
    write_rate: float
    read_rate: float
    ticks: int
    spite: bool
    """Each new leader's predecessor is cut off at once: its lease must be over."""
    profile: str = "any"
    relay: bool = False
    """Leaders are cut off before they tell anything, or when they have committed; the one before is back."""
    crash_at_sync: float = 0
    """The chance for each sync of a disk, before it, between it and the answers, or after them."""
    crash_at_commit: float = 0
    """The chance for each commit of a leader, of which nobody has heard."""
    siege_rate: float = 0
    """How often a follower that its leader has lost sight of campaigns, while others start again."""
    eager: bool = False
    """Clients ask each new leader at once."""
    cut_changes: bool = False
    """Who belongs is changed on one side of a cut."""

    def config(self, member: MemberId) -> Config:
        return Config(
            member,
            election_ticks=self.election_ticks,
            pre_vote=self.pre_vote,
            check_quorum=self.check_quorum,
            max_inflight=self.max_inflight,
            max_append_bytes=self.max_append_bytes,
            catch_up_entries=self.catch_up_entries,
        )


_CALM: dict[str, Any] = {
    "drop": 0,
    "straggle": 0,
    "crash_rate": 0,
    "partition_rate": 0,
    "strand_rate": 0,
    "spite": False,
    "stall_rate": 0,
    "change_rate": 0,
    "transfer_rate": 0,
    "compact_rate": 0,
    "ticks": 60,
}

PROFILES: dict[str, dict[str, Any]] = {
    "any": {},
    "torn writes": _CALM
    | {"members": 3, "crash_at_sync": 0.05, "crash_at_commit": 0.1, "sync_ticks": 1, "write_rate": 1},
    "deposed leaders": _CALM
    | {
        "members": 3,
        "relay": True,
        "crash_at_sync": 0.01,
        "max_append_bytes": 1,
        "max_inflight": 1,
        "election_ticks": 4,
        "delay_ticks": 0.1,
        "write_rate": 0.3,
    },
    "reordered": _CALM
    | {
        "members": 3,
        "duplicate": 0.2,
        "delay_ticks": 1.5,
        "sync_ticks": 1,
        "skew": (1, 1),
        "max_append_bytes": 1,
        "max_inflight": 16,
        "election_ticks": 8,
        "write_rate": 1,
        "ticks": 40,
    },
    "exchanged members": _CALM
    | {"members": 3, "cut_changes": True, "change_rate": 0.1, "election_ticks": 4, "compact_rate": 0.05},
    "leases": _CALM
    | {
        "members": 3,
        "check_quorum": True,
        "siege_rate": 0.1,
        "eager": True,
        "election_ticks": 8,
        "delay_ticks": 0.1,
        "sync_ticks": 0.3,
        "ticks": 80,
    },
    "transfers": _CALM
    | {
        "members": 3,
        "check_quorum": True,
        "transfer_rate": 0.1,
        "spite": True,
        "eager": True,
        "election_ticks": 8,
        "delay_ticks": 0.1,
        "sync_ticks": 0.3,
    },
    "forgetful rivals": _CALM
    | {
        "members": 3,
        "relay": True,
        "pre_vote": False,
        "check_quorum": False,
        "crash_at_sync": 0.3,
        "siege_rate": 0.02,
        "election_ticks": 4,
        "delay_ticks": 0.1,
        "write_rate": 0.3,
    },
}
"""What each is bent on; the rest is drawn. Each run has one, so that some thousand runs have much of all."""


def draw(chance: random.Random) -> Faults:
    """Return how bad the world of a seed is."""
    profile = chance.choice(tuple(PROFILES))
    return replace(_draw_any(chance), profile=profile, **PROFILES[profile])


def _draw_any(chance: random.Random) -> Faults:
    pick = chance.choice
    return Faults(
        members=pick((1, 3, 3, 3, 5)),
        election_ticks=pick((4, 5, 8)),
        pre_vote=chance.random() < 0.8,
        check_quorum=chance.random() < 0.8,
        max_inflight=pick((1, 2, 8, 16)),
        max_append_bytes=pick((1, 1, 100, 10_000)),
        catch_up_entries=pick((0, 3, 20)),
        drop=pick((0, 0, 0.02, 0.1)),
        duplicate=pick((0, 0, 0.05, 0.2)),
        delay_ticks=pick((0.1, 0.5, 1.5)),
        straggle=pick((0, 0.02, 0.05)),
        sync_ticks=pick((0.05, 0.3, 1)),
        skew=pick(((1, 1), (0.95, 1.05), (0.85, 1.2))),  # The lease allows one to be 1.5 times as fast.
        crash_rate=pick((0, 0.02, 0.05, 0.1)),
        partition_rate=pick((0, 0.05, 0.2)),
        strand_rate=pick((0, 0.02, 0.08, 0.2)),
        spite=chance.random() < 0.5,
        stall_rate=pick((0, 0, 0.02, 0.05)),
        change_rate=pick((0, 0, 0.05, 0.1)),
        transfer_rate=pick((0, 0, 0.02, 0.1)),
        compact_rate=pick((0, 0.05, 0.2)),
        write_rate=pick((0.3, 1, 3)),
        read_rate=pick((0.3, 1)),
        ticks=pick((40, 80)),
    )
