"""When a machine dies the lab does not: its kubelet ends, the others go on, and quitting stays clean."""

import json
import os
import signal
import socket
from pathlib import Path

import pytest
from lab_program import RunningLab, running, until

from kubelab.cluster.linux.journal import remains
from kubelab.cluster.linux.processes import command_of

pytestmark = pytest.mark.root


def init_of(lab: RunningLab, machine: str) -> int:
    entries = [json.loads(line) for line in (lab.place / "journal").read_text().splitlines()]
    pids = (entry["pid"] for entry in entries if entry["kind"] == "process")
    return next(pid for pid in pids if command_of(pid) == f"kubelab-init {machine}")


def test_the_death_of_a_machine(tmp_path: Path) -> None:
    with running(tmp_path / "lab") as lab:
        lab.kubectl("create", "deployment", "web", "--image=kubelab/shell", "--replicas=2")
        lab.kubectl("wait", "--for=condition=Available", "deployment/web", "--timeout=40s")
        addresses = {node["metadata"]["name"]: node["status"]["addresses"] for node in nodes(lab)}
        journal = lab.journal_copy()
        os.kill(init_of(lab, "minion-1"), signal.SIGKILL)
        assert "minion-1 is gone: its init process has ended" in lab.run("shell", "minion-1", "true", code=1)
        assert lab.run("shell", "minion-2", "echo", "here") == "here\n"
        # Its kubelet says nothing any more: 40 s later the node is NotReady.
        dead, alive = (address_of(addresses[name]) for name in ("minion-1", "minion-2"))
        until(lambda: is_refused(dead, 10250))
        assert not is_refused(alive, 10250)
        assert lab.end() == ""
    assert lab.process.returncode == 0
    assert remains(journal) == ()


def is_refused(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=20):
            return False
    except ConnectionRefusedError:
        return True


def nodes(lab: RunningLab) -> list[dict]:
    return lab.json("get", "nodes")["items"]


def address_of(addresses: list[dict[str, str]]) -> str:
    return next(each["address"] for each in addresses if each["type"] == "InternalIP")
