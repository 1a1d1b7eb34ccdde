"""What the learner has done: steps passed, hints seen, where they are, the variables drawn for them, and the
language that they chose.

One SQLite file under the XDG state directory. Every change is one transaction that is on the disk when the
call returns, so SIGKILL loses nothing.
Left out: the journal of every event. `transfer` writes and reads what `export` returns and `merge` takes.
"""

import json
import os
import secrets
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import platformdirs

from kubelab.cluster.errors import LabError
from kubelab.language import LANGUAGES, Language, Text
from kubelab.lessons import transfer
from kubelab.lessons.transfer import LessonRecord, StepRecord

# Each text takes a file one version on; a new file passes through all of them.
_SCHEMAS = (
    """
CREATE TABLE lesson (
    lesson TEXT PRIMARY KEY,
    seed TEXT NOT NULL,
    variables TEXT NOT NULL,
    step TEXT NOT NULL
) STRICT;
CREATE TABLE step (
    lesson TEXT NOT NULL,
    step TEXT NOT NULL,
    hints_shown INTEGER NOT NULL DEFAULT 0,
    hints_at_pass INTEGER,
    passed_at TEXT,
    PRIMARY KEY (lesson, step)
) STRICT;
""",
    """
CREATE TABLE preference (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
""",
)
SCHEMA_VERSION = len(_SCHEMAS)


@dataclass(frozen=True, slots=True)
class StepProgress:
    hints_shown: int = 0
    passed: bool = False


@dataclass(frozen=True, slots=True)
class LessonProgress:
    """`step` is the id of the step that the learner was at. `seed` draws the variables of a new attempt."""

    seed: str
    variables: Mapping[str, Any]
    step: str
    steps: Mapping[str, StepProgress] = field(default_factory=dict)


def state_path() -> Path:
    return platformdirs.user_state_path("kubelab") / "progress.sqlite3"


class Progress:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path | None = None) -> "Progress":
        """Open or create the file (default: `kubelab/progress.sqlite3` under XDG_STATE_HOME).

        Raises:
            LabError: it cannot be written, or is no progress file.
        """
        path = path or state_path()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return cls(_connect(path))
        except (OSError, sqlite3.Error) as error:
            raise LabError(
                Text(
                    f"no se puede guardar el progreso en {path} ({error}): mira sus permisos.",
                    f"progress cannot be kept in {path} ({error}): look at its permissions.",
                )
            ) from error

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def lesson(self, lesson_id: str) -> LessonProgress | None:
        """Return what is recorded of the lesson; None if it was never opened."""
        row = self._connection.execute(
            "SELECT seed, variables, step FROM lesson WHERE lesson = ?", (lesson_id,)
        ).fetchone()
        if row is None:
            return None
        steps = self._connection.execute(
            "SELECT step, hints_shown, passed_at IS NOT NULL FROM step WHERE lesson = ?", (lesson_id,)
        )
        by_id = {id_: StepProgress(hints, bool(passed)) for id_, hints, passed in steps}
        return LessonProgress(row[0], json.loads(row[1]), row[2], by_id)

    def begin(self, lesson_id: str, variables: Mapping[str, Any], step: str, seed: str) -> None:
        """Record that the lesson was opened with these variables; they stay until `forget`."""
        self._write(
            "INSERT INTO lesson VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET variables = excluded.variables",
            (lesson_id, seed, json.dumps(dict(variables)), step),
        )

    def go_to(self, lesson_id: str, step: str) -> None:
        self._write("UPDATE lesson SET step = ? WHERE lesson = ?", (step, lesson_id))

    def show_hint(self, lesson_id: str, step: str, hints_shown: int) -> None:
        self._write(
            "INSERT INTO step (lesson, step, hints_shown) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET hints_shown = max(hints_shown, excluded.hints_shown)",
            (lesson_id, step, hints_shown),
        )

    def set_passed(self, lesson_id: str, step: str, passed: bool) -> None:
        """Record that the step was passed now (with how many hints), or is to be done again."""
        self._write(
            "INSERT INTO step (lesson, step, passed_at, hints_at_pass)"
            " VALUES (?1, ?2, iif(?3, datetime('now'), NULL), iif(?3, 0, NULL)) ON CONFLICT DO UPDATE SET"
            " passed_at = iif(?3, datetime('now'), NULL), hints_at_pass = iif(?3, hints_shown, NULL)",
            (lesson_id, step, passed),
        )

    def language(self) -> Language | None:
        """Return the language that the learner last chose in the app; None if they never did."""
        row = self._connection.execute("SELECT value FROM preference WHERE name = 'language'").fetchone()
        return next((known for known in LANGUAGES if row and row[0] == known), None)

    def set_language(self, language: Language) -> None:
        self._write("INSERT OR REPLACE INTO preference VALUES ('language', ?)", (language,))

    def forget(self, lesson_id: str) -> None:
        """Forget all of the lesson: the next attempt draws other variables."""
        with self._connection:
            self._connection.execute("DELETE FROM step WHERE lesson = ?", (lesson_id,))
            self._connection.execute("DELETE FROM lesson WHERE lesson = ?", (lesson_id,))

    def export(self) -> tuple[LessonRecord, ...]:
        """Return everything that is recorded, as `transfer` writes it to a file."""
        steps: dict[str, list[StepRecord]] = {}
        for lesson, *fields in self._connection.execute(
            "SELECT lesson, step, hints_shown, hints_at_pass, passed_at FROM step ORDER BY lesson, step"
        ):
            steps.setdefault(lesson, []).append(StepRecord(*fields))
        rows = self._connection.execute(
            "SELECT lesson, step, seed, variables FROM lesson ORDER BY lesson"
        ).fetchall()
        return tuple(
            LessonRecord(lesson, at, seed, json.loads(variables), tuple(steps.get(lesson, ())))
            for lesson, at, seed, variables in rows
        )

    def merge(self, records: Iterable[LessonRecord]) -> int:
        """Add *records* to what is recorded, as one transaction; return how many steps are passed by it."""
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")  # A lesson in progress may write at the same time.
            mine = self.export()
            merged = transfer.merge(mine, records)
            self._connection.executemany(
                "INSERT OR REPLACE INTO lesson (lesson, step, seed, variables) VALUES (?, ?, ?, ?)",
                [(one.lesson, one.at, one.seed, json.dumps(dict(one.variables))) for one in merged],
            )
            self._connection.executemany(
                "INSERT OR REPLACE INTO step (lesson, step, hints_shown, hints_at_pass, passed_at)"
                " VALUES (?, ?, ?, ?, ?)",
                [
                    (one.lesson, step.step, step.hints, step.hints_at_pass, step.passed)
                    for one in merged
                    for step in one.steps
                ],
            )
        return len(transfer.passed_steps(merged) - transfer.passed_steps(mine))

    def _write(self, statement: str, values: tuple[Any, ...]) -> None:
        with self._connection:
            self._connection.execute(statement, values)


def new_seed() -> str:
    return secrets.token_hex(8)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(os.fspath(path), timeout=5.0)
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if not 0 <= version <= SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"version {version}")
        if missing := "".join(_SCHEMAS[version:]):
            connection.executescript(f"BEGIN; {missing} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
