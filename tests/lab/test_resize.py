"""A cluster that is there gets other masters: what was written stays, and the new ones are as good as the
first. The members' own changes, and a kill in the midst of them: tests/store/test_membership.py.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from earlier_life import KEPT, earlier_life
from lab_program import RunningLab, running, until

from kubelab.cluster.lab.control import ControlClient
from kubelab.cluster.lab.faults import Order
from kubelab.cluster.lab.shape import Shape

pytestmark = pytest.mark.root


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
    assert json.loads(directory.shape.read_bytes()) == json.loads(
        msgspec.json.encode(Shape(3, "raft", has_run=True))
    )


def test_three_masters_become_one_and_nothing_of_the_others_stays(short_path: Path) -> None:
    directory = earlier_life(short_path / "lab", masters=3)
    with running(directory.path, "--masters", "1", "--minions", "1") as lab:
        assert has_kept(lab)
        lab.kubectl("create", "configmap", "written-alone")
        until(lambda: standing(lab) == (("master-1",), "master-1", True))
        assert "master-2" not in lab.run("status")
    assert sorted(path.name for path in directory.masters.iterdir()) == ["cluster.json", "master-1", "pki"]
    assert not list(directory.pki.rglob("*master-2*"))
