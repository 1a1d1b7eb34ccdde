"""What a person sees of a lesson in progress: frozen, in both languages, for the app and plain mode."""

from dataclasses import dataclass
from enum import StrEnum

from kubelab.cluster.errors import LabError
from kubelab.language import Text


def sentence_of(error: LabError) -> Text:
    """Return what *error* says; some sentences (the kernel's, the API's) exist in one language only."""
    return error.sentence if isinstance(error.sentence, Text) else Text(error.sentence, error.sentence)


class Verdict(StrEnum):
    PASSED = "passed"
    NOT_YET = "not yet"
    CANNOT_CHECK = "cannot check"


@dataclass(frozen=True, slots=True)
class CheckView:
    """One check of the current step. `look` is the command with which the learner can see it ("" if none)."""

    verdict: Verdict
    expected: Text
    observed: Text
    look: str


@dataclass(frozen=True, slots=True)
class StepView:
    """`body` is Markdown without the containers; `hints` all rungs, of which `hints_shown` may be seen.
    `message` is the misconception that the last observation fits, if any; `debrief` is shown once passed.
    `obstacle` says what stands in the way of doing the step, through no fault of the learner's."""

    id: str
    title: Text
    body: Text
    hints: tuple[Text, ...]
    hints_shown: int
    passed: bool
    checks: tuple[CheckView, ...]
    message: Text | None
    debrief: Text | None
    obstacle: Text | None = None


@dataclass(frozen=True, slots=True)
class LessonView:
    lesson_id: str
    title: Text
    steps: tuple[StepView, ...]
    index: int

    @property
    def step(self) -> StepView:
        return self.steps[self.index]

    @property
    def finished(self) -> bool:
        return all(step.passed for step in self.steps)


class LessonStatus(StrEnum):
    NEW = "new"
    STARTED = "started"
    PASSED = "passed"


@dataclass(frozen=True, slots=True)
class LessonEntry:
    """A line of the home screen. `missing` says in one sentence why it cannot be run here, if it cannot."""

    id: str
    title: Text
    minutes: int
    concepts: tuple[str, ...]
    status: LessonStatus
    steps_passed: int
    steps: int
    missing: Text | None


@dataclass(frozen=True, slots=True)
class TrackEntry:
    id: str
    title: Text
    lessons: tuple[LessonEntry, ...]
