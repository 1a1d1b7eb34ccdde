"""When a step is passed: edge and level checks, and the misconception that the live state shows."""

from lesson_files import source, spanish
from observed import HOST, process

from kubelab.lessons import evaluation
from kubelab.lessons.checks import Scope
from kubelab.lessons.evaluation import StepState, evaluate
from kubelab.lessons.format import Lesson
from kubelab.lessons.observation import MachineState, Observation, Process
from kubelab.lessons.parse import parse_lesson
from kubelab.lessons.view import Verdict

SCOPE = Scope("bench")


def seen(*processes: Process, departed: tuple[Process, ...] = ()) -> Observation:
    return Observation(machines={"bench": MachineState("bench", HOST, processes, departed)})


def sleep(seconds: int, pid: int = 10) -> Process:
    return process(pid, argv=("sleep", str(seconds)))


def two_checks() -> Lesson:
    """Step one: `sleep 1001` was seen (edge), and at the end no `sleep 7` is there (level)."""
    return parse_lesson(
        spanish(
            "  - process: {argv: sleep $SECS}\n  solve",
            "  - process: {argv: sleep $SECS}\n"
            "  - {process: {argv: sleep 7}, absent: true, mode: level}\n  solve",
        )
    )


def test_an_edge_check_counts_from_when_it_held_and_a_level_check_when_the_step_passes() -> None:
    step = two_checks().steps[0]
    state = evaluate(step, StepState(), seen(sleep(1001), sleep(7, 11)), SCOPE)
    assert [finding.passed for finding in state.findings] == [True, False]
    state = evaluate(step, state, seen(sleep(7, 11)), SCOPE)
    assert [finding.passed for finding in state.findings] == [True, False]
    assert not state.passed
    state = evaluate(step, state, seen(), SCOPE)
    assert state.passed


def test_a_level_check_alone_does_not_latch() -> None:
    step = two_checks().steps[0]
    state = evaluate(step, StepState(), seen(), SCOPE)
    assert [finding.passed for finding in state.findings] == [False, True]
    state = evaluate(step, state, seen(sleep(7)), SCOPE)
    assert [finding.passed for finding in state.findings] == [False, False]


def test_what_was_passed_stays_passed() -> None:
    step = parse_lesson(source()).steps[0]
    passed = evaluate(step, StepState(), seen(sleep(1001)), SCOPE)
    assert evaluate(step, passed, seen(), SCOPE) is passed


def test_the_message_is_that_of_the_mistake_which_the_state_shows_now() -> None:
    step = parse_lesson(source()).steps[0]
    state = evaluate(step, StepState(), seen(sleep(7)), SCOPE)
    assert state.message == step.messages["too-short"]
    assert evaluate(step, state, seen(), SCOPE).message is None
    assert evaluate(step, state, seen(sleep(7), sleep(1001, 11)), SCOPE).message is None


def test_the_view_shows_the_debrief_only_once_the_step_is_passed() -> None:
    lesson = parse_lesson(source())
    before = evaluation.draw(lesson, (StepState(), StepState()), 0, SCOPE)
    assert before.step.debrief is None
    assert [check.verdict for check in before.step.checks] == [Verdict.NOT_YET]
    after = evaluation.draw(lesson, (StepState(passed=True), StepState()), 0, SCOPE)
    assert after.step.debrief is not None
    assert [check.verdict for check in after.step.checks] == [Verdict.PASSED]
    assert not after.finished


def test_a_step_that_wants_what_an_earlier_one_captures_says_where_it_comes_from() -> None:
    lesson = parse_lesson(source())
    states = (StepState(uncaptured=("PID",)), StepState(passed=True, uncaptured=("PID",)))
    one, two = evaluation.draw(lesson, states, 0, SCOPE).steps
    assert "an earlier step, go back" in one.checks[0].observed.en
    assert two.checks[0].observed == evaluation.SEEN_BEFORE
