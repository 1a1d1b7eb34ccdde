"""The rows of the progress file as the values of `record`, and back.

All calls are within the caller's transaction.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from kubelab.lessons.record import Completion, Entry, Event, LessonRecord, Outcome, StepRecord

T = TypeVar("T")


def read_records(connection: sqlite3.Connection) -> tuple[LessonRecord, ...]:
    """Return all that is recorded; in a transaction, so that it is of one moment."""
    attempts = {
        lesson: LessonRecord(lesson, at, seed, json.loads(variables))
        for lesson, at, seed, variables in connection.execute(
            "SELECT lesson, step, seed, variables FROM lesson"
        )
    }
    steps, completions = _by_lesson(_read_steps(connection)), _by_lesson(read_completions(connection))
    journal = _by_lesson((entry.lesson, entry) for entry in read_journal(connection))
    return tuple(
        replace(
            attempts.get(lesson, LessonRecord(lesson, "", "", {})),
            steps=steps.get(lesson, ()),
            completions=completions.get(lesson, ()),
            journal=journal.get(lesson, ()),
        )
        for lesson in sorted({*attempts, *steps, *completions, *journal})
    )


def read_journal(connection: sqlite3.Connection, lesson_id: str | None = None) -> Iterator[Entry]:
    """Yield what happened (in one lesson), in the order of time."""
    rows = connection.execute(
        "SELECT at, lesson, step, what, detail FROM journal WHERE ?1 IS NULL OR lesson = ?1 ORDER BY at, id",
        (lesson_id,),
    )
    for at, lesson, step, what, detail in rows:
        yield Entry(at, lesson, step, Event(what), detail)


def read_completions(
    connection: sqlite3.Connection, lesson_id: str | None = None
) -> Iterator[tuple[str, Completion]]:
    """Yield the lessons that were completed (or the one), each as often as it was, in the order of time."""
    rows = connection.execute(
        "SELECT lesson, at, hints, steps, skipped, tested_out, attempt FROM completion"
        " WHERE ?1 IS NULL OR lesson = ?1 ORDER BY at, rowid",
        (lesson_id,),
    )
    for lesson, at, hints, steps, skipped, tested_out, attempt in rows:
        yield lesson, Completion(at, hints, steps, skipped, bool(tested_out), attempt)


def _read_steps(connection: sqlite3.Connection) -> Iterator[tuple[str, StepRecord]]:
    rows = connection.execute(
        "SELECT lesson, step, hints_shown, hints_at_pass, passed_at, skipped, answer, outcome_value,"
        " outcome_choice FROM step ORDER BY lesson, step"
    )
    for lesson, step, hints, at_pass, passed, skipped, answer, value, choice in rows:
        outcome = outcome_of(value, choice)
        yield lesson, StepRecord(step, hints, at_pass, passed, bool(skipped), answer, outcome)


def put_record(connection: sqlite3.Connection, record: LessonRecord) -> None:
    """Write what *record* has, but for its journal."""
    if record.begun:
        connection.execute(
            "INSERT OR REPLACE INTO lesson (lesson, step, seed, variables) VALUES (?, ?, ?, ?)",
            (record.lesson, record.at, record.seed, json.dumps(dict(record.variables))),
        )
    connection.executemany(
        "INSERT OR REPLACE INTO step (lesson, step, hints_shown, hints_at_pass, passed_at, skipped,"
        " answer, outcome_value, outcome_choice) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [(record.lesson, *_step_row(step)) for step in record.steps],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO completion (lesson, at, hints, steps, skipped, tested_out, attempt)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (record.lesson, one.at, one.hints, one.steps, one.skipped, one.tested_out, one.attempt)
            for one in record.completions
        ],
    )


def put_entries(connection: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    """Append *entries* to the journal."""
    connection.executemany(
        "INSERT INTO journal (at, lesson, step, what, detail) VALUES (?, ?, ?, ?, ?)",
        [(entry.at, entry.lesson, entry.step, entry.what.value, entry.detail) for entry in entries],
    )


def outcome_of(value: str | None, choice: str | None) -> Outcome | None:
    return None if value is None else Outcome(value, choice or "")


def _by_lesson(pairs: Iterable[tuple[str, T]]) -> dict[str, tuple[T, ...]]:
    grouped: dict[str, list[T]] = defaultdict(list)
    for lesson, value in pairs:
        grouped[lesson].append(value)
    return {lesson: tuple(values) for lesson, values in grouped.items()}


def _step_row(step: StepRecord) -> tuple[Any, ...]:
    outcome = (step.outcome.value, step.outcome.choice) if step.outcome else (None, None)
    return step.step, step.hints, step.hints_at_pass, step.passed, step.skipped, step.answer, *outcome
