"""A lab as its users have it: the program itself, in a process of its own, and everything else through it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubelab.cluster.lab.control import ControlClient
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.snapshot import StoreView

TIMEOUT_S = 50  # Of a busy machine's; a lab takes a second to come up.


@dataclass
class RunningLab:
    """`kubelab up` in a place of its own; `run` calls the command line beside it. `prefix`: words before
    every command, as whom it is run."""

    place: Path
    process: subprocess.Popen[str]
    prefix: tuple[str, ...] = ()

    def run(self, *arguments: str, stdin: str | None = None, code: int | None = 0) -> str:
        """Run `kubelab ARGUMENTS`; return what it printed, errors included."""
        done = kubelab(self.place, *arguments, stdin=stdin, prefix=self.prefix)
        assert code is None or done.returncode == code, done.stdout
        return done.stdout

    def kubectl(self, *arguments: str, stdin: str | None = None, code: int | None = 0) -> str:
        return self.run("kubectl", *arguments, stdin=stdin, code=code)

    def can(self, *arguments: str) -> bool:
        """Tell whether `kubelab ARGUMENTS` is done without complaint."""
        return kubelab(self.place, *arguments, prefix=self.prefix).returncode == 0

    def json(self, *arguments: str) -> Any:
        return json.loads(self.kubectl(*arguments, "-o", "json"))

    def store(self) -> StoreView:
        """Return what the lab knows of its store's members."""
        with ControlClient.connect(LabDirectory(self.place).control) as client:
            store = client.status().store
        assert store is not None
        return store

    def journal_copy(self) -> Path:
        """Return a copy of the journal, which tells later what of it is still there."""
        return Path(shutil.copy(self.place / "journal", self.place.with_suffix(".journal")))

    def end(self, number: int = signal.SIGTERM) -> str:
        """Send the signal; return what the program still said."""
        self.process.send_signal(number)
        return self.process.communicate(timeout=TIMEOUT_S)[0]


def kubelab(
    place: Path, *arguments: str, stdin: str | None = None, prefix: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, *command(*arguments)],
        env=environment(place),
        input=stdin or "",
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT_S,
    )


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "kubelab", *arguments]


def environment(place: Path) -> dict[str, str]:
    state = {"XDG_STATE_HOME": str(place.with_suffix(".state")), "HOME": os.environ.get("HOME", "/root")}
    return {**os.environ, **state, "KUBELAB_DIR": str(place), "KUBELAB_LANG": "en", "TERM": "xterm-256color"}


@contextmanager
def running(place: Path, *options: str, prefix: tuple[str, ...] = ()) -> Iterator[RunningLab]:
    """Run a lab; it is ended with the block, if it still runs then."""
    process = subprocess.Popen(
        [*prefix, *command("up", "--quiet", *options)],
        env=environment(place),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    lab = RunningLab(place, process, prefix)
    try:
        assert process.stdout
        ready = process.stdout.readline()
        assert ready.strip() == str(place / "admin.conf"), ready + process.communicate(timeout=TIMEOUT_S)[0]
        yield lab
    finally:
        try:
            if process.poll() is None:
                lab.end()
        finally:
            process.kill()  # If it has not ended as it was told to.
            process.wait()
            if process.stdout:
                process.stdout.close()


def until(holds: Callable[[], object]) -> None:
    """Ask again and again, from outside, until it holds."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
