"""Join what is recorded on two machines; nothing that either side has done is taken back.

A step that either side has passed is passed: by hand before by fast-forward, then at the earlier time. Of the
hints the larger count stays. Of two predictions the one that has an outcome stays; they carry no time, so
between equals it is the last in the alphabet. A completion of the same attempt is the later one. The journal
has every line of both. All this is the same whoever is first, and however often it is done.
Not so an attempt that is under way: where both sides have one, mine keeps its variables and its place.
Pure.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from kubelab.lessons.record import Completion, Entry, LessonRecord, StepRecord


def merge(mine: Iterable[LessonRecord], theirs: Iterable[LessonRecord]) -> tuple[LessonRecord, ...]:
    """Return what is known when *theirs* is added to *mine*, in the order of ids and times."""
    merged: dict[str, LessonRecord] = {}
    for record in (*mine, *theirs):
        merged[record.lesson] = _merge_lesson(merged.get(record.lesson), record)
    return tuple(merged[lesson] for lesson in sorted(merged))


def _merge_lesson(mine: LessonRecord | None, theirs: LessonRecord) -> LessonRecord:
    known = mine or replace(theirs, steps=(), completions=(), journal=())
    attempt = known if known.begun else theirs
    return replace(
        attempt,
        steps=_merge_steps(known.steps, theirs.steps),
        completions=_merge_completions(known.completions, theirs.completions),
        journal=_merge_journals(known.journal, theirs.journal),
    )


def _merge_steps(mine: Iterable[StepRecord], theirs: Iterable[StepRecord]) -> tuple[StepRecord, ...]:
    merged: dict[str, StepRecord] = {}
    for record in (*mine, *theirs):
        merged[record.step] = _merge_step(merged.get(record.step, record), record)
    return tuple(merged[step] for step in sorted(merged))


def _merge_step(mine: StepRecord, theirs: StepRecord) -> StepRecord:
    both = (mine, theirs)
    pass_ = min(both, key=_pass_order)
    predicted = max(both, key=_prediction_order)
    return replace(
        pass_, hints=max(mine.hints, theirs.hints), answer=predicted.answer, outcome=predicted.outcome
    )


def _pass_order(step: StepRecord) -> tuple[bool, bool, str, int]:
    hints = -1 if step.hints_at_pass is None else step.hints_at_pass
    return step.passed is None, step.skipped, step.passed or "", hints


def _prediction_order(step: StepRecord) -> tuple[bool, str, str, str]:
    if step.outcome is None:
        return False, step.answer, "", ""
    return True, step.answer, step.outcome.value, step.outcome.choice


def _merge_completions(mine: Iterable[Completion], theirs: Iterable[Completion]) -> tuple[Completion, ...]:
    merged: dict[str, Completion] = {}
    for one in (*mine, *theirs):
        merged[one.attempt] = max(merged.get(one.attempt, one), one, key=_completion_order)
    return tuple(sorted(merged.values(), key=_completion_order))


def _completion_order(one: Completion) -> tuple[str, bool, int, int, int, str]:
    return one.at, one.tested_out, one.steps, -one.skipped, one.hints, one.attempt


def _merge_journals(mine: Iterable[Entry], theirs: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return each line as often as the side has it that has it more often, so no line comes in twice."""
    return tuple(sorted((Counter(mine) | Counter(theirs)).elements()))


def passed_steps(records: Iterable[LessonRecord]) -> set[tuple[str, str]]:
    return {(lesson.lesson, step.step) for lesson in records for step in lesson.steps if step.passed}
