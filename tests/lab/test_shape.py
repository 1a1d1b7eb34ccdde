"""What of a cluster stays is written down; what it is on its way to be as well, until it is that."""

from pathlib import Path

import pytest

from kubelab.cluster.errors import LabError
from kubelab.cluster.lab.config import LabConfig
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.shape import Shape, settle, write


@pytest.fixture
def directory(tmp_path: Path) -> LabDirectory:
    """Return the place of a cluster that has come up."""
    directory = LabDirectory(tmp_path)
    (directory.masters / "master-1" / "member" / "wal").mkdir(parents=True)
    return directory


def asked(directory: LabDirectory, masters: int | None = None) -> Shape:
    return settle(directory.shape, LabConfig(directory=directory, masters=masters))


def test_a_new_cluster_is_as_it_is_asked_for_and_stays_so(tmp_path: Path) -> None:
    directory = LabDirectory(tmp_path)
    assert asked(directory, 3) == asked(directory) == asked(directory, 3) == Shape(3, "raft")


def test_a_change_is_under_way_until_it_is_done(directory: LabDirectory) -> None:
    write(directory.shape, Shape(1, "raft"))
    assert asked(directory, 3) == asked(directory) == Shape(1, "raft", becoming=3)
    assert asked(directory).span == 3


def test_who_changes_their_mind_in_the_midst_loses_sight_of_nobody(directory: LabDirectory) -> None:
    write(directory.shape, Shape(3, "raft", becoming=5))
    assert asked(directory, 1) == Shape(5, "raft", becoming=1)
    assert asked(directory, 3) == Shape(5, "raft", becoming=3)


def test_a_lost_disk_is_replaced_until_that_is_done(directory: LabDirectory) -> None:
    write(directory.shape, Shape(3, "raft", has_run=True).towards(3))
    assert asked(directory) == asked(directory, 3) == Shape(3, "raft", becoming=3, has_run=True)


def test_that_it_has_run_is_not_forgotten(directory: LabDirectory) -> None:
    write(directory.shape, Shape(1, "raft", has_run=True))
    assert asked(directory, 3) == Shape(1, "raft", becoming=3, has_run=True)


MASTERS = ("master-1", "master-2", "master-3")


def without(*names: str) -> dict[str, bool]:
    return {name: name not in names for name in MASTERS}


def test_a_member_without_data_has_lost_it_if_the_cluster_has_run() -> None:
    assert Shape(3, "raft", has_run=True).lost(without("master-2")) == ["master-2"]
    assert Shape(3, "raft", has_run=True).lost(without()) == []
    assert Shape(3, "raft").lost(without(*MASTERS)) == []


@pytest.mark.parametrize("becoming", [0, 3])
def test_a_cluster_all_of_whose_disks_are_lost_does_not_begin_anew_in_silence(becoming: int) -> None:
    shape = Shape(1, "raft", has_run=True, becoming=becoming)
    names = MASTERS[: shape.span]
    with pytest.raises(LabError, match="snapshot restore FILE --force") as refused:
        shape.lost(dict.fromkeys(names, False))
    assert "master-2" not in str(refused.value)  # It has never had anything.


def test_to_ask_for_other_masters_does_not_hide_that_the_disks_are_lost(tmp_path: Path) -> None:
    directory = LabDirectory(tmp_path)
    write(directory.shape, Shape(1, "raft", has_run=True))
    assert asked(directory, 3) == Shape(1, "raft", becoming=3, has_run=True)


def test_nobody_is_replaced_without_a_majority() -> None:
    with pytest.raises(LabError, match="master-1, master-3"):
        Shape(3, "raft", has_run=True).lost(without("master-1", "master-3"))


def test_who_is_new_has_lost_nothing() -> None:
    assert Shape(1, "raft", has_run=True, becoming=3).lost(without("master-2", "master-3")) == []


def test_an_etcd_elsewhere_loses_no_disk_of_ours() -> None:
    assert Shape(3, "https://127.0.0.1:2379", has_run=True).lost({}) == []


def test_a_cluster_that_never_came_up_has_nobody_to_ask(tmp_path: Path) -> None:
    directory = LabDirectory(tmp_path)
    write(directory.shape, Shape(3, "raft"))
    assert asked(directory, 1) == Shape(1, "raft")


def test_masters_of_an_etcd_elsewhere_have_nothing_to_change(directory: LabDirectory) -> None:
    write(directory.shape, Shape(1, "https://127.0.0.1:2379"))
    assert asked(directory, 3) == Shape(3, "https://127.0.0.1:2379")


def test_a_cluster_keeps_its_store(directory: LabDirectory) -> None:
    write(directory.shape, Shape(1, "raft"))
    with pytest.raises(LabError, match="--fresh"):
        settle(directory.shape, LabConfig(directory=directory, store="etcd"))


def test_what_an_earlier_version_wrote_is_understood(directory: LabDirectory) -> None:
    directory.shape.write_text('{"masters": 3, "store": "etcd", "version": 1}')
    assert asked(directory) == Shape(3, "etcd")
