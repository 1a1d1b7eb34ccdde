"""A running lab goes back to a snapshot: what was there then is there again, what came later has ended."""

import json
from pathlib import Path

import pytest
from lab_program import RunningLab, running, until
from sleeping import is_running, unlikely_seconds

pytestmark = pytest.mark.root


def deploy(lab: RunningLab, name: str, command: str) -> None:
    """Run *command* under timeout(1), which ends when it is asked to: sleep as pid 1 would not."""
    argv = ["timeout", "9999", *command.split()]
    lab.kubectl("create", "deployment", name, "--image=kubelab/shell", "--", *argv)
    lab.kubectl("wait", "--for=condition=Available", f"deployment/{name}", "--timeout=40s")


def revision_of(lab: RunningLab) -> int:
    return int(json.loads(lab.run("status", "-o", "json"))["revision"])


def test_a_running_lab_goes_back_to_a_snapshot(tmp_path: Path, short_path: Path) -> None:
    early, late = (f"sleep {unlikely_seconds()}" for _ in range(2))
    saved = str(tmp_path / "saved.db")
    with running(short_path / "lab", "--minions", "1", "--masters", "3") as lab:
        deploy(lab, "early", early)
        lab.run("store", "snapshot", "save", saved)
        lab.kubectl("delete", "deployment", "early")
        deploy(lab, "late", late)
        until(lambda: not is_running(early) and is_running(late))
        before = revision_of(lab)
        assert "Go on?" in lab.run("store", "snapshot", "restore", saved, stdin="n\n", code=None)
        lab.kubectl("get", "deployment", "late")
        said = lab.run("store", "snapshot", "restore", saved, "--yes")
        assert "is again what is in" in said
        lab.kubectl("wait", "--for=condition=Available", "deployment/early", "--timeout=40s")
        until(lambda: is_running(early) and not is_running(late))  # The kubelet has begun anew.
        assert "NotFound" in lab.kubectl("get", "deployment", "late", code=1)
        assert revision_of(lab) > before
        deploy(lab, "afterwards", "sleep 99")  # And so have controllers and scheduler.


def test_a_lab_on_a_real_etcd_goes_back_to_a_snapshot(tmp_path: Path, short_path: Path) -> None:
    saved = str(tmp_path / "saved.db")
    with running(short_path / "lab", "--minions", "1", "--store", "etcd") as lab:
        lab.kubectl("create", "configmap", "early")
        until(lambda: lab.can("store", "snapshot", "save", saved))  # Once it was heard how the member is.
        lab.kubectl("delete", "configmap", "early")
        lab.kubectl("create", "configmap", "late")
        before = revision_of(lab)
        assert "is again what is in" in lab.run("store", "snapshot", "restore", saved, "--yes")
        assert lab.kubectl("get", "configmaps", "-o", "name").split()[0] == "configmap/early"
        assert "NotFound" in lab.kubectl("get", "configmap", "late", code=1)
        assert revision_of(lab) > before
        deploy(lab, "afterwards", "sleep 99")  # Kubelet, controllers and scheduler have begun anew.
