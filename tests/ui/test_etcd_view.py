"""A real etcd in the Raft view: leader, term and who hears whom as for the lab's own store, and no votes and
logs, of which it does not tell."""

from dataclasses import replace

from kubelab.cluster.lab.etcd_picture import etcd_picture
from kubelab.cluster.lab.snapshot import LabSnapshot, MachineView, StoreView
from kubelab.cluster.store.etcd_status import Standing
from kubelab.cluster.store.service import MemberStatus
from kubelab.ui.cluster_picture import cluster_picture
from kubelab.ui.raft_news import raft_news
from kubelab.ui.raft_picture import raft_picture, tells

NAMES = ("master-1", "master-2", "master-3")


def etcd(leader: int, term: int, *, silent: int = 0) -> StoreView:
    def standing(number: int) -> Standing:
        status = MemberStatus(number, "3.4.23", 274_432, 8192, leader, term, 168, 168)
        return Standing(f"master-{number}", None if number == silent else status, is_there=True)

    return etcd_picture([standing(number) for number in (1, 2, 3)])


def drawn(view: StoreView, height: int) -> str:
    lines = raft_picture(view, 120, height, "en")
    return "\n".join("".join(text for text, _ in line) for line in lines)


def test_boxes_and_table_show_the_engine_and_the_leader() -> None:
    for height in (14, 6):
        picture = drawn(etcd(2, 4), height)
        assert tells(etcd(2, 4))
        assert "etcd 3.4.23" in picture
        assert "★ master-2" in picture


def test_a_box_has_the_databases_size_where_a_vote_would_be() -> None:
    picture = drawn(etcd(2, 4), 14)
    assert "db 274 kB" in picture
    assert "voted" not in picture


def test_an_election_is_told_without_its_votes() -> None:
    told = [text.en for text in raft_news(etcd(2, 4), etcd(3, 5, silent=2))]
    assert "term 5: master-3 leads" in told
    assert "master-2 leads no more" in told


def test_masters_of_an_etcd_elsewhere_are_not_dead_for_being_no_members() -> None:
    machines = tuple(MachineView(name, "master", "10.89.0.11", 1, ()) for name in NAMES)
    elsewhere = etcd(1, 2)
    elsewhere = replace(
        elsewhere, names=("one",), members=(replace(elsewhere.members[0], name="one"),), leader="one"
    )
    lines = cluster_picture(LabSnapshot(machines, store=elsewhere), 78, 12, "en")
    assert not any("✗" in text for line in lines for text, _ in line)
