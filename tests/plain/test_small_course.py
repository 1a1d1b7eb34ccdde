"""Questions, differences, several shells, solutions, tests and reviews in plain mode, on a small course."""

import subprocess
from pathlib import Path

import pytest
from lab_program import command, environment
from small_course import write_course

pytestmark = pytest.mark.root
PATIENCE_S = 40


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
        assert [left.name for left in self.place.iterdir()] == ["lock"]
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


def test_what_was_predicted_stands_beside_what_the_live_system_answers(learner: Learner) -> None:
    said = learner.writes(
        "sleep",
        ":predict d",
        ":predict a",
        ":predict",
        "b",
        SOLVED,
        ":wait",
        ":predict a",
        ":next",
        ":predict it's none, I'd say",
        ":text",
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
        "The system has answered already",
        "Step 2 of 2: To wake",
        "Answer with :predict, if you like: it will ask you.",
        "Your prediction is noted: it's none, I'd say\n",
        "Your answer so far: it's none, I'd say\n",
        "Step passed: To wake.\nYou predicted: it's none, I'd say\nThe system answers: ",
        "Lesson passed: Sleeping.",
    )


def test_what_changed_since_the_step_began_is_told_in_words(learner: Learner) -> None:
    said = learner.writes("sleep", ":changed", "sleep 33 & sleep 0.3", ":changed")
    in_order(said, ":changed\n", "sleep 33 &", "Different on bench:\n", "Process, new: ", "sleep 33\n")


def test_each_shell_keeps_its_place_and_what_it_printed_behind(learner: Learner) -> None:
    said = learner.writes(
        "sleep",
        "cd /tmp; echo first $$",
        "(sleep 1; echo $((1000 + 10)) lines; seq 9000) &",
        ":shell bench",
        ":shell new",
        "echo second; pwd",
        ":shells",
        "sleep 2",
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
        "test",
        "test 1",
        ":hint",
        ":skip yes",
        SOLVED,
        ":wait",
        ":next",
        "pkill sleep",
        ":wait",
        ":home",
    )
    in_order(
        said,
        ":test takes the number or the name of a lesson",
        "The test on “Sleeping” is being set up.",
        "This is a test: no hints and no solutions.",
        "In a test there are no hints and no solutions.",
        "In a test there are no hints and no solutions.",
        "Step passed: To sleep.",
        "Test passed: Sleeping.",
        "Passed by a test.",
    )
    assert "Question." not in said
    listed = learner.writes("quit")
    assert "1. Sleeping: 2 of 2 steps passed" in listed
    assert "Passed by a test." in listed


def test_a_test_can_be_asked_for_when_starting(learner: Learner) -> None:
    said = learner.writes(":quit", options=("demo/01-sleep", "--test-out"))
    in_order(said, "The test on “Sleeping” is being set up.", "This is a test")


def test_again_begins_anew_with_other_values(learner: Learner) -> None:
    def seconds(said: str) -> str:
        return said.partition("Sleep ")[2].partition(" seconds.")[0]

    first = learner.writes("sleep", ":skip yes", ":home")
    assert "1 of 2 steps passed" in first
    values = {seconds(first), *(seconds(learner.writes("again 1", ":quit")) for _ in range(3))}
    assert len(values) > 1  # Eight values are there to draw from, four times.
    in_order(learner.writes("sleep", ":quit"), "0 of 2 steps passed", "Step 1 of 2: To sleep")
