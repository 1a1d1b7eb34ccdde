"""How bad a simulated world is: drawn from its seed, so that some runs are calm and some are not."""

import random
from dataclasses import dataclass

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


def draw(chance: random.Random) -> Faults:
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
