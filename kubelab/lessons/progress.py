"""What the learner has done: steps passed, hints seen, predictions, where they are, the variables drawn for
them, the lessons completed, the language that they chose, and the journal of all that happened.

One SQLite file under the XDG state directory (`progress_file`, `progress_rows`). Every change and the line of
the journal that tells of it are one transaction, which SIGKILL does not undo; several processes may change it
at once.
An attempt at a lesson is named by its seed. `start_over` begins another; completions and journal stay.
`transfer` writes and reads what `export` returns and `merge` takes.
Left out: a limit to the journal; a lesson makes a few dozen lines of it.
"""

import datetime
import json
import secrets
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import platformdirs

from kubelab.cluster.errors import LabError
from kubelab.language import LANGUAGES, Language, Text
from kubelab.lessons.merge import merge, passed_steps
from kubelab.lessons.progress_file import connect, transaction
from kubelab.lessons.progress_rows import (
    outcome_of,
    put_entries,
    put_record,
    read_completions,
    read_journal,
    read_records,
)
from kubelab.lessons.record import Completion, Entry, Event, LessonRecord, Outcome

__all__ = [
    "Completion",
    "Entry",
    "Event",
    "LessonProgress",
    "Outcome",
    "Progress",
    "StepProgress",
    "new_seed",
    "state_path",
]

WORDS_LENGTH_MAX = 4096  # What was seen live may be a whole file.
DETAIL_LENGTH_MAX = 200  # The journal tells, it does not keep.


@dataclass(frozen=True, slots=True)
class StepProgress:
    """`skipped`: passed by fast-forward. `answer` is the learner's prediction, "" for none."""

    hints_shown: int = 0
    passed: bool = False
    skipped: bool = False
    answer: str = ""
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class LessonProgress:
    """The attempt under way. `step` is the id of the step that the learner was at; `seed` drew the variables.
    `passed_at`: when the last step that is passed was (UTC), "" if none is. `tested_out`: the attempt was
    completed so."""

    seed: str
    variables: Mapping[str, Any]
    step: str
    steps: Mapping[str, StepProgress] = field(default_factory=dict)
    tested_out: bool = False
    passed_at: str = ""


def state_path() -> Path:
    return platformdirs.user_state_path("kubelab") / "progress.sqlite3"


Now = Callable[[], datetime.datetime]


def _utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Progress:
    """All calls are of one thread. Those that change something raise LabError if it cannot be written; then
    nothing of it is."""

    def __init__(self, connection: sqlite3.Connection, now: Now) -> None:
        self._connection = connection
        self._now = now

    @classmethod
    def open(cls, path: Path | None = None, now: Now = _utc_now) -> "Progress":
        """Open or create the file (default: `kubelab/progress.sqlite3` under XDG_STATE_HOME).

        *now* tells the time in UTC.

        Raises:
            LabError: it cannot be written, or is no progress file.
        """
        return cls(connect(path or state_path()), now)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def lesson(self, lesson_id: str) -> LessonProgress | None:
        """Return what is recorded of the attempt at the lesson; None if none is under way."""
        row = self._connection.execute(_LESSON, (lesson_id,)).fetchone()
        if row is None:
            return None
        seed, variables, step, tested_out, passed_at = row
        steps = {
            id_: StepProgress(hints, bool(passed), bool(skipped), answer, outcome_of(value, choice))
            for id_, hints, passed, skipped, answer, value, choice in self._connection.execute(
                "SELECT step, hints_shown, passed_at IS NOT NULL, skipped, answer, outcome_value,"
                " outcome_choice FROM step WHERE lesson = ?",
                (lesson_id,),
            )
        }
        return LessonProgress(seed, json.loads(variables), step, steps, bool(tested_out), passed_at or "")

    def begin(self, lesson_id: str, variables: Mapping[str, Any], step: str, seed: str) -> None:
        """Record a new attempt with these variables; they stay until `forget` or `start_over`.

        An attempt that is under way (another app has just begun it) is left as it is.
        """
        with self._changing() as connection:
            connection.execute(
                "INSERT INTO lesson (lesson, seed, variables, step) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (lesson_id, seed, json.dumps(dict(variables)), step),
            )

    def set_variables(
        self, lesson_id: str, variables: Mapping[str, Any], *, forget: Collection[str] = ()
    ) -> None:
        """Add captured values to the attempt's variables; of one that it has, the new value stays.

        *forget*: those whose value is no longer true, for the step that captured it was reset.
        """
        with self._changing() as connection:
            row = connection.execute("SELECT variables FROM lesson WHERE lesson = ?", (lesson_id,)).fetchone()
            if row:
                kept = {name: value for name, value in json.loads(row[0]).items() if name not in forget}
                connection.execute(
                    "UPDATE lesson SET variables = ? WHERE lesson = ?",
                    (json.dumps(kept | dict(variables)), lesson_id),
                )

    def go_to(self, lesson_id: str, step: str) -> None:
        with self._changing() as connection:
            connection.execute("UPDATE lesson SET step = ? WHERE lesson = ?", (step, lesson_id))

    def show_hint(self, lesson_id: str, step: str, hints_shown: int) -> None:
        """Record that the first *hints_shown* hints of the step were seen; those seen before stay so."""
        with self._changing() as connection:
            if connection.execute(
                "INSERT INTO step (lesson, step, hints_shown) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET"
                " hints_shown = excluded.hints_shown WHERE excluded.hints_shown > hints_shown",
                (lesson_id, step, hints_shown),
            ).rowcount:
                self._tell(lesson_id, step, Event.HINT, str(hints_shown))

    def set_passed(self, lesson_id: str, step: str, passed: bool, *, skipped: bool = False) -> None:
        """Record that the step was passed now (with how many hints, or *skipped* by fast-forward), or that it
        was reset: then its prediction is forgotten, too. A step that is passed stays as it was passed."""
        with self._changing() as connection:
            connection.execute(
                "INSERT INTO step (lesson, step) VALUES (?, ?) ON CONFLICT DO NOTHING", (lesson_id, step)
            )
            if not passed:
                connection.execute(_RESET, (lesson_id, step))
                self._tell(lesson_id, step, Event.RESET)
            elif connection.execute(_SET_PASSED, (self._second(), skipped, lesson_id, step)).rowcount:
                self._tell(lesson_id, step, Event.SKIPPED if skipped else Event.PASSED)

    def predict(self, lesson_id: str, step: str, answer: str) -> None:
        """Record the learner's prediction of what the step will show."""
        answer = _shortened(_storable(answer), WORDS_LENGTH_MAX)
        with self._changing() as connection:
            if connection.execute(
                "INSERT INTO step (lesson, step, answer) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET"
                " answer = excluded.answer WHERE answer != excluded.answer",
                (lesson_id, step, answer),
            ).rowcount:
                self._tell(lesson_id, step, Event.PREDICTED, answer)

    def set_outcome(self, lesson_id: str, step: str, value: str, choice: str) -> None:
        """Record what the live state answered: the value, and the choice that it stands for ("": none)."""
        value = _shortened(_storable(value), WORDS_LENGTH_MAX)
        with self._changing() as connection:
            if connection.execute(
                "INSERT INTO step (lesson, step, outcome_value, outcome_choice) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET outcome_value = excluded.outcome_value,"
                " outcome_choice = excluded.outcome_choice WHERE (outcome_value, outcome_choice)"
                " IS NOT (excluded.outcome_value, excluded.outcome_choice)",
                (lesson_id, step, value, choice),
            ).rowcount:
                self._tell(lesson_id, step, Event.OUTCOME, f"{choice}: {value}" if choice else value)

    def complete(self, lesson_id: str, *, tested_out: bool = False) -> None:
        """Record that all steps of the attempt are passed; the caller knows which there are.

        An attempt has one completion. If a step was done again since, that is what it tells from now on.
        """
        with self._changing() as connection:
            changed = connection.execute(_COMPLETE, {"lesson": lesson_id, "tested_out": tested_out}).rowcount
            if changed > 0:
                self._tell(lesson_id, "", Event.TESTED_OUT if tested_out else Event.COMPLETED)

    def completions(self, lesson_id: str) -> tuple[Completion, ...]:
        """Return the completions of all attempts at the lesson, the first one first."""
        return tuple(one for _, one in read_completions(self._connection, lesson_id))

    def note(self, lesson_id: str, step: str, what: Event, detail: str = "") -> None:
        """Write to the journal what changes nothing else: a lesson opened, a misconception shown.

        The calls that change something tell of it themselves.
        """
        with self._changing():
            self._tell(lesson_id, step, what, detail)

    def journal(self, lesson_id: str | None = None) -> tuple[Entry, ...]:
        """Return what happened (in one lesson), in the order of time."""
        return tuple(read_journal(self._connection, lesson_id))

    def language(self) -> Language | None:
        """Return the language that the learner last chose in the app; None if they never did."""
        row = self._connection.execute("SELECT value FROM preference WHERE name = 'language'").fetchone()
        return next((known for known in LANGUAGES if row and row[0] == known), None)

    def set_language(self, language: Language) -> None:
        with self._changing() as connection:
            connection.execute("INSERT OR REPLACE INTO preference VALUES ('language', ?)", (language,))

    def start_over(self, lesson_id: str) -> None:
        """Forget the attempt's steps and variables: the next one draws others. The completions stay."""
        with self._changing():
            if self._end_attempt(lesson_id):
                self._tell(lesson_id, "", Event.STARTED_OVER)

    def forget(self, lesson_id: str) -> None:
        """Forget all of the lesson, its completions too, as if it had never been done; the journal knows."""
        with self._changing() as connection:
            ended = self._end_attempt(lesson_id)
            gone = connection.execute("DELETE FROM completion WHERE lesson = ?", (lesson_id,)).rowcount
            if ended or gone:
                self._tell(lesson_id, "", Event.FORGOTTEN)

    def export(self) -> tuple[LessonRecord, ...]:
        """Return everything that is recorded, as `transfer` writes it to a file."""
        with self._reading():
            return read_records(self._connection)

    def merge(self, records: Iterable[LessonRecord]) -> int:
        """Add *records* to what is recorded, as one transaction; return how many steps are passed by it."""
        with self._changing() as connection:
            mine = read_records(connection)
            merged = merge(mine, records)
            for record in merged:
                put_record(connection, record)
            news = Counter(_journal(merged)) - Counter(_journal(mine))
            put_entries(connection, sorted(news.elements()))
        return len(passed_steps(merged) - passed_steps(mine))

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        try:
            with transaction(self._connection):
                yield self._connection
        except sqlite3.Error as error:
            raise LabError(_UNWRITTEN.format(why=error)) from error

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """See all tables as they were at one moment, whatever other processes do."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("COMMIT")

    def _tell(self, lesson_id: str, step: str, what: Event, detail: str = "") -> None:
        detail = _shortened(_storable(detail), DETAIL_LENGTH_MAX)
        at = self._now().strftime("%Y-%m-%d %H:%M:%S.%f")
        put_entries(self._connection, [Entry(at, lesson_id, step, what, detail)])

    def _second(self) -> str:
        return self._now().strftime("%Y-%m-%d %H:%M:%S")

    def _end_attempt(self, lesson_id: str) -> bool:
        """Return whether one was under way."""
        self._connection.execute("DELETE FROM step WHERE lesson = ?", (lesson_id,))
        ended = self._connection.execute("DELETE FROM lesson WHERE lesson = ?", (lesson_id,)).rowcount
        return ended > 0


def new_seed() -> str:
    return secrets.token_hex(8)


def _journal(records: Iterable[LessonRecord]) -> Iterator[Entry]:
    return (entry for record in records for entry in record.journal)


def _storable(text: str) -> str:
    """Return *text* as SQLite can keep it: the name of a file may come with halves of characters."""
    return text.encode("utf-8", "replace").decode()


def _shortened(text: str, length_max: int) -> str:
    return text if len(text) <= length_max else f"{text[: length_max - 1]}…"


_LESSON = """
SELECT seed, variables, step,
    (SELECT tested_out FROM completion WHERE lesson = one.lesson AND attempt = one.seed),
    (SELECT max(passed_at) FROM step WHERE lesson = one.lesson)
FROM lesson AS one WHERE lesson = ?
"""
_SET_PASSED = """
UPDATE step SET passed_at = ?, hints_at_pass = hints_shown, skipped = ?
WHERE lesson = ? AND step = ? AND passed_at IS NULL
"""
_RESET = """
UPDATE step SET passed_at = NULL, hints_at_pass = NULL, skipped = FALSE, answer = '', outcome_value = NULL,
    outcome_choice = NULL
WHERE lesson = ? AND step = ?
"""
_COMPLETE = """
INSERT INTO completion (lesson, attempt, at, hints, steps, skipped, tested_out)
SELECT lesson.lesson, seed, max(passed_at), sum(coalesce(hints_at_pass, 0)), count(*), sum(skipped),
    :tested_out
FROM lesson JOIN step ON step.lesson = lesson.lesson
WHERE lesson.lesson = :lesson AND passed_at IS NOT NULL GROUP BY lesson.lesson, seed
ON CONFLICT DO UPDATE SET at = excluded.at, hints = excluded.hints, steps = excluded.steps,
    skipped = excluded.skipped, tested_out = max(tested_out, excluded.tested_out)
WHERE (at, hints, steps, skipped) IS NOT (excluded.at, excluded.hints, excluded.steps, excluded.skipped)
    OR excluded.tested_out > tested_out
"""
_UNWRITTEN = Text(
    "el progreso no se ha podido guardar ({why}): mira si queda sitio en el disco y repite lo último.",
    "progress could not be kept ({why}): look whether the disk has space left, and do the last thing again.",
)
