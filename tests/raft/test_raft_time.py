"""How long nothing is due: whoever drives a member may sleep so long, and count all the ticks at once."""

import pytest
from raft_cluster import ELECTION_TICKS, Cluster

from kubelab.cluster.raft.states import Role

HEARTBEAT_TICKS = 4


@pytest.fixture
def led() -> Cluster:
    cluster = Cluster(heartbeat_ticks=HEARTBEAT_TICKS)
    cluster.tick(ELECTION_TICKS)
    assert cluster[1].role is Role.LEADER
    return cluster


def test_nothing_is_to_be_done_before_something_is_due(led: Cluster) -> None:
    for _ in range(50):
        for raft in led.members.values():
            for _ in range(raft.ticks_until_due - 1):
                raft.tick()
                assert not raft.has_ready
            raft.tick()
        led.settle()


def test_a_leader_has_its_next_heartbeat_to_send(led: Cluster) -> None:
    for _ in range(3 * HEARTBEAT_TICKS):
        is_due = led[1].ticks_until_due == 1
        led[1].tick()
        assert led[1].has_ready == is_due
        led.settle()


def test_a_follower_looks_out_once_it_has_missed_a_heartbeat(led: Cluster) -> None:
    led.tick(HEARTBEAT_TICKS)
    led[2].tick()
    heard_ticks = led[2].status().election_elapsed_ticks
    assert led[2].ticks_until_due == ELECTION_TICKS - HEARTBEAT_TICKS - heard_ticks
    led.cut(2)
    for _ in range(led[2].ticks_until_due):
        led[2].tick()
    while led[2].role is Role.FOLLOWER:
        assert led[2].ticks_until_due == 1
        led[2].tick()


def test_who_knows_of_no_leader_has_every_tick_to_count() -> None:
    cluster = Cluster(heartbeat_ticks=HEARTBEAT_TICKS)
    assert [raft.ticks_until_due for raft in cluster.members.values()] == [1, 1, 1]
