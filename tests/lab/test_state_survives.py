"""However a lab ends, the next one in its place has the same cluster; `--fresh` begins a new one."""

import json
import signal
from pathlib import Path

import pytest
from lab_program import RunningLab, kubelab, running, until

from kubelab.cluster.linux.journal import remains

pytestmark = pytest.mark.root


def uid(lab: RunningLab, *what: str) -> str:
    return lab.json("get", *what)["metadata"]["uid"]


def pods_of(lab: RunningLab) -> list[dict[str, object]]:
    return json.loads(lab.run("status", "-o", "json"))["pods"]


def test_everything_is_there_again_after_sigkill_and_goes_at_last(tmp_path: Path) -> None:
    place = tmp_path / "lab"
    with running(place, "--minions", "1") as lab:
        lab.kubectl(
            "create", "deployment", "web", "--image=kubelab/shell", "--replicas=2", "--", "sleep", "99"
        )
        lab.kubectl("wait", "--for=condition=Available", "deployment/web", "--timeout=40s")
        before = uid(lab, "deployment", "web")
        token = lab.kubectl("create", "token", "default").strip()
        journal = lab.journal_copy()
        lab.end(signal.SIGKILL)
    assert oct((place / "masters" / "master-1" / "member").stat().st_mode & 0o777) == "0o700"
    with running(place, "--minions", "1") as lab:
        assert uid(lab, "deployment", "web") == before
        # That it was available is in the store, too; that its pods run again is only seen on the machine.
        until(lambda: len([pod for pod in pods_of(lab) if pod["host_pids"]]) == 2)
        lab.kubectl("wait", "--for=condition=Available", "deployment/web", "--timeout=40s")
        lab.kubectl("wait", "--for=condition=Ready", "pod", "-l", "app=web", "--timeout=40s")
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        asked = lab.kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(review))
        assert json.loads(asked)["status"]["authenticated"]
        assert lab.end() == ""
    assert remains(journal) == ()
    assert kubelab(place, "up", "--store", "etcd").stdout.startswith("kubelab: The cluster in")
    with running(place, "--minions", "1", "--fresh") as lab:
        assert "NotFound" in lab.kubectl("get", "deployment", "web", code=1)
