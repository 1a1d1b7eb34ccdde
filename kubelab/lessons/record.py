"""What is recorded of a learner, as values: `progress` keeps them, `merge` joins those of two machines,
`transfer` writes them to a file that people keep, `review` reads when a lesson is due again.

Pure. Times are UTC texts as SQLite writes them, which sort as they pass: a pass and a completion to the
second, a journal entry to the microsecond, so that its place among the others is in its time.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Event(StrEnum):
    """What the journal tells. `RESET` is of a step; `FORGOTTEN` and `STARTED_OVER` are of the lesson."""

    OPENED = "opened"
    PASSED = "passed"
    HINT = "hint"
    PREDICTED = "predicted"
    OUTCOME = "outcome"
    MISCONCEPTION = "misconception"
    RESET = "reset"
    SKIPPED = "skipped"
    COMPLETED = "completed"
    TESTED_OUT = "tested-out"
    FORGOTTEN = "forgotten"
    STARTED_OVER = "started-over"


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One line of the journal. `step` is "" where the whole lesson is meant. `detail`: of a hint its number,
    of a prediction the answer, of an outcome what was seen, of a misconception the message's id."""

    at: str
    lesson: str
    step: str
    what: Event
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the live state answered to a prediction: the value, and the choice that it stands for, if any."""

    value: str
    choice: str


@dataclass(frozen=True, slots=True)
class Completion:
    """All steps of a lesson were passed: `at`, the last of them, with how many `hints`, and how many of the
    `steps` by fast-forward. `attempt` is the seed of the attempt, of which there is one completion."""

    at: str
    hints: int
    steps: int
    skipped: int = 0
    tested_out: bool = False
    attempt: str = ""

    @property
    def day(self) -> datetime.date:
        """The day in UTC."""
        return datetime.date.fromisoformat(self.at[:10])


@dataclass(frozen=True, slots=True)
class StepRecord:
    """`passed`: when, None if not yet. `hints`: rungs seen; `hints_at_pass`: those seen until then."""

    step: str
    hints: int = 0
    hints_at_pass: int | None = None
    passed: str | None = None
    skipped: bool = False
    answer: str = ""
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class LessonRecord:
    """`at` is the step that the learner was at; `seed` and `variables` are what was drawn for them. All three
    are empty where no attempt is under way. The journal is in the order of its times."""

    lesson: str
    at: str
    seed: str
    variables: Mapping[str, Any]
    steps: tuple[StepRecord, ...] = ()
    completions: tuple[Completion, ...] = ()
    journal: tuple[Entry, ...] = ()

    @property
    def begun(self) -> bool:
        return bool(self.at or self.seed or self.variables or self.steps)
