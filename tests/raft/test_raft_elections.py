"""Who leads: chapter 3.4 of Ongaro's thesis, pre-vote (9.6), check-quorum (6.2) and transfers (3.10).

The scenarios are those of etcd/raft, raft_test.go and raft_paper_test.go.
"""

import pytest
from raft_cluster import ELECTION_TICKS, Cluster, script

from kubelab.cluster.raft.messages import Message, MessageType
from kubelab.cluster.raft.raft import ProposalDroppedError
from kubelab.cluster.raft.states import Role


def is_vote(message: Message) -> bool:
    return message.type in {MessageType.VOTE, MessageType.PRE_VOTE}


def test_a_cluster_elects_a_leader_whose_empty_entry_is_committed() -> None:
    cluster = Cluster(3)
    cluster.tick(ELECTION_TICKS)
    assert cluster.transcript() == script("""
        1>2 PRE_VOTE term 1, after 0/0
        1>3 PRE_VOTE term 1, after 0/0
        2>1 PRE_VOTE_ANSWER term 1
        3>1 PRE_VOTE_ANSWER term 1
        1>2 VOTE term 1, after 0/0
        1>3 VOTE term 1, after 0/0
        2>1 VOTE_ANSWER term 1
        1 leads in term 1
        3>1 VOTE_ANSWER term 1
        1>2 APPEND term 1, after 0/0, entries 1/1
        1>3 APPEND term 1, after 0/0, entries 1/1
        2>1 APPEND_ANSWER term 1, upto 1
        3>1 APPEND_ANSWER term 1, upto 1
        1>2 APPEND term 1, after 1/1, commit 1
        1>3 APPEND term 1, after 1/1, commit 1
        2>1 APPEND_ANSWER term 1, upto 1
        3>1 APPEND_ANSWER term 1, upto 1
    """)


def test_a_lone_voter_leads_only_when_its_disk_has_the_vote() -> None:
    cluster = Cluster(1)
    cluster.hold_disk(1)
    cluster.tick(ELECTION_TICKS)
    assert cluster.leader == 1
    assert cluster[1].read_at_once() is None
    assert cluster[1].status().commit == 0
    cluster.release_disk(1)
    assert cluster[1].status().commit == 1
    assert cluster[1].read_at_once() == 1


def test_split_votes_elect_nobody_and_the_next_term_does() -> None:
    cluster = Cluster(4, pre_vote=False)
    for member in (1, 2):
        cluster[member]._elapsed = 2 * ELECTION_TICKS
        cluster[member].tick()
    with cluster.losing(lambda message: (message.sender, message.receiver) in {(1, 4), (2, 3)}):
        cluster.settle()
    assert cluster.transcript() == script("""
        1>2 VOTE term 1, after 0/0
        1>3 VOTE term 1, after 0/0
        1>4 VOTE term 1, after 0/0 LOST
        2>1 VOTE term 1, after 0/0
        2>3 VOTE term 1, after 0/0 LOST
        2>4 VOTE term 1, after 0/0
        2>1 VOTE_ANSWER term 1, REFUSED
        3>1 VOTE_ANSWER term 1
        1>2 VOTE_ANSWER term 1, REFUSED
        4>2 VOTE_ANSWER term 1
    """)
    assert [cluster[member].role for member in (1, 2)] == [Role.CANDIDATE, Role.CANDIDATE]
    cluster.tick(ELECTION_TICKS + 1)
    assert (cluster.leader, cluster[1].term) == (1, 2)


@pytest.mark.parametrize("pre_vote", [True, False])
def test_a_candidate_whose_log_lacks_entries_is_not_elected(pre_vote: bool) -> None:
    cluster = Cluster(3, logs={1: [1], 2: [1, 1], 3: [2]}, pre_vote=pre_vote)
    cluster.elect(1)
    assert cluster.leader == 0
    cluster.elect(2)
    assert cluster.leader == 2, "its log is longer than that of 1"
    cluster.cut(2)
    cluster.elect(3)
    assert cluster.leader == 3 or not pre_vote


def test_a_member_that_was_cut_off_disturbs_nobody_when_it_is_back() -> None:
    """Without pre-vote its term would have grown, and the leader would have to go (section 9.6)."""
    cluster = Cluster(3)
    cluster.tick(ELECTION_TICKS)
    cluster.cut(3)
    cluster.tick(5 * ELECTION_TICKS)
    assert cluster[3].role is Role.PRE_CANDIDATE
    assert cluster[3].term == 1
    cluster.heal()
    cluster.tick(3)
    assert (cluster.leader, cluster[1].term, cluster[3].leader) == (1, 1, 1)


def test_who_hears_a_leader_ignores_all_who_ask_for_votes() -> None:
    """A removed member may not know that it was, and campaign (section 4.2.3)."""
    cluster = Cluster(3, pre_vote=False)
    cluster.tick(ELECTION_TICKS)
    cluster.cut_cable(1, 3)
    cluster.tick(1)
    cluster.transcript()
    cluster[3]._leader_elapsed = ELECTION_TICKS
    cluster[3].campaign()
    cluster.settle()
    assert cluster.transcript() == script("""
        3>1 VOTE term 2, after 1/1 LOST
        3>2 VOTE term 2, after 1/1
    """)
    assert (cluster[2].term, cluster[2].leader) == (1, 1)


def test_a_candidate_that_went_ahead_alone_gets_its_leader_to_go() -> None:
    """Else it would never follow again: it refuses the old term, and its votes are ignored."""
    cluster = Cluster(3, pre_vote=False)
    cluster.tick(ELECTION_TICKS)
    cluster.cut(3)
    cluster.tick(3 * ELECTION_TICKS)
    assert cluster[3].term > 1
    cluster.heal()
    cluster.tick(3 * ELECTION_TICKS)
    assert cluster.leader
    assert len({(raft.term, raft.leader) for raft in cluster.members.values()}) == 1


def test_a_leader_that_hears_no_majority_gives_up_after_a_time_out() -> None:
    cluster = Cluster(5)
    cluster.tick(ELECTION_TICKS)
    cluster.cut(1, 2)
    cluster.tick(ELECTION_TICKS - 1)
    assert cluster[1].role is Role.LEADER
    cluster.tick(1)
    assert cluster[1].role is not Role.LEADER


def test_without_check_quorum_a_stale_leader_stays_until_it_hears_of_another() -> None:
    cluster = Cluster(3, check_quorum=False)
    cluster.tick(ELECTION_TICKS)
    cluster.propose(1, b"a")
    cluster.cut(1)
    cluster.propose(1, b"lost")
    cluster.tick(ELECTION_TICKS + 1, only=(2, 3))
    cluster.propose(2, b"b")
    cluster.transcript()
    assert [cluster[member].role for member in (1, 2)] == [Role.LEADER, Role.LEADER]
    cluster.heal()
    cluster.tick(1)
    assert cluster.transcript() == script("""
        2>1 APPEND_ANSWER term 2, at 0, REFUSED
        3>1 APPEND_ANSWER term 2, at 0, REFUSED
        2>1 APPEND term 2, after 2/1, entries 3/2 4/2, commit 4
        1>2 APPEND_ANSWER term 2, upto 4
    """)
    assert cluster.applied == {1: [b"a", b"b"], 2: [b"a", b"b"], 3: [b"a", b"b"]}
    assert cluster.terms(1) == [1, 1, 2, 2]


def test_a_vote_is_given_once_in_a_term_also_after_a_restart() -> None:
    cluster = Cluster(3, pre_vote=False, check_quorum=False)
    with cluster.losing(lambda message: message.type is MessageType.VOTE_ANSWER):
        cluster.elect(1)
    assert cluster[3].vote == 1
    cluster.stop(3)
    cluster.start(3)
    cluster[3].step(Message(MessageType.VOTE, 2, 3, 1))
    assert cluster[3].ready().messages_after_persisting[-1].reject


def test_a_leader_hands_over_to_a_member_that_has_everything() -> None:
    cluster = Cluster(3)
    cluster.tick(ELECTION_TICKS)
    cluster.transcript()
    cluster[1].transfer_leadership(2)
    cluster.settle()
    assert cluster.transcript() == script("""
        1>2 TIMEOUT_NOW term 1
        2>1 VOTE term 2, after 1/1
        2>3 VOTE term 2, after 1/1
        1>2 VOTE_ANSWER term 2
        2 leads in term 2
        3>2 VOTE_ANSWER term 2
        2>1 APPEND term 2, after 1/1, entries 2/2, commit 1
        2>3 APPEND term 2, after 1/1, entries 2/2, commit 1
        1>2 APPEND_ANSWER term 2, upto 2
        3>2 APPEND_ANSWER term 2, upto 2
        2>1 APPEND term 2, after 2/2, commit 2
        2>3 APPEND term 2, after 2/2, commit 2
        1>2 APPEND_ANSWER term 2, upto 2
        3>2 APPEND_ANSWER term 2, upto 2
    """)


def test_a_transfer_to_a_slow_member_waits_until_it_has_everything() -> None:
    cluster = Cluster(3)
    cluster.tick(ELECTION_TICKS)
    cluster.cut(2)
    cluster.propose(1, b"a")
    cluster[1].transfer_leadership(2)
    cluster.settle()
    with pytest.raises(ProposalDroppedError, match="handing over"):
        cluster[1].propose(b"b")
    cluster.heal()
    cluster.tick(1)
    assert cluster.leader == 2
    assert cluster.applied[2] == [b"a"]


def test_a_transfer_that_takes_too_long_is_given_up() -> None:
    cluster = Cluster(3)
    cluster.tick(ELECTION_TICKS)
    cluster.cut(2)
    cluster[1].transfer_leadership(2)
    cluster.tick(ELECTION_TICKS)
    assert cluster[1].status().transferee == 0
    cluster.propose(1, b"a")
    assert cluster.applied[3] == [b"a"]


@pytest.mark.parametrize("target", [1, 7])
def test_nobody_hands_over_to_itself_or_a_stranger(target: int) -> None:
    cluster = Cluster(3)
    cluster.tick(ELECTION_TICKS)
    with pytest.raises(ProposalDroppedError):
        cluster[1].transfer_leadership(target)


def test_every_role_gives_way_to_a_later_term() -> None:
    """Section 3.3."""
    for role in (Role.FOLLOWER, Role.PRE_CANDIDATE, Role.CANDIDATE, Role.LEADER):
        cluster = Cluster(3, pre_vote=role is Role.PRE_CANDIDATE)
        with cluster.losing(lambda message, role=role: is_vote(message) and role is not Role.LEADER):
            if role is not Role.FOLLOWER:
                cluster.elect(1)
        assert cluster[1].role is role
        cluster[1].step(Message(MessageType.APPEND, 2, 1, 9))
        assert (cluster[1].role, cluster[1].term, cluster[1].leader) == (Role.FOLLOWER, 9, 2)


def test_a_stale_request_for_votes_hears_which_term_it_is() -> None:
    cluster = Cluster(3)
    cluster.tick(ELECTION_TICKS)
    cluster.transcript()
    cluster[2].step(Message(MessageType.PRE_VOTE, 3, 2, 0))
    cluster.settle()
    assert cluster.transcript() == "2>3 PRE_VOTE_ANSWER term 1, REFUSED"
