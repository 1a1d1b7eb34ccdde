"""A proof is red with the exact step when the lesson is not what it says, and green when it is."""

import pytest
from lesson_files import ENGLISH, SPANISH, source, spanish
from scratch_lab import ScratchLab

from kubelab.lessons.format import LessonSource
from kubelab.lessons.parse import parse_lesson
from kubelab.lessons.patience import Patience
from kubelab.lessons.proof import Proof, prove

pytestmark = pytest.mark.root

LONG = Patience()
BRIEF = Patience(line_s=4, state_s=4)  # With what never comes; what does, comes late on a busy machine.


async def proof_of(changed: LessonSource, lab: ScratchLab, patience: Patience = LONG) -> Proof:
    return await prove(parse_lesson(changed), "en", lab, patience)


async def test_a_sound_lesson_is_proven(lab: ScratchLab) -> None:
    proof = await proof_of(source(), lab)
    assert proof.passed, str(proof)
    assert lab.machines == {}


@pytest.mark.parametrize(
    ("old", "new", "step", "says", "patience"),
    [
        ("solve: [sleep $SECS &]", "solve: [sleep 1 &]", "one", "is not enough: expected on bench", BRIEF),
        ("do: [sleep 7 &]", "do: [sleep 8 &]", "one", "not seen: on bench, a process `sleep 7`.", BRIEF),
        ("do: [sleep 7 &]", "do: [sleepy]", "one", "The shell said: bash: sleepy: command not found", BRIEF),
        ("do: [sleep 7 &]", "do: [sleep $SECS &]", "one", "“too-short” passes", LONG),
        ("  setup: [sleep", "  setup: ['echo why >&2; exit 3', sleep", "two", "with code 3 (why)", LONG),
        ("{argv: sleep $SECS}\n  solve", "{comm: x}\n    absent: true\n  solve", "one", "it passes", LONG),
        ("solve: [sleep $SECS &]", "solve: [cat, sleep $SECS &]", "one", "“cat” the shell was not", BRIEF),
    ],
)  # fmt: skip
async def test_a_lesson_that_is_not_what_it_says_is_red_with_the_step(
    lab: ScratchLab, old: str, new: str, step: str, says: str, patience: Patience
) -> None:
    proof = await proof_of(spanish(old, new), lab, patience)
    assert proof.failure is not None
    assert proof.failure.step == step
    assert says in proof.failure.sentence.en


async def test_one_question_has_one_answer(lab: ScratchLab) -> None:
    """Who errs resets the step, and who has it done by fast-forward does not."""
    predict = "  predict: {choices: {a: {session: resets, eq: 0}, b: {session: resets, ge: 1}}}\n"
    choices = "\n\n- A {#a}\n- B {#b}\n:::"
    text = SPANISH.replace("  solve: [sleep $SECS &]\n", f"{predict}  solve: [sleep $SECS &]\n", 1)
    text = text.replace("¿Qué pasará?\n:::", f"¿Qué pasará?{choices}", 1)
    english = ENGLISH.replace("What will happen?\n:::", f"What will happen?{choices}", 1)
    proof = await proof_of(source(spanish=text, english=english), lab)
    assert proof.failure is not None
    assert proof.failure.step == "one"
    assert "answers its prediction “b” at one time and “a” at another" in proof.failure.sentence.en


CAPTURING = """\
- id: two
  capture: {PID: {process: {argv: sleep 2000}, field: machine-pid}}
  checks:
  - {process: {argv: sleep 3$PID}}
  setup: [sleep 2000 &]
  solve: [sleep 3$PID &]
"""


async def test_a_solution_is_typed_with_what_was_captured(lab: ScratchLab) -> None:
    head, _, tail = SPANISH.partition("- id: two\n")
    proof = await proof_of(source(spanish=f"{head}{CAPTURING}---{tail.partition('---')[2]}"), lab)
    assert proof.passed, str(proof)


async def test_nothing_is_typed_before_the_step_is_set_up(lab: ScratchLab) -> None:
    """Here it would end the first step's process, and not the one that the second step is set up with."""
    proof = await proof_of(spanish("  setup: [sleep $SECS &]", "  setup: [sleep 0.6, sleep $SECS &]"), lab)
    assert proof.passed, str(proof)
