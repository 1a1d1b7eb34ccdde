"""Faults break a running lab for real; each is taken back by its opposite, and none of them stays."""

import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from lab_program import RunningLab, kubelab, running, until

from kubelab.cluster.errors import LabError
from kubelab.cluster.lab.control import ControlClient
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.faults import Action, Fault, Order
from kubelab.cluster.linux.journal import remains
from kubelab.language import Text

pytestmark = pytest.mark.root


@pytest.fixture(scope="module", autouse=True)
def broken(lab: RunningLab) -> Iterator[None]:
    """Leave the lab broken at the end: its fixture sees to it that nothing of it stays."""
    yield
    break_(lab)


@pytest.fixture(autouse=True)
def healed(lab: RunningLab) -> Iterator[None]:
    yield
    assert do(lab, "heal-all") == ()


def do(
    lab: RunningLab, action: Action, machine: str = "", target: str = "", **more: Any
) -> tuple[Fault, ...]:
    """Do what `kubelab fault ACTION` does; return the faults that are on then."""
    with ControlClient.connect(LabDirectory(lab.place).control) as client:
        return client.fault(Order(action, machine, target, **more))


def break_(lab: RunningLab) -> None:
    do(lab, "cut", "minion-1")
    do(lab, "cut", "minion-1", "master-1")
    do(lab, "slow", "minion-1", rate_bits_per_s=10_000_000)
    do(lab, "kill", "minion-1")
    do(lab, "stop", "master-1")


def reaches(lab: RunningLab, machine: str, other: str) -> bool:
    """Ask once, and not for long: that it does, is to be waited for."""
    said = lab.run("shell", machine, "ping", "-c1", "-W0.3", other, code=None)
    return " 0% packet loss" in said


def test_two_machines_are_parted_and_both_still_reach_the_third(lab: RunningLab) -> None:
    until(lambda: reaches(lab, "minion-1", "minion-2"))
    assert do(lab, "cut", "minion-1", "minion-2") == (Fault("cut", "minion-1", "minion-2"),)
    assert not reaches(lab, "minion-1", "minion-2")
    until(lambda: reaches(lab, "minion-1", "master-1"))
    assert do(lab, "heal", "minion-2", "minion-1") == ()
    until(lambda: reaches(lab, "minion-1", "minion-2"))


def test_a_cable_stays_as_it_is_over_a_restart(lab: RunningLab) -> None:
    do(lab, "cut", "minion-2")
    do(lab, "drop", "minion-2", loss=0.25)
    faults = do(lab, "slow", "minion-2", rate_bits_per_s=10_000_000)
    assert do(lab, "restart", "minion-2") == faults
    assert not reaches(lab, "minion-1", "minion-2")
    assert do(lab, "heal", "minion-2") == ()
    until(lambda: reaches(lab, "minion-1", "minion-2"))


def test_the_command_line_says_what_is_broken(lab: RunningLab) -> None:
    lab.run("fault", "drop", "minion-2", "--loss", "25%")
    lab.run("fault", "slow", "minion-2", "--rate", "10mbit")
    assert lab.run("fault", "kill", "minion-1").splitlines() == [
        "FAULT   MACHINE    TARGET   DETAILS",
        "slow    minion-2   -        rate 10mbit",
        "drop    minion-2   -        loss 25%",
        "kill    minion-1   -        -",
    ]
    assert lab.run("fault", "heal", "--all") == "Nothing is broken.\n"
    refused = lab.run("fault", "cut", "x", code=1)
    assert refused == (
        "kubelab: There is no machine x to do that to: choose one of master-1, minion-1, minion-2.\n"
    )


def test_a_stopped_api_server_takes_connections_and_answers_when_it_goes_on(lab: RunningLab) -> None:
    stopped = do(lab, "stop", "master-1", "kube-apiserver")
    assert stopped == (Fault("stop", "master-1", "kube-apiserver"),)
    said = lab.kubectl("get", "nodes", "--request-timeout=1s", code=1)
    assert "refused" not in said
    assert do(lab, "resume", "master-1", "kube-apiserver") == ()
    until(lambda: lab.can("kubectl", "get", "nodes"))


def test_a_killed_component_is_gone_until_it_is_restarted(lab: RunningLab) -> None:
    assert do(lab, "kill", "minion-1", "kubelet") == (Fault("kill", "minion-1", "kubelet"),)
    assert do(lab, "restart", "minion-1", "kubelet") == ()


def test_a_machine_without_power_is_gone_until_it_is_restarted(lab: RunningLab) -> None:
    assert do(lab, "kill", "minion-2") == (Fault("kill", "minion-2"),)
    assert "minion-2   minion" not in lab.run("status")
    with pytest.raises(LabError, match="kubelab fault restart minion-2"):
        do(lab, "stop", "minion-2")
    assert do(lab, "restart", "minion-2") == ()
    assert "minion-2   minion" in lab.run("status")


def test_a_skewed_clock_is_what_the_machines_components_write(lab: RunningLab) -> None:
    def renewed() -> datetime:
        lease = lab.json("get", "lease", "-n", "kube-node-lease", "minion-1")
        return datetime.fromisoformat(lease["spec"]["renewTime"])

    assert do(lab, "skew", "minion-1", by_s=7200.0) == (Fault("skew", "minion-1", "", "by +7200s"),)
    do(lab, "restart", "minion-1", "kubelet")  # It renews its lease first of all.
    until(lambda: renewed() - datetime.now(UTC) > timedelta(hours=1))
    assert do(lab, "skew", "minion-1", by_s=0.0) == ()


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (Order("cut", "minion-1", "minion-1"), r"machine minion-1 .* choose one of master-1, minion-2\."),
        (Order("kill", "x"), r"no machine x .* choose one of master-1, minion-1, minion-2\."),
        (Order("stop", "minion-1", "etcd"), r"no component etcd on minion-1: choose one of kubelet\."),
        (Order("slow", "minion-1"), r"Say how slow: --delay 50ms"),
        (Order("slow", "minion-1", delay_s=1, jitter_s=2), r"Say how slow: --delay 50ms"),
        (Order("drop", "minion-1"), r"Say which share to lose"),
    ],
)
def test_what_cannot_be_done_is_answered_in_one_sentence(lab: RunningLab, order: Order, said: str) -> None:
    with (
        ControlClient.connect(LabDirectory(lab.place).control) as client,
        pytest.raises(LabError) as refused,
    ):
        client.fault(order)
    assert isinstance(refused.value.sentence, Text)
    assert re.search(said, refused.value.sentence.en)
    assert refused.value.sentence.es != refused.value.sentence.en


def test_nothing_stays_of_them_when_the_lab_is_killed(tmp_path: Path) -> None:
    with running(tmp_path / "lab", "--minions", "1") as other:
        journal = other.journal_copy()
        break_(other)
        other.end(signal.SIGKILL)
    assert kubelab(other.place, "clean").returncode == 0
    assert remains(journal) == ()
