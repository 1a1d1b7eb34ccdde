"""Who belongs: chapter 4 of Ongaro's thesis."""

import pytest
from raft_cluster import ELECTION_TICKS, Cluster
from raft_mutants import ReadsBeforeOwnTerm

from kubelab.cluster.raft.configuration_change import (
    ConfigurationChange,
    ConfigurationChangeError,
    LearnerNotReadyError,
    changed,
    context_of,
    decode_configuration,
    encode_configuration,
)
from kubelab.cluster.raft.messages import Configuration, EntryType, MessageType
from kubelab.cluster.raft.raft import Raft
from kubelab.cluster.raft.states import Role

NOBODY_YET = Configuration(())


def led(voters: int = 3, **options: object) -> Cluster:
    cluster = Cluster(voters, **options)
    cluster.tick(ELECTION_TICKS)
    return cluster


def change(cluster: Cluster, **what: object) -> None:
    cluster[cluster.leader].propose_configuration(ConfigurationChange(**what))
    cluster.settle()


def logged(cluster: Cluster, member: int) -> list[Configuration]:
    log = cluster[member]._log
    return [
        decode_configuration(entry.data)
        for entry in log.between(log.first_index - 1, log.last_index)
        if entry.type is EntryType.CONFIGURATION
    ]


def test_a_learner_gets_everything_and_votes_on_nothing() -> None:
    cluster = led()
    cluster.propose(1, b"a")
    cluster.add(4, NOBODY_YET)
    change(cluster, learners=(4,))
    cluster.tick(1)
    assert cluster.applied[4] == [b"a"]
    assert cluster[4].status().is_learner
    cluster.cut(2, 3)
    cluster.propose(1, b"b")
    assert cluster.applied[4] == [b"a"], "the learner's word does not commit"
    cluster.tick(3 * ELECTION_TICKS, only=(4,))
    assert cluster[4].role is Role.FOLLOWER


def test_a_learner_that_has_caught_up_is_promoted() -> None:
    cluster = led()
    cluster.add(4, NOBODY_YET)
    change(cluster, learners=(4,))
    cluster.tick(1)
    change(cluster, voters=(4,))
    assert cluster[4].configuration == Configuration((1, 2, 3, 4))


def test_a_learner_that_lags_behind_is_not_promoted() -> None:
    cluster = led()
    change(cluster, learners=(4,))
    for number in range(20):
        cluster.propose(1, b"%d" % number)
    with pytest.raises(LearnerNotReadyError):
        cluster[1].propose_configuration(ConfigurationChange(voters=(4,)))


def test_one_voter_comes_or_goes_without_a_joint_configuration() -> None:
    cluster = led()
    change(cluster, removed=(3,))
    assert logged(cluster, 1) == [Configuration((1, 2))]


def test_several_voters_are_exchanged_through_joint_consensus() -> None:
    cluster = led()
    for member in (4, 5):
        cluster.add(member, NOBODY_YET)
    change(cluster, voters=(4, 5), removed=(2, 3), context=b"mine")
    cluster.tick(1)
    joint, new = Configuration((1, 4, 5), outgoing=(1, 2, 3)), Configuration((1, 4, 5))
    assert logged(cluster, 4) == [joint, new]
    log = cluster[1]._log
    assert [context_of(entry.data) for entry in log.between(1, log.last_index)] == [b"mine", b"mine"]


def test_in_a_joint_configuration_both_majorities_are_needed() -> None:
    cluster = led()
    for member in (4, 5):
        cluster.add(member, NOBODY_YET)
    cluster.cut(2, 3)
    change(cluster, voters=(4, 5), removed=(2, 3))
    cluster.tick(2)
    assert cluster[4].configuration.outgoing == (1, 2, 3), "it counts as soon as it is in the log"
    assert cluster[1].status().commit == 1, "all of the new configuration have it, but of the old only one"
    cluster.heal()
    cluster.tick(2)
    assert cluster[1].configuration == Configuration((1, 4, 5))


def test_a_change_that_is_overwritten_never_was() -> None:
    """Section 4.1: a server goes back to the configuration of before."""
    cluster = led()
    cluster.cut(1)
    cluster[1].propose_configuration(ConfigurationChange(removed=(3,)))
    cluster.settle()
    assert cluster[1].configuration == Configuration((1, 2))
    cluster.elect(2)
    cluster.heal()
    cluster.tick(2)
    assert cluster[1].configuration == Configuration((1, 2, 3))


def test_a_second_change_waits_until_the_first_is_committed() -> None:
    cluster = led()
    cluster.cut(1)
    cluster[1].propose_configuration(ConfigurationChange(learners=(4,)))
    with pytest.raises(ConfigurationChangeError, match="not over yet"):
        cluster[1].propose_configuration(ConfigurationChange(learners=(5,)))


def a_change_was_overtaken(raft_class: type[Raft]) -> Cluster:
    """Member 5 joins by an entry that only 1 and 5 have; 2 leads in the next term, by the votes of 3 and 4,
    who have none of its entries yet."""
    cluster = led(4, raft_class=raft_class)
    cluster.add(5, NOBODY_YET)
    cluster.cut(1, 5)
    change(cluster, voters=(5,))
    cluster.tick(1, only=(1,))
    assert cluster[5].configuration == Configuration((1, 2, 3, 4, 5))
    with cluster.losing(lambda message: message.type is MessageType.APPEND):
        cluster.elect(2)
    assert (cluster[2].role, cluster[2].term, cluster[2].status().commit) == (Role.LEADER, 2, 1)
    return cluster


def test_a_new_leader_changes_nobody_before_it_has_committed_an_entry() -> None:
    """Ongaro's correction of 2015 to single-server changes."""
    cluster = a_change_was_overtaken(Raft)
    with pytest.raises(ConfigurationChangeError, match="not over yet"):
        cluster[2].propose_configuration(ConfigurationChange(removed=(1,)))
    cluster.tick(1, only=(2,))
    change(cluster, removed=(1,))
    cluster.elect(1)
    assert cluster[1].role is not Role.LEADER, "3 and 4 have the entry of term 2"


def test_a_change_before_that_would_have_lost_what_was_committed() -> None:
    cluster = a_change_was_overtaken(ReadsBeforeOwnTerm)
    with cluster.losing(lambda message: message.receiver == 4):
        change(cluster, removed=(1,))
        cluster.tick(1, only=(2,))
    assert (cluster.terms(2), cluster[2].status().commit) == ([1, 2, 2], 3), "2 and 3 of 2, 3 and 4"
    cluster.heal()
    cluster.cut(2, 3)
    cluster.start(1)
    for _ in range(2):  # In term 2 member 4 has voted already.
        cluster.elect(1)
    assert (cluster.terms(1), cluster[1].status().commit) == ([1, 1, 3], 3), "1, 4 and 5 of all five"


def test_a_removed_member_hears_that_it_is() -> None:
    cluster = led()
    change(cluster, removed=(3,))
    cluster.tick(1)
    assert cluster[3].is_removed
    assert not cluster[2].is_removed


def test_a_new_member_that_catches_up_was_not_removed() -> None:
    cluster = led(max_append_bytes=1)
    change(cluster, removed=(3,))
    cluster.add(4, NOBODY_YET)
    with cluster.losing(lambda message: any(entry.index > 2 for entry in message.entries)):
        cluster[1].propose_configuration(ConfigurationChange(voters=(4,)))
        cluster.tick(2)
        assert cluster[4].status().last_index == 2
        assert not cluster[4].is_removed
    cluster.tick(2)
    assert cluster[4].configuration == Configuration((1, 2, 4))


def test_a_leader_that_is_removed_commits_that_and_goes() -> None:
    """Section 4.2.2; and it hands over, so that nobody waits for a time-out."""
    cluster = led()
    change(cluster, removed=(1,))
    assert cluster[1].is_removed
    assert cluster[1].role is Role.FOLLOWER
    assert cluster.leader in {2, 3}
    cluster.tick(5 * ELECTION_TICKS)
    assert cluster[1].role is Role.FOLLOWER, "it campaigns no more"


def test_what_a_removed_member_says_disturbs_nobody() -> None:
    """Section 4.2.3: it was cut off, and does not know."""
    cluster = led(pre_vote=False)
    cluster.cut(3)
    change(cluster, removed=(3,))
    cluster.tick(ELECTION_TICKS + 1, only=(1, 2))
    cluster.tick(ELECTION_TICKS)
    cluster.heal()
    for _ in range(3 * ELECTION_TICKS):
        cluster.tick(1)
        assert cluster.leader == 1


def test_a_follower_hands_a_change_on() -> None:
    cluster = led()
    cluster[2].propose_configuration(ConfigurationChange(learners=(4,)))
    cluster.settle()
    assert cluster[1].configuration.learners == (4,)


def test_a_voter_becomes_a_learner() -> None:
    cluster = led()
    change(cluster, learners=(3,))
    assert cluster[3].configuration == Configuration((1, 2), learners=(3,))


@pytest.mark.parametrize(
    "what",
    [
        {"removed": (1, 2, 3)},
        {"voters": (1,)},
        {"voters": (4,), "removed": (4,)},
        {"voters": (0,)},
        {},
    ],
)
def test_what_leaves_nobody_or_says_nothing_is_refused(what: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(ConfigurationChangeError):
        changed(Configuration((1, 2, 3)), ConfigurationChange(**what))


def test_a_logged_configuration_reads_as_a_plain_one() -> None:
    configuration = Configuration((1, 2), (3,), (4,))
    data = encode_configuration(configuration, b"context")
    assert decode_configuration(data) == configuration
    assert context_of(data) == b"context"
