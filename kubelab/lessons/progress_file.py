"""The SQLite file that keeps the progress: its versions, how it is opened, and what one change is.

Several processes may have it open: two apps, or an import during a lesson. Each change is one transaction
that takes the write lock first (a transaction that read before it writes could be refused instead of made to
wait), and waits for another's. With a write-ahead log readers and the writer do not wait for each other.
Source: sqlite.org/wal.html, sqlite.org/lang_transaction.html.
Durability: a change is with the kernel when the call returns, so SIGKILL loses nothing. A power cut may take
the last ones and never spoils the file: a sync to the disk for each could hold the app for longer than an eye
blinks (PRAGMA synchronous=NORMAL).
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kubelab.cluster.errors import LabError
from kubelab.language import Text

BUSY_S = 5.0  # A change takes milliseconds; who waits longer waits for a process that hangs.

# Each takes a file one version on; a new file passes through all of them.
SCHEMAS = (
    (
        """
CREATE TABLE lesson (
    lesson TEXT PRIMARY KEY,
    seed TEXT NOT NULL,
    variables TEXT NOT NULL,
    step TEXT NOT NULL
) STRICT
""",
        """
CREATE TABLE step (
    lesson TEXT NOT NULL,
    step TEXT NOT NULL,
    hints_shown INTEGER NOT NULL DEFAULT 0,
    hints_at_pass INTEGER,
    passed_at TEXT,
    PRIMARY KEY (lesson, step)
) STRICT
""",
    ),
    (
        """
CREATE TABLE preference (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT
""",
    ),
    (
        "ALTER TABLE step ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE step ADD COLUMN answer TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE step ADD COLUMN outcome_value TEXT",
        "ALTER TABLE step ADD COLUMN outcome_choice TEXT",
        """
CREATE TABLE completion (
    lesson TEXT NOT NULL,
    attempt TEXT NOT NULL,
    at TEXT NOT NULL,
    hints INTEGER NOT NULL,
    steps INTEGER NOT NULL,
    skipped INTEGER NOT NULL,
    tested_out INTEGER NOT NULL,
    PRIMARY KEY (lesson, attempt)
) STRICT
""",
        """
CREATE TABLE journal (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    lesson TEXT NOT NULL,
    step TEXT NOT NULL,
    what TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT
""",
        "CREATE INDEX journal_lesson ON journal (lesson, at)",
        # Append-only by the file itself, whoever opens it.
        """
CREATE TRIGGER journal_keeps_lines BEFORE DELETE ON journal
BEGIN SELECT raise(ABORT, 'the journal is append-only'); END
""",
        """
CREATE TRIGGER journal_keeps_words BEFORE UPDATE ON journal
BEGIN SELECT raise(ABORT, 'the journal is append-only'); END
""",
    ),
)
VERSION = len(SCHEMAS)


def connect(path: Path) -> sqlite3.Connection:
    """Open or create the file, brought up to this version. Raises LabError: it cannot be, or is another's."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(os.fspath(path), timeout=BUSY_S, isolation_level=None)
        try:
            _bring_up_to_date(connection)
        except BaseException:
            connection.close()
            raise
    except (OSError, sqlite3.Error) as error:
        raise LabError(_UNUSABLE.format(path=path, why=error)) from error
    return connection


def _bring_up_to_date(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.OperationalError):  # Another process is about it, or this file system has no WAL.
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    if _version(connection) != VERSION:
        with transaction(connection):
            for statement in (line for schema in SCHEMAS[_version(connection) :] for line in schema):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if not 0 <= version <= VERSION:
        raise sqlite3.DatabaseError(f"version {version}")
    return version


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Make all changes of the block, or none if it raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


_UNUSABLE = Text(
    "no se puede guardar el progreso en {path} ({why}): mira sus permisos.",
    "progress cannot be kept in {path} ({why}): look at its permissions.",
)
