"""A learner's first minutes in a real terminal: open the app and a lesson, type, see the step pass, quit."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from kubelab.cluster.linux.journal import remains
from kubelab.ui.emulator import Emulator

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]

ROWS, COLUMNS = 40, 140
PATIENCE_S = 30
ENTER, DOWN = "\r", "\x1b[B"
F2, F3, F5, F10 = "\x1bOQ", "\x1bOR", "\x1b[15~", "\x1b[21~"


class Terminal:
    """The program on a pty, and what its screen shows."""

    def __init__(self, place: Path, *options: str) -> None:
        environment = {
            **os.environ,
            "KUBELAB_DIR": str(place),
            "XDG_STATE_HOME": str(place.with_suffix(".state")),
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
        }
        self.child = pexpect.spawn(
            sys.executable,
            ["-m", "kubelab", *options],
            env=environment,
            dimensions=(ROWS, COLUMNS),
            timeout=PATIENCE_S,
        )
        self._screen = Emulator(COLUMNS, ROWS, lambda reply: None)

    def type(self, *keys: str) -> None:
        for key in keys:
            self.child.send(key)

    def wait(self, *words: str) -> str:
        """Wait until the screen shows all *words*; return it."""
        return self._until(lambda screen: all(word in screen for word in words), f"see {words}")

    def wait_without(self, word: str) -> str:
        return self._until(lambda screen: word not in screen, f"no longer see {word!r}")

    def wait_for_end(self) -> int:
        self.child.expect(pexpect.EOF)
        self.child.close()
        return self.child.exitstatus if self.child.exitstatus is not None else -(self.child.signalstatus or 0)

    def _until(self, reached: Callable[[str], bool], what: str) -> str:
        deadline_s = time.monotonic() + PATIENCE_S
        while not reached(self._screen.text()):
            try:
                self._screen.feed(self.child.read_nonblocking(65536, timeout=0.5))
            except pexpect.TIMEOUT:
                pass
            except pexpect.EOF:
                pytest.fail(f"it ended; wanted to {what}:\n{self._screen.text()}")
            if time.monotonic() > deadline_s:
                pytest.fail(f"waited in vain to {what}:\n{self._screen.text()}")
        return self._screen.text()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "lab"


@pytest.fixture
def terminal(place: Path) -> Iterator[Terminal]:
    terminal = Terminal(place, "--lang", "en")
    try:
        yield terminal
    finally:
        terminal.child.close(force=True)


def journal_copy(place: Path) -> Path:
    return Path(shutil.copy(place / "journal", place.with_suffix(".journal")))


def test_from_the_start_to_a_passed_step_and_out_again(terminal: Terminal, place: Path) -> None:
    terminal.wait("Containers by hand", "The PID namespace", "Ready")
    journal = journal_copy(place)
    terminal.type(ENTER)
    terminal.wait("Step 1 of 4", "root@")
    terminal.type(F3)
    terminal.wait("Hint")
    terminal.type("unshare --pid --fork bash", ENTER)
    terminal.wait("Step passed")
    terminal.type(F5)
    terminal.wait("Step 2 of 4")
    terminal.type(F10)
    terminal.wait("1 of 4 steps")
    terminal.type(F10)
    assert terminal.wait_for_end() == 0
    assert remains(journal) == ()


def test_the_language_changes_on_the_spot_and_progress_is_kept(terminal: Terminal, place: Path) -> None:
    terminal.wait("Containers by hand", "Ready")
    terminal.type(F2)
    terminal.wait("Contenedores a mano")
    terminal.type(ENTER)
    terminal.wait("Paso 1 de 4", "root@")
    terminal.type("unshare --pid --fork bash", ENTER)
    terminal.wait("Paso superado")
    terminal.child.kill(signal.SIGKILL)
    terminal.wait_for_end()
    again = Terminal(place, "--lang", "en")
    try:
        again.wait("1 of 4 steps")
        again.child.kill(signal.SIGTERM)
        again.wait_for_end()
    finally:
        again.child.close(force=True)
    assert [left.name for left in place.iterdir()] == ["lock"]


def test_a_pod_applied_in_the_lessons_shell_passes_its_step(terminal: Terminal) -> None:
    terminal.wait("Workloads", "Ready")
    terminal.type(DOWN, ENTER)
    terminal.wait("Step 1 of 4", "root@minion-1")
    terminal.type("kubectl apply -f pod.yaml", ENTER)
    terminal.wait("Step passed")
    terminal.type(F10, F10)
    assert terminal.wait_for_end() == 0


def test_a_terminal_that_is_none_is_refused_in_one_sentence(place: Path) -> None:
    import subprocess

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
