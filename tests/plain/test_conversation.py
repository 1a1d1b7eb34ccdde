"""Plain mode on a real lab: typed on a terminal, and read from a pipe."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from lab_program import command, environment, kubelab

from kubelab.cluster.linux.journal import remains

pytestmark = pytest.mark.root
PATIENCE_S = 50


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "lab"


@pytest.fixture
def terminal(place: Path) -> Iterator[pexpect.spawn]:
    program, *arguments = command("--plain")
    child = pexpect.spawn(
        program,
        arguments,
        env=environment(place),
        dimensions=(40, 100),
        timeout=PATIENCE_S,
        encoding="utf-8",
    )
    try:
        yield child
    finally:
        child.close(force=True)


def piped(place: Path, *words: str, lines: str) -> str:
    """Run plain mode with *lines* as its input, on a dumb terminal that is none; return what it said."""
    done = subprocess.run(
        command("--plain", *words),
        env=environment(place) | {"TERM": "dumb"},
        input=lines,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout
    assert sorted(left.name for left in place.iterdir()) == ["lock", "masters"]
    assert not any(mark in done.stdout for mark in ("\x1b", "\r", "\u2502")), ascii(done.stdout)
    return done.stdout


def test_a_learner_goes_from_the_list_through_a_step_and_out(terminal: pexpect.spawn, place: Path) -> None:
    terminal.expect(r"\d+. The PID namespace: 0 of 4 steps passed")
    journal = Path(shutil.copy(place / "journal", place.with_suffix(".journal")))
    terminal.expect("kubelab> ")
    terminal.sendline("pid")
    terminal.expect("Step 1 of 4: Become PID 1")
    terminal.expect(r"root@[a-z]+:~/pid# ")
    terminal.send(":hint\r")
    terminal.expect("Hint 1 of 4")
    terminal.expect(r"pid# ")
    terminal.send(":lang es\r")
    terminal.expect("Ahora en español")
    terminal.expect(r"pid# ")
    terminal.send("sh -c 'echo in front; exec sleep 100'\r")
    terminal.expect("\nin front")
    terminal.send("\x03")
    terminal.expect(r"pid# ")
    terminal.send(":wait 600\r")
    terminal.expect("Se espera hasta 600 s")
    terminal.send("\x03echo typed ahead $((40 + 2))\r")
    terminal.expect("Ya no se espera")
    terminal.expect("typed ahead 42")
    terminal.expect(r"pid# ")
    terminal.send("unshare --pid --fork bash\r")
    terminal.expect("Paso superado: Ser el PID 1")
    terminal.expect(":next sigue")
    terminal.expect(r"pid# ")  # Said again after the news.
    terminal.send("vim -u NONE -n note\r")
    terminal.expect("\x1b\\[\\?1049h")
    terminal.send("iwritten\x1d")
    terminal.expect("kubelab> ")
    terminal.sendline("state")
    terminal.expect("PID [0-9]+: vim -u NONE")
    terminal.send("\x1b:wq\r")
    terminal.expect(r"pid# ")
    terminal.send("cat note\r")
    terminal.expect("\nwritten")
    terminal.expect(r"pid# ")
    terminal.send("\x04")
    terminal.expect(r"pid# ")
    terminal.send("\x04")
    terminal.expect("El shell ha terminado")
    terminal.expect("kubelab> ")
    terminal.sendline("echo a$((1 + 1))b")
    terminal.expect("\na2b")
    terminal.expect(r"pid# ")
    terminal.send("\x04")
    terminal.expect("El shell ha terminado")
    terminal.expect("kubelab> ")
    terminal.send("\x04")
    terminal.expect("1 de 4 pasos superados")
    terminal.expect("kubelab> ")
    terminal.send("\x04")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    assert remains(journal) == ()


def test_sigterm_in_a_lesson_gives_the_terminal_back_and_ends_cleanly(
    terminal: pexpect.spawn, place: Path
) -> None:
    terminal.expect("kubelab> ")
    terminal.sendline("pid")
    terminal.expect(r"pid# ")
    terminal.kill(signal.SIGTERM)
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    assert sorted(left.name for left in place.iterdir()) == ["lock", "masters"]


SCRIPT = """\
unshare --pid bash
:check
exit
unshare --pid --fork bash
:wait 40
:next
cat <<END
:quit
END
cat
fed to cat
:hint
\x04
python3 -c 'print(6 * int(input()))'
7
:nxt
:back
:reset
exit
echo pid=$$
:home
2
:lang es
:quit
"""


def test_a_script_in_a_pipe_has_each_line_read_by_whom_it_is_for(place: Path) -> None:
    said = piped(place, "pid", lines=SCRIPT)
    expected = [
        "Step 1 of 4: Become PID 1",
        "Mind.",
        "Not yet: on ",
        "Step passed: Become PID 1.",
        "Step 2 of 4",
        "> END\n:quit\n",
        "fed to cat\nfed to cat\n",
        "Hint 1 of 4.",
        "\n42\n",
        "There is no word :nxt; did you mean “next”?",
        "Step 1 of 4, already passed",
        "The step begins again",
        "The shell has ended",
        "\npid=",
        "Containers by hand",
        "Ahora en español",
        "Se recoge el laboratorio",
    ]
    position = 0
    for words in expected:
        found = said.find(words, position)
        assert found >= 0, f"{words!r} is not in:\n{said[position:]}"
        position = found + len(words)


def test_the_end_of_the_input_waits_for_what_runs_and_counts_what_was_reached(place: Path) -> None:
    said = piped(place, "pid", lines="sleep 0.5; echo slept\nunshare --pid --fork bash")
    assert "\nslept\n" in said
    assert "Step passed" in said
    listed = kubelab(place, "lesson", "list").stdout
    assert "1/4" in listed


def test_whoever_stops_reading_ends_it(place: Path) -> None:
    reader, writer = os.pipe()
    process = subprocess.Popen(
        command("--plain", "pid"), env=environment(place), stdin=subprocess.PIPE, stdout=writer
    )
    os.close(writer)
    os.close(reader)
    assert process.wait(PATIENCE_S) == 0
    assert process.stdin
    process.stdin.close()
    assert sorted(left.name for left in place.iterdir()) == ["lock", "masters"]


def test_an_unknown_lesson_is_told_before_the_lab_comes_up(place: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kubelab", "--plain", "pdi"],
        env=environment(place),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no lesson “pdi”" in done.stderr
