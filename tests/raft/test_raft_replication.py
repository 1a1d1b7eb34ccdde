"""The log: sections 3.5 and 3.6 of Ongaro's thesis, pipelining (10.2) and compaction (chapter 5)."""

import pytest
from raft_cluster import ELECTION_TICKS, Cluster, script
from raft_mutants import CommitsOldTerms

from kubelab.cluster.raft.messages import Entry, HardState, Message, MessageType
from kubelab.cluster.raft.progress import ProgressState
from kubelab.cluster.raft.raft import ProposalDroppedError, Raft


def led(voters: int = 3, **options: object) -> Cluster:
    """A cluster that member 1 leads."""
    cluster = Cluster(voters, **options)
    cluster.tick(ELECTION_TICKS)
    cluster.transcript()
    return cluster


def figure_8(raft_class: type[Raft]) -> Cluster:
    """Up to (c): member 1 leads again, and entry 2 of its earlier term has come to a majority, its new entry
    to nobody; member 5 has another entry 2, of a term in between."""
    logs = {1: [1, 2], 2: [1], 3: [1], 4: [1], 5: [1, 3]}
    cluster = Cluster(5, logs=logs, raft_class=raft_class, max_append_bytes=1)
    cluster.cut(4, 5)

    def is_newest(message: Message) -> bool:
        return any(entry.index > 2 for entry in message.entries) and cluster.terms(message.receiver) != [1]

    with cluster.losing(is_newest):
        cluster.elect(1)
    assert [cluster.terms(member) for member in (1, 2, 3)] == [[1, 2, 3], [1, 2], [1, 2]]
    return cluster


def test_figure_8_an_entry_of_an_earlier_term_is_not_committed_by_counting() -> None:
    cluster = figure_8(Raft)
    assert cluster[1].status().commit == 0, "a majority has entry 2, but it is not of this term"
    cluster.stop(1)
    cluster.heal()
    cluster.transcript()
    cluster.elect(5)
    assert cluster.leader == 5
    assert all(cluster.terms(member) == [1, 3, 4] for member in (2, 3, 4, 5)), "figure 8 (d): overwritten"


def test_figure_8_counting_would_have_lost_a_committed_entry() -> None:
    cluster = figure_8(CommitsOldTerms)
    assert cluster[1].status().commit == 2


def test_figure_8_with_an_entry_of_the_own_term_all_before_it_is_committed() -> None:
    logs = {1: [1, 2], 2: [1], 3: [1], 4: [1], 5: [1, 3]}
    cluster = Cluster(5, logs=logs)
    cluster.cut(4, 5)
    cluster.elect(1)
    cluster.tick(1)
    assert cluster[1].status().commit == 3
    cluster.stop(1)
    cluster.heal()
    cluster.elect(5)
    assert cluster.leader == 0, "figure 8 (e): no majority votes for member 5 any more"


def test_what_a_follower_is_asked_comes_to_the_leader() -> None:
    cluster = led()
    cluster.propose(3, b"a")
    assert cluster.transcript() == script("""
        3>1 PROPOSE term 1, entries 0/0
        1>2 APPEND term 1, after 1/1, entries 2/1, commit 1
        1>3 APPEND term 1, after 1/1, entries 2/1, commit 1
        2>1 APPEND_ANSWER term 1, upto 2
        3>1 APPEND_ANSWER term 1, upto 2
        1>2 APPEND term 1, after 2/1, commit 2
        1>3 APPEND term 1, after 2/1, commit 2
        2>1 APPEND_ANSWER term 1, upto 2
        3>1 APPEND_ANSWER term 1, upto 2
    """)
    assert cluster.applied == {1: [b"a"], 2: [b"a"], 3: [b"a"]}


def test_without_a_leader_nothing_is_proposed_or_read() -> None:
    cluster = Cluster(3)
    with pytest.raises(ProposalDroppedError):
        cluster[1].propose(b"a")
    with pytest.raises(ProposalDroppedError):
        cluster[1].read_index(b"r")


def test_all_that_is_proposed_together_goes_out_in_one_append() -> None:
    cluster = led()
    for data in (b"a", b"b", b"c"):
        cluster[1].propose(data)
    messages = cluster[1].ready().messages
    assert [len(message.entries) for message in messages] == [3, 3]


def test_a_leader_counts_itself_only_for_what_its_disk_has() -> None:
    cluster = led()
    cluster.cut(3)
    cluster.hold_disk(1)
    cluster.propose(1, b"a")
    assert cluster[2].status().persisted == 2
    assert cluster[1].status().commit == 1, "one disk of three"
    cluster.release_disk(1)
    assert cluster[1].status().commit == 2


def test_a_leader_may_commit_before_its_own_disk_has_it() -> None:
    """Section 10.2.1."""
    cluster = led()
    cluster.hold_disk(1)
    cluster.propose(1, b"a")
    assert cluster.applied[1] == [b"a"]
    assert cluster[1].status().persisted == 1


def test_a_follower_answers_an_append_only_when_its_disk_has_it() -> None:
    cluster = led()
    cluster.hold_disk(2)
    cluster.cut(3)
    cluster.propose(1, b"a")
    assert cluster[1].status().commit == 1
    cluster.release_disk(2)
    assert cluster[1].status().commit == 2


def test_a_long_divergent_log_is_found_out_in_one_step_for_each_term() -> None:
    """etcd/raft, TestFastLogRejection: not one probe for each entry."""
    logs = {1: [1, 3, 3, 3, 5, 5, 5, 5, 5], 2: [1, 1, 1, 1, 2, 2], 3: [1, 3, 3, 3, 5, 5, 5, 5, 5]}
    cluster = Cluster(3, logs=logs)
    cluster.cut(2)
    cluster.elect(1)
    cluster.heal()
    cluster.transcript()
    cluster.tick(1)
    appends = [line for line in cluster.transcript().splitlines() if line.startswith("1>2 APPEND")]
    assert appends[0] == "1>2 APPEND term 6, after 9/5, entries 10/6, commit 10"
    assert appends[1].startswith("1>2 APPEND term 6, after 1/1, entries 2/3 3/3")
    assert cluster.terms(2) == cluster.terms(1)


def test_an_append_that_comes_late_takes_nothing_back() -> None:
    cluster = led()
    cluster.propose(1, b"a")
    late = Message(MessageType.APPEND, 1, 2, 1, 0, 0, 0, entries=(Entry(1, 1),))
    cluster[2].step(late)
    assert cluster[2].status().last_index == 2


def test_appends_follow_one_another_up_to_a_bound_without_waiting() -> None:
    cluster = led(max_inflight=2, max_append_bytes=1)
    for data in (b"a", b"b", b"c", b"d"):
        cluster[1].propose(data)
    sent = [message for message in cluster[1].ready().messages if message.receiver == 2]
    assert [message.entries[0].index for message in sent] == [2, 3]
    cluster[1].step(Message(MessageType.APPEND_ANSWER, 2, 1, 1, 2))
    sent = [message for message in cluster[1].ready().messages if message.receiver == 2]
    assert [message.entries[0].index for message in sent if message.entries] == [4]


def test_a_lost_append_comes_to_light_with_the_next_heartbeat() -> None:
    cluster = led()
    with cluster.losing(lambda message: message.receiver == 2 and bool(message.entries)):
        cluster.propose(1, b"a")
    assert cluster.applied[2] == []
    cluster.transcript()
    cluster.tick(1)
    assert cluster.transcript() == script("""
        1>2 APPEND term 1, after 1/1, entries 2/1, commit 2
        2>1 APPEND_ANSWER term 1, upto 2
    """)
    assert cluster.applied[2] == [b"a"]


def test_an_unreachable_follower_is_probed_one_append_at_a_time() -> None:
    cluster = led()
    cluster[1].report_unreachable(2)
    progress = cluster[1].status().progress[0]
    assert (progress.member, progress.state) == (2, ProgressState.PROBE)
    cluster.propose(1, b"a")
    assert cluster.applied[2] == [b"a"]
    assert cluster[1].status().progress[0].state is ProgressState.REPLICATE


def test_proposals_are_refused_while_too_much_is_uncommitted() -> None:
    cluster = led(max_uncommitted_entries=2)
    cluster.cut(1)
    cluster[1].propose(b"a")
    cluster[1].propose(b"b")
    with pytest.raises(ProposalDroppedError, match="not committed"):
        cluster[1].propose(b"c")


def test_a_laggard_whose_entries_were_dropped_gets_a_snapshot() -> None:
    cluster = led(catch_up_entries=0)
    cluster.cut(3)
    for data in (b"a", b"b"):
        cluster.propose(1, data)
    cluster.compact(1)
    cluster.propose(1, b"c")
    cluster.heal()
    cluster.transcript()
    cluster.tick(1)
    assert cluster.transcript() == script("""
        1>3 APPEND term 1, after 4/1, commit 4
        3>1 APPEND_ANSWER term 1, at 4, REFUSED hint 1
        1>3 SNAPSHOT term 1, snapshot 3/1
        3>1 APPEND_ANSWER term 1, upto 3
        1>3 APPEND term 1, after 3/1, entries 4/1, commit 4
        3>1 APPEND_ANSWER term 1, upto 4
    """)
    assert cluster.applied[3] == [b"a", b"b", b"c"]


def test_while_a_snapshot_is_on_its_way_nothing_else_is_sent() -> None:
    cluster = led(catch_up_entries=0)
    cluster.cut(3)
    cluster.propose(1, b"a")
    cluster.compact(1)
    cluster.heal()
    with cluster.losing(lambda message: message.type is MessageType.SNAPSHOT):
        cluster.tick(1)
        assert cluster[1].status().progress[1].state is ProgressState.SNAPSHOT
        cluster.propose(1, b"b")
        assert cluster[1].status().progress[1].state is ProgressState.SNAPSHOT
    cluster[1].report_snapshot(3, ok=False)
    cluster.tick(1)
    assert cluster.applied[3] == [b"a", b"b"]


def test_a_snapshot_of_what_is_in_the_log_throws_nothing_away() -> None:
    cluster = led()
    cluster.propose(1, b"a")
    snapshot = cluster[1].snapshot_at(2, b"a")
    with cluster.losing(lambda message: message.commit == 2):
        cluster[2].step(Message(MessageType.SNAPSHOT, 1, 2, 1, snapshot=snapshot))
        assert cluster[2].ready().snapshot is None
    assert cluster[2].status().first_index == 1


def test_a_member_starts_with_what_a_torn_log_has_left() -> None:
    cluster = Cluster(3)
    _, snapshot, _ = cluster._disks[1]
    cluster._disks[1] = (HardState(4, 1, commit=9), snapshot, [Entry(1, 1), Entry(2, 4)])
    cluster.start(1)
    assert cluster[1].status().commit == 2


def test_the_commit_on_disk_is_never_ahead_of_the_entries_before_it() -> None:
    """Torn in between, a log would have others' entries at the places that were committed."""
    cluster = Cluster(3, logs={1: [1, 1]})
    append = Message(MessageType.APPEND, 2, 1, 2, 0, 0, 2, entries=(Entry(1, 2), Entry(2, 2)))
    cluster[1].step(append)
    first = cluster[1].ready()
    assert [entry.term for entry in first.entries] == [2, 2]
    assert first.hard_state == HardState(2, 0, commit=0)
    cluster[1].step(Message(MessageType.HEARTBEAT, 2, 1, 2, commit=2))
    assert cluster[1].ready().hard_state == HardState(2, 0, commit=2)


def test_a_member_starts_behind_its_snapshot() -> None:
    cluster = Cluster(1)
    cluster.tick(ELECTION_TICKS)
    cluster.propose(1, b"a")
    cluster.compact(1)
    cluster.propose(1, b"b")
    cluster.start(1)
    cluster.settle()
    assert cluster.applied[1] == [b"a", b"b"]
    with pytest.raises(ValueError, match="not in the log"):
        cluster[1].snapshot_at(1, b"")
