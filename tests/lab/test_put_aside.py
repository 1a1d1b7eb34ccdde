"""A store that a restored one has taken the place of is kept, the newest one, until it is asked to go."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from kubelab.cli.command_line import kubelab_command
from kubelab.cluster.errors import LabError
from kubelab.cluster.lab.config import LabConfig
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.shape import Shape, settle, write
from kubelab.cluster.lab.stopped_store import member_directories, replace_member, restore_lab
from kubelab.cluster.store.member_restore import stopped_store
from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.requests import Put


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabDirectory:
    """Return the place of a lab that was restored three times."""
    monkeypatch.setenv("KUBELAB_DIR", str(tmp_path / "lab"))
    monkeypatch.setenv("KUBELAB_LANG", "en")
    directory = LabDirectory.default()
    write(directory.shape, Shape(3, "raft"))
    for value in (b"first", b"second", b"third"):
        mvcc = Mvcc()
        mvcc.apply(Put(b"key", value))
        restore_lab(directory, mvcc, force=True)
    return directory


def value_in(path: Path) -> bytes:
    found = stopped_store([path]).get(b"key")
    assert found is not None
    return found.value


def aside(directory: LabDirectory) -> list[Path]:
    return sorted(directory.masters.glob("*/*.before*"))


def test_the_newest_one_is_kept(directory: LabDirectory) -> None:
    for path in member_directories(directory).values():
        assert value_in(path) == b"third"
        assert value_in(path.with_name("member.before")) == b"second"
    assert len(aside(directory)) == 3


def test_clean_takes_it_and_leaves_the_store(directory: LabDirectory) -> None:
    taken = CliRunner().invoke(kubelab_command, ["clean"])
    assert taken.exit_code == 0
    assert all(f"{path}/member.before" in taken.output for path in directory.masters.glob("master-*"))
    assert not aside(directory)
    assert {value_in(path) for path in member_directories(directory).values()} == {b"third"}


def test_clean_all_takes_everything(directory: LabDirectory) -> None:
    assert CliRunner().invoke(kubelab_command, ["clean", "--all"]).exit_code == 0
    assert not directory.masters.exists()


def test_a_member_is_replaced_only_if_the_others_are_a_majority(directory: LabDirectory) -> None:
    members = member_directories(directory)
    replace_member(directory, "master-2")
    assert not members["master-2"].exists()
    assert value_in(members["master-2"].with_name("member.before")) == b"third"
    assert settle(directory.shape, LabConfig(directory=directory)).has_run
    with pytest.raises(LabError, match="no majority"):
        replace_member(directory, "master-3")
    with pytest.raises(LabError, match="master-1, master-2, master-3"):
        replace_member(directory, "master-4")
