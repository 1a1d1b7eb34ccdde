"""Predict, run, compare: what is asked, what the live state answers, and what a person sees of both."""

from dataclasses import replace

import pytest
from lesson_files import ENGLISH, SPANISH, source
from observed import HOST, process

from kubelab.language import Text
from kubelab.lessons import evaluation
from kubelab.lessons.checks import Scope
from kubelab.lessons.evaluation import StepState, evaluate
from kubelab.lessons.format import Lesson, LessonSource
from kubelab.lessons.located import LessonError
from kubelab.lessons.observation import MachineState, Observation
from kubelab.lessons.parse import parse_lesson
from kubelab.lessons.prediction import PredictionState, recorded, resumed
from kubelab.lessons.view import OutcomeView, PredictionView

SCOPE = Scope("bench")
STRUCTURE = """\
  predict:
    reveal: {process: {comm: sleep}, field: count}
    choices:
      none: {eq: 0}
      one: {eq: 1}
      many: {process: {argv: sleep 9}}
  solve: [sleep $SECS &]
"""
CHOICES = "\n\n- Nada {#none}\n- Uno {#one}\n- Muchos {#many}\n:::\n\n::: choice none\nPues sí.\n:::\n"


def asked(structure: str = STRUCTURE, choices: str = CHOICES) -> LessonSource:
    spanish = SPANISH.replace("  solve: [sleep $SECS &]\n", structure, 1)
    spanish = spanish.replace("¿Qué pasará?\n:::\n", f"¿Qué pasará?{choices}", 1)
    english = ENGLISH.replace("What will happen?\n:::\n", f"What will happen?{choices}", 1)
    return source(spanish=spanish, english=english)


def lesson() -> Lesson:
    return parse_lesson(asked())


def seen(*argvs: str) -> Observation:
    processes = tuple(process(10 + n, argv=tuple(argv.split())) for n, argv in enumerate(argvs))
    return Observation(machines={"bench": MachineState("bench", HOST, processes)})


@pytest.mark.parametrize(("first", "choice"), [("", "many"), ("    first: true\n", "one")])
def test_the_newest_answer_counts_or_the_first_choice_that_happened(first: str, choice: str) -> None:
    step = parse_lesson(asked(STRUCTURE.replace("    reveal", f"{first}    reveal", 1))).steps[0]
    state = StepState()
    for observation in (seen("sleep 1"), seen("sleep 1", "sleep 9")):
        state = evaluate(step, state, observation, SCOPE)
    assert state.prediction.choice == choice


def drawn(state: StepState) -> PredictionView:
    view = evaluation.draw(lesson(), (state, StepState()), 0, SCOPE).step.prediction
    assert view is not None
    return view


def test_the_question_and_its_choices_are_no_part_of_the_body() -> None:
    step = lesson().steps[0]
    assert "What will happen?" not in step.body.en
    prediction = drawn(StepState())
    assert prediction.question == Text("¿Qué pasará?", "What will happen?")
    assert [(choice.id, choice.text.es) for choice in prediction.choices] == [
        ("none", "Nada"),
        ("one", "Uno"),
        ("many", "Muchos"),
    ]
    assert prediction.answer == ""
    assert prediction.outcome is None


def test_the_outcome_is_shown_when_the_step_passes_and_not_before() -> None:
    step, state = lesson().steps[0], StepState(prediction=PredictionState("one"))
    state = evaluate(step, state, seen("sleep 3"), SCOPE)
    assert drawn(state).outcome is None
    state = evaluate(step, state, seen("sleep 1001"), SCOPE)
    assert drawn(state).outcome == OutcomeView(Text("1", "1"), "one", right=True)


def test_who_predicted_otherwise_reads_what_that_stood_for() -> None:
    step, state = lesson().steps[0], StepState(prediction=PredictionState("none"))
    outcome = drawn(evaluate(step, state, seen("sleep 1001"), SCOPE)).outcome
    assert outcome == OutcomeView(Text("1", "1"), "one", False, Text("Pues sí.", "Pues sí."))


def test_a_choice_that_is_a_check_has_happened_if_it_held_at_some_moment() -> None:
    step, state = lesson().steps[0], StepState(prediction=PredictionState("many"))
    state = evaluate(step, state, seen("sleep 9", "sleep 8"), SCOPE)
    state = evaluate(step, state, seen("sleep 1001", "sleep 8", "sleep 7"), SCOPE)
    assert drawn(state).outcome == OutcomeView(Text("3", "3"), "many", right=True)


def test_without_choices_the_value_itself_is_predicted() -> None:
    free = "  predict: {reveal: {process: {comm: sleep}, field: count}}\n  solve: [sleep $SECS &]\n"
    step = parse_lesson(asked(free, "\n:::\n")).steps[0]
    for answer, right in (("1", True), (" 1 ", True), ("2", False), ("", False)):
        state = evaluate(step, StepState(prediction=PredictionState(answer)), seen("sleep 1001"), SCOPE)
        one = replace(lesson(), steps=(step,))
        prediction = evaluation.draw(one, (state,), 0, SCOPE).step.prediction
        assert prediction is not None
        assert prediction.outcome is not None
        assert prediction.outcome.right == right


def test_while_the_condition_does_not_hold_nothing_is_answered() -> None:
    when = STRUCTURE.replace("    choices:", "    when: {process: {comm: cat}}\n    choices:")
    step = parse_lesson(asked(when)).steps[0]
    state = evaluate(step, StepState(), seen("sleep 1001"), SCOPE)
    assert state.passed
    assert drawn(state).outcome is None


@pytest.mark.parametrize(
    ("structure", "choices", "says"),
    [
        (
            STRUCTURE,
            "\n\n- Nada {#none}\n- Uno {#one}\n:::\n",
            "the choices are none, one here, and none, one, many",
        ),
        ("  solve: [sleep $SECS &]\n", CHOICES, "these choices are not in the step's “predict”"),
        (STRUCTURE.replace("one: {eq: 1}", "one: {is: 1}"), CHOICES, "there is no check “is”"),
        (STRUCTURE.replace("reveal: {process", "reveal: {proces"), CHOICES, "did you mean “process”"),
        (STRUCTURE, CHOICES.replace("choice none", "choice nobody"), "there is no choice “nobody”"),
        (STRUCTURE, f"{CHOICES}\n::: predict\nAnd?\n:::\n", "there is one block"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(structure: str, choices: str, says: str) -> None:
    with pytest.raises(LessonError) as caught:
        parse_lesson(asked(structure, choices))
    assert says in caught.value.problem.en


@pytest.mark.parametrize("name", ["SECS", "uid", "A-B"])
def test_a_capture_has_a_new_name_in_capitals(name: str) -> None:
    text = SPANISH.replace(
        "  solve: [sleep $SECS &]\n",
        f"  capture: {{{name}: {{process: {{comm: sleep}}}}}}\n  solve: [sleep $SECS &]\n",
        1,
    )
    with pytest.raises(LessonError, match=r"new name, in capitals|nuevo, en mayúsculas"):
        parse_lesson(source(spanish=text))


def test_until_a_value_is_captured_nothing_of_the_step_is_checked() -> None:
    step = lesson().steps[0]
    state = StepState(uncaptured=("UID",))
    assert evaluate(step, state, seen("sleep 1001"), SCOPE) is state
    view = evaluation.draw(lesson(), (state, StepState()), 0, SCOPE)
    assert view.step.checks[0].observed.en.startswith("$UID is not known yet")


def test_without_a_value_the_answer_is_what_was_seen_of_the_choice() -> None:
    checks = (
        "  predict:\n    choices:\n      many: {process: {argv: sleep 9}}\n"
        "      one: {process: {argv: sleep 1001}}\n"
        "  solve: [sleep $SECS &]\n"
    )
    choices = "\n\n- Uno {#one}\n- Muchos {#many}\n:::\n"
    step = parse_lesson(asked(checks, choices)).steps[0]
    state = evaluate(step, StepState(prediction=PredictionState("one")), seen("sleep 1001"), SCOPE)
    assert state.prediction == PredictionState("one", Text("`sleep` (PID 10)", "`sleep` (PID 10)"), "one")
    with pytest.raises(LessonError, match=r"each choice is a check|cada opción es una comprobación"):
        parse_lesson(asked(checks.replace("one: {process: {argv: sleep 1001}}", "one: {eq: 1}"), choices))


LINES = Text("uno\ndos\n", "uno\ndos\n")
PATH = Text("C:\\no\\\\n", "a\nb")


@pytest.mark.parametrize(
    "value", [Text("3", "3"), Text("sí", "yes"), Text("", ""), Text("sí", ""), LINES, PATH]
)
def test_a_value_comes_back_as_it_was_recorded(value: Text) -> None:
    assert resumed(recorded(value)) == value


def test_who_predicted_nothing_is_not_right_when_no_choice_happened() -> None:
    step, state = lesson().steps[0], StepState()
    outcome = drawn(evaluate(step, state, seen("sleep 1001", "sleep 3"), SCOPE)).outcome
    assert outcome == OutcomeView(Text("2", "2"), "", right=False)
