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
class ChoiceView:
    """One of the answers that a prediction offers."""

    id: str
    text: Text


@dataclass(frozen=True, slots=True)
class OutcomeView:
    """What the live state answered: the value that was seen, and the choice that it stands for ("" if none
    does, or none is offered). `explanation` is for who predicted otherwise."""

    value: Text
    choice: str
    right: bool
    explanation: Text | None = None


@dataclass(frozen=True, slots=True)
class PredictionView:
    """A question before the step is done. Without `choices` any line may be answered. `answer` is the
    learner's: a choice's id or their own words, "" for none yet; it may change until there is an outcome."""

    question: Text
    choices: tuple[ChoiceView, ...]
    answer: str = ""
    outcome: OutcomeView | None = None


@dataclass(frozen=True, slots=True)
class StepView:
    """`body` is Markdown without the containers; `hints` all rungs, of which `hints_shown` may be seen.
    `message` is the misconception that the last observation fits, if any; `debrief` is shown once passed.
    `obstacle` says what stands in the way of doing the step, through no fault of the learner's. `skipped`: it
    was passed by fast-forward, which typed the solution. A prediction is not part of the body."""

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
    prediction: PredictionView | None = None
    skipped: bool = False


class Mode(StrEnum):
    """`TEST_OUT`: only goals, no help; who reaches them all has passed the lesson without doing it."""

    LEARN = "learn"
    TEST_OUT = "test out"


@dataclass(frozen=True, slots=True)
class LessonView:
    """`busy` says what the lesson is doing by itself just now (setting up, fast-forward), if anything."""

    lesson_id: str
    title: Text
    steps: tuple[StepView, ...]
    index: int
    mode: Mode = Mode.LEARN
    busy: Text | None = None

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
    """A line of the home screen. `missing` says in one sentence why it cannot be run here, if it cannot.
    `review_in_days`: in how many days it is worth doing again, 0 or less if now; None while not passed.
    `masters`: how many its cluster has, 0 for a lesson without one."""

    id: str
    title: Text
    minutes: int
    concepts: tuple[str, ...]
    status: LessonStatus
    steps_passed: int
    steps: int
    missing: Text | None
    review_in_days: int | None = None
    tested_out: bool = False
    masters: int = 0


@dataclass(frozen=True, slots=True)
class TrackEntry:
    id: str
    title: Text
    lessons: tuple[LessonEntry, ...]
