"""The program on a real terminal, as a person sits before it."""

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pexpect
import psutil
import pytest

from kubelab.ui.emulator import Emulator

ROWS, COLUMNS = 40, 140
PATIENCE_S = 45
ENTER, DOWN = "\r", "\x1b[B"
F2, F3, F5, F10 = "\x1bOQ", "\x1bOR", "\x1b[15~", "\x1b[21~"


class Terminal:
    """The program on a pty, and what its screen shows."""

    def __init__(self, place: Path, command: Sequence[str]) -> None:
        environment = {
            **os.environ,
            "KUBELAB_DIR": str(place),
            "XDG_STATE_HOME": str(place.with_suffix(".state")),
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
        }
        program, *arguments = command
        self.child = pexpect.spawn(
            program,
            arguments,
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
                pytest.fail(f"waited in vain to {what}:\n{self._screen.text()}\n{self._processes()}")
        return self._screen.text()

    def _processes(self) -> str:
        """Return what runs below the program, and what each waits for in the kernel."""
        below = [psutil.Process(self.child.pid), *psutil.Process(self.child.pid).children(recursive=True)]
        wanted = ",".join(str(each.pid) for each in below)
        columns = "pid,ppid,stat,wchan:24,etimes,args"
        return subprocess.run(["ps", "-o", columns, "-p", wanted], capture_output=True, text=True).stdout
