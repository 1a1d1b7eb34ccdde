"""A learner's first minutes in a real terminal: open the app and a lesson, type, see the step pass, quit."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from terminal_program import DOWN, ENTER, F2, F3, F5, F10, Terminal

from kubelab.cluster.linux.journal import remains
from kubelab.lessons.catalog import Catalog

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]

ENGLISH = (sys.executable, "-m", "kubelab", "--lang", "en")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "lab"


@pytest.fixture
def terminal(place: Path) -> Iterator[Terminal]:
    terminal = Terminal(place, ENGLISH)
    try:
        yield terminal
    finally:
        terminal.child.close(force=True)


def journal_copy(place: Path) -> Path:
    return Path(shutil.copy(place / "journal", place.with_suffix(".journal")))


def test_from_the_start_to_a_passed_step_and_out_again(terminal: Terminal, place: Path) -> None:
    terminal.wait("Start", "A tour of the lab", "Ready")
    journal = journal_copy(place)
    terminal.type(ENTER)
    terminal.wait("Step 1 of 5", "root@")
    terminal.type(F3)
    terminal.wait("Hint")
    terminal.type("./doctor | tee report.txt", ENTER)
    terminal.wait("Step passed")
    terminal.type(F5)
    terminal.wait("Step 2 of 5")
    terminal.type(F10)
    terminal.wait("1 of 5 steps")
    terminal.type(F10)
    assert terminal.wait_for_end() == 0
    assert remains(journal) == ()


def test_the_language_changes_on_the_spot_and_progress_is_kept(terminal: Terminal, place: Path) -> None:
    terminal.wait("A tour of the lab", "Ready")
    terminal.type(F2)
    terminal.wait("Un primer paseo")
    terminal.type(ENTER)
    terminal.wait("Paso 1 de 5", "root@")
    terminal.type("./doctor | tee report.txt", ENTER)
    terminal.wait("Paso superado")
    terminal.child.kill(signal.SIGKILL)
    terminal.wait_for_end()
    again = Terminal(place, ENGLISH)
    try:
        again.wait("1 of 5 steps", "Ready")  # So what the killed one left has been taken away.
        again.child.kill(signal.SIGTERM)
        again.wait_for_end()
    finally:
        again.child.close(force=True)
    assert sorted(left.name for left in place.iterdir()) == ["lock", "masters"]


def test_a_pod_applied_in_the_lessons_shell_passes_its_step(terminal: Terminal) -> None:
    terminal.wait("A tour of the lab", "Ready")
    before = [lesson.id for lesson in Catalog.load().lessons()].index("workloads/01-pod")
    terminal.type(*[DOWN] * before, ENTER)
    terminal.wait("Step 1 of 4", "root@minion-1")
    terminal.type("kubectl apply -f pod.yaml", ENTER)
    terminal.wait("Step passed")
    terminal.type(F10)
    terminal.wait("1 of 4 steps")
    terminal.type(F10)
    assert terminal.wait_for_end() == 0


def test_a_terminal_that_is_none_is_refused_in_one_sentence(place: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "kubelab"],
        env={**os.environ, "KUBELAB_DIR": str(place), "KUBELAB_LANG": "en"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert (said.returncode, said.stderr) == (
        1,
        "kubelab: The app needs a terminal: run `kubelab` in one, or `kubelab up` for the lab alone.\n",
    )
