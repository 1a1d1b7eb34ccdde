"""`kubelab progress`: what was done of each lesson, as a table of words and numbers."""

import datetime
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kubelab.lessons.catalog import Catalog
from kubelab.lessons.progress import Progress, new_seed

LESSON = "containers/07-pid"


class Shown:
    """The state directory of a learner, and what the program shows of it."""

    def __init__(self, state: Path) -> None:
        self.state = state

    def recorded(self, at: datetime.datetime) -> Progress:
        return Progress.open(self.state / "kubelab/progress.sqlite3", now=lambda: at)

    def says(self, *arguments: str, language: str = "en") -> list[str]:
        environment = {**os.environ, "KUBELAB_LANG": language, "XDG_STATE_HOME": str(self.state)}
        done = subprocess.run(
            [sys.executable, "-m", "kubelab", "progress", *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=50,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout.splitlines()


@pytest.fixture
def shown(tmp_path: Path) -> Shown:
    return Shown(tmp_path)


def row(lines: list[str], lesson: str) -> list[str]:
    """Return the cells of the lesson's row."""
    return next(line for line in lines if line.startswith(lesson)).split()


def test_a_lesson_never_opened_says_so(shown: Shown) -> None:
    lines = shown.says()
    assert lines[0].split() == [
        "LESSON",
        "STEPS",
        "HINTS",
        "SKIPPED",
        "TESTED",
        "OUT",
        "LAST",
        "TIME",
        "REVIEW",
    ]
    assert row(lines, LESSON) == [LESSON, "0/4", "0", "0", "no", "never", "-"]


def test_hints_skipped_steps_and_the_last_time_are_shown(shown: Shown) -> None:
    with shown.recorded(datetime.datetime(2026, 1, 31, 9, tzinfo=datetime.UTC)) as progress:
        progress.begin(LESSON, {"SECS": 3600}, "become-1", new_seed())
        progress.show_hint(LESSON, "become-1", 2)
        progress.set_passed(LESSON, "become-1", passed=True)
        progress.set_passed(LESSON, "proc", passed=True, skipped=True)
    assert row(shown.says("show"), LESSON) == [LESSON, "2/4", "2", "1", "no", "2026-01-31", "-"]


def test_a_lesson_completed_long_ago_is_due_for_review(shown: Shown) -> None:
    with shown.recorded(datetime.datetime(2026, 1, 31, 9, tzinfo=datetime.UTC)) as progress:
        progress.begin(LESSON, {"SECS": 3600}, "become-1", new_seed())
        for step in Catalog.load().lesson(LESSON).steps:
            progress.set_passed(LESSON, step.id, passed=True)
        progress.complete(LESSON, tested_out=True)
    lines = shown.says()
    assert row(lines, LESSON) == [LESSON, "4/4", "0", "0", "yes", "2026-01-31", "now"]
    assert lines[-1] == f"Worth doing again now: {LESSON}"
    assert row(shown.says(language="es"), LESSON) == [LESSON, "4/4", "0", "0", "sí", "2026-01-31", "ahora"]


def test_imported_progress_has_its_last_time(shown: Shown, tmp_path: Path) -> None:
    with shown.recorded(datetime.datetime(2026, 1, 31, 9, tzinfo=datetime.UTC)) as progress:
        progress.begin(LESSON, {"SECS": 3600}, "become-1", new_seed())
        for step in Catalog.load().lesson(LESSON).steps:
            progress.set_passed(LESSON, step.id, passed=True)
        progress.complete(LESSON)
    shown.says("export", str(tmp_path / "mine.csv"))
    other = Shown(tmp_path / "other")
    other.says("import", str(tmp_path / "mine.csv"))
    assert row(other.says(), LESSON)[5] == "2026-01-31"
