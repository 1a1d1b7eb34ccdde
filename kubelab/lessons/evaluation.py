"""A step's checks over one observation, and what a person sees of it: pure.

A step is passed when all its checks hold together, where an edge check counts from when it first held. What
was passed stays so.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kubelab.language import Text
from kubelab.lessons.checks import Finding, Needs, Scope, judge
from kubelab.lessons.format import Lesson, Step
from kubelab.lessons.observation import Observation
from kubelab.lessons.question import Question
from kubelab.lessons.view import CheckView, LessonView, StepView, Verdict

NOTHING = Text("", "")
SEEN_BEFORE = Text("se superó antes", "passed before")


@dataclass(frozen=True, slots=True)
class StepState:
    """`latched`: what was found of each edge check when it held; `findings`: the last of every check;
    `obstacle`: why the step could not be set up, if so."""

    hints_shown: int = 0
    passed: bool = False
    latched: Mapping[int, Finding] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    message: Text | None = None
    obstacle: Text | None = None


def evaluate(step: Step, state: StepState, observation: Observation, scope: Scope) -> StepState:
    """Return the step's state after *observation*."""
    if state.passed:
        return state
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
    message = None if passed else misconception(step, observation, scope)
    obstacle = None if passed else state.obstacle
    return replace(
        state, passed=passed, latched=latched, findings=findings, message=message, obstacle=obstacle
    )


def misconception(step: Step, observation: Observation, scope: Scope) -> Text | None:
    """Return the message of the first wrong attempt that the live state shows."""
    for wrong in step.structure.wrong:
        if judge(wrong.when, observation, scope).passed:
            return step.messages[wrong.message]
    return None


def questions(step: Step, observation: Observation, scope: Scope) -> frozenset[Question[Any]]:
    """Return what must be asked besides for the step's checks."""
    structure = step.structure
    checks = [*(wanted.check for wanted in structure.checks), *(wrong.when for wrong in structure.wrong)]
    return frozenset().union(*(check.questions(observation, scope) for check in checks))


def needs(lesson: Lesson) -> Needs:
    """Return what must be observed for any of the lesson's steps."""
    total = Needs()
    for step in lesson.steps:
        for wanted in step.structure.checks:
            total |= wanted.check.needs()
        for wrong in step.structure.wrong:
            total |= wrong.when.needs()
    return total


def draw(lesson: Lesson, states: tuple[StepState, ...], index: int, scope: Scope) -> LessonView:
    steps = tuple(_draw_step(step, state, scope) for step, state in zip(lesson.steps, states, strict=True))
    return LessonView(lesson.id, lesson.title, steps, index)


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
    )


def _draw_checks(step: Step, state: StepState, scope: Scope) -> Iterator[CheckView]:
    for finding in state.findings:
        yield CheckView(finding.verdict, finding.expected, finding.observed, finding.look)
    if state.findings:
        return
    verdict, observed = (Verdict.PASSED, SEEN_BEFORE) if state.passed else (Verdict.NOT_YET, NOTHING)
    for wanted in step.structure.checks:
        yield CheckView(verdict, wanted.check.expected(scope), observed, "")
