"""However a lab ends, nothing of it stays, at the latest after the next start or `kubelab clean`."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from host_mounts import host_mounts
from lab_program import RunningLab, kubelab, running

from kubelab.cluster.linux.journal import remains

pytestmark = pytest.mark.root


@contextmanager
def running_with_a_pod(place: Path) -> Iterator[RunningLab]:
    with running(place) as lab:
        lab.kubectl("run", "busy", "--image=kubelab/shell", "--", "sleep", "1000")
        lab.kubectl("wait", "--for=condition=Ready", "pod/busy", "--timeout=40s")
        yield lab


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "lab"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_cleanly(place: Path, number: int) -> None:
    mounts = host_mounts()
    with running_with_a_pod(place) as lab:
        journal = lab.journal_copy()
        assert lab.end(number) == ""
    assert lab.process.returncode == 0
    assert remains(journal) == ()
    assert host_mounts() == mounts
    assert sorted(left.name for left in place.iterdir()) == ["lock", "masters"]


def test_after_sigkill_all_processes_die_and_clean_takes_back_the_rest(place: Path) -> None:
    mounts = host_mounts()
    with running_with_a_pod(place) as lab:
        journal = lab.journal_copy()
        lab.end(signal.SIGKILL)
    said = kubelab(place, "clean")
    assert (said.returncode, "✓ cgroup" in said.stdout) == (0, True), said.stdout
    assert remains(journal) == ()
    assert host_mounts() == mounts
    nothing, stays = kubelab(place, "clean").stdout.splitlines()
    assert nothing == "There was nothing to clean."
    assert stays == f"What the cluster keeps is still in {place}/masters: `kubelab clean --all` removes it."
    assert kubelab(place, "clean", "--all").stdout == f"✓ directory {place}/masters\n"
    assert [left.name for left in place.iterdir()] == ["lock"]


def test_the_next_start_cleans_up_after_a_sigkill(place: Path) -> None:
    with running_with_a_pod(place) as first:
        journal = first.journal_copy()
        first.end(signal.SIGKILL)
    with running(place):
        # What lies in the lab's directory has the same names as the second lab's own by now.
        assert [left for left in remains(journal) if str(place) not in left] == []
    assert remains(journal) == ()


def test_a_second_lab_in_the_same_place_is_refused_in_one_sentence(place: Path) -> None:
    with running(place) as lab:
        refused = kubelab(place, "up")
    assert refused.returncode == 1
    assert refused.stdout.startswith(f"kubelab: A lab is already running (pid {lab.process.pid})")
    assert refused.stdout.count("\n") == 1


def test_an_occupied_port_is_refused_in_one_sentence(place: Path) -> None:
    with socket.socket() as occupant:
        occupant.bind(("127.0.0.1", 0))
        occupant.listen()
        _, port = occupant.getsockname()
        refused = kubelab(place, "up", "--port", str(port))
    assert refused.returncode == 1
    sentence = f"kubelab: Port {port} on 127.0.0.1 is in use: free it, or choose another with --port"
    assert refused.stdout.splitlines()[-1].startswith(sentence)
    assert "Traceback" not in refused.stdout


@pytest.mark.parametrize("command", [["status"], ["shell", "minion-1"], ["kubectl", "get", "pods"]])
def test_without_a_lab_the_other_commands_say_so(place: Path, command: list[str]) -> None:
    said = kubelab(place, *command)
    assert (said.returncode, said.stdout) == (
        1,
        "kubelab: No lab is running: start one with `kubelab` or `kubelab up`.\n",
    )


def test_an_unknown_machine_is_answered_with_those_that_are_there(place: Path) -> None:
    with running(place) as lab:
        said = lab.run("shell", "minion-9", code=1)
    assert said == "kubelab: There is no machine minion-9: choose one of master-1, minion-1, minion-2.\n"
