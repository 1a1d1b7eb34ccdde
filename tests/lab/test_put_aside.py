"""A store that a restored one has taken the place of is kept, the newest one, until it is asked to go."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from kubelab.cli.command_line import kubelab_command
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.shape import Shape, write
from kubelab.cluster.lab.stopped_store import member_directories, restore_lab
from kubelab.cluster.store.member_restore import stopped_store
from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.requests import Put


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabDirectory:
    """Return the place of a lab that was restored three times."""
    monkeypatch.setenv("KUBELAB_DIR", str(tmp_path / "lab"))
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
