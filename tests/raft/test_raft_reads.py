"""Linearizable reads: section 6.4 of Ongaro's thesis, and the lease of 6.4.1."""

from raft_cluster import ELECTION_TICKS, Cluster

from kubelab.cluster.raft.config import Config
from kubelab.cluster.raft.configuration_change import ConfigurationChange
from kubelab.cluster.raft.messages import Configuration, Message, MessageType
from kubelab.cluster.raft.ready import ReadState
from kubelab.cluster.raft.states import Role


def led(voters: int = 3, **options: object) -> Cluster:
    cluster = Cluster(voters, **options)
    cluster.tick(ELECTION_TICKS)
    cluster.tick(1)
    return cluster


def read(cluster: Cluster, member: int) -> list[ReadState]:
    cluster[member].read_index(b"r")
    cluster.settle()
    return cluster.reads[member]


def test_a_read_waits_for_a_round_of_heartbeats() -> None:
    cluster = led()
    cluster.cut(1)
    assert read(cluster, 1) == []
    cluster.heal()
    cluster.tick(1)
    assert cluster.reads[1] == [ReadState(1, b"r")]


def test_all_reads_that_come_together_share_a_round() -> None:
    cluster = led()
    for number in range(5):
        cluster[1].read_index(b"%d" % number)
    heartbeats = [m for m in cluster[1].ready().messages if m.type is MessageType.HEARTBEAT]
    assert len(heartbeats) == 2


def test_a_follower_asks_its_leader() -> None:
    cluster = led()
    cluster.propose(1, b"a")
    assert read(cluster, 2) == [ReadState(2, b"r")]


def test_a_lone_voter_asks_nobody() -> None:
    cluster = led(1)
    assert read(cluster, 1) == [ReadState(1, b"r")]
    assert cluster[1].read_at_once() == 1


def test_a_learners_answer_confirms_nothing() -> None:
    cluster = led()
    cluster.add(4, Configuration(()))
    cluster[1].propose_configuration(ConfigurationChange(learners=(4,)))
    cluster.tick(1)
    cluster.cut(2, 3)
    assert read(cluster, 1) == []


def test_a_new_leader_answers_reads_once_an_entry_of_its_term_is_committed() -> None:
    """Section 6.4, step 1: else it may not know what is committed."""
    cluster = led()
    cluster.propose(1, b"a")
    cluster.cut(1)
    with cluster.losing(lambda message: message.type is MessageType.APPEND):
        cluster.elect(2)
        assert cluster[2].role is Role.LEADER
        assert read(cluster, 2) == []
        assert cluster[2].read_at_once() is None
    cluster.tick(1, only=(2, 3))
    assert cluster.reads[2] == [ReadState(3, b"r")]


def test_a_lease_ends_before_anybody_else_can_be_elected() -> None:
    cluster = led()
    assert cluster[1].read_at_once() == 1
    cluster.cut(1)
    lease_ticks = Config(1, election_ticks=ELECTION_TICKS).lease_ticks
    cluster.tick(lease_ticks - 1)
    assert cluster[1].read_at_once() == 1
    cluster.tick(1)
    assert cluster[1].read_at_once() is None
    assert cluster[1].role is Role.LEADER
    assert cluster.leader == 1, "the others still keep their promise"


def test_a_lease_counts_from_when_the_heartbeat_was_sent() -> None:
    """An answer that comes late says nothing of now."""
    cluster = led()
    late: list[Message] = []

    def hold(message: Message) -> bool:
        if message.type is MessageType.HEARTBEAT_ANSWER:
            late.append(message)
            return True
        return False

    with cluster.losing(hold):
        cluster.tick(ELECTION_TICKS - 1)
    assert cluster[1].read_at_once() is None
    cluster[1].step(late[0])
    assert cluster[1].read_at_once() is None
    cluster[1].step(late[-1])
    assert cluster[1].read_at_once() == 1


def test_without_check_quorum_there_is_no_lease() -> None:
    assert led(check_quorum=False)[1].read_at_once() is None


def test_a_leader_that_told_another_to_campaign_has_no_lease_any_more() -> None:
    cluster = led()
    with cluster.losing(lambda message: message.type is MessageType.TIMEOUT_NOW):
        cluster[1].transfer_leadership(2)
        cluster.tick(ELECTION_TICKS)
    assert cluster[1].status().transferee == 0
    assert cluster[1].read_at_once() is None, "the message may still come"


def test_a_member_that_was_started_again_keeps_its_promise() -> None:
    """It heard a leader right before it stopped: the lease counts on its vote."""
    cluster = led(pre_vote=False)
    cluster.cut_cable(1, 3)
    cluster.start(2)
    cluster[3]._leader_elapsed = ELECTION_TICKS
    cluster[3].campaign()
    cluster.settle()
    assert cluster[2].term == 1
    assert cluster.leader == 1
    assert cluster[1].read_at_once() == 1


def test_a_follower_does_not_read_at_once() -> None:
    assert led()[2].read_at_once() is None
