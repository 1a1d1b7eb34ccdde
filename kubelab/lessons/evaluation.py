"""A step's checks over one observation, and what a person sees of it: pure.

A step is passed when all its checks hold together, where an edge check counts from when it first held. What
was passed stays so. What time has to do with it is in the state's memory: the same state and observation
always give the same next state.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kubelab.language import Text
from kubelab.lessons.checks import Check, Finding, Needs, Scope, judge
from kubelab.lessons.format import Lesson, Step
from kubelab.lessons.memory import Memory
from kubelab.lessons.observation import Observation
from kubelab.lessons.prediction import PredictionState, draw_prediction, reveal
from kubelab.lessons.question import Question
from kubelab.lessons.view import CheckView, LessonView, Mode, StepView, Verdict

NOTHING = Text("", "")
SEEN_BEFORE = Text("se superó antes", "passed before")


@dataclass(frozen=True, slots=True)
class StepState:
    """`latched`: what was found of each edge check when it held; `findings`: the last of every check;
    `obstacle`: why the step could not be set up, if so; `uncaptured`: values that are not there yet, without
    which nothing is checked; `memory`: see `Memory`; `wake_at_s`: when to evaluate again at the latest."""

    hints_shown: int = 0
    passed: bool = False
    skipped: bool = False
    latched: Mapping[int, Finding] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    message: Text | None = None
    obstacle: Text | None = None
    uncaptured: tuple[str, ...] = ()
    prediction: PredictionState = field(default_factory=PredictionState)
    memory: Mapping[str, Any] = field(default_factory=dict)
    wake_at_s: float | None = None


def begin(state: StepState, obstacle: Text | None, uncaptured: tuple[str, ...]) -> StepState:
    """Return the state of a step that begins now, for the first time or again."""
    memory = Memory(state.memory).lasting
    return replace(state, obstacle=obstacle, uncaptured=uncaptured, memory=memory, wake_at_s=None)


def evaluate(step: Step, state: StepState, observation: Observation, scope: Scope) -> StepState:
    """Return the step's state after *observation*."""
    if state.passed or state.uncaptured:
        return state
    memory = Memory(state.memory, observation.at_s)
    scope = replace(scope, memory=memory)
    checks = step.structure.checks
    findings = tuple(
        state.latched.get(number) or judge(wanted.check, observation, scope)
        for number, wanted in enumerate(checks)
    )
    latched = {
        number: finding
        for number, (wanted, finding) in enumerate(zip(checks, findings, strict=True))
        if wanted.mode == "edge" and finding.passed
    }
    passed = all(finding.passed for finding in findings)
    return replace(
        state,
        passed=passed,
        latched=latched,
        findings=findings,
        message=None if passed else misconception(step, observation, scope),
        obstacle=None if passed else state.obstacle,
        prediction=reveal(step.structure.predict, state.prediction, observation, scope),
        memory=memory.notes,
        wake_at_s=memory.wake_at_s,
    )


def misconception(step: Step, observation: Observation, scope: Scope) -> Text | None:
    """Return the message of the first wrong attempt that the live state shows."""
    for wrong in step.structure.wrong:
        if judge(wrong.when, observation, scope).passed:
            return step.messages[wrong.message]
    return None


def questions(
    step: Step, state: StepState, observation: Observation, scope: Scope
) -> frozenset[Question[Any]]:
    """Return what must be asked besides for those of the step's checks that are still to be met."""
    if state.passed:
        return frozenset()
    scope = replace(scope, memory=Memory(state.memory, observation.at_s))
    met = [step.structure.checks[number].check for number in state.latched]
    wanted = (check for check in checks_of(step) if not any(check is one for one in met))
    return frozenset().union(*(check.questions(observation, scope) for check in wanted))


def needs(lesson: Lesson) -> Needs:
    """Return what must be observed for any of the lesson's steps."""
    total = Needs()
    for step in lesson.steps:
        for check in checks_of(step):
            total |= check.needs()
    return total


def checks_of(step: Step) -> Iterator[Check]:
    """Yield everything of the step that looks at the live state."""
    structure, predict = step.structure, step.structure.predict
    yield from (wanted.check for wanted in structure.checks)
    yield from (wrong.when for wrong in structure.wrong)
    yield from structure.capture.values()
    if predict is not None:
        yield from (predict.reveal,) if predict.reveal else ()
        yield from (choice.check for choice in predict.choices.values() if choice.check)
        yield from (predict.when,) if predict.when else ()


def draw(
    lesson: Lesson,
    states: tuple[StepState, ...],
    index: int,
    scope: Scope,
    mode: Mode = Mode.LEARN,
    busy: Text | None = None,
) -> LessonView:
    draw_step = _draw_step if mode is Mode.LEARN else _draw_goal
    steps = tuple(draw_step(step, state, scope) for step, state in zip(lesson.steps, states, strict=True))
    return LessonView(lesson.id, lesson.title, steps, index, mode, busy)


def _draw_step(step: Step, state: StepState, scope: Scope) -> StepView:
    return StepView(
        id=step.id,
        title=step.title,
        body=step.body,
        hints=step.hints,
        hints_shown=state.hints_shown,
        passed=state.passed,
        checks=tuple(_draw_checks(step, state, scope)),
        message=state.message,
        debrief=step.debrief if state.passed else None,
        obstacle=state.obstacle,
        prediction=draw_prediction(step.question, state.prediction, ended=state.passed),
        skipped=state.skipped,
    )


def _draw_goal(step: Step, state: StepState, scope: Scope) -> StepView:
    """Return the step without anything that helps: what is to be reached is what the checks expect."""
    drawn = _draw_step(step, state, scope)
    return replace(drawn, body=_goals(step, scope), hints=(), hints_shown=0, message=None, prediction=None)


def _goals(step: Step, scope: Scope) -> Text:
    goals = [wanted.check.expected(scope) for wanted in step.structure.checks]
    return Text(
        "\n".join(["Consíguelo como sepas:", "", *(f"- {goal.es}" for goal in goals)]),
        "\n".join(["Bring it about, however you know:", "", *(f"- {goal.en}" for goal in goals)]),
    )


def _draw_checks(step: Step, state: StepState, scope: Scope) -> Iterator[CheckView]:
    for finding in state.findings:
        yield CheckView(finding.verdict, finding.expected, finding.observed, finding.look)
    if state.findings:
        return
    verdict, observed = (Verdict.PASSED, SEEN_BEFORE) if state.passed else (Verdict.NOT_YET, NOTHING)
    if state.uncaptured and not state.passed:
        observed = _waiting(state.uncaptured, step)
    for wanted in step.structure.checks:
        yield CheckView(verdict, wanted.check.expected(scope), observed, "")


def _waiting(names: tuple[str, ...], step: Step) -> Text:
    """Tell what is waited for; what an earlier step captures does not come before the learner was there."""
    listed = ", ".join(f"${name}" for name in names)
    if all(name in step.structure.capture for name in names):
        return Text(f"todavía no se conoce {listed}", f"{listed} is not known yet")
    return Text(
        f"todavía no se conoce {listed}: sale de un paso anterior, vuelve a él",
        f"{listed} is not known yet: it comes from an earlier step, go back to it",
    )
