"""Questions, differences, several shells, solutions, tests and reviews in plain mode, on a small course."""

import datetime
import re
import signal
import subprocess
from pathlib import Path

import pexpect
import pytest
from lab_program import command, environment
from small_course import write_course

from kubelab.lessons.progress import Progress, new_seed

pytestmark = pytest.mark.root
PATIENCE_S = 55


class Learner:
    """Writes whole lines into the program, again and again with the progress of the last time."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.course = write_course(place.with_suffix(".course"))

    def writes(self, *lines: str, options: tuple[str, ...] = ()) -> str:
        done = subprocess.run(
            command("--plain", *options),
            env=environment(self.place) | {"TERM": "dumb", "KUBELAB_LESSONS": str(self.course)},
            input="".join(f"{line}\n" for line in lines),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stdout
        assert sorted(left.name for left in self.place.iterdir()) == ["lock", "masters"]
        assert not any(mark in done.stdout for mark in ("\x1b", "\r")), ascii(done.stdout)
        return done.stdout


@pytest.fixture
def learner(tmp_path: Path) -> Learner:
    return Learner(tmp_path / "lab")


def in_order(said: str, *expected: str) -> None:
    position = 0
    for words in expected:
        found = said.find(words, position)
        assert found >= 0, f"{words!r} is not in:\n{said[position:]}\n--- of all:\n{said}"
        position = found + len(words)


SOLVED = r"sleep $(sed -n 's/^sleep //p' note.txt) &"


def test_what_was_predicted_stands_beside_what_happened_and_what_changed_is_told(learner: Learner) -> None:
    said = learner.writes(
        "sleep",
        ":predict d",
        ":predict a",
        ":predict",
        "b",
        SOLVED,
        ":wait",
        ":changed",
        ":changed mount",
        ":changed all of it",
        ":predict a",
        ":next",
        ":predict it's none, I'd say",
        ":text",
        "until pgrep -x sleep >/dev/null; do :; done",
        ":check",  # What is to go must have been seen.
        "pkill sleep",
        ":wait",
    )
    in_order(
        said,
        "Question.\nHow many processes will there be?\na) One\nb) Many\n",
        "“d” is none of the answers: a, b.",
        "Your prediction is noted: a) One\n",
        "Write your answer and press Enter.\n",
        "Your prediction is noted: b) Many\n",
        "Step passed: To sleep.\n"
        "You predicted: b) Many\n"
        "The system answers: 1\n"
        "That is answer a) One\n"
        "It does not agree with your prediction.\n"
        "One program, one process.\n"
        "It slept.\n",
        "Different on bench:\n",
        "Process, new: ",
        "Nothing of that kind is different since the step began.",
        ":changed takes all, or a kind of things: object, process, ",
        "The system has answered already",
        "Step 2 of 2: To wake",
        "Answer with :predict, if you like: it will ask you.",
        "Your prediction is noted: it's none, I'd say\n",
        "Your answer so far: it's none, I'd say\n",
        "Step passed: To wake.\nYou predicted: it's none, I'd say\nThe system answers: ",
        "Lesson passed: Sleeping.",
    )


def test_each_shell_keeps_its_place_and_what_it_printed_behind(learner: Learner) -> None:
    said = learner.writes(
        "sleep",
        "cd /tmp; rm -f behind told; echo first $$",
        "(until test -e behind; do sleep 0.1; done; echo $((1000 + 10)) lines; seq 9000; touch told) &",
        ":shell bench",
        ":shell new",
        "echo second; pwd",
        ":shells",
        "touch /tmp/behind; until test -e /tmp/told; do sleep 0.1; done",
        ":shell 1",
        "pwd",
        ":shell nowhere",
        ":shell 2",
        "exit",
        "echo back in $PWD",
        ":shells",
    )
    in_order(
        said,
        "first ",
        "You are in shell 1, on bench, already.",
        "New shell: 2, on bench.",
        "second\n/root/things\n",
        "Shell 1, on bench.\nShell 2, on bench: the present one.\nMachines: bench.",
        "Back in shell 1, on bench.\nMeanwhile it printed more than is kept. The end of it:\n",
        "\n8999\n9000\n",
        "/tmp\n",
        ":shell takes the number of a shell, a machine or new, not “nowhere”.",
        "Back in shell 2, on bench.",
        "Shell 2, on bench, has ended.\nBack in shell 1, on bench.",
        "back in /tmp\n",
        "Shell 1, on bench: the present one.\nMachines",
    )
    assert "1010 lines" not in said


def test_the_lab_solves_a_step_only_when_it_is_told_twice_and_says_so(learner: Learner) -> None:
    said = learner.writes(
        "sleep", ":solve", ":hint", ":solve", ":solve", ":solve", ":skip", ":skip yes", ":home"
    )
    in_order(
        said,
        "To confirm, :solve again.",
        "Hint 1 of 4.",
        "To confirm, :solve again.",
        "The lab is at work. ",
        "Step skipped: To sleep. The lab typed the solution.",
        "This step is passed already.",
        "Step 2 of 2: To wake",
        "Step skipped: To wake.",
        "1. Sleeping: 2 of 2 steps passed",
    )


def test_a_test_has_goals_and_no_help(learner: Learner) -> None:
    said = learner.writes(
        ":hint",
        ":home",
        "test",
        "test 1",
        ":skip yes",
        SOLVED,
        ":wait",
        ":next",
        "pkill sleep",
        ":wait",
        ":home",
        options=("demo/01-sleep", "--test-out"),
    )
    in_order(
        said,
        "The test on “Sleeping” is being set up.",
        "This is a test: no hints and no solutions.",
        "In a test there are no hints and no solutions.",
        ":test takes the number or the name of a lesson",
        "The test on “Sleeping” is being set up.",
        "This is a test: no hints and no solutions.",
        "In a test there are no hints and no solutions.",
        "Step passed: To sleep.",
        "Test passed: Sleeping.",
        "1. Sleeping: 2 of 2 steps passed, 2 min, demo/01-sleep\nPassed by a test.",
    )
    assert "Question." not in said


def test_again_begins_anew_with_other_values(learner: Learner) -> None:
    said = learner.writes("sleep", ":skip yes", ":home", *["again 1", ":home"] * 4, "sleep")
    first, *others = re.findall(r"Sleep (\d+) seconds", said)
    assert len(others) == 5
    assert set(others) != {first}  # A hundred values are there to draw from.
    assert others[-1] == others[-2]  # Who only comes back finds them as they were.
    in_order(
        said,
        "1. Sleeping: 1 of 2 steps passed",
        "The lesson “Sleeping” is being set up anew, from its beginning.\nStep 1 of 2: To sleep",
        "1. Sleeping: 0 of 2 steps passed",
    )


def test_on_a_terminal_the_prompt_of_another_step_comes_when_that_is_set_up(learner: Learner) -> None:
    """What is done before would not count, and nobody would know why."""
    spanish = learner.course / "demo/01-sleep/es.md"
    setup = "setup: [sleep 1, touch set-up]"
    spanish.write_text(spanish.read_text().replace("setup: [sleep $SECS &]", setup))
    program, *arguments = command("--plain", "sleep")
    env = environment(learner.place) | {"TERM": "dumb", "KUBELAB_LESSONS": str(learner.course)}
    terminal = pexpect.spawn(program, arguments, env=env, timeout=PATIENCE_S, encoding="utf-8")
    try:
        terminal.expect("things# ")
        terminal.send(":next\r")
        terminal.expect("To wake")
        terminal.expect("things# ")
        terminal.send("ls\r")
        terminal.expect("note.txt +set-up")
        terminal.kill(signal.SIGTERM)
        terminal.expect(pexpect.EOF)
    finally:
        terminal.close(force=True)


def test_a_lesson_of_long_ago_is_due_for_review(learner: Learner) -> None:
    state = learner.place.with_suffix(".state") / "kubelab/progress.sqlite3"
    with Progress.open(state, lambda: datetime.datetime(2026, 1, 31, tzinfo=datetime.UTC)) as progress:
        progress.begin("demo/01-sleep", {"SECS": 1001}, "sleep", new_seed())
        for step in ("sleep", "wake"):
            progress.set_passed("demo/01-sleep", step, passed=True)
        progress.complete("demo/01-sleep")
    in_order(learner.writes("quit"), "2 of 2 steps passed, 2 min, demo/01-sleep\nDue for review: :again 1\n")
