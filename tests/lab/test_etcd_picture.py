"""What a real etcd's members say, in the words in which the lab shows its own store."""

from kubelab.cli.status import render_raft
from kubelab.cluster.lab.etcd_picture import etcd_picture
from kubelab.cluster.lab.snapshot import LabSnapshot
from kubelab.cluster.store.etcd_status import Standing
from kubelab.cluster.store.service import MemberStatus


def standing(number: int, leader: int, *, term: int = 4, learner: bool = False) -> Standing:
    status = MemberStatus(number, "3.4.23", 274_432, 8192, leader, term, 168, 167, learner)
    return Standing(f"master-{number}", status, is_there=True)


def test_a_leader_hears_those_who_follow_it_and_they_hear_it() -> None:
    view = etcd_picture([standing(1, 1), standing(2, 1), standing(3, 1, term=3)])
    assert (view.engine, view.leader, view.term, view.quorum) == ("etcd 3.4.23", "master-1", 4, True)
    assert [(each.role, each.heard) for each in view.members] == [
        ("leader", ("master-2",)),
        ("follower", ("master-1",)),
        ("follower", ()),
    ]


def test_who_does_not_answer_is_dead_or_stands_still() -> None:
    view = etcd_picture([standing(1, 0), Standing("master-2", is_there=True), Standing("master-3")])
    assert (view.names, view.stopped) == (("master-1", "master-2", "master-3"), ("master-2",))
    assert (view.leader, view.quorum) == ("", False)


def test_a_leader_that_does_not_answer_leads_nobody_that_is_seen() -> None:
    view = etcd_picture([Standing("master-1"), standing(2, 1), standing(3, 1)])
    assert view.leader == ""
    assert {each.leader for each in view.members} == {"1"}


def test_a_learner_is_called_so() -> None:
    view = etcd_picture([standing(1, 1), standing(2, 1, learner=True)])
    assert view.members[1].role == "learner"


def test_status_shows_the_engine_and_each_member_in_etcdctls_columns() -> None:
    view = etcd_picture([standing(1, 1), standing(2, 1), Standing("master-3", is_there=True)])
    lines = list(render_raft(LabSnapshot(store=view)))
    assert lines[0].startswith("etcd 3.4.23: 3 ")
    assert lines[2].split() == ["MEMBER", "ROLE", "TERM", "LEADER", "INDEX", "APPLIED", "DB", "SIZE", "HEARS"]
    assert lines[3].split() == ["master-1", "leader", "4", "master-1", "168", "167", "274", "kB", "master-2"]
    assert lines[5].split()[0] == "master-3"
    assert not any("INDEX   TERM" in line for line in lines)
