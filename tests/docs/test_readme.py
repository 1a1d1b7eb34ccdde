"""What the README tells people to type works as it stands there."""

import os
import re
import signal
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from lab_program import TIMEOUT_S, environment, running
from terminal_program import F10, Terminal

from kubelab.lessons.catalog import Catalog

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


ENDLESS = (["up"], ["api", "watch"], ["clean"])  # `clean` ends itself, but not beside a lab.


def commands() -> list[str]:
    """Return the command lines of all console blocks, without their comments."""
    blocks = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    return [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]


def test_every_picture_and_path_that_it_names_is_there() -> None:
    named = re.findall(r"\]\(([\w./-]+)\)", README) + re.findall(r"^\| `([\w./-]+)` \|", README, re.MULTILINE)
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_make_lab_opens_the_app(tmp_path: Path) -> None:
    assert "make lab" in commands()
    terminal = Terminal(tmp_path / "lab", ["make", "-C", str(ROOT), "lab"])
    try:
        terminal.wait(Catalog.load().lesson("start/01-tour").title.en, "Ready")
        terminal.type(F10)
        assert terminal.wait_for_end() == 0
    finally:
        terminal.child.close(force=True)


def test_the_commands_beside_a_running_lab(tmp_path: Path) -> None:
    """All that begin with `kubelab`, in their order; `up` is the lab itself, `clean` needs its end."""
    place = tmp_path / "lab"
    listed = [command.split()[1:] for command in commands() if command.startswith("kubelab ")]
    assert ["up"] in listed
    with running(place):
        assert "kubectl" in first_request(place)
        said = {tuple(words): run(place, words) for words in listed if words not in ENDLESS}
    said[("clean",)] = run(place, ["clean"])
    assert {words: output for words, (code, output) in said.items() if code} == {}
    assert "minion-2" in said[("status",)][1]


def first_request(place: Path) -> str:
    """Return the first line that `kubelab api watch` says of what kubectl asks."""
    assert ["api", "watch"] in ENDLESS
    watch = [sys.executable, "-m", "kubelab", "api", "watch", "--people"]
    with subprocess.Popen(watch, env=environment(place), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()  # The header: from now on it listens.
        run(place, ["kubectl", "get", "nodes"])
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
    return line


def run(place: Path, words: list[str]) -> tuple[int, str]:
    once = ["--runs", "1"] if words == ["bench"] else []  # That it measures is enough.
    done = subprocess.run(
        [sys.executable, "-m", "kubelab", *words, *once],
        env=environment(place),
        cwd=place.parent,  # Where a command that makes a file may leave it.
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=4 * TIMEOUT_S,
    )
    return done.returncode, done.stdout


def test_pip_install_is_enough(tmp_path: Path) -> None:
    """In a fresh environment, away from the checkout: the program, its lessons, and `python -m`."""
    assert "`pip install .`" in README
    venv.create(tmp_path / "venv")
    python = tmp_path / "venv/bin/python"
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile", ROOT]
    subprocess.run(pip, check=True, env=clean | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}, timeout=240)
    for program in ([tmp_path / "venv/bin/kubelab"], [python, "-m", "kubelab"]):
        listed = subprocess.run(
            [*program, "lesson", "list"],
            check=True,
            cwd=tmp_path,
            env=clean | {"XDG_STATE_HOME": str(tmp_path)},
            text=True,
            stdout=subprocess.PIPE,
        )
        assert "containers/07-pid" in listed.stdout
