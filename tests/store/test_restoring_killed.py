"""Whoever is killed while a lab's store is restored leaves the old store, or the new one, on all masters."""

from pathlib import Path

import pytest

from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.shape import Shape, write
from kubelab.cluster.lab.stopped_store import (
    finish_restoring,
    member_directories,
    prepared_at,
    restore_lab,
)
from kubelab.cluster.store.member_restore import stopped_store
from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.requests import Put
from kubelab.cluster.store.wal import identity_of


@pytest.fixture
def directory(tmp_path: Path) -> LabDirectory:
    """Return the place of three members with an old store, and a new one prepared beside each."""
    old, new = LabDirectory(tmp_path / "lab"), LabDirectory(tmp_path / "new")
    for each, value in ((old, b"old"), (new, b"new")):
        mvcc = Mvcc()
        mvcc.apply(Put(b"key", value))
        write(each.shape, Shape(3, "raft"))
        restore_lab(each, mvcc, force=False)
    for name, prepared in member_directories(new).items():
        prepared.rename(prepared_at(old.masters / name / "member"))
    return old


def value_in(directory: LabDirectory) -> bytes:
    found = stopped_store(list(member_directories(directory).values())).get(b"key")
    assert found is not None
    return found.value


def clusters_in(directory: LabDirectory) -> set[int]:
    identities = [identity_of(path / "wal") for path in member_directories(directory).values()]
    return {identity.cluster_id for identity in identities if identity}


def test_what_was_not_prepared_on_all_is_thrown_away(directory: LabDirectory) -> None:
    finish_restoring(directory)
    assert value_in(directory) == b"old"
    assert not list(directory.masters.rglob("*.restored"))


@pytest.mark.parametrize("put_in_place", range(4))
def test_what_was_prepared_on_all_is_put_in_place_on_all(directory: LabDirectory, put_in_place: int) -> None:
    (directory.masters / "restoring").touch()
    before = clusters_in(directory)
    for path in list(member_directories(directory).values())[:put_in_place]:
        path.rename(path.with_name("member.before"))
        prepared_at(path).rename(path)
    finish_restoring(directory)
    assert value_in(directory) == b"new"
    assert len(clusters_in(directory)) == 1
    assert clusters_in(directory).isdisjoint(before)
    finish_restoring(directory)  # There is nothing left to do.
    assert value_in(directory) == b"new"


def test_one_killed_between_the_two_renames_is_finished(directory: LabDirectory) -> None:
    (directory.masters / "restoring").touch()
    first = next(iter(member_directories(directory).values()))
    first.rename(first.with_name("member.before"))
    finish_restoring(directory)
    assert value_in(directory) == b"new"
