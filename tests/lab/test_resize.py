"""A cluster that is there gets other masters: what was written stays, and the new ones are as good as the
first. The members' own changes, and a kill in the midst of them: tests/store/test_membership.py.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from lab_program import RunningLab, running, until

from kubelab.cluster.lab.control import ControlClient
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.faults import Order
from kubelab.cluster.lab.shape import Shape, write
from kubelab.cluster.lab.stopped_store import restore_lab
from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.requests import Put

pytestmark = pytest.mark.root

KEPT = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {
        "name": "kept",
        "namespace": "default",
        "uid": "6a0e7a40-1111-4c1d-8a40-4c2f5b3f8e11",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    },
    "data": {"from": "the cluster's earlier life"},
}


def earlier_life(place: Path, masters: int) -> LabDirectory:
    """Leave what a lab of so many masters would have, with one object in its store."""
    directory, mvcc = LabDirectory(place), Mvcc()
    write(directory.shape, Shape(masters, "raft"))
    mvcc.apply(Put(b"/registry/configmaps/default/kept", msgspec.json.encode(KEPT)))
    restore_lab(directory, mvcc, force=False)
    return directory


def has_kept(lab: RunningLab) -> bool:
    return bool(lab.json("get", "configmap", "kept")["data"] == KEPT["data"])


def roles_of(lab: RunningLab) -> Sequence[str]:
    return sorted(member.role for member in lab.store().members)


def standing(lab: RunningLab) -> tuple[Sequence[str], str, bool]:
    view = lab.store()
    return view.names, view.leader, view.quorum


def test_one_master_becomes_three_and_may_die(short_path: Path) -> None:
    directory = earlier_life(short_path / "lab", masters=1)
    with running(directory.path, "--masters", "3", "--minions", "1") as lab:
        until(lambda: roles_of(lab) == ["follower", "follower", "leader"])
        assert has_kept(lab)
        with ControlClient.connect(directory.control) as client:
            client.fault(Order("kill", "master-1"))
        until(lambda: lab.store().leader in ("master-2", "master-3"))
        assert has_kept(lab)
        lab.kubectl("create", "configmap", "without-the-first")
    assert json.loads(directory.shape.read_bytes()) == json.loads(msgspec.json.encode(Shape(3, "raft")))


def test_three_masters_become_one_and_nothing_of_the_others_stays(short_path: Path) -> None:
    directory = earlier_life(short_path / "lab", masters=3)
    with running(directory.path, "--masters", "1", "--minions", "1") as lab:
        assert has_kept(lab)
        lab.kubectl("create", "configmap", "written-alone")
        until(lambda: standing(lab) == (("master-1",), "master-1", True))
        assert "master-2" not in lab.run("status")
    assert sorted(path.name for path in directory.masters.iterdir()) == ["cluster.json", "master-1", "pki"]
    assert not list(directory.pki.rglob("*master-2*"))
